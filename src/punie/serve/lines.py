"""JSON messages, one a line, on standard input and output, which nothing else may touch.

The transport of the ACP package drops what it cannot parse, and ends when a line is valid JSON
but no object; this one answers both with an error, as JSON-RPC asks for.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import queue
import threading
from typing import Any

from punie.errors import UsageError

LONGEST = 64 * 2**20
"""Bytes of the longest message that is read."""
AHEAD = 100
"""Messages that wait to be handled before reading pauses."""


class Lines:
    """Messages over two file descriptors, read and written by threads: pipes and files both do."""

    def __init__(self, source: int, sink: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._inbox: asyncio.Queue[bytes] = asyncio.Queue(AHEAD)
        self._outbox: queue.SimpleQueue[tuple[bytes, asyncio.Future[None]] | None]
        self._outbox = queue.SimpleQueue()
        self._broken = False
        self._unanswered = 0
        threading.Thread(target=self._read, args=(source,), daemon=True).start()
        self._writer = threading.Thread(target=self._write, args=(sink,), daemon=True)
        self._writer.start()

    async def send(self, message: dict[str, Any]) -> None:
        """Write a message. Raises ConnectionError when nobody reads any more."""
        if "method" not in message and message["id"] is not None:
            self._unanswered -= 1
        if self._broken:
            raise ConnectionError("the client has gone")
        written = self._loop.create_future()
        self._outbox.put((json.dumps(message, separators=(",", ":")).encode() + b"\n", written))
        await written

    async def receive(self) -> dict[str, Any] | None:
        """The next message; None at the end of the input."""
        while line := await self._inbox.get():
            if not line.strip():
                continue
            try:
                message = json.loads(line)
            except (ValueError, RecursionError) as error:
                await self._refuse(-32700, f"Parse error: {error}")
                continue
            if isinstance(message, dict):
                self._unanswered += "method" in message and message.get("id") is not None
                return message
            await self._refuse(-32600, "Invalid request: a message is one JSON object")
        return None

    async def answered(self) -> None:
        """Wait until every request has its answer, for at most two seconds.

        Input that ends at once, as from a file, ends before its requests have been looked at.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2.0):
                while self._unanswered > 0:
                    await asyncio.sleep(0.01)

    async def close(self) -> None:
        """Write out what waits, for at most two seconds."""
        self._outbox.put(None)
        await asyncio.to_thread(self._writer.join, 2.0)

    async def _refuse(self, code: int, text: str) -> None:
        await self.send({"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": text}})

    def _read(self, source: int) -> None:
        with contextlib.suppress(RuntimeError), open(source, "rb") as file:  # the loop has ended
            while True:
                try:
                    line = file.readline(LONGEST)
                except OSError:
                    line = b""
                asyncio.run_coroutine_threadsafe(self._inbox.put(line), self._loop).result()
                if not line:
                    return

    def _write(self, sink: int) -> None:
        with contextlib.suppress(RuntimeError):
            while item := self._outbox.get():
                data, written = item
                try:
                    while data:
                        data = data[os.write(sink, data) :]
                except OSError:
                    self._broken = True
                self._loop.call_soon_threadsafe(_settle, written, self._broken)


def _settle(written: asyncio.Future[None], broken: bool) -> None:
    if written.done():
        return
    if broken:
        written.set_exception(ConnectionError("the client has gone"))
    else:
        written.set_result(None)


def standard_streams() -> tuple[int, int]:
    """Descriptors of our own for standard input and output, which are then taken from all others:

    what prints goes to standard error, what reads finds nothing. Raises `UsageError` when one of
    them is closed.
    """
    try:
        ours = os.dup(0), os.dup(1)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
    except OSError as error:
        raise UsageError(f"standard input, output and error must be open: {error}") from None
    return ours
