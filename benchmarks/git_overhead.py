"""Each git tool against the bare git command that it rests on, side by side.

    .venv/bin/python benchmarks/git_overhead.py [--rounds 15] [--workspace DIR]

Without `--workspace`, a repository of 2,000 files and 300 commits is made. Tool and command take
turns; medians of wall and processor time in ms (the latter says more on a busy machine). The
command has the tool's own options, so that both do the same work; what remains is starting,
asking where the repository is and which filters it has (one or two short runs of git), and
reading the answer.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import repos
from punie.porcelain import (
    BLAME_FORMAT,
    BRANCH_FORMAT,
    DIFF_FORMAT,
    LOG_FORMAT,
    SHOW_FORMAT,
    STATUS_FORMAT,
)
from punie.repository import GIT
from punie.tool import load_tools
from punie.workspace import child_environment
from punie.wrap import call


def made(folder: Path) -> Path:
    """A repository of 2,000 files and 300 commits, with 20 changed and 20 untracked files."""
    text = "".join(f"value_{n} = {n}\n" for n in range(60))
    files: dict[str, str | bytes] = {f"pkg{n % 40}/m{n}.py": text for n in range(2000)}
    root = repos.repository(folder / "repo", files)
    one = "commit refs/heads/main\ncommitter A <a@x> 1714550400 +0200\ndata 4\nMore\n"
    one += "M 100644 inline pkg1/m1.py\ndata {size}\n{body}\n"
    bodies = [text.replace(f"value_{n % 60} =", f"changed_{n} =") for n in range(300)]
    steps = "".join(one.format(size=len(body), body=body) for body in bodies)
    steps = steps.replace("M 100644", "from refs/heads/main^0\nM 100644", 1)
    repos.git(root, "fast-import", "--quiet", stdin=steps.encode())
    repos.git(root, "reset", "--quiet", "--hard")
    for n in range(20):
        repos.write(root, {f"pkg{n}/m{n}.py": text + "new = 1\n", f"pkg{n}/new.py": ""})
    return root


def questions(root: Path) -> dict[str, tuple[dict[str, Any], list[str]]]:
    """Arguments of each tool and the command that does the same."""
    listed = repos.git(root, "ls-files", "-z", "--", "*.py").split(b"\0")
    file = os.fsdecode(listed[len(listed) // 2])
    return {
        "git_status": ({}, ["status", *STATUS_FORMAT]),
        "git_diff": ({}, ["diff", "--find-renames", *DIFF_FORMAT]),
        "git_log": ({}, ["log", "--max-count=10", "--find-renames", *LOG_FORMAT]),
        "git_blame": ({"path": file}, ["blame", *BLAME_FORMAT, "-L1,201", "--", file]),
        "git_show": ({"commit": "HEAD"}, ["show", "--find-renames", *SHOW_FORMAT, "HEAD"]),
        "git_branch": ({}, ["for-each-ref", BRANCH_FORMAT, "refs/heads"]),
    }


def bare_git(root: Path, command: list[str]) -> None:
    """Run a command as a program without Punie would."""
    subprocess.run(
        [*GIT, *command], cwd=root, env=child_environment(), capture_output=True, check=True
    )


def cpu() -> float:
    """Seconds of processor time of this process and its ended children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def clocks() -> tuple[float, float]:
    """Wall and processor time."""
    return time.perf_counter(), cpu()


async def measure(root: Path, rounds: int) -> None:
    """Take turns and print a line for each tool."""
    context = repos.context(root)
    print(f"ms, medians of {rounds}   wall: bare     tool  overhead   processor: bare     tool")
    for name, (arguments, command) in questions(root).items():
        bare, ours = [], []
        for _ in range(rounds):
            start = clocks()
            bare_git(root, command)
            middle = clocks()
            result, _ = await call(load_tools()[name], context, arguments)
            end = clocks()
            assert result.success, result.parse_error
            bare.append([1000 * (b - a) for a, b in zip(start, middle, strict=True)])
            ours.append([1000 * (b - a) for a, b in zip(middle, end, strict=True)])
        plain, tool = ([median(c) for c in zip(*rows, strict=True)] for rows in (bare, ours))
        print(
            f"{name:20} {plain[0]:12.1f} {tool[0]:8.1f} {tool[0] - plain[0]:9.1f}"
            f" {plain[1]:17.1f} {tool[1]:8.1f}"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--workspace", type=Path)
    options = parser.parse_args()
    os.environ |= repos.ENVIRONMENT
    with tempfile.TemporaryDirectory(prefix="punie-bench-") as folder:
        asyncio.run(measure(options.workspace or made(Path(folder)), options.rounds))


if __name__ == "__main__":
    main()
