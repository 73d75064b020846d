"""The bare programs that `overhead.py` compares tools with, and its generated repository."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import repos
from punie.git.porcelain import (
    BLAME_FORMAT,
    BRANCH_FORMAT,
    DIFF_FORMAT,
    LOG_FORMAT,
    SHOW_FORMAT,
    STATUS_FORMAT,
)
from punie.git.repository import GIT
from punie.workspace import child_environment, program

Bare = Callable[[], Awaitable[int | None]]
GREP = ["grep", "--untracked", "-nI", "--no-color"]
LIST = ["ls-files", "--cached", "--others", "--exclude-standard"]
RUFF = ["check", "--output-format", "json", "--no-cache", "--no-fix", "--exit-zero"]
RUFF += ["--extend-select=E902"]
TY = ["check", "--output-format", "sarif"]
PYTEST = ["-m", "pytest", "--color=no", "-o", "addopts="]
TESTS = {
    "test_one.py": "def test_one(): ...\n",
    "test_many.py": "import pytest\n"
    "@pytest.mark.parametrize('n', range(500))\ndef test_many(n): ...\n",
}


def made(folder: Path, count: int) -> Path:
    """A repository of so many files, 300 commits, 20 changed and 20 untracked files."""
    words = random.Random(3)
    files: dict[str, str | bytes] = {}
    for number in range(count):
        lines = ["import os", "import re", "", ""]
        for _ in range(12):
            name = "".join(words.choices("abcdefghij", k=8))
            lines += [f"def {name}_of(value: int) -> int:", f'    """Give {name} of it."""']
            lines += [f"    total = value * {words.randrange(99)}", "    return total", ""]
        files[f"pkg{number % 40}/m{number}.py"] = "\n".join(lines)
    root = repos.repository(folder, files)
    text = str(files["pkg1/m1.py"])
    one = "commit refs/heads/main\ncommitter A <a@x> 1714550400 +0200\ndata 4\nMore\n"
    one += "M 100644 inline pkg1/m1.py\ndata {size}\n{body}\n"
    bodies = [f"{text}\nchanged_{number} = 1\n" for number in range(300)]
    steps = "".join(one.format(size=len(body), body=body) for body in bodies)
    steps = steps.replace("M 100644", "from refs/heads/main^0\nM 100644", 1)
    repos.git(root, "fast-import", "--quiet", stdin=steps.encode())
    repos.git(root, "reset", "--quiet", "--hard")
    for number in range(20):
        changed = f"pkg{number}/m{number}.py"
        repos.write(root, {changed: f"{text}new = 1\n", f"pkg{number}/new.py": ""})
    return root


def programs(root: Path) -> Iterator[tuple[str, str, dict[str, Any], Bare]]:
    """Tool, which question, its arguments, and the bare way; writes two files of tests."""
    repos.write(root, dict(TESTS))
    listed = repos.git(root, "ls-files", "-z", "--", "*.py").split(b"\0")[:-1]
    names = [os.fsdecode(name) for name in listed]
    file = max(names, key=lambda name: (root / name).stat().st_size)
    git = child_environment()
    quality = git | {"PYTHONPATH": os.pathsep.join([str(root / "src"), str(root)])}

    def row(
        tool: str, what: str, arguments: dict[str, Any], command: list[str], env: dict[str, str]
    ) -> tuple[str, str, dict[str, Any], Bare]:
        counted = tool in ("search_text", "list_files")

        async def bare() -> int | None:
            done = subprocess.run(  # noqa: ASYNC221 (the bare way waits)
                command,
                cwd=root,
                env=env,
                capture_output=True,
                check=False,
                start_new_session=True,  # as ours: Linux shares the processor out by session
            )
            return done.stdout.count(b"\n") if counted else None

        return tool, what, arguments, bare

    for tool, arguments, command in (
        ("git_status", {}, ["status", *STATUS_FORMAT]),
        ("git_diff", {}, ["diff", "--find-renames", *DIFF_FORMAT]),
        ("git_log", {}, ["log", "--max-count=10", "--find-renames", *LOG_FORMAT]),
        ("git_blame", {"path": file}, ["blame", *BLAME_FORMAT, "-L1,201", "--", file]),
        ("git_show", {"commit": "HEAD"}, ["show", "--find-renames", *SHOW_FORMAT, "HEAD"]),
        ("git_branch", {}, ["for-each-ref", BRANCH_FORMAT, "refs/heads"]),
    ):
        yield row(tool, "", dict(arguments), [*GIT, *command], git)
    word = next(filter(None, (_word(root, each) for each in [file, *names])))
    for what, pattern, kind in (
        ("a name", word, "-F"),
        ("common text", "import", "-F"),
        ("no text", "nowhere_at_all", "-F"),
        ("anchored", "^import os$", "-P"),
        ("repeats", r"def \w+_\w+\(", "-P"),
        ("no certain text", r"\d+ \w+$", "-P"),
    ):
        asked = {"pattern": pattern}
        yield row("search_text", what, asked, ["git", *GREP, kind, "-e", pattern], git)
    yield row("list_files", "all", {}, ["git", *LIST], git)
    asked = {"pattern": "*s.py"}
    yield row("list_files", "a glob", asked, ["git", *LIST, "--", "*s.py"], git)

    async def read() -> None:
        (root / file).read_bytes().decode()

    yield "read_file", "", {"path": file}, read
    yield row("ruff_check", "", {}, [program("ruff"), *RUFF, "."], quality)
    yield row("typecheck", "", {}, [program("ty"), *TY, "."], quality)
    for name in TESTS:
        command = [sys.executable, *PYTEST, name]
        yield row("pytest_run", name, {"path": name}, command, quality)


def _word(root: Path, file: str) -> str:
    """The name of the first function or class of a file, empty if it has none."""
    found = re.search(r"^(?:def|class) (\w+)", (root / file).read_text("utf-8"), re.MULTILINE)
    return found[1] if found else ""
