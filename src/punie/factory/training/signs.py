"""Signs in a training's log that its adapter may be no good: what a report must not pass over."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

HIGH = 0.7
"""A best validation loss from which on a model has hardly learnt its task, in nats a token."""
RISES = 3
"""Times in a row that the gap must have grown, by `STEP` in all, before it is called growing."""
STEP = 0.02
"""Nats a token."""


def signs(log: Path) -> list[str]:
    """What is to be said of the losses in a `log.jsonl`, one sentence each; empty when nothing."""
    lines = log.read_text("utf-8").splitlines() if log.exists() else []
    return list(_signs([json.loads(line) for line in lines]))


def _signs(records: Iterable[dict[str, Any]]) -> Iterable[str]:
    gaps, since, best = [], [], math.inf
    for record in records:
        since.append(record["loss"])
        if (held_out := record.get("validation_loss")) is not None:
            gaps.append(held_out - fmean(since))
            best, since = min(best, held_out), []
    if HIGH <= best < math.inf:
        yield f"the best validation loss is {best:.3f}: {HIGH} or more means that little was learnt"
    last = gaps[-RISES - 1 :]
    grows = len(last) > RISES and all(a < b for a, b in pairwise(last))
    if grows and last[-1] - last[0] >= STEP:
        told = ", ".join(f"{gap:.3f}" for gap in last)
        yield f"the gap of validation over training loss grows ({told}): rows are learnt by heart"
