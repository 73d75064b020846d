"""What tests of `punie mcp` share: a repository, servers over stdio and HTTP, and their clients."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters, types

from punie import cli
from punie.sandbox import Sandbox
from punie.serve.mcp import ToolServer
from punie.serve.places import Places
from punie.tool import load_tools

ERAS = pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
FILES: dict[str, str | bytes] = {
    "pkg/__init__.py": "",
    "pkg/core.py": '"""Core."""\n\n\ndef double(number: int) -> int:\n    """Twice."""\n'
    "    return number * 2\n",
    "pkg/use.py": "from pkg.core import double\n\nprint(double(2))\n",
    "tests/test_core.py": "from pkg.core import double\n\n\ndef test_it() -> None:\n"
    "    assert double(2) == 4\n",
}
CALLS: dict[str, dict[str, Any]] = {
    "hover": {"symbol": "double"},
    "goto_definition": {"symbol": "double"},
    "find_references": {"symbol": "double"},
    "document_symbols": {"file_path": "pkg/core.py"},
    "workspace_symbols": {"query": "double"},
    "typecheck": {},
    "ruff_check": {},
    "pytest_run": {},
    "git_status": {},
    "git_diff": {},
    "git_log": {"count": 1},
    "git_blame": {"path": "pkg/core.py"},
    "git_show": {"commit": "HEAD"},
    "git_branch": {},
    "read_file": {"path": "pkg/core.py"},
    "write_file": {"path": "new.py", "content": "x = 1\n"},
    "run_command": {"command": "echo hello"},
    "search_text": {"pattern": "double"},
    "list_files": {},
}
Connect = Callable[..., Any]


def connecting(root: Path) -> Connect:
    """Makes clients of a server in this process: `connect(*options, mode=…, …)`."""

    @contextlib.asynccontextmanager
    async def client(*options: str, **client_options: Any) -> AsyncIterator[Client]:
        flags = {"yes": "--yes" in options, "read_only": "--read-only" in options}
        tools = load_tools().values()
        places = Places(
            [] if "--roots" in options else [root],
            lambda place: cli.open_context(*cli.settings_for(str(place), **flags)),
            lambda context: Sandbox(tools, context.settings),
        )
        server = ToolServer(tools, places, read_only=flags["read_only"])
        try:
            async with Client(server.server, **client_options) as connected:
                yield connected
        finally:
            await server.close()

    return client


def spawning(root: Path, tmp_path: Path) -> Connect:
    """As `connecting`, with `punie mcp` as a child."""

    def client(*options: str, **client_options: Any) -> Client:
        return Client(parameters(root, tmp_path, *options), **client_options)

    return client


def environment(tmp_path: Path) -> dict[str, str]:
    return dict(os.environ) | {"PUNIE_DATA": str(tmp_path / "data")}


def parameters(root: Path, tmp_path: Path, *options: str) -> StdioServerParameters:
    return StdioServerParameters(
        command=sys.executable,
        args=["-m", "punie", "mcp", *options],
        cwd=root,
        env=environment(tmp_path),
    )


def start(root: Path, tmp_path: Path, *options: str, **more: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "punie", "mcp", *options],
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(tmp_path) | more,
    )


@contextlib.asynccontextmanager
async def serving(
    root: Path, tmp_path: Path, *options: str, at: str = "127.0.0.1:0", **more: str
) -> AsyncIterator[str]:
    """The address of an HTTP server, which ends clean."""
    server = start(root, tmp_path, "--http", at, *options, **more)
    try:
        assert server.stderr is not None
        line = await asyncio.to_thread(server.stderr.readline)
        yield line.decode().split()[-1].replace("0.0.0.0", "127.0.0.1")
        server.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(server.wait, 30) == 0
    finally:
        server.kill()
        server.wait()


def answers(
    decision: str, action: str = "accept", asked: list[str] | None = None
) -> Callable[..., Awaitable[types.ElicitResult]]:
    """A user who always answers the same, and what they were asked."""

    async def answer(context: Any, params: Any) -> types.ElicitResult:
        if asked is not None:
            asked.append(params.message)
        content = {"decision": decision} if action == "accept" else None
        return types.ElicitResult(action=action, content=content)

    return answer


def content(result: Any) -> dict[str, Any]:
    """The result object; the text must say the same."""
    (text,) = result.content
    assert json.loads(text.text) == result.structured_content
    found: dict[str, Any] = result.structured_content
    return found


async def until(true: Callable[[], bool], seconds: float = 30.0) -> bool:
    """Whether it came true in time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not true():
                await asyncio.sleep(0.1)
    return true()


def processes(word: str) -> list[str]:
    """Command lines of the processes that hold a word."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if word in line:
                found.append(line)
    return found
