"""References and outlines beside another language-server client, cold and warm, and what is found.

    .venv/bin/python benchmarks/other_client/other_client.py [rich werkzeug …] [--symbols 12]
        [--cold 5]

The other client is multilspy from the package index with the server that it brings for Python,
jedi-language-server; both go into a virtual environment in a temporary folder. Each client answers
in a process of its own about the same places. `cold` is the time from the start of a fresh process
to its first answer, `warm` that of a question not asked before in a process that has answered
others, `again` that of the same question once more. The clients take turns. Wall time is measured
here; processor time is that of the client and its server, read from /proc (Linux only), which says
more on a busy machine. `found` is the number of references or symbols of all warm questions
together, `only` how many of them the other does not find; those are listed. Left out on both sides
is what the other client counts by another rule: declarations among the references, imports among
the symbols of an outline.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from punie.factory.corpus import build
from punie.navigation.lsp import Server
from punie.settings import Settings
from punie.workspace import Workspace

OTHER = "multilspy==0.1.1"
CHILD = Path(__file__).with_name("child.py")
KINDS = (5, 6, 12)
"""Classes, methods and functions."""
Question = dict[str, Any]


@dataclass
class Times:
    """Milliseconds of one client for one kind of question."""

    wall: dict[str, list[float]] = field(default_factory=dict)
    processor: dict[str, list[float]] = field(default_factory=dict)
    found: dict[str, set[tuple[Any, ...]]] = field(default_factory=dict)
    """Of each question."""

    def note(self, when: str, wall: float, processor: float) -> None:
        """Add one."""
        self.wall.setdefault(when, []).append(wall)
        self.processor.setdefault(when, []).append(processor)


class Client:
    """A process that answers questions about a repository, one line each."""

    def __init__(self, python: str, name: str, root: Path) -> None:
        paths = [str(Path(python).parent), os.environ.get("PATH", os.defpath)]
        self.process = subprocess.Popen(
            [python, str(CHILD), name, str(root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PATH": os.pathsep.join(paths)},
            text=True,
        )
        self.spent = 0.0

    def ask(self, question: Question) -> tuple[list[list[Any]], float, float]:
        """What was found, wall and processor time."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        start = time.perf_counter()
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        wall = (time.perf_counter() - start) * 1000
        if not line:
            raise SystemExit(f"{self.process.args!r} ended at {question!r}")
        before, self.spent = self.spent, processor_time(self.process.pid)
        return json.loads(line), wall, self.spent - before

    def close(self) -> None:
        """End it."""
        self.process.communicate()


