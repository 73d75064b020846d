"""The gate: what a model must reach on the frozen forty before it is released."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

TARGETS = {
    "direct": 1.0,
    "existing_lsp": 0.9,
    "new_lsp": 0.8,
    "git": 0.8,
    "existing_tools": 0.9,
    "field_access": 0.8,
    "workflow": 0.6,
    "discrimination": 0.9,
}
"""Least share of each category, of the specification."""
OVERALL = 0.85


class Gate(BaseModel):
    """What is asked of a model. The defaults are the specification's."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    suite: str = "forty"
    """Suite that counts."""
    targets: dict[str, float] = Field(default=TARGETS)
    """Category → least share of its cases."""
    overall: float = Field(default=OVERALL, ge=0, le=1)
    """Least share of all cases."""
    regression: bool = True
    """Whether it must pass at least as many cases as the released model."""

    @property
    def of_specification(self) -> bool:
        """Whether it asks no less than the specification does."""
        return (
            self.suite == "forty"
            and self.overall >= OVERALL
            and self.regression
            and all(self.targets.get(name, 0.0) >= least for name, least in TARGETS.items())
        )

    def as_json(self) -> dict[str, Any]:
        """The gate as an object."""
        return self.model_dump() | {"of_specification": self.of_specification}

    def objections(
        self, report: Mapping[str, Any], released: Mapping[str, Any] | None = None
    ) -> list[str]:
        """Why a model may not be released, a line each: from its report on the suite and the
        released model's on the same one (`Report.as_json`), if there is a released model."""
        if report["suite"] != self.suite:
            return [f"the gate asks for suite {self.suite!r}, the report is of {report['suite']!r}"]
        found = []
        for name, least in self.targets.items():
            passed, total = report["categories"].get(name, (0, 0))
            if not total:
                found.append(f"{name}: no case was asked, target {least:.0%}")
            elif passed / total < least:
                found.append(f"{name}: {passed} of {total}, target {least:.0%}")
        passed, total = report["passed"], report["total"]
        if passed < self.overall * total:
            found.append(f"overall: {passed} of {total}, target {self.overall:.0%}")
        if self.regression and released:
            if released["sha256"] != report["sha256"]:
                found.append("the released model's report is of another suite: grade it again")
            elif passed < released["passed"]:
                found.append(
                    f"regression: {passed} of {total}, the released model "
                    f"{released['model']['name']!r} passes {released['passed']}"
                )
        return found
