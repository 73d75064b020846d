"""What the client does for Punie when it offers to: it writes files, and runs commands where the
user sees them. Its answers are checked; where it fails there is an error, and nothing else is done.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acp import interfaces, schema

from punie import strays
from punie.errors import ToolFailure
from punie.workspace import Completed

PARTING = 2.0
"""Seconds that a client has to end a command and to put its terminal away."""


@dataclass(frozen=True)
class Abilities:
    """What a client offers at its hello."""

    reads: bool = False
    """Files, with the changes that it has not saved."""
    writes: bool = False
    terminals: bool = False

    @classmethod
    def of(cls, told: schema.ClientCapabilities | None) -> Abilities:
        """From the client's capabilities."""
        files = told.fs if told else None
        return cls(
            bool(files and files.read_text_file),
            bool(files and files.write_text_file),
            bool(told and told.terminal),
        )


@dataclass(frozen=True)
class ClientSide:
    """The client of one turn, as tools use it: `punie.wrap.Editor`."""

    session: str
    client: interfaces.Client
    abilities: Abilities
    root: Path
    most: int
    """Bytes of a command's output that are kept."""
    embed: Callable[[schema.TerminalToolCallContent], Awaitable[None]]
    """Shows a terminal in the call that runs."""

    async def write(self, path: Path, text: str) -> bool:
        """Have the client write a file; False when it does not offer that.

        Raises `ToolFailure` when it cannot.
        """
        if not self.abilities.writes:
            return False
        with _blamed(f"write {path.name!r}"):
            await self.client.write_text_file(session_id=self.session, path=str(path), content=text)
        return True

    async def run(self, command: str, seconds: float) -> Completed | None:
        """Run a shell command in a terminal of the client; None when it does not offer that.

        Its output has both streams. It is ended at `seconds` and on cancellation, with what it
        started: there are clients that kill the shell and leave its children. Raises
        `ToolFailure` when the client cannot.
        """
        if not self.abilities.terminals:
            return None
        start, mark = time.monotonic(), strays.new_mark()
        place = await self._open(command, mark)
        ended: schema.WaitForTerminalExitResponse | None = None
        running = True
        try:
            await self.embed(
                schema.TerminalToolCallContent(type="terminal", terminal_id=place["terminal_id"])
            )
            with _blamed("run a command"):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        ended = await self.client.wait_for_terminal_exit(**place)
                if ended is None:
                    await self.client.kill_terminal(**place)
                    strays.end_marked(mark)
                running = False
                told = await self.client.terminal_output(**place)
        finally:
            await self._put_away(place, mark if running else "")
        return Completed(
            _status(ended),
            _lines(told.output).encode("utf-8", "replace"),
            b"",
            time.monotonic() - start,
            timed_out=ended is None,
            cut=told.truncated,
        )

    async def _open(self, command: str, mark: str) -> dict[str, Any]:
        """A terminal in which the command runs. Cancelled while the client opens it, end what
        the client has started all the same."""
        opening = asyncio.ensure_future(
            self.client.create_terminal(
                session_id=self.session,
                command="/bin/sh",
                args=["-c", command],
                cwd=str(self.root),
                env=[schema.EnvVariable(name=strays.MARK, value=mark)],
                output_byte_limit=self.most,
            )
        )
        try:
            with _blamed("open a terminal"):
                made = await asyncio.shield(opening)
        except asyncio.CancelledError:
            with contextlib.suppress(Exception):
                made = await asyncio.wait_for(opening, PARTING)
                await self._put_away(self._place(made), mark)
            strays.end_marked(mark)
            raise
        return self._place(made)

    def _place(self, made: schema.CreateTerminalResponse) -> dict[str, Any]:
        return {"session_id": self.session, "terminal_id": made.terminal_id}

    async def _put_away(self, place: dict[str, Any], mark: str) -> None:
        """End what runs with that mark (empty: nothing does) and release the terminal, whatever
        the client makes of it."""
        kill = [self.client.kill_terminal] if mark else []
        for ending in (*kill, self.client.release_terminal):
            with contextlib.suppress(Exception):
                await asyncio.wait_for(ending(**place), PARTING)
        if mark:
            strays.end_marked(mark)


@contextlib.contextmanager
def _blamed(what: str) -> Any:
    """Whatever the client answers instead of doing it becomes a `ToolFailure` that names it."""
    try:
        yield
    except Exception as error:
        raise ToolFailure(f"the editor could not {what}: {error}") from None


def _lines(output: str) -> str:
    """Output with the line ends that the command wrote: a terminal puts a return before each."""
    return output.replace("\r\n", "\n")


def _status(ended: schema.WaitForTerminalExitResponse | None) -> int:
    """Exit status; negative = the signal that ended it."""
    if ended is not None and ended.exit_code is not None:
        return ended.exit_code
    name = (ended and ended.signal) or "SIGKILL"
    number = signal.Signals.__members__.get(name if name.startswith("SIG") else f"SIG{name}")
    return -(number or signal.SIGTERM)
