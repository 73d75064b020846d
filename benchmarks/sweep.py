"""How long one look at the disk takes, and what it costs a query, by number of Python files.

    .venv/bin/python benchmarks/sweep.py [--files 2000 20000] [--runs 21] [--queries 21]

The files are made in a temporary folder, 20 in a folder, and read once before. A bare listing of
the folders, without stamps, is timed in the same run, as a measure of the machine; processor time
is what counts on a busy one. `query` is `workspace/symbol` on a warm server, first with nothing
changed, then after one file was written; with `--queries 0` it is left out.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from punie.navigation.lsp import Server
from punie.navigation.sweep import Sweep, look
from punie.settings import Settings
from punie.workspace import Workspace


def make(root: Path, files: int) -> None:
    """A workspace of so many modules of two functions each, in packages of 20."""
    for number in range(files):
        folder = root / f"part{number // 400}" / f"pack{number // 20}"
        folder.mkdir(parents=True, exist_ok=True)
        text = f"def first{number}(x: int) -> int:\n    return x\n\n\ndef second{number}(): ...\n"
        (folder / f"mod{number}.py").write_text(text)


def listed(root: Path) -> int:
    """Number of entries of all folders."""
    count, folders = 0, [str(root)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                count += 1
                if entry.is_dir():
                    folders.append(entry.path)
    return count


def timed(
    action: Callable[[], object], runs: int, clock: Callable[[], float] = time.perf_counter
) -> list[float]:
    """Milliseconds of each run; by `time.process_time`, those of the processor alone."""
    spent = []
    for _ in range(runs):
        start = clock()
        action()
        spent.append((clock() - start) * 1000)
    return spent


async def queries(root: Path, runs: int) -> tuple[list[float], list[float]]:
    """Milliseconds of a query when nothing changed, and after an edit."""
    server = Server(Workspace(root), Settings())
    same: list[float] = []
    edited: list[float] = []
    try:
        for run in range(runs + 1):
            for spent, edit in ((same, False), (edited, True)):
                if edit:
                    (root / "edited.py").write_text(f"def edited{run}(): ...\n")
                start = time.perf_counter()
                found = await server.request("workspace/symbol", {"query": f"edited{run}"})
                spent.append((time.perf_counter() - start) * 1000)
                if edit and [s["name"] for s in found] != [f"edited{run}"]:
                    raise SystemExit(f"stale: {found!r}")
    finally:
        await server.close()
    return same[1:], edited[1:]


def measured(root: Path, runs: int, asks: int) -> dict[str, list[float]]:
    """Milliseconds of each run, by what was done."""
    sweep = Sweep()
    sweep.note(look(root))

    def action() -> object:
        return sweep.note(look(root))

    rows = {
        "listing": timed(lambda: listed(root), runs),
        "sweep": timed(action, runs),
        "sweep, processor time": timed(action, runs, time.process_time),
    }
    if not asks:
        return rows
    same, edited = asyncio.run(queries(root, asks))
    return rows | {"query, nothing changed": same, "query, one file edited": edited}


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description="The sweep and what it costs a query.")
    parser.add_argument("--files", type=int, nargs="+", default=[2000, 20000])
    parser.add_argument("--runs", type=int, default=21)
    parser.add_argument("--queries", type=int, default=21)
    options = parser.parse_args()
    print("| Python files | what | median ms | least | most |\n|---|---|---|---|---|")
    for files in options.files:
        with tempfile.TemporaryDirectory(prefix="punie-sweep-") as folder:
            root = Path(folder).resolve()
            make(root, files)
            for what, spent in measured(root, options.runs, options.queries).items():
                numbers = f"{median(spent):.1f} | {min(spent):.1f} | {max(spent):.1f}"
                print(f"| {files} | {what} | {numbers} |")


if __name__ == "__main__":
    main()
