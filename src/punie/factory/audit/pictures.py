"""Distributions as bars of text, for reports that anyone can read anywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

WIDTH = 40


def bars(counts: Mapping[str, int], total: int = 0) -> str:
    """One bar a name, in the order given; with a total also shares."""
    if not counts:
        return "(none)"
    most = max(counts.values()) or 1
    names = max(len(name) for name in counts)
    digits = len(str(most))
    lines = []
    for name, count in counts.items():
        share = f"{count / total:>7.1%}" if total else ""
        bar = "█" * round(WIDTH * count / most) or ("▏" if count else "")
        lines.append(f"{name:<{names}}  {count:>{digits}}{share}  {bar}".rstrip())
    return "\n".join(lines)


def ranked(values: Iterable[str]) -> dict[str, int]:
    """Counts, the most frequent first, then by name."""
    return dict(sorted(Counter(values).items(), key=lambda item: (-item[1], item[0])))


def histogram(
    values: Sequence[float], step: float, digits: int = 0, top: float | None = None
) -> str:
    """The bins of `values` as bars, with shares."""
    return bars(bins(values, step, digits, top), len(values))


def bins(
    values: Sequence[float], step: float, digits: int = 0, top: float | None = None
) -> dict[str, int]:
    """Counts of values in bins of `step`, from the first bin that is not empty to the last. What
    is `top`, the greatest value that can be, has a bin of its own."""
    below = [value for value in values if top is None or value < top]
    counts = Counter(int(value / step + 1e-9) for value in below)
    numbers = range(min(counts), max(counts) + 1) if counts else range(0)
    labels = {f"{n * step:.{digits}f} to {(n + 1) * step:.{digits}f}": counts[n] for n in numbers}
    if top is not None and values:
        labels[f"{top:.{digits}f}"] = len(values) - len(below)
    return labels


def quantiles(values: Sequence[float], digits: int = 0) -> str:
    """Least, median, 95th of a hundred and greatest value, in a line."""
    if not values:
        return "no values"
    ordered = sorted(values)
    names = (("least", 0.0), ("median", 0.5), ("95 %", 0.95), ("greatest", 1.0))
    parts = [f"{name} {ordered[round(q * (len(ordered) - 1))]:.{digits}f}" for name, q in names]
    return ", ".join(parts)
