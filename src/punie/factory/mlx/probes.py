"""Prompts on which two models are compared: how far apart they are, and what each would write."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import numpy as np
import numpy.typing as npt
from mlx_lm.models.cache import make_prompt_cache

from punie.engine.folder import FolderTokenizer
from punie.factory.probes import WRITTEN, conversations
from punie.prompt import DIALECTS, render

Probe = list[int]
"""Token ids of a prompt with its reply."""


def probes(tokenizer: FolderTokenizer, dialect: str) -> list[Probe]:
    """The probes in a model's own tokens."""
    return [
        tokenizer.encode(render(messages, DIALECTS[dialect]))[0] for messages in conversations()
    ]


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
