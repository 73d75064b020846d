"""Nothing that punie starts outlives it, however it ends; and nobody else's process is ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from punie.strays import MARK, WATCHER
from punie.workspace import Workspace
from repos import repository

CALL = """
import asyncio, sys
from pathlib import Path
from punie.tool import load_tools
from punie.wrap import call
from repos import context
asyncio.run(call(load_tools()[sys.argv[1]], context(Path.cwd()), {}))
"""
SERVER = """
import asyncio
from pathlib import Path
from punie.navigation.jsonrpc import Connection
from punie.workspace import child_environment
async def run():
    env = child_environment()
    await Connection.start(["sleep", "61"], cwd=Path.cwd(), env=env, answer=print)
    await asyncio.sleep(60)
asyncio.run(run())
"""
BARE = """
import asyncio
from pathlib import Path
from punie.workspace import Workspace
asyncio.run(Workspace(Path.cwd()).run(["env", "-i", "sleep", "62"], timeout=60))
"""
TIMED = """
from punie.factory import watched
watched.run(["sleep", "68"])
"""
FORKED = """
import os, subprocess, time
from punie.strays import MARK, new_mark
subprocess.Popen(["sleep", "63"], env=os.environ | {MARK: new_mark()}, start_new_session=True)
if os.fork() == 0:
    os.chdir("/")
    time.sleep(5)
    os._exit(0)
time.sleep(60)
"""
UNTOLD = """
import os, signal, subprocess
from punie.strays import MARK, new_mark
subprocess.Popen(["sleep", "64"], env=os.environ | {MARK: new_mark()}, start_new_session=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
BEREFT = """
import asyncio, os, signal
from pathlib import Path
from punie.strays import MARK
from punie.workspace import Workspace
async def run():
    place = Workspace(Path.cwd())
    first = asyncio.create_task(place.run(["env", "-i", "sleep", "65"], timeout=60))
    mark = (await place.run(["printenv", MARK], timeout=60)).out.partition("-")[0]
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark.encode() in entry.read_bytes():
                os.kill(int(entry.parent.name), signal.SIGKILL)
        except OSError:
            continue
    await place.run(["env", "-i", "sleep", "66"], timeout=60)
asyncio.run(run())
"""

FULL = """
import os, signal
from pathlib import Path
from punie.strays import new_mark, tie, untie
mark = new_mark().partition("-")[0].encode()
def send(what):
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark in entry.read_bytes():
                os.kill(int(entry.parent.name), what)
        except OSError:
            continue
send(signal.SIGSTOP)
for _ in range(20_000):
    tie(os.getpid())
    untie(os.getpid())
send(signal.SIGKILL)
"""


def working(folder: Path, command: bytes = b"") -> list[int]:
    """Processes that work in a folder and whose command line holds a word."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            if (entry / "cwd").readlink() == folder and command in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextlib.contextmanager
def started(folder: Path, script: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of its own that works as punie does; whatever it leaves in the folder is ended."""
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    punie = subprocess.Popen([sys.executable, "-c", script, *arguments], cwd=folder, env=env)
    try:
        yield punie
    finally:
        punie.kill()
        punie.wait()
        for pid in working(folder):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def stuck(folder: Path, pipe: str) -> Path:
    """A repository in which a program waits for ever to read a named pipe."""
    root = repository(folder / "stuck", {"app.py": "x = 1\n"})
    os.mkfifo(root / pipe)
    if pipe != "ty.toml":
        with (root / ".git/config").open("a") as file:
            file.write(f"[include]\n\tpath = {Path(pipe).name}\n")
    return root


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    ("tool", "pipe", "child"),
    [("git_status", ".git/pipe", b"git\0"), ("typecheck", "ty.toml", b"ty\0check")],
)
def test_git_and_checkers_end_with_punie(
    tmp_path: Path, tool: str, pipe: str, child: bytes, end: signal.Signals
) -> None:
    """Only tests, commands and the language server did: `git config --list` lived on."""
    root = stuck(tmp_path, pipe)
    with started(root, CALL, tool) as punie:
        wait_for(lambda: bool(working(root, child)))
        punie.send_signal(end)
        wait_for(lambda: working(root) == [])


