"""Children that must not outlive us: ended with their group, by their mark, and by a watcher.

A process group can be left (`setsid`, a double fork), so each child of such a run carries a mark
in its environment, by which it is found in /proc. And we may be killed ourselves: a watcher in
the group waits for our end of a pipe to close, and then does both. Not found is what leaves the
group *and* clears or overwrites its environment, or where there is no /proc.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
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
