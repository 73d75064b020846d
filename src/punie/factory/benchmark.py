"""How long models take and what they hold, side by side in one run on this machine.

Each model answers the same questions on the same repository through `punie ask --batch`, in a
process of its own, so that load and memory are its own; models take turns, round by round, so that
a busy minute meets all of them. A model can also be put behind llama.cpp's server, as one that was
not trained on the tools: then it is asked over HTTP in the profile `general`.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from punie import demo
from punie.errors import PunieError
from punie.factory import watched
from punie.factory.paired import latency
from punie.models import default_model
from punie.scratch import scratch

PUNIE = [sys.executable, "-m", "punie"]


@dataclass
class Subject:
    """A model to measure: a SPEC, or a GGUF file that is served."""

    spec: str
    served: bool = False
    """Whether the file is put behind llama.cpp's server."""
    file: Path | None = None
    """Its weights, where the SPEC does not say which file they are."""
    loads: list[float] = field(default_factory=list)
    """ms until the model was ready, a round each; a server's own start is counted."""
    firsts: list[float] = field(default_factory=list)
    """ms of the first answer, load included."""
    answers: list[dict[str, Any]] = field(default_factory=list)
    """All later answers, as `punie ask --json` gives them."""
    peak: dict[str, int] = field(default_factory=dict)
    """Resident bytes by program, at the largest sum."""
    error: str = ""

    @property
    def name(self) -> str:
        """What the tables call it."""
        path = Path(self.spec)
        plain = f"{path.parent.name}/{path.name}" if path.suffix == ".gguf" else self.spec
        return f"{plain} (served, general)" if self.served else plain

    def disk(self) -> int | None:
        """Bytes of its weights; None for a server elsewhere."""
        if self.spec == "default":
            return default_model().path.stat().st_size
        path = self.file or Path(self.spec)
        return path.stat().st_size if path.is_file() else None

    def as_json(self) -> dict[str, Any]:
        """Its figures."""
        tool = [a["ms"]["total"] for a in self.answers if a["kind"] == "tool"]
        direct = [a["ms"]["total"] for a in self.answers if a["kind"] == "direct"]
        spent = sum(a["ms"]["generate"] for a in self.answers)
        tokens = sum(s["completion_tokens"] for a in self.answers for s in a["steps"])
        return {
            "name": self.name,
            "disk": None if self.error else self.disk(),
            "memory": sum(self.peak.values()),
            "memory_by_program": self.peak,
            "load_ms": round(median(self.loads), 1) if self.loads else None,
            "first_ms": round(median(self.firsts), 1) if self.firsts else None,
            "later_ms": latency([a["ms"]["total"] for a in self.answers]),
            "generate_ms": latency([a["ms"]["generate"] for a in self.answers]),
            "tool_ms": latency(tool),
            "direct_ms": latency(direct),
            "tokens_per_second": round(1000 * tokens / spent, 1) if spent else None,
            "prompt_tokens": round(
                median([s["prompt_tokens"] for a in self.answers for s in a["steps"]] or [0])
            ),
            "ok": [sum(a["ok"] for a in self.answers), len(self.answers)],
            "error": self.error or None,
        }


def run(
    subjects: Sequence[Subject],
    out: Path,
    rounds: int = 2,
    questions: Sequence[str] = demo.QUESTIONS,
    workspace: Path | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Measure all and write `report.json` and `report.md` into `out`; returns the report. What
    fails is in its row as `error`. The time of a bare interpreter stands beside, as a measure of
    how busy the machine is."""
    bare: list[float] = []
    with scratch("bench") as temporary:
        root = workspace or demo.create(temporary / "shop")
        for number in range(1, rounds + 1):
            for subject in subjects:
                if subject.error:
                    continue
                progress(f"round {number} of {rounds}: {subject.name}")
                bare.append(1000 * watched.run([sys.executable, "-c", "pass"])[0])
                try:
                    _ask(subject, root, questions, temporary)
                except (PunieError, ValueError, KeyError) as error:
                    subject.error = str(error)
    report = {
        "machine": {"system": platform.platform(), "processor": platform.machine()},
        "rounds": rounds,
        "questions": len(questions),
        "bare_interpreter_ms": latency(bare),
        "models": [subject.as_json() for subject in subjects],
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    (out / "report.md").write_text(table(report), "utf-8")
    return report


def _ask(subject: Subject, root: Path, questions: Sequence[str], folder: Path) -> None:
    """One round: a fresh process that answers all questions, the first of them twice."""
    with ExitStack() as stack:
        spec, started, beside = subject.spec, 0.0, []
        if subject.served:
            path = Path(subject.spec)
            address, process, seconds = stack.enter_context(
                watched.served(path, folder / "server.txt")
            )
            spec, started, beside = f"{address}#{path.stem}", 1000 * seconds, [process.pid]
        command = [*PUNIE, "ask", "--batch", "-", "--json", "--yes", "--workspace", str(root)]
        batch = "".join(f"{question}\n" for question in (questions[0], *questions))
        _, out, peak = watched.run([*command, "--model", spec], batch, beside)
    answers = [json.loads(line) for line in out.splitlines()]
    if len(answers) != len(questions) + 1 or not any(a["steps"] for a in answers):
        raise ValueError(answers[0]["error"] if answers else "punie ask gave no answer")
    subject.loads.append(started + answers[0]["ms"]["load"])
    subject.firsts.append(started + answers[0]["ms"]["total"])
    subject.answers += answers[1:]
    if sum(peak.values()) > sum(subject.peak.values()):
        subject.peak = peak


def table(report: dict[str, Any]) -> str:
    """The report as a Markdown table, a column a model."""
    models = report["models"]
    rows: list[list[str]] = [["", *(m["name"] for m in models)], ["---"] * (len(models) + 1)]

    def row(name: str, tell: Callable[[dict[str, Any]], str]) -> None:
        rows.append([name, *("–" if m["error"] else tell(m) for m in models)])

    def times(key: str) -> Callable[[dict[str, Any]], str]:
        return lambda m: f"{m[key]['p50']:.0f} / {m[key]['p95']:.0f}" if m[key]["max"] else "–"

    row("disk, MB", lambda m: f"{m['disk'] / 1e6:.1f}" if m["disk"] else "–")
    row("peak memory, MB", lambda m: f"{m['memory'] / 1e6:.0f}")
    row("load, ms", lambda m: f"{m['load_ms']:.0f}")
    row("first answer with load, ms", lambda m: f"{m['first_ms']:.0f}")
    row("later answers, ms (p50 / p95)", times("later_ms"))
    row("generation, ms (p50 / p95)", times("generate_ms"))
    row("with tools, ms (p50 / p95)", times("tool_ms"))
    row("in words, ms (p50 / p95)", times("direct_ms"))
    row("tokens a second", lambda m: f"{m['tokens_per_second'] or 0:.1f}")
    row("tokens of a prompt (median)", lambda m: str(m["prompt_tokens"]))
    row("answers that are ok", lambda m: f"{m['ok'][0]} of {m['ok'][1]}")
    if any(m["error"] for m in models):
        rows.append(["could not be measured", *(m["error"] or "–" for m in models)])
    bare = report["bare_interpreter_ms"]
    lines = [f"| {' | '.join(cells)} |".replace("\n", " ") for cells in rows]
    head = [
        "# Benchmark",
        "",
        f"{report['rounds']} rounds of {report['questions']} questions, models in turn; a bare"
        f" interpreter takes {bare['p50']:.0f} ms (p95 {bare['p95']:.0f})."
        f" {report['machine']['system']}.",
        "",
    ]
    return "\n".join([*head, *lines, ""])
