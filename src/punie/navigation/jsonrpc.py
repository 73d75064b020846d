"""JSON-RPC 2.0 over a child's standard input and output, framed as the LSP frames it.

One `Connection` is one child process. It knows nothing of languages: it sends requests and
notifications, answers what the child asks, and says so when the child is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from punie.strays import tie, untie

METHOD_NOT_FOUND = -32601
STDERR_KEPT = 4000
"""Bytes of the child's last standard error that are kept for messages."""


class Gone(Exception):
    """The child has ended, does not speak the protocol, or does not answer in time."""


class Refused(Exception):
    """The child answered a request with an error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        """The JSON-RPC or LSP error code."""


class Connection:
    """A running child. Make one with `start`; `close` or `kill` ends its process group."""

    def __init__(self, process: Process, answer: Callable[[str, Any], Any]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self.process = process
        self._answer = answer
        self._writer = process.stdin
        self._pending: dict[int, asyncio.Future[Any]] = {}
        self._asked: dict[Any, str] = {}
        """The methods of the pending requests."""
        self._next = 0
        self._stderr = bytearray()
        self._why = ""
        self._tasks = [
            asyncio.create_task(self._read(process.stdout)),
            asyncio.create_task(self._drain(process.stderr)),
        ]

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        answer: Callable[[str, Any], Any],
    ) -> Connection:
        """Start the child in a process group of its own, which ends with this process.

        `answer(method, params)` gives the result of a request that the child makes, or raises
        `KeyError` for a method it does not know. Raises `OSError` when it cannot start.
        """
        process = await asyncio.create_subprocess_exec(
            *command, cwd=cwd, env=env, stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True
        )
        tie(process.pid)
        return cls(process, answer)

    @property
    def alive(self) -> bool:
        """Whether requests can be sent."""
        return not self._why and self.process.returncode is None

    @property
    def stderr(self) -> str:
        """The last of the child's standard error."""
        return self._stderr.decode("utf-8", "replace").strip()

    async def request(self, method: str, params: Any, *, timeout: float | None) -> Any:
        """Send a request and wait for its result.

        Raises `Refused` for an error answer and `Gone` when the child ended or did not answer
        within `timeout` seconds, if given. A cancelled request is cancelled at the child, too.
        """
        self._next += 1
        number, future = self._next, asyncio.get_running_loop().create_future()
        self._pending[number] = future
        self._asked[number] = method
        try:
            await self._send({"id": number, "method": method, "params": params})
            async with asyncio.timeout(timeout):
                return await future
        except TimeoutError:
            raise Gone(f"no answer to {method} within {timeout:g} s") from None
        except asyncio.CancelledError:
            if self.alive:
                self._write({"method": "$/cancelRequest", "params": {"id": number}})
            raise
        finally:
            del self._pending[number], self._asked[number]

    async def notify(self, method: str, params: Any) -> None:
        """Send a notification. Raises `Gone` when the child has ended."""
        await self._send({"method": method, "params": params})

    async def close(self, *, timeout: float) -> None:
        """Ask the child to shut down and wait up to `timeout` seconds, then kill its group."""
        try:
            with contextlib.suppress(Gone, Refused, TimeoutError):
                async with asyncio.timeout(timeout):
                    await self.request("shutdown", None, timeout=timeout)
                    await self.notify("exit", None)
                    self._writer.close()
                    await self.process.wait()
        finally:
            await self.kill()

    async def kill(self) -> None:
        """Kill the child's process group and wait until it and its pipes are closed."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        untie(self.process.pid)
        self._end("it was stopped")
        self._writer.close()
        # Both tasks end with their pipes, unless a child that left the group holds them open.
        await asyncio.wait(self._tasks, timeout=1.0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.process.wait()

    async def _send(self, message: dict[str, Any]) -> None:
        if not self.alive:
            raise Gone(self._why or f"it ended with exit code {self.process.returncode}")
        try:
            self._write(message)
            await self._writer.drain()
        except (ConnectionError, RuntimeError) as error:
            raise Gone(f"it reads no more ({error})") from None

    def _write(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}, separators=(",", ":")).encode()
        self._writer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)

    async def _read(self, stream: asyncio.StreamReader) -> None:
        try:
            while True:
                message = await receive(stream)
                if "method" not in message:
                    self._settle(message)
                elif "id" in message:
                    if self._asked.get(message["id"]) == message["method"]:
                        return self._end("it echoes what it is asked: it is no language server")
                    self._write({"id": message["id"]} | self._reply(message))
        except asyncio.IncompleteReadError:
            self._end("it ended")
        except (ValueError, KeyError, TypeError, AttributeError, asyncio.LimitOverrunError):
            self._end("it does not speak the language server protocol")
        except (ConnectionError, RuntimeError) as error:
            self._end(f"its pipe broke ({error})")

    def _settle(self, message: dict[str, Any]) -> None:
        future = self._pending.get(message.get("id", -1))
        if future is None or future.done():  # cancelled meanwhile
            return
        if error := message.get("error"):
            future.set_exception(Refused(error.get("code", 0), error.get("message", "")))
        else:
            future.set_result(message.get("result"))

    def _reply(self, message: dict[str, Any]) -> dict[str, Any]:
        method = message["method"]
        try:
            return {"result": self._answer(method, message.get("params"))}
        except KeyError:
            text = f"{method} is not offered"
            return {"error": {"code": METHOD_NOT_FOUND, "message": text}}

    async def _drain(self, stream: asyncio.StreamReader) -> None:
        while chunk := await stream.read(65536):
            self._stderr += chunk
            del self._stderr[:-STDERR_KEPT]

    def _end(self, why: str) -> None:
        self._why = self._why or why
        for future in self._pending.values():
            if not future.done():
                future.set_exception(Gone(self._why))


async def receive(stream: asyncio.StreamReader) -> dict[str, Any]:
    """The next message; `ValueError` when it is not framed or no JSON object."""
    length = None
    while line := (await stream.readuntil(b"\n")).strip():
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    if length is None:
        raise ValueError("a message without Content-Length")
    body = await stream.readexactly(length)
    try:
        message = json.loads(body)
    except RecursionError:
        raise ValueError("a message that is nested beyond measure") from None
    if not isinstance(message, dict):
        raise ValueError("a message that is no object")
    return message
