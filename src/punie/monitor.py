"""How the model does in use, from the stored trajectories: measures, alarms, trends.

Definitions. Field access rate: of the calls that succeeded, the share whose program read a field
of the result (printing a whole result reads none). Failed: the answer is not `ok`. Repaired: `ok`
after a program that failed. Cancelled: the user interrupted it; it is in no other measure, since
nobody knows how it would have ended. Generation time: milliseconds that an answer's replies took,
without loading. The answer of `monitor` is pure: the same records give the same report.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

LEAST_FIELDS, WANTED_FIELDS = 0.70, 0.80
"""Field access rate that raises the alarm below it, and the target."""
MOST_SECONDS = 5.0
"""Average generation time that raises the alarm above it."""
LEAST_ACCURACY = 0.80
"""Validation accuracy of the active model that raises the alarm below it."""


@dataclass
class Measures:
    """What a set of answers shows."""

    answers: int = 0
    tool: int = 0
    """Answers by program."""
    direct: int = 0
    """Answers in words."""
    failed: int = 0
    """Answers that are not ok."""
    repaired: int = 0
    """Answers that are ok after a program that failed."""
    cancelled: int = 0
    """Questions that the user interrupted; not among the answers."""
    calls: int = 0
    """Tool calls that succeeded."""
    read: int = 0
    """Those whose program read a field of the result."""
    generate_ms: float = 0.0
    """Time of all replies together, in milliseconds."""

    def add(self, record: dict[str, Any]) -> None:
        """Count one record."""
        if record.get("outcome") == "cancelled":
            self.cancelled += 1
            return
        self.answers += 1
        kind = record["kind"]
        self.tool += kind == "tool"
        self.direct += kind == "direct"
        self.failed += not record["ok"]
        self.repaired += bool(record["ok"] and any(map(_failed, record["steps"][:-1])))
        calls = [call for step in record["steps"] for call in step["calls"] if call["ok"]]
        self.calls += len(calls)
        self.read += sum(bool(call["fields"]) for call in calls)
        self.generate_ms += record["ms"]["generate"]

    @property
    def field_rate(self) -> float | None:
        """Share of calls whose fields were read; None without calls."""
        return self.read / self.calls if self.calls else None

    @property
    def seconds(self) -> float | None:
        """Average generation time of an answer in seconds; None without answers."""
        return self.generate_ms / self.answers / 1000 if self.answers else None

    @property
    def ok_rate(self) -> float | None:
        """Share of answers that are ok; None without answers."""
        return 1 - self.failed / self.answers if self.answers else None

    def as_json(self) -> dict[str, Any]:
        """Counts and rates."""
        rates = {"field_rate": self.field_rate, "ok_rate": self.ok_rate, "seconds": self.seconds}
        rounded = {k: None if v is None else round(v, 4) for k, v in rates.items()}
        return asdict(self) | {"generate_ms": round(self.generate_ms, 3)} | rounded


def _failed(step: dict[str, Any]) -> bool:
    """Whether a program stopped, or a call in it failed."""
    return bool(step["error"]) or any(not call["ok"] for call in step["calls"])


@dataclass
class Report:
    """All that `punie monitor` tells."""

    total: Measures = field(default_factory=Measures)
    models: dict[str, Measures] = field(default_factory=lambda: defaultdict(Measures))
    days: dict[str, dict[str, Measures]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(Measures))
    )
    """Day (UTC, as 2026-11-22) → model → measures."""
    tools: Counter[str] = field(default_factory=Counter)
    """Calls of each tool, failed ones too."""
    failed_calls: Counter[str] = field(default_factory=Counter)
    training: dict[str, float] = field(default_factory=dict)
    """Share of each tool in the training data, if that is known."""
    active: dict[str, str] = field(default_factory=dict)
    """The model of the newest answer."""
    validation: dict[str, Any] | None = None
    """The active model's last `punie validate --json`."""
    first: str = ""
    last: str = ""

    @property
    def accuracy(self) -> float | None:
        """Share of validation cases that the active model passed; None when it is not known."""
        if not self.validation or not self.validation.get("total"):
            return None
        return float(self.validation["passed"] / self.validation["total"])

    @property
    def alarms(self) -> list[str]:
        """A line for each alarm that is on."""
        found, total = [], self.total
        if total.field_rate is not None and total.field_rate < LEAST_FIELDS:
            found.append(
                f"field access {total.field_rate:.0%} ({total.read} of {total.calls} calls) is "
                f"below {LEAST_FIELDS:.0%}"
            )
        if total.seconds is not None and total.seconds > MOST_SECONDS:
            found.append(
                f"generation takes {total.seconds:.1f} s on average ({total.answers} answers), "
                f"more than {MOST_SECONDS:g} s"
            )
        if self.accuracy is not None and self.validation and self.accuracy < LEAST_ACCURACY:
            found.append(
                f"validation of {self.active.get('name')} is {self.accuracy:.0%} "
                f"({self.validation['passed']} of {self.validation['total']}), "
                f"below {LEAST_ACCURACY:.0%}"
            )
        return found

    @property
    def usage(self) -> list[dict[str, Any]]:
        """For each tool: calls, share of all calls, share in training (None: not known)."""
        every = sum(self.tools.values())
        names = sorted(self.tools.keys() | self.training, key=lambda n: (-self.tools[n], n))
        return [
            {
                "tool": name,
                "calls": self.tools[name],
                "failed": self.failed_calls[name],
                "share": round(self.tools[name] / every, 4) if every else 0.0,
                "training_share": self.training.get(name, 0.0) if self.training else None,
            }
            for name in names
        ]

    def as_json(self) -> dict[str, Any]:
        """The object that `punie monitor --json` prints."""
        return {
            "alarms": self.alarms,
            "first": self.first,
            "last": self.last,
            "total": self.total.as_json(),
            "models": {name: m.as_json() for name, m in sorted(self.models.items())},
            "days": {
                day: {name: m.as_json() for name, m in sorted(models.items())}
                for day, models in sorted(self.days.items())
            },
            "tools": self.usage,
            "active": self.active,
            "accuracy": self.accuracy,
            "validation": self.validation,
        }


def monitor(
    records: Iterable[dict[str, Any]],
    *,
    training: dict[str, int] | None = None,
    validation: Callable[[dict[str, str]], dict[str, Any] | None] = lambda model: None,
) -> Report:
    """The report on records (any order); `training` counts the examples of each tool, and
    `validation` gives the last validation of a model."""
    report = Report()
    newest = -1
    for record in records:
        model = record["model"].get("name", "") or "none"
        day = record["asked"][:10]
        for measures in (report.total, report.models[model], report.days[day][model]):
            measures.add(record)
        for step in record["steps"]:
            for call in step["calls"]:
                report.tools[call["tool"]] += 1
                report.failed_calls[call["tool"]] += not call["ok"]
        report.first = min(report.first or day, day)
        report.last = max(report.last, day)
        if record["id"] > newest:
            newest, report.active = record["id"], record["model"]
    if training:
        every = sum(training.values())
        report.training = {name: round(n / every, 4) for name, n in training.items()}
    report.validation = validation(report.active)
    return report
