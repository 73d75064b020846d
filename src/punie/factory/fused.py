"""Does a fused model answer as base + adapter do? llama.cpp's own LoRA code is the judge.

The reference keeps the base's quantized weights and lets llama.cpp add B·A at run time, so it
shares with fusing neither the merging nor the order of q's and k's rows. Embedding rows, which no
LoRA can hold, are put into a copy of the base first. For whole updates (a full fine-tuning) there
is no such judge: the reference is the same fusion in float32, which only shows the rounding.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from punie.engine.llama import LlamaEngine
from punie.factory.probes import TOLERATED, WRITTEN, conversations, divergence
from punie.models.adapter import Adapter, write_adapter
from punie.models.fuse import fuse
from punie.prompt import DIALECTS, render

Logits = npt.NDArray[np.float32]
CONTEXT = 512
"""Tokens that a probe and what is written after it have at most."""
EXACT = ("F32", "F16", "BF16", "Q8_0")
"""Number formats whose rounding stays below `TOLERATED`; of others it is told, not judged."""


def beside(base: Path, adapter: Adapter, fused: Path, dialect: str) -> dict[str, Any]:
    """The figures of a fused model beside base + adapter: mean divergence in nats a token, the
    largest difference of two logits, and for how many probes both write the same tokens."""
    with (
        tempfile.TemporaryDirectory(prefix="reference-", dir=fused.parent) as folder,
        ExitStack() as stack,
    ):
        reference = _reference(base, adapter, Path(folder), dialect)
        stack.callback(reference.free)
        own = LlamaEngine(fused, DIALECTS[dialect], context=CONTEXT)
        stack.callback(own.free)
        apart, largest, alike = [], 0.0, 0
        for messages in conversations():
            pieces = list(render(messages, DIALECTS[dialect]))
            ids = [reference.tokenize([piece]) for piece in pieces]
            (wanted, theirs), (found, ours) = _walk(reference, ids), _walk(own, ids)
            apart.append(divergence(wanted, found))
            largest = max(largest, float(np.abs(wanted - found).max()))
            alike += theirs == ours
    return {
        "reference": "base + LoRA by llama.cpp" if adapter.pairs else "the same in float32",
        "divergence": round(float(np.mean(apart)), 6),
        "largest_logit_difference": round(largest, 4),
        "probes_written_alike": [alike, len(apart)],
    }


def fault(figures: dict[str, Any], kind: str, most: float = TOLERATED) -> str:
    """What is wrong with the figures of a model of number format `kind` if at most `most` nats a
    token are tolerated; empty when nothing."""
    alike, asked = figures["probes_written_alike"]
    if kind not in EXACT:
        return ""
    if not figures["divergence"] <= most:  # no number is not below it either
        return (
            f"the fused model differs from base + adapter by {figures['divergence']} nats a token"
            f" (at most {most})"
        )
    if 2 * alike < asked:  # two tokens may be equally likely; not before most replies
        return f"the fused model writes as base + adapter do for {alike} of {asked} prompts only"
    return ""


def _reference(base: Path, adapter: Adapter, folder: Path, dialect: str) -> LlamaEngine:
    rows, lora = folder / "base.gguf", folder / "lora.gguf"
    if not adapter.pairs:
        fuse(base, adapter, rows, "F32")
        return LlamaEngine(rows, DIALECTS[dialect], context=CONTEXT)
    fuse(base, replace(adapter, pairs={}), rows, "F32")
    write_adapter(replace(adapter, rows={}), lora, "F32")
    engine = LlamaEngine(rows, DIALECTS[dialect], context=CONTEXT)
    engine.adapt(lora)
    return engine


def _walk(engine: LlamaEngine, turns: list[list[int]]) -> tuple[Logits, list[int]]:
    """Logits (tokens of the last turn + 1, vocab) before each of its tokens and after it, and the
    likeliest tokens after it."""
    *before, last = turns
    engine.feed([token for ids in before for token in ids] or last[:1])
    logits = [engine.logits().copy()]
    for token in last:
        engine.append([token])
        logits.append(engine.logits().copy())
    written: list[int] = []
    while len(written) < WRITTEN:
        written.append(int(engine.logits().argmax()))
        engine.append(written[-1:])
    return np.stack(logits), written
