"""What a model costs on this machine: disk, memory, load, first and later queries, tokens/s.

A child answers the demo's questions in one `punie ask --batch`, so that nothing of the pipeline
is in the measurement. Memory is the largest sum of resident sets over the child and all below it,
sampled every 20 ms. On a busy machine the figures are of the busy machine.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from punie import demo
from punie.errors import StageFailed
from punie.factory import watched

PUNIE = [sys.executable, "-m", "punie"]


def measure(spec: str, file: Path, count: int, folder: Path) -> dict[str, Any]:
    """Ask the model `spec`, whose weights are `file`, `count` questions; times in ms, sizes in
    bytes. Raises StageFailed when it does not answer."""
    root = folder / "shop"
    if not root.exists():
        demo.create(root)
    asked = [demo.QUESTIONS[number % len(demo.QUESTIONS)] for number in range(count)]
    command = [*PUNIE, "ask", "--batch", "-", "--json", "--yes", "--workspace", str(root)]
    _, out, peak = watched.run([*command, "--model", spec], "\n".join(asked) + "\n")
    answers = [json.loads(line) for line in out.splitlines()]
    if len(answers) != count or not all(answer["steps"] for answer in answers):
        said = answers[0]["error"] if answers else "nothing was said"
        raise StageFailed(f"{spec} answered {len(answers)} of {count} questions: {said}")
    first, later = answers[0], answers[1:]
    tokens = sum(step["completion_tokens"] for answer in answers for step in answer["steps"])
    seconds = sum(answer["ms"]["generate"] for answer in answers) / 1000
    return {
        "name": first["model"]["name"],
        "sha256": first["model"]["sha256"],
        "disk": file.stat().st_size,
        "memory": sum(peak.values()),
        "load_ms": first["ms"]["load"],
        "first_ms": first["ms"]["total"],
        "generate_ms": _spread([answer["ms"]["generate"] for answer in later]),
        "total_ms": _spread([answer["ms"]["total"] for answer in later]),
        "tokens_per_second": round(tokens / seconds, 1) if seconds else 0.0,
        "queries": count,
        "ok": sum(answer["ok"] for answer in answers),
    }


def _spread(values: list[float]) -> dict[str, float]:
    """Median and 95th of a hundred: the smallest value that so many do not exceed."""
    ordered = sorted(values)
    return {
        name: round(ordered[max(0, -int(-share * len(ordered) // 1) - 1)], 1)
        for name, share in (("p50", 0.5), ("p95", 0.95))
    }
