"""What a model costs on this machine: disk, memory, load, first and later queries, tokens/s.

A child answers the demo's questions in one `punie ask --batch`, so that nothing of the pipeline
is in the measurement. Memory is the largest sum of resident sets over the child and all below it,
sampled every 20 ms. On a busy machine the figures are of the busy machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from punie import demo
from punie.errors import StageFailed

PUNIE = [sys.executable, "-m", "punie"]


def resident(root: int) -> dict[str, int]:
    """Resident bytes of a process and all below it, by program name. Linux only, else empty."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir() if Path("/proc").is_dir() else ():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
    found: dict[str, int] = {}
    page = os.sysconf("SC_PAGE_SIZE")
    for pid in parents:
        above = pid
        while above in parents and above != root:
            above = parents[above]
        if above == root:
            try:
                name = Path(f"/proc/{pid}/comm").read_text().strip()
                pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            except OSError:
                continue
            found[name] = found.get(name, 0) + pages * page
    return found


def watched(command: list[str], text: str = "") -> tuple[float, str, str, dict[str, int]]:
    """Run a command: seconds, its output, its errors, resident bytes by program at the peak."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ) | {"PUNIE_TRACES": "false"},
    )
    peak: dict[str, int] = {}
    done = threading.Event()

    def sample() -> None:
        nonlocal peak
        while not done.wait(0.02):
            now = resident(process.pid)
            if sum(now.values()) > sum(peak.values()):
                peak = now

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        out, err = process.communicate(text)
    finally:
        process.kill()
        done.set()
        sampler.join()
    return time.perf_counter() - start, out, err, peak


def measure(spec: str, file: Path, count: int, folder: Path) -> dict[str, Any]:
    """Ask the model `spec`, whose weights are `file`, `count` questions; times in ms, sizes in
    bytes. Raises StageFailed when it does not answer."""
    root = folder / "shop"
    if not root.exists():
        demo.create(root)
    asked = [demo.QUESTIONS[number % len(demo.QUESTIONS)] for number in range(count)]
    command = [*PUNIE, "ask", "--batch", "-", "--json", "--yes", "--workspace", str(root)]
    _, out, err, peak = watched([*command, "--model", spec], "\n".join(asked) + "\n")
    answers = [json.loads(line) for line in out.splitlines()]
    if len(answers) != count or not all(answer["steps"] for answer in answers):
        raise StageFailed(f"{spec} answered {len(answers)} of {count} questions: {err[-500:]}")
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
