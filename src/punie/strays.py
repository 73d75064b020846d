"""Children that must not outlive us: ended with their group, by their mark, and by a watcher.

A process group can be left (`setsid`, a double fork), so each child of such a run carries a mark
in its environment, by which it is found in /proc. And we may be killed ourselves: a watcher in
the group waits for our end of a pipe to close, and then does both. Not found is what leaves the
group *and* clears or overwrites its environment, or where there is no /proc.

For short runs, such as git's, a watcher each would cost more than they do: one `Guard` for all is
told which groups run, and kills them when our end of its pipe closes.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

MARK = "PUNIE_RUN"
"""Environment variable that holds a run's mark."""
ROUNDS = 5
"""Looks for marked processes: one may start another while it is being ended."""
LEASH = """\
exec 3<&0 </dev/null
( (
  read -r end <&3
  for file in $(grep -ls "$0" /proc/[0-9]*/environ); do
    pid=${file#/proc/} && kill -9 "${pid%/environ}"
  done
  kill -9 0
) >/dev/null 2>&1 & )
PUNIE_RUN=$0
export PUNIE_RUN
exec 3<&- "$@"
"""
"""Starts the watcher, which is no child of what runs then, and becomes the command.

The watcher has no mark itself: it gets its environment before the mark is set.
"""


GUARD = """\
alive=
while read -r sign group; do
  if [ "$sign" = + ]; then
    alive="$alive $group"
  else
    rest=
    for each in $alive; do [ "$each" = "$group" ] || rest="$rest $each"; done
    alive=$rest
  fi
done
for each in $alive; do kill -9 "-$each"; done
for file in $(grep -ls "$0" /proc/[0-9]*/environ); do
  pid=${file#/proc/} && kill -9 "${pid%/environ}"
done
"""
"""What the guard runs: its input says which groups began and ended. The mark finds those of which
it could not be told any more; a child that is just being started holds the pipe open until it has
its environment."""
OWNER = "PUNIE_OWNER"
"""Environment variable that holds the guard's mark."""


class Guard:
    """One process that kills what still runs when this one is gone; started at the first need."""

    def __init__(self) -> None:
        self._pipe: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._mark = ""

    def variables(self) -> dict[str, str]:
        """What a child that it is to know must have in its environment; the guard is there."""
        if self._pipe is None or self._owner != os.getpid():
            self._start()
        return {OWNER: self._mark}

    def began(self, group: int) -> None:
        """A child with a group of its own has been started."""
        self._tell(f"+ {group}\n")

    def ended(self, group: int) -> None:
        """That group has been killed: its number may be used again."""
        self._tell(f"- {group}\n")

    def close(self) -> None:
        """Have it kill what runs, as if this process were gone."""
        if self._pipe is not None and self._process is not None:
            os.close(self._pipe)
            self._pipe = None
            self._process.wait()

    def kill(self) -> None:
        """End the guard itself, for tests."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _tell(self, line: str) -> None:
        for _ in range(2):  # somebody may have ended it
            if self._pipe is None or self._owner != os.getpid():
                self._start()
            assert self._pipe is not None
            try:
                os.write(self._pipe, line.encode())
                return
            except OSError:
                os.close(self._pipe)
                self._pipe = None

    def _start(self) -> None:
        reading, self._pipe = os.pipe()
        self._owner, self._mark = os.getpid(), new_mark()
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", GUARD, self._mark],
            stdin=reading,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
            env={"PATH": os.defpath},
        )
        os.close(reading)


guard = Guard()
"""The one of this process."""


def new_mark() -> str:
    """A mark that no other process has."""
    return secrets.token_hex(16)


def leashed(command: Sequence[str], mark: str) -> list[str]:
    """The command under a watcher; its standard input must be a pipe that we keep open."""
    return ["/bin/sh", "-c", LEASH, mark, *command]


def end_marked(mark: str) -> None:
    """Kill every process of ours that carries the mark."""
    wanted = f"{MARK}={mark}".encode()
    for _ in range(ROUNDS):
        found = [pid for pid in _processes() if wanted in _environment(pid).split(b"\0")]
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            return


def _processes() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 (fast)
    except OSError:
        return []


def _environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:  # ended, or another user's
        return b""
