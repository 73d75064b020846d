"""How far a quantized model's next token is from the unquantized one's, on task prompts.

The replies of held-out rows are fed token by token, as in service, to all models at once; before
each trained token their distributions are compared. What the engine lets a tuned model not say
(`engine.guide`) plays no part here.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from punie.engine.llama import LlamaEngine
from punie.errors import UsageError
from punie.prompt import Dialect, Message, render

Array = npt.NDArray[np.float64]
CONTEXT = 1024
"""Tokens that a row may have; longer rows are left out."""


@dataclass
class Divergence:
    """One model beside the reference, over all trained positions. The reference beside itself
    has 0, 1 and its own loss."""

    divergences: list[float] = field(default_factory=list)
    """Kullback-Leibler divergence from the reference at each position, in nats."""
    same: int = 0
    """Positions at which both have the same most likely token."""
    losses: list[float] = field(default_factory=list)
    """Minus log-probability of the row's own token, in nats."""
    prompt: tuple[int, float] = (0, 0.0)
    """Tokens of prompts, and seconds that they took."""
    generation: tuple[int, float] = (0, 0.0)
    """Tokens fed one by one, and seconds that they took."""

    def add(self, reference: Array, own: Array, token: int) -> None:
        """Count one position: log-probabilities (vocab,) of both models, and the row's token."""
        self.divergences.append(max(0.0, float(np.exp(reference) @ (reference - own))))
        self.same += int(reference.argmax() == own.argmax())
        self.losses.append(-float(own[token]))

    def as_json(self) -> dict[str, Any]:
        """The figures: divergence as mean and 99th of a hundred, agreement, loss, tokens/s."""
        count = len(self.divergences)
        return {
            "positions": count,
            "divergence": round(float(np.mean(self.divergences)), 5),
            "divergence_p99": round(float(np.quantile(self.divergences, 0.99)), 5),
            "agreement": round(self.same / count, 5),
            "loss": round(float(np.mean(self.losses)), 5),
            "prompt_tokens_per_second": _rate(*self.prompt),
            "tokens_per_second": _rate(*self.generation),
        }


def held_out(path: Path, count: int, seed: int) -> list[list[Message]]:
    """The conversations of `count` rows of a file of rows, drawn by `seed`. Raises UsageError
    when there is none."""
    try:
        lines = [line for line in path.read_text("utf-8").split("\n") if line.strip()]
        read: list[list[Message]] = [json.loads(line)["messages"] for line in lines]
        rows = random.Random(seed).sample(read, min(count, len(read)))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"no held-out rows in {str(path)!r} ({error!r}): punie generate") from None
    if not rows:
        raise UsageError(f"no held-out rows in {str(path)!r}: punie generate")
    return rows


def compare(
    models: Mapping[str, Path],
    rows: Sequence[Sequence[Message]],
    dialect: Dialect,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Divergence]:
    """Each model beside the first of them. Raises UsageError when no row fits the context."""
    found = {name: Divergence() for name in models}
    with ExitStack() as stack:
        engines: dict[str, LlamaEngine] = {}
        for name, path in models.items():
            engines[name] = LlamaEngine(path, dialect, context=CONTEXT)
            stack.callback(engines[name].free)
        first = next(iter(engines.values()))
        for number, row in enumerate(rows, 1):
            progress(f"row {number} of {len(rows)}")
            pieces = [(first.tokenize([piece]), piece.trained) for piece in render(row, dialect)]
            if sum(len(ids) for ids, _ in pieces) > CONTEXT or not any(t for _, t in pieces):
                continue
            walks = [_walk(engines[name], pieces, found[name]) for name in models]
            for steps in zip(*walks, strict=True):
                for one, (own, token) in zip(found.values(), steps, strict=True):
                    one.add(steps[0][0], own, token)
    if not next(iter(found.values())).divergences:
        raise UsageError(f"no row is at most {CONTEXT} tokens long and has a reply")
    return found


def _walk(
    engine: LlamaEngine, pieces: Sequence[tuple[list[int], bool]], measured: Divergence
) -> Iterator[tuple[Array, int]]:
    """(log-probabilities before it, the token) for each trained token of a row."""
    started = False
    for ids, trained in pieces:
        for group in [[token] for token in ids] if trained else [ids]:
            if trained:
                yield _log_probabilities(engine), group[0]
            began = time.perf_counter()
            (engine.append if started else engine.feed)(group)
            spent, started = time.perf_counter() - began, True
            tokens, seconds = measured.generation if trained else measured.prompt
            if trained:
                measured.generation = tokens + 1, seconds + spent
            else:
                measured.prompt = tokens + len(group), seconds + spent


def _log_probabilities(engine: LlamaEngine) -> Array:
    logits = engine.logits().astype(np.float64)
    logits -= logits.max()
    found: Array = logits - np.log(np.exp(logits).sum())
    return found


def _rate(tokens: int, seconds: float) -> float:
    return round(tokens / seconds, 1) if seconds else 0.0
