"""Two models on the same cases: who won what the other lost, and whether that can be chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import comb
from typing import Any


@dataclass(frozen=True)
class Paired:
    """A comparison on the cases that both were asked."""

    cases: int
    won: int
    """Cases that only the new model passed."""
    lost: int
    """Cases that only the earlier model passed."""
    p: float
    """Two-sided p of McNemar's exact test: small = not chance."""

    def as_json(self) -> dict[str, Any]:
        """The comparison as an object."""
        return asdict(self) | {"p": round(self.p, 5)}

    def worse(self, significance: float) -> bool:
        """Whether the new model is worse, and that by more than chance."""
        return self.lost > self.won and self.p < significance


def mcnemar(won: int, lost: int) -> float:
    """Two-sided p of McNemar's exact test: a fair coin for each case on which two models differ
    (McNemar 1947, in its binomial form)."""
    flips = won + lost
    tail = sum(comb(flips, k) for k in range(min(won, lost) + 1))
    return float(min(1.0, 2 * tail / 2**flips))


def paired(new: Mapping[str, bool], earlier: Mapping[str, bool]) -> Paired:
    """Compare two models by what each case's id came to, on the ids that both have."""
    both = [name for name in new if name in earlier]
    won = sum(new[name] and not earlier[name] for name in both)
    lost = sum(earlier[name] and not new[name] for name in both)
    return Paired(len(both), won, lost, mcnemar(won, lost))


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of them do not exceed; 0 where there are none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def latency(values: Sequence[float]) -> dict[str, float]:
    """Median, 95th of a hundred and greatest of times in ms, a tenth exact."""
    shares = {"p50": 0.5, "p95": 0.95, "max": 1.0}
    return {name: round(quantile(values, share), 1) for name, share in shares.items()}