def processor_time(pid: int) -> float:
    """Milliseconds of a process and its descendants, all their living threads."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                stat = (entry / "stat").read_text()
            except OSError:  # it has ended
                continue
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    family = {pid}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    spent = 0
    for each in family:
        for task in Path(f"/proc/{each}/task").glob("*/schedstat"):
            try:
                spent += int(task.read_text().split()[0])
            except OSError:
                continue
    return spent / 1e6


async def questions(root: Path, most: int) -> list[Question]:
    """Places of names and files, evenly drawn from the repository."""
    server = Server(Workspace(root), Settings())
    places, files = [], []
    for path in sorted(root.rglob("*.py")):
        file = path.relative_to(root).as_posix()
        outline = {"textDocument": {"uri": path.as_uri()}}
        symbols = await server.request("textDocument/documentSymbol", outline) or []
        files += [{"what": "outline", "file": file}] if symbols else []
        for symbol in symbols:
            for each in (symbol, *(symbol.get("children") or [])):
                if each["kind"] in KINDS:
                    start = each["selectionRange"]["start"]
                    place = {"line": start["line"] + 1, "column": start["character"] + 1}
                    places.append({"what": "references", "file": file} | place)
    await server.close()
    return [q for asked in (places, files) for q in asked[:: max(1, len(asked) // most)][:most]]


def compare(root: Path, pythons: dict[str, str], asked: list[Question], cold: int) -> list[str]:
    """Ask both clients everything, print the rows; returns what only one finds, in words."""
    notes: list[str] = []
    times = {(name, what): Times() for name in pythons for what in ("references", "outline")}
    for what in ("references", "outline"):
        chosen = [q for q in asked if q["what"] == what]
        for number in range(cold):
            for name, python in pythons.items():
                start = time.perf_counter()
                client = Client(python, name, root)
                _, _, processor = client.ask(chosen[number % len(chosen)])
                wall = (time.perf_counter() - start) * 1000
                times[name, what].note("cold", wall, processor)
                client.close()
    clients = {name: Client(python, name, root) for name, python in pythons.items()}
    for client in clients.values():
        client.ask(asked[0])
        client.ask(asked[-1])
    for question in asked[1:-1]:
        key = json.dumps(question)
        for name, client in clients.items():
            here = times[name, question["what"]]
            for when in ("warm", "again"):
                answer, wall, processor = client.ask(question)
                here.note(when, wall, processor)
                here.found[key] = counted(root, question, answer)
    for client in clients.values():
        client.close()
    for what in ("references", "outline"):
        for name, other in zip(pythons, reversed(pythons), strict=True):
            here, there = times[name, what], times[other, what]
            cells = [
                f"{median(here.wall[when]):.0f} ({median(here.processor[when]):.0f})"
                for when in ("cold", "warm", "again")
            ]
            only = [each for key in here.found for each in here.found[key] - there.found[key]]
            found = f"{sum(map(len, here.found.values()))} in {len(here.found)}"
            row = [root.name, what, name, *cells, found, str(len(only))]
            print(f"| {' | '.join(row)} |", flush=True)
            notes += [f"{root.name}, {what}, {name} only: {each}" for each in sorted(only)[:12]]
    return notes


def counted(root: Path, question: Question, answer: list[list[Any]]) -> set[tuple[Any, ...]]:
    """What both clients should find; a symbol of an outline by its name and line."""
    if question["what"] == "outline":
        tree = ast.parse((root / question["file"]).read_bytes())
        imports = [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]
        lines = {n for each in imports for n in range(each.lineno, (each.end_lineno or 0) + 1)}
        return {(question["file"], line, name) for name, line, _ in answer if line not in lines}
    found = set()
    for file, line, column in answer:
        before = (root / file).read_text("utf-8").splitlines()[line - 1][: column - 1]
        if not before.strip().startswith(("def", "class", "async def", "@")) or "(" in before:
            found.add((file, line, column))
    return found


def main() -> None:
    """Install the other client, measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", default=["rich", "werkzeug"])
    parser.add_argument("--symbols", type=int, default=12)
    parser.add_argument("--cold", type=int, default=5)
    parser.add_argument("--python", help="interpreter that already has the other client")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="punie-other-") as folder:
        python = options.python
        if python is None:
            venv.create(Path(folder) / "other", with_pip=True)
            python = str(Path(folder) / "other/bin/python")
            install = [python, "-m", "pip", "install", "--quiet", OTHER]
            subprocess.run(install, check=True)
        listed = subprocess.run(
            [python, "-m", "pip", "freeze"], capture_output=True, check=True, text=True
        )
        kept = ("multilspy", "jedi")
        print(", ".join(line for line in listed.stdout.splitlines() if line.startswith(kept)))
        print(f"load average {os.getloadavg()[0]:.1f}; wall (processor) milliseconds, medians\n")
        print("| repository | question | client | cold | warm | again | found | only |")
        print("|---" * 8 + "|")
        notes: list[str] = []
        for name in options.names:
            root = build(name, Path(folder)).resolve()
            asked = asyncio.run(questions(root, options.symbols))
            pythons = {"punie": sys.executable, "multilspy": python}
            notes += compare(root, pythons, asked, options.cold)
        print("", *notes, sep="\n")


if __name__ == "__main__":
    main()
