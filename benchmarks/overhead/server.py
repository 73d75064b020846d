"""The server requests that a tool sends, seen once and sent again by bare means."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from punie.navigation.lsp import Server
from punie.settings import Settings
from punie.tool import load_tools
from punie.workspace import Workspace
from punie.wrap import Context, call

KINDS = (5, 6, 12)
"""Classes, methods and functions."""
EDITED = "edited_meanwhile.py"
TICK = 0.06
"""Seconds after which a file that was written counts as settled."""


@dataclass
class Sent:
    """One request and when it ran."""

    method: str
    params: dict[str, Any]
    start: float
    end: float = 0.0


class Recorder:
    """A language server that notes what it is asked."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.sent: dict[str, Sent] = {}

    async def request(self, method: str, params: dict[str, Any], *, fresh: bool = True) -> Any:
        key = f"{method} {json.dumps(params, sort_keys=True)}"
        one = self.sent.setdefault(key, Sent(method, params, time.perf_counter()))
        answer = await self.server.request(method, params, fresh=fresh)
        one.end = one.end or time.perf_counter()
        return answer

    async def texts(self, *, fresh: bool = True) -> dict[Path, bytes]:
        return await self.server.texts(fresh=fresh)

    async def close(self) -> None:
        await self.server.close()

    def batches(self) -> list[list[Sent]]:
        """What was sent at once: each until the first answer of those before it."""
        found: list[list[Sent]] = []
        for one in sorted(self.sent.values(), key=lambda sent: sent.start):
            if found and one.start < min(other.end for other in found[-1]):
                found[-1].append(one)
            else:
                found.append([one])
        return found


class ServerRows:
    """Questions about a workspace and the bare way to what their answers rest on."""

    TOOLS = (
        *("hover", "goto_definition", "find_references"),
        *("document_symbols", "workspace_symbols"),
    )

    def __init__(self, workspace: Workspace, settings: Settings) -> None:
        self.root = workspace.root
        self.server = Server(workspace, settings)
        self.context = Context(workspace, settings, self.server)
        self._edits = 0

    async def questions(self, tool: str, most: int) -> list[dict[str, Any]]:
        """Arguments of questions, evenly drawn from the workspace, that the tool can answer."""
        places: dict[tuple[str, str], None] = {}
        for path in sorted(self.root.rglob("*.py")):
            file = path.relative_to(self.root).as_posix()
            outline = {"textDocument": {"uri": path.as_uri()}}
            for symbol in await self.server.request("textDocument/documentSymbol", outline) or []:
                for each in (symbol, *(symbol.get("children") or [])):
                    inside = "" if each is symbol else f"{symbol['name']}."
                    if each["kind"] in KINDS and file != EDITED:
                        places[file, inside + each["name"]] = None
        found: list[dict[str, Any]] = []
        if tool == "document_symbols":
            found = [{"file_path": file} for file in dict.fromkeys(file for file, _ in places)]
        elif tool == "workspace_symbols":
            names = dict.fromkeys(name.rpartition(".")[2] for _, name in places)
            found = [{"query": name} for name in names]
        else:
            found = [{"file_path": file, "symbol": name} for file, name in places]
        chosen = found[:: max(1, len(found) // most)][: most * 2]
        fine = [asked for asked in chosen if await self._fine(tool, asked)]
        return fine[:most]

    async def _fine(self, tool: str, arguments: dict[str, Any]) -> bool:
        result, _ = await call(load_tools()[tool], self.context, arguments)
        return result.success

    async def edit(self) -> None:
        """Write a file that no question is about, and wait until its time is past."""
        self._edits += 1
        (self.root / EDITED).write_text(f"edited = {self._edits}\n")
        await asyncio.sleep(TICK)

    async def bare(
        self, tool: str, arguments: dict[str, Any], *, edited: bool
    ) -> tuple[Callable[[], Awaitable[None]], Callable[[], Awaitable[None]] | None]:
        """The bare way to an answer, and what goes before it each time."""
        recorder = Recorder(self.server)
        await call(load_tools()[tool], replace(self.context, language_server=recorder), arguments)
        batches = recorder.batches()
        connection = await self.server._ready(False)
        change = {"changes": [{"uri": (self.root / EDITED).as_uri(), "type": 2}]}

        async def send() -> None:
            if edited:
                await connection.notify("workspace/didChangeWatchedFiles", change)
            for batch in batches:
                waiting = [connection.request(s.method, s.params, timeout=None) for s in batch]
                await asyncio.gather(*waiting)

        await self.edit()
        return send, self.edit if edited else None
