"""Task prompts on which two models are compared after fusing, and how far apart they are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from punie.prompt import SYSTEM_TUNED, Message

WRITTEN = 8
"""Tokens that are generated for each probe."""
TOLERATED = 0.05
"""Mean divergence (nats a token) between base + adapter and the fused model above which fusing
counts as failed: float16, bfloat16 and 8 bits stay far below, a lost adapter far above."""
ASKED: tuple[tuple[str, str], ...] = (
    ("who calls get_user?", 'print(find_references(symbol="get_user").reference_count)'),
    ("which tests fail?", "for t in pytest_run().tests:\n    print(t.name, t.outcome)"),
    ("lint errors in src/app.py", 'print(ruff_check("src/app.py").violation_count)'),
    ("authors of the last 5 commits", "for c in git_log(count=5).commits:\n    print(c.author)"),
    ("when do I rebase?", ""),
)
"""Questions and programs of the kind that the model is for."""


def conversations() -> list[list[Message]]:
    """The probes as conversations; one of a question in words ends with the question."""
    found: list[list[Message]] = []
    for asked, code in ASKED:
        messages: list[Message] = [
            {"role": "system", "content": SYSTEM_TUNED},
            {"role": "user", "content": asked},
        ]
        if code:
            messages.append({"role": "assistant", "content": "", "code": code})
        found.append(messages)
    return found


def divergence(wanted: npt.NDArray[np.float32], found: npt.NDArray[np.float32]) -> float:
    """Mean Kullback-Leibler divergence from `wanted` to `found`, both logits (length, vocab), in
    nats a token."""
    ours, theirs = _log_softmax(wanted), _log_softmax(found)
    return float((np.exp(ours) * (ours - theirs)).sum(axis=-1).mean())


def _log_softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    values = logits.astype(np.float64)
    values -= values.max(axis=-1, keepdims=True)
    result: npt.NDArray[np.float64] = values - np.log(np.exp(values).sum(axis=-1, keepdims=True))
    return result
