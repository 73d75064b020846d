"""Two implementations that know Python independently of ty: basedpyright and jedi.

Both run in the Python given, which may be another environment's. Both answer with places; places
outside the repository are shortened to their file's name.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any, Protocol

from punie.navigation.jsonrpc import Connection, Refused
from punie.navigation.outline import path_of
from scopes import Place

SECONDS = 120.0
"""Longest wait for one answer."""


class Judge(Protocol):
    """Answers two questions about a place that holds a name."""

    async def definitions(self, place: Place) -> set[Place]:
        """Where what stands there is declared."""
        ...

    async def references(self, place: Place) -> set[Place]:
        """Where what stands there is used or declared."""
        ...

    async def close(self) -> None:
        """End it."""
        ...


class Pyright:
    """basedpyright's language server. It counts columns in UTF-16 units."""

    def __init__(self, root: Path, connection: Connection) -> None:
        self.root, self._connection = root, connection
        self._lines: dict[Path, list[str]] = {}
        self._open: set[Path] = set()

    @classmethod
    async def start(cls, root: Path, python: str, probe: str) -> Pyright:
        """Start it on a repository, and wait until it knows the class `probe`.

        Before that it answers, but from the few files that it has read.
        """
        program = Path(python).parent / "basedpyright-langserver"

        def configuration(method: str, params: Any) -> Any:
            if method != "workspace/configuration":
                return None
            # Without it, an installed project of the same name goes before one in `src`.
            found: dict[str, Any] = {"autoSearchPaths": True, "diagnosticMode": "openFilesOnly"}
            found["typeCheckingMode"] = "off"
            sections = {"python.analysis": found, "basedpyright.analysis": found}
            whole = {"pythonPath": python, "analysis": found}
            return [sections.get(item.get("section", ""), whole) for item in params["items"]]

        connection = await Connection.start(
            [str(program), "--stdio"], cwd=root, env=dict(os.environ), answer=configuration
        )
        folder = {"uri": root.as_uri(), "name": root.name}
        offer = {"processId": os.getpid(), "rootUri": root.as_uri(), "workspaceFolders": [folder]}
        offer["capabilities"] = {"workspace": {"configuration": True}}
        await connection.request("initialize", offer, timeout=SECONDS)
        await connection.notify("initialized", {})
        async with asyncio.timeout(SECONDS):
            asked = {"query": probe}
            while not await connection.request("workspace/symbol", asked, timeout=SECONDS):
                await asyncio.sleep(0.2)
        return cls(root, connection)

    async def definitions(self, place: Place) -> set[Place]:
        """See `Judge`."""
        return await self._ask("definition", place, {})

    async def references(self, place: Place) -> set[Place]:
        """See `Judge`."""
        more = {"context": {"includeDeclaration": True}}
        return await self._ask("references", place, more)

    async def close(self) -> None:
        """See `Judge`."""
        await self._connection.kill()

    async def _ask(self, method: str, place: Place, more: dict[str, Any]) -> set[Place]:
        path = self.root / place.file
        document: dict[str, Any] = {"uri": path.as_uri()}
        if path not in self._open:
            self._open.add(path)
            opened = document | {"languageId": "python", "version": 1, "text": path.read_text()}
            await self._connection.notify("textDocument/didOpen", {"textDocument": opened})
        before = self._line(path, place.line)[: place.column - 1]
        position = {"line": place.line - 1, "character": len(before.encode("utf-16-le")) // 2}
        params = {"textDocument": document, "position": position} | more
        try:
            found = await self._connection.request(
                f"textDocument/{method}", params, timeout=SECONDS
            )
        except Refused:
            return set()
        return {self._place(each["uri"], each["range"]["start"]) for each in found or []}

    def _place(self, uri: str, start: dict[str, int]) -> Place:
        path = path_of(uri)
        units = self._line(path, start["line"] + 1).encode("utf-16-le")[: 2 * start["character"]]
        return shorten(self.root, path, start["line"] + 1, len(units.decode("utf-16-le")) + 1)

    def _line(self, path: Path, line: int) -> str:
        if path not in self._lines:
            self._lines[path] = path.read_text().split("\n") if path.is_file() else []
        lines = self._lines[path]
        return lines[line - 1] if 0 < line <= len(lines) else ""


class Jedi:
    """jedi, in a child that answers one JSON line for each."""

    def __init__(self, root: Path, process: asyncio.subprocess.Process) -> None:
        self.root, self._process = root, process

    @classmethod
    async def start(cls, root: Path, python: str) -> Jedi:
        """Start it on a repository."""
        program = Path(__file__).with_name("jedi_child.py")
        process = await asyncio.create_subprocess_exec(
            python, str(program), str(root),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=2**26,
        )  # fmt: skip
        return cls(root, process)

    async def definitions(self, place: Place) -> set[Place]:
        """See `Judge`."""
        return await self._ask("definitions", place)

    async def references(self, place: Place) -> set[Place]:
        """See `Judge`."""
        return await self._ask("references", place)

    async def close(self) -> None:
        """See `Judge`."""
        assert self._process.stdin
        self._process.stdin.close()
        await self._process.wait()

    async def _ask(self, what: str, place: Place) -> set[Place]:
        assert self._process.stdin
        assert self._process.stdout
        asked = [what, place.file, place.line, place.column]
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        await self._process.stdin.drain()
        answer = json.loads(await self._process.stdout.readline())
        if isinstance(answer, str):
            print(f"jedi {asked}: {answer}", file=sys.stderr)
            return set()
        return {shorten(self.root, Path(file), line, column) for file, line, column in answer}


def shorten(root: Path, path: Path, line: int, column: int) -> Place:
    """A place; outside of the repository only the file's name counts."""
    if root in path.parents:
        return Place(path.relative_to(root).as_posix(), line, column)
    return Place(outside(path), 0, 0)


def outside(path: Path) -> str:
    """How a file outside of the repository is shown: by its module's own name."""
    return f"<{path.parent.name if path.stem == '__init__' else path.stem}>"
