"""The trade-off as one SVG that needs nothing else: size against what is lost, and by layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from math import log10

from punie.factory.quantizing.rule import Measured
from punie.factory.suite import wilson

COLOURS = ("#62676e", "#2a6fdb", "#c2541b", "#2c8a4b", "#8b4fc4", "#a8860b", "#c23b6b", "#1b8a8f")
"""The reference's first; readable on light and on dark."""
PANEL, HEIGHT, LEFT, TOP, BOTTOM = 330, 300, 58, 40, 44
STYLE = """
svg { color-scheme: light dark; } text { font: 11px system-ui, sans-serif; fill: #1c1e21; }
.title { font-size: 13px; font-weight: 600; } .axis { stroke: #9aa0a8; } .paper { fill: #ffffff; }
@media (prefers-color-scheme: dark) { text { fill: #e6e7e9; } .paper { fill: #17191c; } }
"""
Place = Callable[[float], float]


def picture(reference: Measured, levels: Sequence[Measured], chosen: Measured | None) -> str:
    """Three panels over the same colours: score, divergence, and retention by layer."""
    every = [reference, *levels]
    colours = {m.level: COLOURS[n % len(COLOURS)] for n, m in enumerate(every)}
    wide = 3 * PANEL
    parts = [
        _score(every, colours),
        _divergence(levels, colours),
        _retention(levels, colours),
    ]
    moved = "".join(
        f'<g transform="translate({number * PANEL} 0)">{part}</g>'
        for number, part in enumerate(parts)
    )
    key, x = [], 12.0
    for m in every:
        told = f"{m.level}{' (chosen)' if m is chosen else ''}"
        key.append(f'<circle cx="{x}" cy="{HEIGHT + 14}" r="4" fill="{colours[m.level]}"/>')
        key.append(f'<text x="{x + 8}" y="{HEIGHT + 18}">{escape(told)}</text>')
        x += 24 + 6.6 * len(told)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {HEIGHT + 30}" role="img"'
        f' aria-label="Quantization: score, divergence and retention by level">'
        f"<style>{STYLE}</style>"
        f'<rect class="paper" width="{wide}" height="{HEIGHT + 30}"/>{moved}{"".join(key)}</svg>\n'
    )


def _score(every: Sequence[Measured], colours: dict[str, str]) -> str:
    """Suite score with its 95 % interval, or the agreement where no suite was run."""
    across = _linear(0, max(m.written.size for m in every) / 1e6 * 1.08, LEFT, PANEL - 12)
    if any(m.suite is None for m in every):
        low = min(0.9, *(m.divergence["agreement"] for m in every))
        up = _linear(low, 1.0, HEIGHT - BOTTOM, TOP)
        dots = [
            _dot(
                across(m.written.size / 1e6),
                up(m.divergence["agreement"]),
                colours[m.level],
                f"{m.level}: {m.divergence['agreement']:.2%} of positions, "
                f"{m.written.size / 1e6:.0f} MB",
            )
            for m in every
        ]
        marks = [(low, f"{low:.0%}"), (1.0, "100 %")]
        return _frame("Same next token, by size (MB)", marks, up, across, every) + "".join(dots)
    up = _linear(0.0, 1.0, HEIGHT - BOTTOM, TOP)
    parts = []
    for m in every:
        assert m.suite is not None
        passed, total = m.suite["passed"], m.suite["total"]
        low, high = wilson(passed, total)
        x = across(m.written.size / 1e6)
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{up(low):.1f}" y2="{up(high):.1f}"'
            f' stroke="{colours[m.level]}" stroke-width="2"/>'
        )
        told = f"{m.level}: {passed} of {total}, {low:.0%} to {high:.0%}"
        parts.append(_dot(x, up(passed / max(total, 1)), colours[m.level], told))
    marks = [(0.0, "0 %"), (0.5, "50 %"), (1.0, "100 %")]
    return _frame("Suite score, by size (MB)", marks, up, across, every) + "".join(parts)


def _divergence(levels: Sequence[Measured], colours: dict[str, str]) -> str:
    """Mean divergence by size, on a logarithmic axis."""
    across = _linear(0, max(m.written.size for m in levels) / 1e6 * 1.08, LEFT, PANEL - 12)
    values = [max(m.divergence["divergence"], 1e-6) for m in levels]
    powers = range(int(log10(min(values)) // 1), int(log10(max(values)) // 1) + 2)
    up = _linear(powers[0], powers[-1], HEIGHT - BOTTOM, TOP)
    dots = [
        _dot(
            across(m.written.size / 1e6),
            up(log10(value)),
            colours[m.level],
            f"{m.level}: {value:.5f} nats",
        )
        for m, value in zip(levels, values, strict=True)
    ]
    marks = [(float(power), f"1e{power}") for power in powers]
    return _frame("Divergence (nats), by size (MB)", marks, up, across, levels) + "".join(dots)


def _retention(levels: Sequence[Measured], colours: dict[str, str]) -> str:
    """Rounding error beside the update, block by block."""
    known = [m for m in levels if m.layers]
    if not known:
        return f'<text class="title" x="{LEFT}" y="24">Retention by layer: no adapter given</text>'
    count = max(len(m.layers) for m in known)
    high = max(1.0, *(error for m in known for _, error in m.layers))
    across = _linear(0, max(count - 1, 1), LEFT, PANEL - 12)
    up = _linear(0.0, high, HEIGHT - BOTTOM, TOP)
    parts = []
    for m in known:
        points = " ".join(
            f"{across(n):.1f},{up(error):.1f}" for n, (_, error) in enumerate(m.layers)
        )
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colours[m.level]}"'
            f' stroke-width="2"><title>{escape(m.level)}</title></polyline>'
        )
    marks = [(0.0, "0"), (high, f"{high:.1f}")]
    frame = _frame("Rounding error / update, by layer", marks, up, across, [])
    ends = f'<text x="{LEFT}" y="{HEIGHT - 26}">0</text>'
    ends += f'<text x="{PANEL - 12}" y="{HEIGHT - 26}" text-anchor="end">{count - 1}</text>'
    return frame + ends + "".join(parts)


def _frame(
    title: str,
    marks: Sequence[tuple[float, str]],
    up: Place,
    across: Place,
    sizes: Sequence[Measured],
) -> str:
    """Title, axes and their marks."""
    parts = [f'<text class="title" x="{LEFT}" y="24">{escape(title)}</text>']
    for value, told in marks:
        y = up(value)
        parts.append(
            f'<line class="axis" x1="{LEFT}" x2="{PANEL - 12}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{told}</text>')
    if sizes:
        most = max(m.written.size for m in sizes) / 1e6
        for size in (0.0, most):
            parts.append(
                f'<text x="{across(size):.1f}" y="{HEIGHT - 26}" text-anchor="middle">'
                f"{size:.0f}</text>"
            )
    return "".join(parts)


def _dot(x: float, y: float, colour: str, told: str) -> str:
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}">'
        f"<title>{escape(told)}</title></circle>"
    )


def _linear(low: float, high: float, start: float, end: float) -> Place:
    """A scale from [low, high] to [start, end]."""
    span = (high - low) or 1.0
    return lambda value: start + (end - start) * (value - low) / span
