"""One language server: start, keep fresh, ask, restart.

`Server` runs `ty server` (or the command in the settings) for one workspace. It holds no open
documents: before a query it compares the Python files on disk with what the server was told and
sends the differences, so that an answer is about the files as they are now. Until one of them
changes, an answer is kept and given again.
"""

from __future__ import annotations

import asyncio
import html
import json
import os
import re
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from punie.errors import ToolFailure
from punie.navigation.answers import misfit, outside
from punie.navigation.jsonrpc import Connection, Gone, Refused
from punie.navigation.sweep import CHANGED, Sweep, look
from punie.settings import Settings
from punie.text import is_utf8
from punie.workspace import Workspace, child_environment, program

PATIENCE = 12.0
"""Seconds of silence until the server must show that it lives. A tool has a limit of its own."""
CLOSE_SECONDS = 1.0
RETRIED = frozenset({-32801, -32802})
"""LSP codes ContentModified and ServerCancelled: the request may be sent again."""
MOST_KEPT = 4000
"""Answers that are kept until a file changes."""


class LanguageServer(Protocol):
    """Answers LSP requests about one workspace."""

    async def request(self, method: str, params: dict[str, Any], *, fresh: bool = True) -> Any:
        """The result of an LSP request, on the files as they are on disk now.

        With `fresh` false, as they were at the last request with `fresh`: for the further requests
        of one query. Positions are 0-based and count Python `str` characters (utf-32). The result
        is shared: do not change it. Raises `ToolFailure`.
        """
        ...

    async def texts(self, *, fresh: bool = True) -> dict[Path, bytes]:
        """The workspace's Python files with their content, as the answers are about them."""
        ...

    async def close(self) -> None:
        """End the server; later requests fail."""
        ...