@pytest.mark.parametrize(
    ("script", "child"),
    [
        (SERVER, b"sleep\x0061"),
        (BARE, b"sleep\x0062"),
        (TIMED, b"sleep\x0068"),
        (FORKED, b"sleep\x0063"),
    ],
    ids=["a server that reads nothing", "without its mark", "timed", "while a fork lives on"],
)
def test_what_punie_started_ends_when_it_is_killed(
    tmp_path: Path, script: str, child: bytes
) -> None:
    with started(tmp_path, script) as punie:
        wait_for(lambda: bool(working(tmp_path, child)))
        time.sleep(0.2)  # the first moment is another test's
        punie.kill()
        wait_for(lambda: working(tmp_path) == [], seconds=4)


def test_a_child_ends_though_punie_was_killed_before_it_told_of_it(tmp_path: Path) -> None:
    with started(tmp_path, UNTOLD) as punie:
        assert punie.wait() == -signal.SIGKILL
        wait_for(lambda: working(tmp_path) == [])


def test_a_watcher_that_was_ended_is_replaced(tmp_path: Path) -> None:
    with started(tmp_path, BEREFT) as punie:
        wait_for(lambda: bool(working(tmp_path, b"66")) and bool(working(tmp_path, b"65")))
        time.sleep(0.2)
        punie.kill()
        wait_for(lambda: working(tmp_path) == [])


def test_one_watcher_holds_nothing_and_ends_with_punie(tmp_path: Path) -> None:
    script = (
        "import asyncio, os, time\nfrom pathlib import Path\nfrom punie.strays import MARK\n"
        "from punie.workspace import Workspace\nplace = Workspace(Path.cwd())\n"
        "def ask(*command): return asyncio.run(place.run(command, timeout=60)).out\n"
        "marks = [ask('printenv', MARK).strip() for _ in range(3)]\n"
        "Path('marks').write_text(' '.join(marks))\ntime.sleep(60)\n"
    )
    with started(tmp_path, script) as punie:
        wait_for(lambda: (tmp_path / "marks").exists() and (tmp_path / "marks").read_text() != "")
        marks = (tmp_path / "marks").read_text().split()
        assert len(set(marks)) == 3
        (life,) = {mark.partition("-")[0] for mark in marks}

        def watchers() -> list[Path]:
            found = []
            for entry in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError):
                    found += [entry] * (life.encode() in (entry / "cmdline").read_bytes())
            return found

        wait_for(lambda: len(watchers()) == 1)
        (watcher,) = watchers()
        assert (watcher / "cwd").readlink() == Path("/")
        held = {entry.readlink().as_posix() for entry in (watcher / "fd").iterdir()}
        assert "/dev/null" in held
        assert [link[:5] for link in held - {"/dev/null"}] == ["pipe:"]
        assert MARK.encode() not in (watcher / "environ").read_bytes()
        parent = (watcher / "stat").read_text().rpartition(") ")[2].split()[1]
        assert int(parent) != punie.pid
        punie.terminate()
        wait_for(lambda: watchers() == [])


def test_only_the_groups_told_are_ended_and_none_that_has_another_ones_number() -> None:
    """Numbers are given again: that of a group which has ended may be somebody else's by now."""
    names = ("told", "taken back", "another start", "never told", "1st of many")
    with contextlib.ExitStack() as stack:
        sleeps = {name: stack.enter_context(bystander()) for name in names}
        group = {name: f"{process.pid}:{ticks(process.pid)}" for name, process in sleeps.items()}
        lines = [f"+ {group[name]}\n" for name in ("1st of many", "told", "taken back")]
        lines += [f"+ {sleeps['another start'].pid}:1\n", f"- {group['taken back']}\n"]
        lines += [f"- {group['never told']}\n"]
        watcher = ["/bin/sh", "-c", WATCHER, "no-such-mark"]
        subprocess.run(watcher, input="".join(lines).encode(), check=True)
        assert sleeps["told"].wait(10) == -signal.SIGKILL
        assert sleeps["1st of many"].wait(10) == -signal.SIGKILL
        time.sleep(0.3)
        alive = {name for name, process in sleeps.items() if process.poll() is None}
        assert alive == {"taken back", "another start", "never told"}


@contextlib.contextmanager
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "67"], start_new_session=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def ticks(pid: int) -> str:
    """When a process was started."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[19]


def test_a_run_ends_as_before_when_its_watcher_is_stopped(tmp_path: Path) -> None:
    """A pipe that nobody reads is full one day; a call must not wait for that."""
    with started(tmp_path, FULL) as punie:
        assert punie.wait(60) == 0


def test_a_command_that_is_missing_or_no_program_says_so(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("x")
    for command, reason in (("no-such-program", "No such file"), ("./plain", "Permission denied")):
        with pytest.raises(Exception, match=reason):
            asyncio.run(Workspace(tmp_path).run([command], timeout=5, leash=True))
