"""How long `punie ask` takes and what it holds in memory, cold and warm, by part.

    .venv/bin/python benchmarks/ask.py [--runs 7] [--workspace DIR] [--model SPEC]

Cold is a fresh process for each question, with the fused weights already in the cache. Warm is
one process that answers all questions (`--batch`); its first answer is left out, since it loads.
The bare interpreter is timed in the same run, as a measure of the machine's noise. Memory is the
largest sum of resident sets over punie and all its children, sampled every 20 ms.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from punie import demo
from punie.factory.watched import run

PUNIE = [sys.executable, "-m", "punie"]


def parts(answers: list[dict[str, Any]]) -> str:
    """Medians of the parts of `ms`."""
    names = ("load", "generate", "tools", "total")
    medians = {name: median(a["ms"][name] for a in answers) for name in names}
    return ", ".join(f"{name} {value:.0f} ms" for name, value in medians.items())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=len(demo.QUESTIONS))
    parser.add_argument("--workspace", type=Path)
    parser.add_argument("--model", default="default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="punie-bench-") as folder:
        root = options.workspace or demo.create(Path(folder) / "shop")
        flags = ["--workspace", str(root), "--json", "--yes", "--model", options.model]
        questions = [demo.QUESTIONS[i % len(demo.QUESTIONS)] for i in range(options.runs)]
        run([*PUNIE, "ask", questions[0], *flags])  # fuses the weights once, fills caches
        cold, answers, bare, peaks = [], [], [], []
        for question in questions:
            bare.append(run([sys.executable, "-c", "pass"])[0])
            seconds, out, peak = run([*PUNIE, "ask", question, *flags])
            cold.append(seconds)
            peaks.append(peak)
            answers.append(json.loads(out))
        batch = "\n".join([questions[0], *questions]) + "\n"
        _, out, peak = run([*PUNIE, "ask", "--batch", "-", *flags], batch)
        peaks.append(peak)
        warm = [json.loads(line) for line in out.splitlines()][1:]
    totals = sorted(a["ms"]["total"] for a in warm)
    worst = max(peaks, key=lambda p: sum(p.values()))
    memory = ", ".join(f"{name} {size / 2**20:.0f}" for name, size in worst.items())
    print(f"bare interpreter  median {median(bare):.2f} s")
    print(f"cold              median {median(cold):.2f} s, most {max(cold):.2f} s")
    print(f"                  {parts(answers)}")
    print(f"warm              median {median(totals):.0f} ms, most {totals[-1]:.0f} ms")
    print(f"                  {parts(warm)}")
    print(f"peak memory       {sum(worst.values()) / 2**20:.0f} MiB: {memory}")
    print(f"answers           {sum(a['ok'] for a in answers)} of {len(answers)} ok")


if __name__ == "__main__":
    main()
