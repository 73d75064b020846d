"""Asking the same question several times: at another temperature, from another seed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from punie.engine import Engine, Generation, Written
from punie.mentioned import Mentioned
from punie.prompt import Message


@dataclass(frozen=True)
class Draw:
    """One way to ask a model."""

    temperature: float = 0.0
    seed: int = 0


def draws(temperatures: Iterable[float], samples: int) -> list[Draw]:
    """`samples` draws at each temperature, one at 0: greedy replies do not depend on a seed."""
    return [
        Draw(temperature, seed)
        for temperature in dict.fromkeys(temperatures)
        for seed in range(samples if temperature > 0 else 1)
    ]


class Sampled:
    """An engine that asks another one at a draw's temperature, with seeds of its own."""

    def __init__(self, engine: Engine, draw: Draw) -> None:
        self.engine, self.draw = engine, draw
        self.name, self.kind, self.sha256 = engine.name, engine.kind, engine.sha256

    async def generate(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int = 0,
        mentioned: Mentioned | None = None,
        written: Written | None = None,
    ) -> Generation:
        """See `Engine.generate`; what asks afresh keeps its own higher temperature."""
        return await self.engine.generate(
            messages,
            max_tokens=max_tokens,
            temperature=max(temperature, self.draw.temperature),
            seed=1000 * self.draw.seed + seed,
            mentioned=mentioned,
            written=written,
        )

    async def close(self) -> None:
        """Nothing: who opened the other engine closes it."""
