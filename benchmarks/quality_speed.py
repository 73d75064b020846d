"""How long ruff_check, typecheck and pytest_run take beside the programs that they rest on.

    .venv/bin/python benchmarks/quality_speed.py [NAMES…] [--runs 21] [--out DIR]

Tool and bare program take turns in one process, so that both meet the same noise; the overhead is
the median of the paired differences. The bare program gets the same options and environment, and
what it prints is read to its end; pytest runs one file of tests that pass, and one that is empty
but for one test, without our plug-in. The first turn of each warms the caches and is left out.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles
from typing import Any, cast

from punie.factory.corpus import build
from punie.lsp import LanguageServer
from punie.settings import Settings
from punie.tool import Tool
from punie.tools.quality import ruff_check, typecheck
from punie.tools.testing import pytest_run
from punie.workspace import Workspace, child_environment, program
from punie.wrap import Allow, Context, call

RUFF = ["check", "--output-format", "json", "--no-cache", "--no-fix", "--exit-zero"]
TY = ["check", "--output-format", "sarif"]
PYTEST = ["-m", "pytest", "-p", "no:cacheprovider", "--color=no"]
SMALL = "def test_one(): ...\n"
MANY = "import pytest\n@pytest.mark.parametrize('n', range(500))\ndef test_many(n): ...\n"


def bare(root: Path, command: list[str], env: dict[str, str]) -> float:
    """Milliseconds of a program whose output is read."""
    start = time.perf_counter()
    subprocess.run(command, cwd=root, env=env, capture_output=True, check=False)
    return (time.perf_counter() - start) * 1000


async def ours(context: Context, tool: Tool, arguments: dict[str, Any]) -> float:
    """Milliseconds of a tool's call, as every caller calls it."""
    result, record = await call(tool, context, tool.bind((), arguments))
    assert result.success, result.parse_error
    return record.ms


async def measure(
    root: Path, tool: Tool, arguments: dict[str, Any], command: list[str], runs: int
) -> str:
    """A row of the table."""
    context = Context(
        Workspace(root),
        Settings(tool_seconds=300, test_seconds=900),
        cast(LanguageServer, None),
        approver=Allow(),
    )
    env = child_environment() | {"PYTHONPATH": os.pathsep.join([str(root / "src"), str(root)])}
    pairs = []
    for turn in range(runs + 1):
        if turn % 2:
            first = bare(root, command, env)
            pairs.append((first, await ours(context, tool, arguments)))
        else:
            first = await ours(context, tool, arguments)
            pairs.append((bare(root, command, env), first))
    plain, tools = zip(*pairs[1:], strict=True)
    differences = [t - p for p, t in pairs[1:]]
    low, _, high = quantiles(differences, n=4)
    target = arguments.get("path", ".")
    return (
        f"{root.name:10} {tool.name:10} {target:14} {median(plain):9.1f} {median(tools):9.1f} "
        f"{median(differences):+9.1f}   ({low:+.1f} … {high:+.1f})"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=["attrs", "rich", "click"])
    parser.add_argument("--runs", type=int, default=21)
    parser.add_argument("--out", type=Path, help="folder for the workspaces")
    options = parser.parse_args()
    print("milliseconds, medians      path             bare      tool  overhead   (quartiles)")
    with tempfile.TemporaryDirectory(prefix="punie-bench-") as folder:
        for name in options.names:
            root = build(name, options.out or Path(folder)).resolve()
            ruff, ty = program("ruff"), program("ty")
            rows: list[tuple[Tool, dict[str, Any], list[str]]] = [
                (ruff_check, {}, [ruff, *RUFF, "."]),
                (typecheck, {}, [ty, *TY, "."]),
            ]
            for file, text in (("test_small.py", SMALL), ("test_many.py", MANY)):
                (root / file).write_text(text)
                command = [sys.executable, *PYTEST, "-o", "addopts=", file]
                rows.append((pytest_run, {"path": file}, command))
            for tool, arguments, command in rows:
                row = measure(root, tool, arguments, command, options.runs)
                print(asyncio.run(row), flush=True)


if __name__ == "__main__":
    main()
