"""Every tool has a time limit and can be cancelled, whatever it waits for; nothing stays behind.

In one workspace everything that a tool may rest on hangs: git, ruff and ty wait for a pipe in
place of their configuration, the language server says nothing, a test and a command sleep.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import repos
from punie.navigation.lsp import Server
from punie.tool import Tool, load_tools
from punie.workspace import Workspace
from punie.wrap import Context, call

TOOLS = load_tools()
HANGS = {
    "find_references": {"symbol": "total"},
    "git_diff": {},
    "git_log": {},
    "git_status": {},
    "goto_definition": {"symbol": "total"},
    "hover": {"symbol": "total"},
    "pytest_run": {},
    "ruff_check": {},
    "run_command": {"command": "sleep 60"},
    "typecheck": {},
    "workspace_symbols": {"query": "total"},
}
"""Arguments of tools that rest on another program."""
GUESSES = {"file_path": "app.py", "path": "app.py", "content": "x = 1\n", "commit": "HEAD"}
"""Arguments for the others, by parameter."""


@pytest.fixture
def stuck(tmp_path: Path) -> Path:
    root = repos.repository(
        tmp_path, {"app.py": "def total(): ...\n", "test_a.py": "import time\ntime.sleep(60)\n"}
    )
    for name in ("ruff.toml", "ty.toml", ".git/pipe"):
        os.mkfifo(root / name)
    with (root / ".git/config").open("a") as config:
        config.write("[include]\n\tpath = pipe\n")
    return root


@contextlib.asynccontextmanager
async def stuck_context(root: Path, **settings: Any) -> AsyncIterator[Context]:
    """A context whose language server never answers; ended on the way out."""
    context = repos.context(root, language_server="sleep 60", **settings)
    context.language_server = Server(Workspace(root), context.settings)
    try:
        yield context
    finally:
        await context.language_server.close()


def arguments(tool: Tool) -> dict[str, Any]:
    guessed = {p.name: GUESSES.get(p.name, "total") for p in tool.parameters if p.required}
    return tool.bind((), HANGS.get(tool.name, guessed))


def left_behind(root: Path, seconds: float = 5.0) -> list[str]:
    """Command lines of the processes that still work in a folder. What was killed is gone
    a moment later: it has some seconds."""
    deadline = time.monotonic() + seconds
    while (found := working(root)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def working(root: Path) -> list[str]:
    """Command lines of the processes that work in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cwd").readlink() == root.resolve():
                found.append((process / "cmdline").read_bytes().decode("utf-8", "replace"))
    return found


@pytest.mark.parametrize("name", TOOLS)
def test_the_message_names_the_tool_and_its_limit(stuck: Path, name: str) -> None:
    tool = TOOLS[name]

    async def run() -> Any:
        async with stuck_context(stuck, tool_seconds=0.3, test_seconds=0.4) as context:
            return (await call(tool, context, arguments(tool)))[0]

    start = time.monotonic()
    result = asyncio.run(run())
    assert time.monotonic() - start < 30  # it ended, however busy the machine
    if name in HANGS or not result.success:
        limit = "0.4" if name in ("pytest_run", "run_command") else "0.3"
        assert f"{name} took longer than its limit of {limit} s" in result.parse_error
    assert left_behind(stuck) == []


@pytest.mark.parametrize("name", TOOLS)
def test_a_cancelled_call_ends_and_takes_its_programs_with_it(stuck: Path, name: str) -> None:
    tool = TOOLS[name]

    async def run() -> bool:
        async with stuck_context(stuck) as context:
            running = asyncio.create_task(call(tool, context, arguments(tool)))
            await asyncio.wait({running}, timeout=0.2)
            running.cancel()
            done, _ = await asyncio.wait({running}, timeout=30)
            assert done, f"{name} goes on after it was cancelled"
            return running.cancelled()

    cancelled = asyncio.run(run())
    assert cancelled or name not in HANGS
    assert left_behind(stuck) == []
