"""A program in an editor while the model writes it: a pending call that grows.

Drafts are shown and not kept: a session that is loaded again shows the program as it ran.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from acp import schema

from punie.serve import looks

BEAT = 0.1
"""Seconds between two updates."""
Send = Callable[[schema.ToolCallStart | schema.ToolCallProgress], Awaitable[None]]


class Draft:
    """The program that is being written now, if any. `send` shows an update to the client."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._call = self._code = self._drawn = ""
        self._wake = asyncio.Event()
        self._drawing: asyncio.Task[None] | None = None

    def write(self, code: str) -> None:
        """Show this much of the program at the next beat."""
        self._code = code
        if code and self._drawing is None:
            self._wake.clear()
            self._drawing = asyncio.create_task(self._draw())

    async def settle(self) -> str:
        """End drawing; the id of the call that the client was shown, "" if it saw none."""
        self._wake.set()
        if self._drawing:
            await self._drawing
        call, self._call, self._drawing, self._code, self._drawn = self._call, "", None, "", ""
        return call

    async def _draw(self) -> None:
        while not self._wake.is_set():
            if self._code and self._code != self._drawn:
                self._drawn = self._code
                await self._show(self._code)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), BEAT)

    async def _show(self, code: str) -> None:
        content: list[Any] = [looks.fenced(code, "python")]
        if self._call:
            await self._send(
                schema.ToolCallProgress(
                    session_update="tool_call_update",
                    tool_call_id=self._call,
                    title=looks.headline(code),
                    content=content,
                )
            )
            return
        self._call = looks.new_call()
        await self._send(
            schema.ToolCallStart(
                session_update="tool_call",
                tool_call_id=self._call,
                title=looks.headline(code),
                kind="execute",
                status="pending",
                content=content,
            )
        )
