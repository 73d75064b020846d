"""What is known of each level, and the rule by which one is picked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from punie.factory.paired import Paired, paired
from punie.factory.quantizing.levels import Written


class Rule(BaseModel):
    """A level passes when it loses nothing that counts; the smallest that passes is picked."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    most_divergence: float = Field(default=0.02, gt=0)
    """Mean divergence of the next token from the unquantized model's, in nats, at most."""
    least_agreement: float = Field(default=0.98, ge=0, le=1)
    """Share of positions with the same most likely token, at least."""
    significance: float = Field(default=0.05, gt=0, lt=1)
    """p below which a loss on the suite counts (McNemar's exact test, paired by case)."""


@dataclass
class Measured:
    """One level, or the unquantized reference, with its figures."""

    level: str
    """llama.cpp's name of what was asked for; `label` is what it became."""
    file: str
    sha256: str
    written: Written
    divergence: dict[str, Any]
    layers: Sequence[tuple[float, float]] = ()
    """(share of the update kept, rounding error beside it) for each block."""
    suite: dict[str, Any] | None = None
    """Report of the suite with its cases; None when no suite was run."""
    objections: list[str] = field(default_factory=list)
    """Why the rule does not take it."""

    @property
    def outcomes(self) -> dict[str, bool]:
        """Whether each case of the suite passed."""
        cases = self.suite["cases"] if self.suite else []
        return {case["id"]: case["passed"] for case in cases}

    def kept(self) -> dict[str, float]:
        """What is left of the update: mean, worst block, mean error beside the update."""
        if not self.layers:
            return {}
        shares, errors = zip(*self.layers, strict=True)
        return {
            "mean": round(sum(shares) / len(shares), 4),
            "worst": round(min(shares), 4),
            "error": round(sum(errors) / len(errors), 4),
        }


def against(level: Measured, reference: Measured) -> Paired | None:
    """The level beside the reference on the suite, or None when it was not run."""
    if level.suite is None or reference.suite is None:
        return None
    return paired(level.outcomes, reference.outcomes)


def choose(levels: Sequence[Measured], reference: Measured, rule: Rule) -> Measured | None:
    """The smallest level without an objection, or None. Fills `objections` of all."""
    for level in levels:
        level.objections = objections(level, reference, rule)
    fine = [level for level in levels if not level.objections]
    return min(fine, key=lambda level: level.written.size) if fine else None


def objections(level: Measured, reference: Measured, rule: Rule) -> list[str]:
    """What speaks against a level by the rule."""
    found = []
    values: Mapping[str, Any] = level.divergence
    if values["divergence"] > rule.most_divergence:
        found.append(f"divergence {values['divergence']:.4f} above {rule.most_divergence}")
    if values["agreement"] < rule.least_agreement:
        found.append(f"agreement {values['agreement']:.2%} below {rule.least_agreement:.2%}")
    compared = against(level, reference)
    if compared and compared.worse(rule.significance):
        found.append(f"loses {compared.lost}, wins {compared.won} cases (p = {compared.p:.3g})")
    return found
