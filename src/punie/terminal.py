"""What a terminal shows: progress, approvals, and text whose escapes are shown, not obeyed."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import termios
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

from punie.remembered import Scope
from punie.wrap import Request

if TYPE_CHECKING:
    from rich.status import Status

DELAY = 1.0
"""Seconds that something may take before the terminal says what is going on."""

MOST_COVERED = 100
"""Characters of what an answer covers that a question shows."""

CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Characters that a terminal obeys rather than shows; tab and line feed are not among them."""


def visible(text: str) -> str:
    """Text with its control and direction characters spelled out, so that none is obeyed."""
    text = text.replace("\r\n", "\n")
    return CONTROLS.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


class TerminalApprover:
    """Asks on the terminal, showing path or command, diff and how long each answer holds."""

    def __init__(self, progress: Progress | None = None) -> None:
        self.progress = progress

    async def approve(self, request: Request) -> bool | Scope:
        """How long it is allowed, or False."""
        if self.progress:
            self.progress("")  # nothing may draw over the question
        click.echo(visible(request.detail), err=True)
        termios.tcflush(sys.stdin, termios.TCIFLUSH)  # what was typed before is no answer
        while True:
            click.echo(visible(_holds(request)), err=True)
            keys = "y/s/a/N" if request.covers else "y/N"
            question = f"Allow {request.effect}: {visible(request.title)}? [{keys}]: "
            click.echo(question, nl=False, err=True)
            line = await _line(sys.stdin.fileno())
            answer = line.strip().lower()
            if answer in (b"y", b"yes"):
                return "once"
            if request.covers and answer in (b"s", b"session"):
                return "session"
            if request.covers and answer in (b"a", b"always"):
                return "always"
            if answer in (b"", b"n", b"no"):  # also where the input ended
                if not line:
                    click.echo(err=True)
                return False
            click.echo("Answer with one of the letters.", err=True)


def _holds(request: Request) -> str:
    """How long each answer holds."""
    if not request.covers:
        return "y: this call only; n: not this call"
    covers = " ".join(request.covers.split())
    covers = covers if len(covers) <= MOST_COVERED else covers[: MOST_COVERED - 1] + "…"
    return (
        f"y: this call only; s: {covers}, until this punie ends;"
        " a: the same always, until `punie approvals revoke`; n: not this call"
    )


async def _line(terminal: int) -> bytes:
    """A line typed on a terminal, empty at its end; cancelled (Ctrl-C) it ends at once.

    A thread that reads could not be cancelled: it would wait for Enter.
    """
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(terminal, ready.set)
    try:
        await ready.wait()
        return os.read(terminal, 4096)
    finally:
        loop.remove_reader(terminal)


class Progress:
    """Says on a terminal's standard error what takes long; silent elsewhere.

    Called with a text it announces what runs now, with "" that it has ended.
    """

    def __init__(self) -> None:
        self.shown = sys.stderr.isatty()
        self._status: Status | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        """Nothing is shown yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Clear the line."""
        self("")

    def __call__(self, text: str) -> None:
        """Show `text` after `DELAY` seconds, unless something else comes before."""
        if not self.shown:
            return
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._status:
            self._status.stop()
            self._status = None
        if text:
            self._timer = asyncio.get_running_loop().call_later(DELAY, self.now, text)

    def now(self, text: str) -> None:
        """Show `text` at once."""
        if not self.shown:
            return
        if self._status is None:
            from rich.console import Console

            self._status = Console(stderr=True).status("")
            self._status.start()
        from rich.text import Text

        self._status.update(Text(visible(text)[:200]))

    def note(self, text: str) -> None:
        """A line that stays, also without a terminal."""
        self("")
        click.echo(f"punie: {text}", err=True)
