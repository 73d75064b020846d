"""Every tool that reads beside the bare program or server requests that it rests on, in one run.

    .venv/bin/python benchmarks/overhead/overhead.py [demo rich made …] [--runs 15] [--symbols 8]
        [--only git_status …] [--files 2000]

A repository is `demo`, `made` (so many generated files, 300 commits) or a workspace of the corpus
recipe. Tool and bare way take turns, so that a busy machine is busy for both; the first turn warms
the caches and is left out. A program gets the tool's own options and its output is read to the
end. Server requests are those that the tool was seen to send, sent again over the same connection,
at once where the tool sent them at once: `same` with nothing changed since the question was
asked before, `edited` after an edit of another file, of which the bare way tells the server, too.
`overhead` is the median of the paired differences, `ratio` that of the medians. Processor time
holds that of ended children, not that of the server, which does the same work for both. The
answers of `search_text` and `list_files` are counted on both sides and must agree.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

import repos
from punie import demo
from punie.factory.corpus import build
from punie.settings import Settings
from punie.tool import Result, load_tools
from punie.workspace import Workspace
from punie.wrap import Allow, Context, call
from rows import made, programs
from server import ServerRows

Clock = tuple[float, float]
"""Wall and processor time, in ms."""


@dataclass
class Row:
    """A tool's call and the same by bare means."""

    tool: str
    what: str
    arguments: dict[str, Any]
    bare: Callable[[], Awaitable[int | None]]
    """Does it; returns the number of things found where that can be compared."""
    before: Callable[[], Awaitable[None]] | None = None
    """Done before each turn of either, untimed."""


def clocks() -> Clock:
    """Wall time and processor time, of ended children too, in ms."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    spent = sum(usage.ru_utime + usage.ru_stime for usage in usages)
    return time.perf_counter() * 1000, spent * 1000


async def timed(row: Row, action: Callable[[], Awaitable[Any]]) -> tuple[Clock, Any]:
    """How long one turn takes, and what it gave."""
    if row.before:
        await row.before()
    start = clocks()
    found = await action()
    end = clocks()
    return (end[0] - start[0], end[1] - start[1]), found


async def pairs(context: Context, row: Row, runs: int) -> list[tuple[Clock, Clock]]:
    """Bare and ours, `runs` times, in changing order."""
    tool = load_tools()[row.tool]
    bound = tool.bind((), row.arguments)

    async def ours() -> Result:
        result, _ = await call(tool, context, bound)
        if not result.success:
            raise SystemExit(f"{row.tool}({row.arguments}): {result.parse_error}")
        return result

    found = []
    for turn in range(runs + 1):
        if turn % 2:
            plain, bare_found = await timed(row, row.bare)
            tools, result = await timed(row, ours)
        else:
            tools, result = await timed(row, ours)
            plain, bare_found = await timed(row, row.bare)
        counts = dict(result)
        count = counts.get("match_count", counts.get("file_count"))
        if bare_found is not None and bare_found != count:
            raise SystemExit(f"{row.tool}({row.arguments}) found {count}, bare {bare_found}")
        found.append((plain, tools))
    return found[1:]


def line(repository: str, tool: str, what: str, found: list[tuple[Clock, Clock]]) -> str:
    """A row of the table."""
    cells = []
    for clock in (0, 1):
        bare = median(plain[clock] for plain, _ in found)
        ours = median(tools[clock] for _, tools in found)
        more = median(tools[clock] - plain[clock] for plain, tools in found)
        ratio = f"{ours / bare:.2f}" if bare > 0.05 else "–"
        cells += [f"{bare:.1f}", f"{ours:.1f}", ratio, f"{more:+.1f}"]
    return f"| {repository} | {tool} {what} | {' | '.join(cells)} |"


async def measure(name: str, root: Path, options: argparse.Namespace) -> None:
    """Print the rows of one repository."""
    settings = Settings(tool_seconds=300, test_seconds=900)
    workspace = Workspace(root)
    server = ServerRows(workspace, settings)
    context = Context(workspace, settings, server.server, approver=Allow())

    def wanted(tool: str) -> bool:
        return not options.only or tool in options.only

    for tool, what, arguments, bare in programs(root):
        if wanted(tool):
            found = await pairs(context, Row(tool, what, arguments, bare), options.runs)
            print(line(name, tool, what, found), flush=True)
    try:
        for tool in filter(wanted, server.TOOLS):
            asked = list(await server.questions(tool, options.symbols))
            for what in ("same", "edited"):
                found = []
                for arguments in asked:
                    bare, before = await server.bare(tool, arguments, edited=what == "edited")
                    row = Row(tool, what, arguments, bare, before)
                    found += await pairs(context, row, max(2, options.runs // 3))
                print(line(name, tool, what, found), flush=True)
    finally:
        await server.server.close()


def repository(name: str, folder: Path, files: int) -> Path:
    """The repository of that name."""
    if name == "demo":
        return demo.create(folder / name)
    return made(folder / name, files) if name == "made" else build(name, folder).resolve()


def main(argv: Iterable[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", default=["demo", "rich"])
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--symbols", type=int, default=8)
    parser.add_argument("--files", type=int, default=2000, help="of the repository `made`")
    parser.add_argument("--only", nargs="*", help="tools to measure")
    options = parser.parse_args(None if argv is None else list(argv))
    os.environ |= repos.ENVIRONMENT
    print(f"Milliseconds, medians of {options.runs}; load average {os.getloadavg()[0]:.1f}.\n")
    print(
        "| repository | tool | wall: bare | tool | ratio | overhead "
        "| processor: bare | tool | ratio | overhead |\n" + "|---" * 10 + "|"
    )
    for name in options.names:
        with tempfile.TemporaryDirectory(prefix="punie-bench-") as folder:
            root = repository(name, Path(folder).resolve(), options.files)
            asyncio.run(measure(name, root, options))


if __name__ == "__main__":
    main()
