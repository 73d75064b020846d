"""What tests of the language server share: a small package, a server over it, its answers."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from punie.navigation.jsonrpc import Connection
from punie.navigation.lsp import Server
from punie.settings import Settings
from punie.tool import Result, load_tools
from punie.workspace import Workspace
from punie.wrap import call
from repos import context, write

TY = Path(sys.executable).with_name("ty")
FILES: dict[str, str | bytes] = {
    "pkg/__init__.py": "from pkg.core import Base, helper as assist\n",
    "pkg/core.py": (
        "class Base:\n"
        "    def run(self) -> int:\n"
        '        """Run a_b."""\n'
        "        return 1\n"
        "\n"
        "    @property\n"
        "    def size(self) -> int:\n"
        "        return 1\n"
        "\n"
        "class Child(Base):\n"
        "    def run(self) -> int:\n"
        "        return 2\n"
        "\n"
        "def helper() -> int:\n"
        "    total = 1\n"
        "    return total\n"
    ),
    "pkg/use.py": (
        "from pkg.core import Child, helper\n"
        "\n"
        "def main() -> int:\n"
        "    child = Child()\n"
        "    return child.run() + helper()\n"
    ),
}


@asynccontextmanager
async def serving(root: Path, *, timeout: float = 12.0, **settings: Any) -> AsyncIterator[Server]:
    server = Server(Workspace(root), Settings(**settings), timeout=timeout)
    try:
        yield server
    finally:
        await server.close()


def run(root: Path, check: Callable[[Server], Awaitable[None]], **settings: Any) -> None:
    """Run a check on a server of its own over `FILES` in `root`."""

    async def main() -> None:
        async with serving(root, **settings) as server:
            await check(server)

    write(root, FILES)
    asyncio.run(main())


@asynccontextmanager
async def bare(root: Path, **offer: Any) -> AsyncIterator[tuple[Connection, Any]]:
    """A server without our sweep, and its answer to `initialize` with this offer."""
    connection = await Connection.start(
        [str(TY), "server"], cwd=root, env=dict(os.environ), answer=lambda method, params: None
    )
    folder = {"uri": root.as_uri(), "name": root.name}
    offer = {"processId": None, "workspaceFolders": [folder], "capabilities": {}} | offer
    try:
        answer = await connection.request("initialize", offer, timeout=20)
        await connection.notify("initialized", {})
        yield connection, answer
    finally:
        await connection.kill()


def at(path: Path, line: int, column: int, **more: Any) -> dict[str, Any]:
    """LSP parameters of a place that is given 1-based."""
    position = {"line": line - 1, "character": column - 1}
    return {"textDocument": {"uri": path.as_uri()}, "position": position} | more


def places(links: Any) -> list[str]:
    """`file:line` of links or locations, sorted."""
    found = []
    for link in links or []:
        uri = link.get("targetUri") or link["uri"]
        start = (link.get("targetSelectionRange") or link["range"])["start"]
        found.append(f"{uri.rsplit('/', 1)[-1]}:{start['line'] + 1}")
    return sorted(found)


async def names(server: Server, query: str) -> list[str]:
    found = await server.request("workspace/symbol", {"query": query})
    return sorted(s["name"] for s in found or [])


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return state(pid) != "Z"


def state(pid: int) -> str:
    """The kernel's letter for a process's state; empty where there is no /proc."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.read_text().rsplit(")", 1)[1].split()[0] if stat.exists() else ""


class Session:
    """One server and one event loop for all tests of a module; calls tools by name."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.runner = asyncio.Runner()
        self.server = Server(Workspace(root), context(root).settings)
        self.context = context(root, self.server)

    def __call__(self, name: str, **arguments: Any) -> Any:
        result, _ = self.runner.run(call(load_tools()[name], self.context, arguments))
        return result

    def fails(self, name: str, **arguments: Any) -> str:
        result: Result = self(name, **arguments)
        assert not result.success
        assert result.parse_error
        return result.parse_error


def session(root: Path, files: dict[str, str | bytes]) -> Iterator[Session]:
    """A session over these files, which ends when the fixture that yields it does."""
    write(root, files)
    opened = Session(root)
    with opened.runner:
        yield opened
        opened.runner.run(opened.server.close())
