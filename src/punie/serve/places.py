"""The workspaces that a server may work on: those given at its start, or the client's roots."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from mcp import types

from punie.errors import UsageError
from punie.sandbox import Sandbox
from punie.serve.calls import Running
from punie.wrap import Context

Opener = Callable[[Path], AbstractAsyncContextManager[Context]]


@dataclass(frozen=True)
class Place:
    """An open workspace."""

    context: Context
    sandbox: Sandbox


class Places:
    """Opens workspaces when they are first needed, and closes them at the end."""

    def __init__(
        self, roots: Sequence[Path], opener: Opener, make_sandbox: Callable[[Context], Sandbox]
    ) -> None:
        """`roots` empty: the client's roots are asked for."""
        self.roots = list(dict.fromkeys(root.resolve() for root in roots))
        self.opener, self.make_sandbox = opener, make_sandbox
        self._open: dict[Path, Place] = {}
        self._lock = asyncio.Lock()
        self._stack = AsyncExitStack()

    @property
    def choice(self) -> dict[str, Any] | None:
        """Schema of the argument `workspace`; None where there is nothing to choose."""
        if len(self.roots) == 1:
            return None
        schema: dict[str, Any] = {
            "type": "string",
            "description": "The workspace: its folder. Needed when there are several.",
        }
        return schema | ({"enum": [str(r) for r in self.roots]} if self.roots else {})

    async def find(self, running: Running, given: object) -> Place:
        """The workspace of a call. Raises `UsageError` that lists those there are."""
        roots = self.roots or await self._client_roots(running)
        return await self._opened(_chosen(roots, given))

    async def close(self) -> None:
        """End the language servers and sandboxes."""
        await self._stack.aclose()

    async def _opened(self, root: Path) -> Place:
        async with self._lock:
            if root not in self._open:
                context = await self._stack.enter_async_context(self.opener(root))
                sandbox = await self._stack.enter_async_context(self.make_sandbox(context))
                self._open[root] = Place(context, sandbox)
            return self._open[root]

    async def _client_roots(self, running: Running) -> list[Path]:
        able = running.capabilities
        if able is None or able.roots is None:
            raise UsageError("this client offers no roots: start the server with --workspace DIR")
        answer = await running.ask(types.ListRootsRequest())
        if not isinstance(answer, types.ListRootsResult):
            raise UsageError(f"the client did not say its roots: {answer}")
        folders = [folder for root in answer.roots if (folder := _folder(str(root.uri)))]
        if not folders:
            raise UsageError("none of the client's roots is a folder here")
        return folders


def _folder(uri: str) -> Path | None:
    """The folder of a `file:` address, or None."""
    parts = urlsplit(uri)
    path = Path(unquote(parts.path))
    if parts.scheme != "file" or parts.netloc not in ("", "localhost") or "\0" in str(path):
        return None
    return path.resolve() if path.is_absolute() and path.is_dir() else None


def _chosen(roots: Sequence[Path], given: object) -> Path:
    """The one root, or the one whose path or name was given."""
    if given is None and len(roots) == 1:
        return roots[0]
    found = [r for r in roots if given == str(r)] or [r for r in roots if given == r.name]
    if len(found) == 1:
        return found[0]
    there = ", ".join(repr(str(root)) for root in roots)
    said = "is missing" if given is None else f"{given!r} is none of them"
    raise UsageError(f"workspace {said}: give one of {there}")
