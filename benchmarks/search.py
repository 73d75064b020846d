"""`search_text` and `list_files` beside the bare program, in one run: medians in milliseconds.

    .venv/bin/python benchmarks/search.py [--files 2000] [--runs 15] [--workspace DIR]

Without a workspace a repository of generated Python files is made. The tools are called as a
program in the sandbox calls them, in a warm process; git is started for each query, as it has to
be. Both ways must find the same number, or the row says so. Each round times both ways once, so
that a busy machine is busy for both; `cpu` is processor time, children included, which a busy
machine changes less.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import resource
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, cast

from punie.lsp import LanguageServer
from punie.settings import Settings
from punie.tool import load_tools
from punie.workspace import Workspace, child_environment
from punie.wrap import Context, call

GREP = ["git", "grep", "--untracked", "-nI", "--no-color"]
LIST = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
ROWS: list[tuple[str, str, dict[str, Any], list[str]]] = [
    (
        "rare text",
        "search_text",
        {"pattern": "needle_in_hay"},
        [*GREP, "-F", "-e", "needle_in_hay"],
    ),
    ("common text", "search_text", {"pattern": "return"}, [*GREP, "-F", "-e", "return"]),
    (
        "no text",
        "search_text",
        {"pattern": "nowhere_at_all"},
        [*GREP, "-F", "-e", "nowhere_at_all"],
    ),
    ("anchored", "search_text", {"pattern": "^import os$"}, [*GREP, "-P", "-e", "^import os$"]),
    ("repeats", "search_text", {"pattern": r"def \w+_of\("}, [*GREP, "-P", "-e", r"def \w+_of\("]),
    ("no literal", "search_text", {"pattern": r"\d+ \w+$"}, [*GREP, "-P", "-e", r"\d+ \w+$"]),
    ("all files", "list_files", {}, LIST),
    ("a glob", "list_files", {"pattern": "*7.py"}, [*LIST, "--", "*7.py"]),
]
"""Name, tool, its arguments, the bare program."""


def make(root: Path, count: int) -> None:
    """A repository of Python files of about 150 lines, in folders of 50."""
    words = random.Random(3)
    for number in range(count):
        path = root / f"pkg_{number // 50:03}" / f"module_{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = ["import os", "import re", "", ""]
        for _ in range(30):
            name = "".join(words.choices("abcdefghij", k=8))
            lines += [f"def {name}_of(value: int) -> int:", f'    """Give {name} of it."""']
            lines += [f"    total = value * {words.randrange(99)}", "    return total", ""]
        path.write_text("\n".join([*lines, "needle_in_hay = 1" * (number % 400 == 7), ""]))
    for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b"]):
        tail = ["commit", "-qm", "Start"] if command[0] == "-c" else []
        subprocess.run(["git", *command, *tail], cwd=root, check=True)


def bare(root: Path, command: list[str]) -> int:
    """Run the bare program; returns its lines."""
    env = child_environment()
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, check=False)
    return done.stdout.count(b"\n")


async def measure(root: Path, runs: int) -> None:
    """Print the table for a repository."""
    settings = Settings()
    workspace = Workspace(root)
    context = Context(workspace, settings, cast(LanguageServer, None))
    tools = load_tools()
    print(f"{'query':12} {'punie':>8} {'bare':>8} {'more':>8} {'cpu':>8} {'bare cpu':>8}   found")
    for name, tool_name, arguments, command in ROWS:
        tool = tools[tool_name]
        bound = tool.bind((), arguments)
        ours, theirs = [], []
        for _ in range(runs + 1):
            start = clocks()
            result, _ = await call(tool, context, bound)
            ours.append(passed(start))
            start = clocks()
            lines = bare(root, command)
            theirs.append(passed(start))
        counts = dict(result)
        found = counts.get("match_count", counts.get("file_count"))
        (us, our_cpu), (them, their_cpu) = medians(ours[1:]), medians(theirs[1:])
        same = "" if found == lines else f"  DIFFERENT: bare {lines}"
        print(
            f"{name:12} {us:8.1f} {them:8.1f} {us - them:+8.1f} {our_cpu:8.1f} {their_cpu:8.1f}   "
            f"{found}{same}",
            flush=True,
        )


def clocks() -> tuple[float, float]:
    """Wall time and processor time, of children too, in seconds."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return time.perf_counter(), sum(usage.ru_utime + usage.ru_stime for usage in usages)


def passed(start: tuple[float, float]) -> tuple[float, float]:
    """What has passed since, in milliseconds."""
    now = clocks()
    return (now[0] - start[0]) * 1000, (now[1] - start[1]) * 1000


def medians(times: list[tuple[float, float]]) -> tuple[float, float]:
    """Of wall time and of processor time."""
    return median(wall for wall, _ in times), median(cpu for _, cpu in times)


def main() -> None:
    """Read the options, make the repository, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--workspace", type=Path)
    options = parser.parse_args()
    if options.workspace:
        asyncio.run(measure(options.workspace, options.runs))
        return
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), options.files)
        asyncio.run(measure(Path(folder), options.runs))


if __name__ == "__main__":
    main()
