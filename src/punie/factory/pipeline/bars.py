"""Bars of the pipeline's page: shares of a whole, and categories with their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from punie.factory.suite import wilson

STYLE = """
h3 { font-size: 1rem; margin: 1.5rem 0 .3rem; }
.own { color: var(--bar); } .other { color: var(--other); }
svg .own { fill: var(--bar); } svg .other { fill: var(--other); }
svg .spread { stroke: var(--ink); stroke-width: 1.5; }
figure.single { max-width: 44rem; }
svg text.name { fill: var(--ink); }
"""
MOST = 16
"""Bars that a picture of shares has."""
WIDTH, NAMES, ROOM = 560, 150, 78
"""Width of a picture, of the names at its left and of the figures at its right."""


def shares(title: str, counts: Mapping[str, int], total: int) -> str:
    """A bar for each name, the largest first; the whole is `total`."""
    room = WIDTH - NAMES - 110
    ranked = sorted(counts.items(), key=lambda pair: -pair[1])[:MOST]
    most = max([count for _, count in ranked] or [1]) or 1
    parts = []
    for number, (name, count) in enumerate(ranked):
        y, length = 18 * number, room * count / most
        told = f"{count:,} ({count / max(total, 1):.1%})"
        parts.append(
            f'<text class=name x="0" y="{y + 13}">{escape(name)}</text>'
            f'<rect class=own x="{NAMES}" y="{y + 3}" width="{length:.1f}" height="12"/>'
            f'<text x="{NAMES + length + 5:.1f}" y="{y + 13}">{told}</text>'
        )
    return _figure(title, 18 * max(len(ranked), 1) + 2, parts, "")


def categories(
    report: dict[str, Any], before: dict[str, Any] | None, targets: Mapping[str, float]
) -> str:
    """For each category the share that passed with Wilson's interval, the model before under it,
    and the target."""
    room = WIDTH - NAMES - ROOM
    rows = [*report["categories"].items(), ("all", (report["passed"], report["total"]))]
    height, parts = (36 if before else 24), []
    for number, (name, counts) in enumerate(rows):
        y = height * number
        parts.append(f'<text class=name x="0" y="{y + 15}">{escape(name)}</text>')
        parts.append(_bar("own", y + 4, *counts))
        if before:
            then = before["categories"].get(name, (0, 0))
            if name == "all":
                then = (before["passed"], before["total"])
            parts.append(_bar("other", y + 18, *then))
        if name in targets:
            x = NAMES + room * targets[name]
            parts.append(
                f'<line class=limit x1="{x:.1f}" x2="{x:.1f}" y1="{y + 1}" y2="{y + height - 4}">'
                f"<title>target {targets[name]:.0%}</title></line>"
            )
    return _figure(f"Suite {report['suite']} by category", height * len(rows) + 2, parts, "single")


def _bar(kind: str, y: float, passed: int, total: int) -> str:
    room = WIDTH - NAMES - ROOM
    low, high = (NAMES + room * share for share in wilson(passed, total))
    length = room * passed / total if total else 0
    middle = y + 6
    spread = "{:.0%} to {:.0%}".format(*wilson(passed, total))
    told = f"{passed} of {total}, 95 % interval {spread}"
    return (
        f'<rect class={kind} x="{NAMES}" y="{y}" width="{length:.1f}" height="12">'
        f"<title>{told}</title></rect>"
        f'<line class=spread x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}"/>'
        f'<line class=spread x1="{low:.1f}" x2="{low:.1f}" y1="{y + 2}" y2="{y + 10}"/>'
        f'<line class=spread x1="{high:.1f}" x2="{high:.1f}" y1="{y + 2}" y2="{y + 10}"/>'
        f'<text x="{WIDTH - ROOM + 12}" y="{y + 11}">{passed} / {total}</text>'
    )


def _figure(title: str, height: float, parts: list[str], kind: str) -> str:
    drawn = f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">'
    inner = f"<figcaption>{escape(title)}</figcaption>{drawn}{''.join(parts)}</svg>"
    return f'<figure class="{kind}">{inner}</figure>'
