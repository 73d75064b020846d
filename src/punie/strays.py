"""Children that must not outlive us: ended with their group, by their mark, and by a watcher.

A process group can be left (`setsid`, a double fork), so each child carries a mark in its
environment, by which it is found in /proc. And we may be killed ourselves: one watcher, started
with the first child, waits for our end of a pipe to close, and then ends the groups that it was
told of and whatever carries our mark. Not found is what leaves the group *and* clears or
overwrites its environment; and, where there is no /proc, what leaves the group, or is started in
the very moment in which we are killed.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import threading
import time
from pathlib import Path

MARK = "PUNIE_RUN"
"""Environment variable that holds a run's mark; it begins with that of our process."""
ROUNDS = 5
"""Looks for marked processes: one may start another while it is being ended."""
BETWEEN = 0.01
"""Seconds between two looks."""
INIT = 1
"""The first process, which is never a child of ours; in a container it may have no environment."""
WATCHER = """\
exec 3<&0 </dev/null
(
  groups=' '
  while read -r sign group <&3; do
    rest=${groups#* "$group" }
    [ "$rest" = "$groups" ] || groups="${groups%% "$group" *} $rest"
    [ "$sign" = - ] || groups="$groups$group "
  done
  for group in $groups; do
    number=${group%:*}
    if read -r stat <"/proc/$number/stat"; then
      set -- ${stat##*) }
      [ "${20}" = "${group#*:}" ] || continue
    fi
    kill -9 "-$number"
  done
  for pause in 0 0 0 0.05 0.2; do
    sleep "$pause"
    for file in $(grep -ls "$0" /proc/[0-9]*/environ); do
      number=${file#/proc/}
      kill -9 "${number%/environ}"
    done
  done
) >/dev/null 2>&1 &
"""
"""Lines `+ NUMBER:START` and `- NUMBER:START` come and go with the groups.

A group's number may be given to another process after the group's end; that one has another start.
The pipe's end in a child that is just being made closes when it becomes its program, and the last
looks come a little later: with its program it gets its mark.
"""


class _Leash:
    """The pipe to the watcher of this process. A forked child gets its own."""

    def __init__(self) -> None:
        self.mark = secrets.token_hex(16)
        self._lock = threading.Lock()
        self._pipe: int | None = None
        self._groups: dict[int, bytes] = {}

    def start(self) -> None:
        """See that the watcher runs. Raises `OSError` when it cannot start."""
        with self._lock:
            if self._pipe is None:
                self._start()

    def tie(self, pid: int) -> None:
        group = b"%d:%s" % (pid, _started(pid))
        with self._lock:
            self._groups[pid] = group
            self._tell(b"+ %s\n" % group)

    def untie(self, pid: int) -> None:
        with self._lock:
            if group := self._groups.pop(pid, b""):
                self._tell(b"- %s\n" % group)

    def leave(self) -> None:
        """Close the pipe."""
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None

    def _start(self) -> None:
        theirs, ours = os.pipe()
        try:
            # It holds nothing of ours: no folder, no terminal, no environment, no descriptor.
            # It is no child of ours either, since the shell that starts it ends at once.
            subprocess.run(
                ["/bin/sh", "-c", WATCHER, self.mark],
                stdin=theirs,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={"PATH": os.defpath},
                start_new_session=True,
                check=False,
            )
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        os.set_blocking(ours, False)
        self._pipe = ours

    def _tell(self, line: bytes) -> None:
        try:
            if self._pipe is not None:
                os.write(self._pipe, line)
        except BlockingIOError:  # somebody has stopped it; the mark and the start remain
            pass
        except BrokenPipeError:  # somebody has ended it: another one is told all there is
            self.leave()
            with contextlib.suppress(OSError):
                self._start()
                os.write(self._pipe or 0, b"".join(b"+ %s\n" % g for g in self._groups.values()))


_leash = _Leash()


def _forked() -> None:
    global _leash
    _leash.leave()
    _leash = _Leash()


os.register_at_fork(after_in_child=_forked)


def new_mark() -> str:
    """A mark that no other run has; whatever carries it ends with us.

    Starts the watcher where there is none. Raises `OSError` when it cannot start.
    """
    _leash.start()
    return f"{_leash.mark}-{secrets.token_hex(16)}"


def tie(pid: int) -> None:
    """A process group is to end with us. Call it soon after the group's start."""
    _leash.tie(pid)


def untie(pid: int) -> None:
    """A process group has ended."""
    _leash.untie(pid)


def end_marked(mark: str) -> None:
    """Kill every process of ours that carries the mark.

    A process that starts another program has no environment for a moment, and one that is being
    ended may just have started another: then it is over only when twice, a little apart, none is
    found.
    """
    wanted, looks = f"{MARK}={mark}".encode(), 1
    known: set[int] = set()
    for _ in range(ROUNDS):
        found, bare = [], set[int]()
        for pid in _processes():
            environment = _environment(pid)
            if environment and wanted in environment.split(b"\0"):
                found.append(pid)
            elif environment == b"" and pid != INIT and _has_memory(pid):
                bare.add(pid)
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if found:
            looks = 2
        elif bare <= known:
            looks -= 1
        if not looks:
            return
        known |= bare
        time.sleep(BETWEEN)


def _processes() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 (fast)
    except OSError:
        return []


def _environment(pid: int) -> bytes | None:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:  # ended, or another user's
        return None


def _has_memory(pid: int) -> bool:
    """Whether a process is a program; threads of the kernel and what has ended have no memory."""
    try:
        with open(f"/proc/{pid}/statm", "rb", buffering=0) as file:
            return not file.read().startswith(b"0 ")
    except OSError:
        return False


def _started(pid: int) -> bytes:
    """When a process was started, in the kernel's ticks; empty where that is not told."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            return file.read().rpartition(b") ")[2].split()[19]
    except (OSError, IndexError):  # ended, or no /proc
        return b""
