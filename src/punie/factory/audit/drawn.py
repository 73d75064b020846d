"""Distributions as small SVG files that need nothing else, for pages that are published."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from punie.factory.quantizing.picture import STYLE

WIDTH, NAMES, ROW = 560, 170, 16
"""Width of a picture, of the names at its left and height of a bar, in pixels."""
MOST = 32
"""Bars of a picture; what is left over is told as one."""


def bars(title: str, counts: Mapping[str, int], total: int) -> str:
    """A bar for each name in the order given, with its share of `total`."""
    shown = dict(list(counts.items())[:MOST])
    if rest := list(counts.values())[MOST:]:
        shown[f"{len(rest)} more"] = sum(rest)
    most, room = max(shown.values(), default=0) or 1, WIDTH - NAMES - 110
    parts = [f'<text class="title" x="8" y="18">{escape(title)}</text>']
    for number, (name, count) in enumerate(shown.items()):
        y, length = 30 + ROW * number, room * count / most
        parts.append(
            f'<text x="8" y="{y + 11}">{escape(_cut(name))}</text>'
            f'<rect x="{NAMES}" y="{y + 2}" width="{length:.1f}" height="10" fill="#2a6fdb"/>'
            f'<text x="{NAMES + length + 5:.1f}" y="{y + 11}">{count} ({count / max(total, 1):.1%})'
            "</text>"
        )
    height = 38 + ROW * len(shown)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'role="img" aria-label="{escape(title)}"><style>{STYLE}</style>'
        f'<rect class="paper" width="{WIDTH}" height="{height}"/>{"".join(parts)}</svg>\n'
    )


def _cut(name: str) -> str:
    return name if len(name) <= 28 else f"{name[:27]}…"
