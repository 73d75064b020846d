"""Stage `average`: the adapters of several legs → one whose weights are their mean.

Legs that start from each other end near each other, and the mean of their weights is often better
than each: what one leg happened to unlearn, the others still know. A and B are averaged apart,
which for legs that are near is the mean of their products up to a small rest. NumPy and gguf only.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from punie.errors import ModelUnavailable
from punie.factory.training.records import write_json
from punie.models import read_card, sha256_of
from punie.models.adapter import SIZE_LIMIT, Adapter, read_adapter, write_adapter
from punie.models.weights import Array

SAME = ("dialect", "rank", "alpha", "base_sha256", "tools_hash")
"""What the cards of legs must agree in."""


class AverageOptions(BaseModel):
    """What is averaged, and into what."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    adapters: tuple[Path, ...] = Field(min_length=2)
    """Outputs folders of stage `train`, or folders of shipped models; the last leg at the end: its
    card is gone on with."""
    out: Path
    """Outputs folder: `adapter.gguf`, `adapter-f32.gguf`, `adapter.json`, `meta.json`."""


def run(options: AverageOptions) -> Path:
    """Average and return the outputs folder. Raises ModelUnavailable for adapters that are missing
    or damaged, or do not belong together."""
    cards = [read_card(folder) for folder in options.adapters]
    files = [_weights(folder) for folder in options.adapters]
    for folder, card in zip(options.adapters, cards, strict=True):
        for key in SAME:
            if card.get(key) != cards[-1].get(key):
                raise ModelUnavailable(
                    f"{str(folder)!r} has {key} {card.get(key)!r}, {str(options.adapters[-1])!r} "
                    f"has {cards[-1].get(key)!r}: only legs of one model can be averaged"
                )
    averaged = mean([read_adapter(file) for file in files])
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "meta.json").unlink(missing_ok=True)
    write_adapter(averaged, options.out / "adapter-f32.gguf", "F32")
    kind = write_adapter(averaged, options.out / "adapter.gguf")
    if (size := (options.out / "adapter.gguf").stat().st_size) > SIZE_LIMIT:
        raise ModelUnavailable(f"adapter of {size} bytes is over {SIZE_LIMIT}; lower the rank")
    inputs = {str(file.parent): sha256_of(file) for file in files}
    card = cards[-1] | {
        "storage": kind,
        "sha256": sha256_of(options.out / "adapter.gguf"),
        "literals": sorted({literal for card in cards for literal in card["literals"]}),
        "averaged": [card["sha256"] for card in cards],
    }
    write_json(options.out / "adapter.json", card)
    meta: dict[str, Any] = {"stage": "average", "inputs": inputs, "sha256": card["sha256"]}
    write_json(options.out / "meta.json", meta)
    return options.out


def _weights(folder: Path) -> Path:
    """The exact adapter of a folder; of one that was shipped, what there is."""
    exact = folder / "adapter-f32.gguf"
    return exact if exact.exists() else folder / "adapter.gguf"


def mean(adapters: Sequence[Adapter]) -> Adapter:
    """The adapter of the mean weights. Raises ModelUnavailable for other tensors or shapes."""
    first = adapters[0]
    for other in adapters[1:]:
        shapes = [
            (
                {name: (a.shape, b.shape) for name, (a, b) in each.pairs.items()},
                {name: each.shape(name) for name in each.whole},
                set(each.rows),
            )
            for each in (first, other)
        ]
        if shapes[0] != shapes[1]:
            raise ModelUnavailable("adapters of other tensors or shapes cannot be averaged")
    pairs = {
        name: (
            _mean([each.pairs[name][0] for each in adapters]),
            _mean([each.pairs[name][1] for each in adapters]),
        )
        for name in first.pairs
    }
    rows = {token: _mean([each.rows[token] for each in adapters]) for token in first.rows}
    whole = {name: _mean([each.whole[name] for each in adapters]) for name in first.whole}
    return Adapter(first.rank, first.alpha, pairs, rows, whole)


def _mean(arrays: Sequence[Array]) -> Array:
    return np.asarray(np.mean(arrays, axis=0), dtype=np.float32)
