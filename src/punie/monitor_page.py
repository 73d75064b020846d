"""The monitor's report as one HTML page that needs nothing else: no network, no script."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from punie.monitor import LEAST_FIELDS, MOST_SECONDS, Measures, Report
from punie.page import chart, document, key, table

Value = Callable[[Measures], float | None]


def page(report: Report) -> str:
    """The whole page as text."""
    names = sorted(report.models)
    period = f"{report.first} to {report.last} (UTC)" if report.first else "nothing stored"
    alarms = "".join(f"<li class=alarm>{escape(line)}</li>" for line in report.alarms)
    state = f"<ul>{alarms}</ul>" if alarms else "<p class=fine>No alarm is on.</p>"
    days = sorted(report.days)

    def over_days(value: Value) -> dict[str, list[float | None]]:
        return {
            name: [value(report.days[d][name]) if name in report.days[d] else None for d in days]
            for name in names
        }

    answers = over_days(lambda m: float(m.answers))
    right, fields = over_days(lambda m: m.ok_rate), over_days(lambda m: m.field_rate)
    seconds = over_days(lambda m: m.seconds)
    charts = [
        chart("Answers a day", days, answers, "{:.0f}"),
        chart("Answers that are ok", days, right, "{:.0%}", top=1.0),
        chart("Field access", days, fields, "{:.0%}", top=1.0, limit=LEAST_FIELDS),
        chart("Generation, seconds", days, seconds, "{:.1f}", limit=MOST_SECONDS),
    ]
    body = f"""<p class=soft>{period}</p>
{state}
<h2>Models</h2>
{_models(report, names)}
<p class=soft>{escape(accuracy(report))}</p>
<h2>Trends</h2>
{key(names)}
<div class=charts>{"".join(charts)}</div>
<h2>Tools</h2>
{_tools(report)}
<h2>Days</h2>
{_days(report)}
"""
    return document("Punie in use", body)


def accuracy(report: Report) -> str:
    """A line about the active model's validation."""
    name = report.active.get("name") or "no model"
    if report.accuracy is None or not report.validation:
        return f"Active model {name}: validation not known; `punie validate` measures it."
    found = report.validation
    return (
        f"Active model {name}: {found['passed']} of {found['total']} on suite {found['suite']} "
        f"({report.accuracy:.0%}), {found['done'][:10]}."
    )


def shown(value: float | None, form: str) -> str:
    """A figure, or a dash where there is none."""
    return "–" if value is None else form.format(value)


HEAD = ["answers", "ok", "failed", "repaired", "tool", "direct", "field access", "generation"]


def _cells(measures: Measures) -> list[str]:
    counts = (measures.failed, measures.repaired, measures.tool, measures.direct)
    return [
        str(measures.answers),
        shown(measures.ok_rate, "{:.0%}"),
        *map(str, counts),
        shown(measures.field_rate, "{:.0%}"),
        shown(measures.seconds, "{:.2f} s"),
    ]


def _models(report: Report, names: list[str]) -> str:
    rows = [[name, *_cells(report.models[name])] for name in names]
    return table(["model", *HEAD], [*rows, ["all", *_cells(report.total)]])


def _days(report: Report) -> str:
    rows = [
        [f"{day}  {name}", *_cells(measures)]
        for day, models in sorted(report.days.items(), reverse=True)
        for name, measures in sorted(models.items())
    ]
    return table(["day and model", *HEAD], rows)


def _tools(report: Report) -> str:
    rows = [
        [
            use["tool"],
            str(use["calls"]),
            str(use["failed"]),
            f"{use['share']:.1%}",
            shown(use["training_share"], "{:.1%}"),
        ]
        for use in report.usage
    ]
    return table(["tool", "calls", "failed", "share", "share in training"], rows)