class Server:
    """A language server as a child process, started at the first request.

    A server that dies or hangs is started again once and the request is sent again. All calls,
    `close` included, belong into one event loop.
    """

    def __init__(
        self, workspace: Workspace, settings: Settings, *, timeout: float = PATIENCE
    ) -> None:
        self.workspace = workspace
        self.settings = settings
        self.timeout = timeout
        """Seconds of silence after which the server is asked whether it lives."""
        self._connection: Connection | None = None
        self._closed = False
        self._lock = asyncio.Lock()
        self._inside = workspace.root.as_uri().rstrip("/") + "/"
        self._sweep = Sweep()
        self._started = 0
        self._sweeps = 0
        self._kept: dict[str, Any] = {}
        self._kept_version = 0

    @property
    def pid(self) -> int | None:
        """Process id of the running server, or None."""
        running = self._connection is not None and self._connection.alive
        return self._connection.process.pid if self._connection and running else None

    async def request(self, method: str, params: dict[str, Any], *, fresh: bool = True) -> Any:
        """See `LanguageServer.request`."""
        failure: Exception = Gone("it was not started")
        key = f"{method} {json.dumps(params, sort_keys=True)}"
        for _ in range(2):
            connection = None
            try:
                connection = await self._ready(fresh)
                version = self._sweep.version
                if self._kept_version != version or len(self._kept) > MOST_KEPT:
                    self._kept, self._kept_version = {}, version
                if key not in self._kept:
                    answer = await self._ask(connection, method, params)
                    if await self._outdated(connection, answer):
                        answer = await self._ask(connection, method, params)
                    if wrong := misfit(method, answer):
                        raise ToolFailure(
                            f"language server {self._name()!r} answered {method} in a form that "
                            f"it must not have ({wrong}): use another or correct its setting"
                        )
                    if version != self._kept_version:  # a file changed while it was made
                        return answer
                    self._kept[key] = answer
                return self._kept[key]
            except Refused as error:
                raise ToolFailure(f"language server refused {method}: {error}") from None
            except Gone as error:
                failure = error
                if connection is not None:
                    await self._drop(connection)
        raise ToolFailure(
            f"language server {self._name()!r} failed twice: {failure}; run it by hand to see why"
        )

    async def texts(self, *, fresh: bool = True) -> dict[Path, bytes]:
        """See `LanguageServer.texts`."""
        try:
            await self._ready(fresh)
        except Gone as error:
            raise ToolFailure(f"language server {self._name()!r} failed: {error}") from None
        return await asyncio.to_thread(self._sweep.texts)

    async def close(self) -> None:
        """See `LanguageServer.close`."""
        self._closed = True
        async with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                await connection.close(timeout=CLOSE_SECONDS)

    async def _ask(self, connection: Connection, method: str, params: dict[str, Any]) -> Any:
        """Send a request; again, a few times, when a change on disk made the server drop it."""
        for delay in (0.01, 0.05, 0.25):
            try:
                return await self._wait(connection, method, params)
            except Refused as error:
                if error.code not in RETRIED:
                    raise
                await asyncio.sleep(delay)
        return await self._wait(connection, method, params)

    async def _wait(self, connection: Connection, method: str, params: dict[str, Any]) -> Any:
        """Wait for an answer as long as the server still answers others: slow is not hung."""
        running = asyncio.create_task(connection.request(method, params, timeout=None))
        try:
            while True:
                done, _ = await asyncio.wait({running}, timeout=self.timeout)
                if done:
                    return running.result()
                await connection.request("workspace/symbol", {"query": ""}, timeout=self.timeout)
        finally:
            running.cancel()

    async def _ready(self, fresh: bool) -> Connection:
        """A running server that, if `fresh`, knows the disk as it was after this call began."""
        before = self._sweeps
        async with self._lock:
            if self._closed:
                raise ToolFailure("language server was closed: no more questions can be asked")
            connection = self._connection
            if connection is not None and not connection.alive:
                await connection.kill()
                connection = None
            if connection is None:
                self._connection = connection = await self._start()
            elif fresh and self._sweeps == before:  # else a sweep began since: it serves this, too
                self._sweeps += 1
                self._connection = connection = await self._refresh(connection)
            return connection

    async def _drop(self, connection: Connection) -> None:
        async with self._lock:
            if self._connection is connection:
                self._connection = None
            await connection.kill()

    async def _start(self) -> Connection:
        self._sweeps += 1
        self._started = time.time_ns()
        self._sweep.note(await asyncio.to_thread(look, *self._watched()))
        command = self.settings.server_command or [program("ty"), "server"]
        try:
            connection = await Connection.start(
                command, cwd=self.workspace.root, env=self._environment(), answer=_answer
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise ToolFailure(
                f"cannot start language server {command[0]!r}: {reason}; "
                "correct the setting `language_server` or run `pip install ty`"
            ) from None
        try:
            await connection.request(
                "initialize", _offer(self.workspace.root), timeout=self.timeout
            )
            await connection.notify("initialized", {})
        except Refused as error:
            await connection.kill()
            raise Gone(f"it refused to start: {error}") from None
        except BaseException as error:
            await connection.kill()
            if isinstance(error, Gone) and connection.stderr:
                raise Gone(f"{error}: {connection.stderr.splitlines()[-1]}") from None
            raise
        return connection

    async def _refresh(self, connection: Connection) -> Connection:
        """Tell the server what changed on disk; start a new one where telling does not help."""
        seen = await asyncio.to_thread(look, *self._watched())
        changes = self._sweep.note(seen)  # from here on nothing may wait until they are sent
        if self._sweep.stale:
            await connection.close(timeout=CLOSE_SECONDS)
            return await self._start()
        if changes:
            await _tell(connection, changes)
        return connection

    def _watched(self) -> tuple[Path, frozenset[str], frozenset[str]]:
        return self.workspace.root, frozenset(self._sweep.doubtful), self._sweep.named

    async def _outdated(self, connection: Connection, answer: Any) -> bool:
        """Whether an answer names files outside the workspace for the first time, of which the
        server may know an older state; it is told then.
        """
        paths = outside(answer, self._inside)
        late = self._sweep.name(paths, self._started) if paths else []
        if late:
            await _tell(connection, [(path, CHANGED) for path in late])
        return bool(late)

    def _environment(self) -> dict[str, str]:
        """Ours, but Punie's own virtual environment is not taken for the workspace's."""
        env = child_environment()
        if env.get("VIRTUAL_ENV") == sys.prefix:
            del env["VIRTUAL_ENV"]
        return env

    def _name(self) -> str:
        return " ".join(self.settings.server_command or ["ty", "server"])


async def _tell(connection: Connection, changes: Iterable[tuple[str, int]]) -> None:
    named = [(path, kind) for path, kind in changes if path.isascii() or is_utf8(path)]
    events = [{"uri": Path(path).as_uri(), "type": kind} for path, kind in named]
    await connection.notify("workspace/didChangeWatchedFiles", {"changes": events})


def _offer(root: Path) -> dict[str, Any]:
    """Parameters of `initialize`. What is offered here decides the shapes of all answers."""
    return {
        "processId": os.getpid(),
        "rootUri": root.as_uri(),
        "workspaceFolders": [{"uri": root.as_uri(), "name": root.name}],
        "initializationOptions": {
            "diagnosticMode": "workspace",
            # Else it knows no types in code for other platforms, and finds no uses there.
            "configuration": {"environment": {"python-platform": "all"}},
        },
        "capabilities": {
            "general": {"positionEncodings": ["utf-32"]},
            "textDocument": {
                "hover": {"contentFormat": ["markdown"]},
                "definition": {"linkSupport": True},
                "implementation": {"linkSupport": True},
                "documentSymbol": {"hierarchicalDocumentSymbolSupport": True},
            },
        },
    }


def _answer(method: str, params: Any) -> Any:
    """What the server may ask of us; all of it has an empty answer."""
    if method == "workspace/configuration":
        return [None] * len(params["items"])
    if method == "workspace/workspaceFolders":
        return None
    if method in (
        "client/registerCapability",
        "client/unregisterCapability",
        "window/workDoneProgress/create",
        "window/showMessageRequest",
    ):
        return None
    raise KeyError(method)


def hover_parts(markdown: str) -> tuple[str, str]:
    """Signature on one line an overload, and docstring, both plain, of a hover's markdown."""
    fence = re.match(r"```\w*\n(.*?)\n```(?:\n---)?\n?", markdown, re.DOTALL)
    signature = fence[1] if fence else ""
    signature = re.sub(r"([(\[{])\n[ \t]+", r"\1", signature)
    signature = re.sub(r",\n[ \t]+", ", ", signature)
    signature = re.sub(r",?\n[ \t]*([)\]}])", r"\1", signature)
    signature = re.sub(r"^<(class|module) '([^']*)'>$", r"\1 \2", signature)
    rest = markdown[fence.end() :] if fence else markdown
    rest = re.sub(r"^#+ |\*\*(.+?)\*\*", r"\1", rest, flags=re.MULTILINE)
    rest = re.sub(r"\\([\\`*_{}\[\]()#+\-.!<>~|])", r"\1", html.unescape(rest))
    return signature, "\n".join(line.rstrip() for line in rest.splitlines()).strip()
