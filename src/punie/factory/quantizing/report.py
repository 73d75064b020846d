"""The levels as one table, in Markdown and as an object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from punie.factory.quantizing.rule import Measured, against
from punie.factory.suite import wilson

HEAD = (
    "level",
    "linear layers in truth",
    "bits a weight",
    "MB",
    "update kept (worst layer)",
    "rounding error / update",
    "divergence, nats (p99)",
    "same next token",
    "tokens/s (prompt)",
    "suite (95 %)",
    "won, lost, p",
    "objections",
)


def as_json(
    reference: Measured, levels: Sequence[Measured], chosen: Measured | None
) -> dict[str, Any]:
    """All figures, without the suite's cases."""
    return {
        "chosen": chosen.level if chosen else None,
        "reference": _object(reference, reference),
        "levels": [_object(level, reference) for level in levels],
    }


def _object(level: Measured, reference: Measured) -> dict[str, Any]:
    compared = against(level, reference)
    suite = {k: v for k, v in level.suite.items() if k != "cases"} if level.suite else None
    return {
        "level": level.level,
        "file": level.file,
        "sha256": level.sha256,
        "label": level.written.label,
        "kinds": level.written.kinds,
        "bits": level.written.bits,
        "bytes": level.written.size,
        "update": level.kept(),
        "layers": [[round(v, 4) for v in pair] for pair in level.layers],
        **level.divergence,
        "suite": suite,
        "paired": compared.as_json() if compared and level is not reference else None,
        "objections": level.objections,
    }


def table(reference: Measured, levels: Sequence[Measured], chosen: Measured | None) -> str:
    """The same as a Markdown table, with the verdict above it."""
    verdict = (
        f"Picked: **{chosen.level}**, the smallest level without an objection."
        if chosen
        else "Picked: none. Every level has an objection; the unquantized model stays."
    )
    rows = [HEAD, tuple("---" for _ in HEAD)]
    rows += [_row(one, reference) for one in (reference, *levels)]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(["# Quantization", "", verdict, "", *lines, ""])


def _row(level: Measured, reference: Measured) -> tuple[str, ...]:
    kept, values = level.kept(), level.divergence
    compared = against(level, reference) if level is not reference else None
    score = "–"
    if level.suite:
        low, high = wilson(level.suite["passed"], level.suite["total"])
        score = f"{level.suite['passed']} / {level.suite['total']} ({low:.0%} to {high:.0%})"
    return (
        level.level,
        level.written.label,
        f"{level.written.bits:.2f}",
        f"{level.written.size / 1e6:.1f}",
        f"{kept['mean']:.1%} ({kept['worst']:.1%})" if kept else "–",
        f"{kept['error']:.3f}" if kept else "–",
        f"{values['divergence']:.4f} ({values['divergence_p99']:.3f})",
        f"{values['agreement']:.2%}",
        f"{values['tokens_per_second']:.0f} ({values['prompt_tokens_per_second']:.0f})",
        score,
        f"{compared.won}, {compared.lost}, {compared.p:.3g}" if compared else "–",
        "; ".join(level.objections) or "none",
    )
