"""The monitor's report as one HTML page that needs nothing else: no network, no script."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from punie.monitor import LEAST_FIELDS, MOST_SECONDS, Measures, Report

COLOURS = ("#2a6fdb", "#c2541b", "#2c8a4b", "#8b4fc4", "#a8860b", "#c23b6b")
"""One for each model, in the order of their names; readable on light and on dark."""
WIDTH, HEIGHT, LEFT, BOTTOM = 560, 150, 48, 22
STYLE = """
:root { color-scheme: light dark; --ink: #1c1e21; --soft: #62676e; --paper: #ffffff;
  --line: #d9dce0; --alarm: #b3261e; --fine: #2c7a44; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e7e9; --soft: #9aa0a8; --paper: #17191c;
  --line: #34383d; --alarm: #ff8a80; --fine: #7fd39a; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.alarm { color: var(--alarm); font-weight: 600; } .fine { color: var(--fine); }
.soft, figcaption { color: var(--soft); }
table { border-collapse: collapse; width: 100%; display: block; overflow-x: auto; }
th, td { text-align: right; padding: .25rem .6rem; border-bottom: 1px solid var(--line);
  font-variant-numeric: tabular-nums; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1rem; }
figure { margin: 0; } svg { width: 100%; height: auto; }
svg text { font-size: 11px; fill: var(--soft); } svg .axis { stroke: var(--line); }
svg .limit { stroke: var(--alarm); stroke-dasharray: 4 4; }
.key span { margin-right: 1rem; }
"""
Value = Callable[[Measures], float | None]


def page(report: Report) -> str:
    """The whole page as text."""
    names = sorted(report.models)
    period = f"{report.first} to {report.last} (UTC)" if report.first else "nothing stored"
    alarms = "".join(f"<li class=alarm>{escape(line)}</li>" for line in report.alarms)
    state = f"<ul>{alarms}</ul>" if alarms else "<p class=fine>No alarm is on.</p>"
    key = "".join(
        f'<span><b style="color:{_colour(names, name)}">●</b> {escape(name)}</span>'
        for name in names
    )
    charts = "".join(
        (
            _chart(report, names, "Answers a day", lambda m: float(m.answers), "{:.0f}"),
            _chart(report, names, "Answers that are ok", lambda m: m.ok_rate, "{:.0%}", top=1.0),
            _chart(
                report,
                names,
                "Field access",
                lambda m: m.field_rate,
                "{:.0%}",
                top=1.0,
                limit=LEAST_FIELDS,
            ),
            _chart(
                report, names, "Generation, seconds", lambda m: m.seconds, "{:.1f}",
                limit=MOST_SECONDS,
            ),
        )
    )  # fmt: skip
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Punie in use</title>
<style>{STYLE}</style>
</head>
<body>
<h1>Punie in use</h1>
<p class=soft>{period}</p>
{state}
<h2>Models</h2>
{_models(report, names)}
<p class=soft>{escape(accuracy(report))}</p>
<h2>Trends</h2>
<p class=key>{key}</p>
<div class=charts>{charts}</div>
<h2>Tools</h2>
{_tools(report)}
<h2>Days</h2>
{_days(report)}
</body>
</html>
"""


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


def _row(cells: list[str], tag: str = "td") -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"


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
    rows = [_row([name, *_cells(report.models[name])]) for name in names]
    every = _row(["all", *_cells(report.total)])
    return f"<table>{_row(['model', *HEAD], 'th')}{''.join(rows)}{every}</table>"


def _days(report: Report) -> str:
    rows = [
        _row([f"{day}  {name}", *_cells(measures)])
        for day, models in sorted(report.days.items(), reverse=True)
        for name, measures in sorted(models.items())
    ]
    return f"<table>{_row(['day and model', *HEAD], 'th')}{''.join(rows)}</table>"


def _tools(report: Report) -> str:
    rows = [
        _row(
            [
                use["tool"],
                str(use["calls"]),
                str(use["failed"]),
                f"{use['share']:.1%}",
                shown(use["training_share"], "{:.1%}"),
            ]
        )
        for use in report.usage
    ]
    head = _row(["tool", "calls", "failed", "share", "share in training"], "th")
    return f"<table>{head}{''.join(rows)}</table>"


def _chart(
    report: Report,
    names: list[str],
    title: str,
    value: Value,
    form: str,
    *,
    top: float = 0.0,
    limit: float | None = None,
) -> str:
    """A line for each model over the days; `limit` is where an alarm begins."""
    days = sorted(report.days)
    series = {
        name: [value(report.days[day][name]) if name in report.days[day] else None for day in days]
        for name in names
    }
    known = [v for values in series.values() for v in values if v is not None]
    high = max([top, limit or 0.0, *known]) or 1.0
    step = (WIDTH - LEFT - 12) / max(len(days) - 1, 1)

    def place(number: int, height: float) -> tuple[float, float]:
        return LEFT + number * step, 10 + (HEIGHT - BOTTOM - 10) * (1 - height / high)

    parts = []
    for mark in (0.0, high):
        y = place(0, mark)[1]
        parts.append(f'<line class=axis x1="{LEFT}" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="0" y="{y + 4:.1f}">{form.format(mark)}</text>')
    if limit is not None:
        y = place(0, limit)[1]
        parts.append(f'<line class=limit x1="{LEFT}" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>')
    if days:
        parts.append(f'<text x="{LEFT}" y="{HEIGHT - 4}">{days[0]}</text>')
    if len(days) > 1:
        parts.append(f'<text x="{WIDTH}" y="{HEIGHT - 4}" text-anchor="end">{days[-1]}</text>')
    for name, values in series.items():
        colour = _colour(names, name)
        points = [(place(n, v), days[n], v) for n, v in enumerate(values) if v is not None]
        line = " ".join(f"{x:.1f},{y:.1f}" for (x, y), _, _ in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for (x, y), day, each in points:
            told = escape(f"{name}, {day}: {form.format(each)}")
            parts.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}">'
                f"<title>{told}</title></circle>"
            )
    drawn = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
    return f"<figure>{drawn}{''.join(parts)}</svg><figcaption>{title}</figcaption></figure>"


def _colour(names: list[str], name: str) -> str:
    return COLOURS[names.index(name) % len(COLOURS)]
