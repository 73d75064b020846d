"""Parts of HTML pages that need nothing else: one style for light and dark, tables, line charts."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from html import escape

COLOURS = ("#2a6fdb", "#c2541b", "#2c8a4b", "#8b4fc4", "#a8860b", "#c23b6b")
"""One for each series; readable on light and on dark."""
WIDTH, HEIGHT, LEFT, BOTTOM = 560, 150, 48, 22
STYLE = """
:root { color-scheme: light dark; --ink: #1c1e21; --soft: #62676e; --paper: #ffffff;
  --line: #d9dce0; --alarm: #b3261e; --fine: #2c7a44; --bar: #2a6fdb; --other: #a9afb7; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e7e9; --soft: #9aa0a8; --paper: #17191c;
  --line: #34383d; --alarm: #ff8a80; --fine: #7fd39a; --bar: #6ea2f2; --other: #5d646d; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.alarm { color: var(--alarm); font-weight: 600; } .fine { color: var(--fine); }
.soft, figcaption { color: var(--soft); }
table { border-collapse: collapse; width: 100%; display: block; overflow-x: auto; }
th, td { text-align: right; padding: .25rem .6rem; border-bottom: 1px solid var(--line);
  font-variant-numeric: tabular-nums; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
.charts { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); }
figure { margin: 0; } svg { width: 100%; height: auto; }
svg text { font-size: 11px; fill: var(--soft); } svg .axis { stroke: var(--line); }
svg .limit { stroke: var(--alarm); stroke-dasharray: 4 4; }
.key span { margin-right: 1rem; }
"""


def document(title: str, body: str, style: str = "", script: str = "") -> str:
    """A whole page that may load nothing and run nothing but `script`."""
    allowed = "default-src 'none'; style-src 'unsafe-inline'"
    if script:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        allowed += f"; script-src 'sha256-{digest}'"
        body += f"<script>{script}</script>\n"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{allowed}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{STYLE}{style}</style>
</head>
<body>
<h1>{escape(title)}</h1>
{body}</body>
</html>
"""


def row(cells: Sequence[str], tag: str = "td") -> str:
    """A row of a table; cells are text, not HTML."""
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of texts."""
    return f"<table>{row(head, 'th')}{''.join(map(row, rows))}</table>"


def key(names: Sequence[str]) -> str:
    """Which colour is which series."""
    parts = [
        f'<span><b style="color:{COLOURS[number % len(COLOURS)]}">●</b> {escape(name)}</span>'
        for number, name in enumerate(names)
    ]
    return f"<p class=key>{''.join(parts)}</p>"


def chart(
    title: str,
    positions: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    form: str,
    *,
    top: float = 0.0,
    limit: float | None = None,
    dots: bool = True,
) -> str:
    """A line for each series over `positions` (their labels), values written with `form`; the
    axis goes from 0 to at least `top`; `limit` is a dashed line. Without `dots` the lines stand
    alone, which suits many positions."""
    known = [v for values in series.values() for v in values if v is not None]
    high = max([top, limit or 0.0, *known]) or 1.0
    step = (WIDTH - LEFT - 12) / max(len(positions) - 1, 1)

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
    if positions:
        parts.append(f'<text x="{LEFT}" y="{HEIGHT - 4}">{escape(positions[0])}</text>')
    if len(positions) > 1:
        last = escape(positions[-1])
        parts.append(f'<text x="{WIDTH}" y="{HEIGHT - 4}" text-anchor="end">{last}</text>')
    for index, (name, values) in enumerate(series.items()):
        colour = COLOURS[index % len(COLOURS)]
        points = [(place(n, v), positions[n], v) for n, v in enumerate(values) if v is not None]
        line = " ".join(f"{x:.1f},{y:.1f}" for (x, y), _, _ in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for (x, y), where, each in points if dots else ():
            told = escape(f"{name}, {where}: {form.format(each)}")
            parts.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}">'
                f"<title>{told}</title></circle>"
            )
    drawn = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
    return f"<figure>{drawn}{''.join(parts)}</svg><figcaption>{escape(title)}</figcaption></figure>"
