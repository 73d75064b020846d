"""Prompts on which two models are compared: how far apart they are, and what each would write."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import numpy as np
import numpy.typing as npt
from mlx_lm.models.cache import make_prompt_cache

from punie.engine.folder import FolderTokenizer
from punie.prompt import DIALECTS, SYSTEM_TUNED, Message, render

Probe = list[int]
"""Token ids of a prompt with its reply."""
WRITTEN = 8
"""Tokens that are generated for each probe."""
ASKED: tuple[tuple[str, str], ...] = (
    ("who calls get_user?", 'print(find_references(symbol="get_user").reference_count)'),
    ("which tests fail?", "for t in pytest_run().tests:\n    print(t.name, t.outcome)"),
    ("lint errors in src/app.py", 'print(ruff_check("src/app.py").violation_count)'),
    ("authors of the last 5 commits", "for c in git_log(count=5).commits:\n    print(c.author)"),
    ("when do I rebase?", ""),
)
"""Questions and programs of the kind that the model is for."""


def probes(tokenizer: FolderTokenizer, dialect: str) -> list[Probe]:
    """The probes in a model's own tokens."""
    found: list[Probe] = []
    for asked, code in ASKED:
        messages: list[Message] = [
            {"role": "system", "content": SYSTEM_TUNED},
            {"role": "user", "content": asked},
        ]
        if code:
            messages.append({"role": "assistant", "content": "", "code": code})
        found.append(tokenizer.encode(render(messages, DIALECTS[dialect]))[0])
    return found


def answer(model: Any, probe: Probe) -> tuple[npt.NDArray[np.float32], list[int]]:
    """Logits (length, vocab) at every place of a probe, and the likeliest tokens after it."""
    cache = make_prompt_cache(model)
    logits = model(mx.array([probe]), cache=cache)[0]
    found: npt.NDArray[np.float32] = np.array(logits.astype(mx.float32))
    written = [int(found[-1].argmax())]
    while len(written) < WRITTEN:
        following = model(mx.array([written[-1:]]), cache=cache)[0, -1]
        written.append(int(mx.argmax(following).item()))
    return found, written


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
