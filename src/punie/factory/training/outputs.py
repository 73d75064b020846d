"""What stage `train` leaves on disk: checkpoints while it runs, its outputs at the end."""

from __future__ import annotations

import json
import platform
from collections.abc import Collection
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from punie.errors import UsageError
from punie.factory.suite import deciding
from punie.factory.training.lora import GROUPS
from punie.factory.training.options import TrainOptions
from punie.factory.training.records import WAY_OUT, cut_log, require, same_run, write_json
from punie.factory.training.rows import fixed_answers, fixed_literals
from punie.factory.training.signs import signs
from punie.models import sha256_of
from punie.models.adapter import SIZE_LIMIT, read_adapter, write_adapter

if TYPE_CHECKING:
    from punie.factory.train import Trainer

ADAPTED = [part for group in GROUPS for part in group]
"""The linear layers of every block that have an update."""
LATER = {
    "patience": 0,
    "method": "lora",
    "layers": 0,
    "score_suite": "",
    "score_every": 400,
    "score_cases": 100,
}
"""Options that came after the first checkpoints, with what was done before they came."""
FREE = {
    "out", "max_minutes", "checkpoint_minutes", "name", "tools_hash", "loggers", "device",
}  # fmt: skip
"""Options that may change between an interruption and its resumption."""


def fingerprint(options: TrainOptions) -> dict[str, Any]:
    """What makes two runs the same run: the options that matter and the content of all inputs."""
    files = {
        "data": options.data,
        "validation": options.validation,
        "base": options.base_file,
        "init_adapter": options.init_adapter,
    }
    shown = json.loads(options.model_dump_json(exclude=FREE | set(files)))
    inputs = {name: sha256_of(path) for name, path in files.items() if path}
    if options.score_suite:
        inputs["score_suite"] = deciding(options.score_suite).sha256
    return {"options": shown, "inputs": inputs}


class Checkpoint:
    """The state of an unfinished run in `checkpoint.pt`, replaced as a whole or not at all."""

    def __init__(self, out: Path, mark: dict[str, Any]) -> None:
        self.path, self.log, self.mark = out / "checkpoint.pt", out / "log.jsonl", mark

    @staticmethod
    def require(out: Path, mark: dict[str, Any]) -> None:
        """Raises UsageError when the finished folder `out` belongs to another run."""
        require(out, mark, LATER)

    def save(self, state: dict[str, Any]) -> None:
        """Write `state`, then put it in place of the last one."""
        temporary = self.path.with_name(self.path.name + ".part")
        torch.save({"mark": self.mark, **state}, temporary)
        temporary.replace(self.path)

    def load(self) -> dict[str, Any] | None:
        """The saved state or None. Raises UsageError when it belongs to another run."""
        if not self.path.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(self.path, weights_only=True)
            mark = {part: dict(state["mark"][part]) for part in self.mark}
        except Exception as error:  # torch raises all kinds for a damaged file
            raise UsageError(f"{self.path} is damaged ({error!r}): {WAY_OUT}") from None
        same_run(self.path.parent, mark, self.mark, LATER)
        return state

    def note(self, record: dict[str, Any]) -> None:
        """Add a step's record to the log."""
        with self.log.open("a", encoding="utf-8") as log:
            log.write(json.dumps(record) + "\n")

    def cut_log(self, step: int) -> None:
        """Drop the log's lines after `step`: those steps are run again."""
        cut_log(self.log, step)


def _answers_before(adapter: Path | None) -> Collection[str]:
    """The answers on the card beside the adapter that a leg starts from."""
    card = adapter and adapter.parent / "adapter.json"
    answers = json.loads(card.read_text("utf-8")).get("answers") if card and card.exists() else None
    return answers or ()


def _tool_counts(data: Path) -> dict[str, int]:
    """How many training examples use each tool, as `punie generate` counted them; the monitor
    holds what is asked against it."""
    try:
        counts: dict[str, int] = json.loads((data / "meta.json").read_text("utf-8"))["train"][
            "tools"
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return counts


def card(options: TrainOptions, mark: dict[str, Any], adapter: Path) -> dict[str, Any]:
    """What the card of the stored adapter says of it, but for its training."""
    return {
        "name": options.name,
        "dialect": options.dialect,
        "rank": options.rank if options.method == "lora" else 0,
        "alpha": options.alpha,
        "sha256": sha256_of(adapter),
        "base_sha256": mark["inputs"]["base"],
        "tools_hash": options.tools_hash,
        "literals": fixed_literals(options.data),
        "answers": fixed_answers(options.data, _answers_before(options.init_adapter)),
    }


def finish(options: TrainOptions, mark: dict[str, Any], trainer: Trainer) -> list[str]:
    """Write the adapter, exact and as shipped, its card, and meta.json; returns the signs that it
    may be no good."""
    network, out = trainer.network, options.out
    step = trainer.step
    if kept := trainer.chosen or trainer.best:
        _, step, best = kept
        with torch.no_grad():
            for parameter, saved in zip(trainer.parameters, best, strict=True):
                parameter.copy_(saved)
    adapter = network.adapter()
    write_adapter(adapter, out / "adapter-f32.gguf", "F32")
    kind = write_adapter(adapter, out / "adapter.gguf")
    size = (out / "adapter.gguf").stat().st_size
    if size > SIZE_LIMIT and options.method == "lora":
        raise UsageError(f"adapter of {size} bytes is over {SIZE_LIMIT}; lower the rank")
    losses: dict[str, float] = {}
    warnings = signs(out / "log.jsonl")
    if trainer.held_out and trainer.best:
        network.load(read_adapter(out / "adapter.gguf"))
        losses = {"best": trainer.best[0], "stored": trainer.mean_loss(trainer.held_out)}
    summary = {
        "steps": trainer.step,
        "steps_planned": len(trainer.steps),
        "kept_step": step,
        "stopped_early": trainer.lost_patience,
        "epochs": round(trainer.tokens / max(sum(trainer.data.lengths), 1), 3),
        "validation_loss": losses,
        "score": trainer.chosen[0] if trainer.chosen else None,
        "method": options.method,
        "layers": options.layers or network.shape.layers,
        "tokens": trainer.tokens,
        "target_tokens": trainer.targets,
        "seconds": round(trainer.seconds, 1),
        "tokens_per_second": round(trainer.tokens / max(trainer.seconds, 1e-9), 1),
        "rows": len(trainer.data.rows),
        "rows_too_long": trainer.data.too_long,
        "rows_without_answer": trainer.data.without_answer,
        "validation_rows": len(trainer.held_out.rows) if trainer.held_out else 0,
        "trainable_parameters": adapter.parameters,
        "adapted_modules": ADAPTED,
        "dtype": str(trainer.dtype).removeprefix("torch."),
        "warnings": warnings,
    }
    facts = {"data_sha256": mark["inputs"]["data"], "tools": _tool_counts(options.data.parent)}
    described = card(options, mark, out / "adapter.gguf")
    write_json(out / "adapter.json", described | {"storage": kind, "training": summary | facts})
    packages = ("torch", "numpy", "gguf", "tokenizers")
    versions = {"python": platform.python_version()} | {name: version(name) for name in packages}
    given = json.loads(options.model_dump_json())
    write_json(
        out / "meta.json",
        {"stage": "train", "given": given, **mark, "versions": versions, "training": summary},
    )
    return warnings
