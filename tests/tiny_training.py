"""Options for a training of seconds on the tiny Llama. Needs the extra `train`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from punie.factory.training.options import TrainOptions
from tiny_llama import write_rows


def quiet(done: int, total: int, text: str) -> None:
    """Show nothing."""


def maker(base: Path, folder: Path) -> Callable[..., TrainOptions]:
    """A function outputs folder → options over 40 rows and 8 held-out ones, which it writes into
    `folder`; keywords are further options."""
    data, held_out = write_rows(folder / "a.jsonl", 40), write_rows(folder / "b.jsonl", 8, seed=1)

    def options(out: Path, **given: Any) -> TrainOptions:
        chosen: dict[str, Any] = {
            "rank": 32, "alpha": 64, "epochs": 2, "batch_tokens": 600, "micro_tokens": 200,
            "learning_rate": 2e-2, "validate_every": 3, "dtype": "float32", "threads": 2,
        }  # fmt: skip
        chosen |= given
        return TrainOptions(data=data, validation=held_out, base=base, out=out, **chosen)

    return options
