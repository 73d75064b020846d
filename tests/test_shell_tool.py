"""Commands, run for real."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from punie.tools.shell import CommandResult, run_command
from punie.wrap import Allow, call
from repos import context


def run(root: Path, command: str, **settings: Any) -> CommandResult:
    here = context(root, **settings)
    result, _ = asyncio.run(call(run_command, here, {"command": command}))
    assert isinstance(result, CommandResult)
    assert isinstance(here.approver, Allow)
    if command.strip() and "\0" not in command:
        assert [r.detail for r in here.approver.requests] == [command]
    return result


def test_output_and_status_are_those_of_the_command(tmp_path: Path) -> None:
    result = run(tmp_path, "echo out; echo err >&2; pwd; exit 3")
    assert (result.success, result.exit_code) == (True, 3)
    assert result.stdout == f"out\n{tmp_path}\n"
    assert result.stderr == "err\n"
    assert 0 < result.duration < 5
    assert str(result) == f"out\n{tmp_path}\nerr\nexit status 3"
    assert str(run(tmp_path, "echo one")) == "one"


def test_a_command_has_no_standard_input_and_bytes_become_text(tmp_path: Path) -> None:
    assert run(tmp_path, "cat; printf 'caf\\351'").stdout == "caf\ufffd"


def test_a_signal_is_a_negative_status(tmp_path: Path) -> None:
    assert run(tmp_path, "kill -TERM $$").exit_code == -15


def test_long_output_is_cut_in_the_middle(tmp_path: Path) -> None:
    result = run(tmp_path, "echo start; seq 100000; echo end; seq 100000 >&2", output_kb=10)
    assert result.truncated
    assert result.stdout.startswith("start\n1\n")
    assert result.stdout.endswith("100000\nend\n")
    assert "characters cut" in result.stdout
    assert len(result.stdout) + len(result.stderr) < 10_000
    assert result.stderr.endswith("100000\n")


def test_a_time_out_is_a_failure_that_keeps_the_output(tmp_path: Path) -> None:
    start = time.monotonic()
    result = run(tmp_path, "echo early; sleep 60; echo late", test_seconds=0.5)
    assert time.monotonic() - start < 5
    assert not result.success
    assert result.parse_error
    assert "run_command took longer than its limit of 0.5 s" in result.parse_error
    assert result.stdout == "early\n"
    assert str(result) == f"early\nfailed: {result.parse_error}"


def test_what_runs_in_the_background_ends_with_the_command(tmp_path: Path) -> None:
    run(tmp_path, "(sleep 1; touch late) >/dev/null 2>&1 & echo started")
    time.sleep(1.5)
    assert not (tmp_path / "late").exists()


@pytest.mark.parametrize(("command", "word"), [("", "empty"), (" \n", "empty"), ("a\0b", "NUL")])
def test_an_unusable_command_is_an_error(tmp_path: Path, command: str, word: str) -> None:
    result = run(tmp_path, command)
    assert not result.success
    assert word in (result.parse_error or "")


def test_a_daemon_ends_with_the_command(tmp_path: Path) -> None:
    """`setsid` and a second fork leave the process group; killing that did not reach them."""
    script = "setsid sh -c '(sleep 1; touch late) & sleep 1; touch later' >/dev/null 2>&1 &"
    result = run(tmp_path, f"({script}); echo started")
    assert (result.stdout, result.exit_code) == ("started\n", 0)
    time.sleep(1.6)
    assert list(tmp_path.iterdir()) == []


SLOW = """
import asyncio, sys
from pathlib import Path
from punie.workspace import Workspace
command = ["/bin/sh", "-c", "setsid sleep 47 & sleep 47"]
asyncio.run(Workspace(Path(sys.argv[1])).run(command, timeout=60, leash=True))
"""


def test_nothing_is_left_of_a_command_when_punie_is_killed(tmp_path: Path) -> None:
    punie = subprocess.Popen([sys.executable, "-c", SLOW, str(tmp_path)])
    wait_for(lambda: len(processes(tmp_path, b"sleep\x0047\0")) == 2)
    punie.kill()
    punie.wait()
    wait_for(lambda: processes(tmp_path, b"") == [])


def processes(folder: Path, command: bytes) -> list[int]:
    """Processes that work in a folder and whose command line begins so."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cwd").readlink() == folder:
                found += [int(entry.name)] * (entry / "cmdline").read_bytes().startswith(command)
        except OSError:
            continue
    return found


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_command_meets_no_terminal_no_children_and_no_secret_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUNIE_API_KEY", "s3cret")
    assert "s3cret" not in run(tmp_path, "env").stdout
    assert run(tmp_path, "ps -o pid= --ppid $$ | wc -l; tty").stdout.split()[1:] == [
        "not",
        "a",
        "tty",
    ]
    waits = "import os\ntry:\n  os.wait()\nexcept ChildProcessError: print('none')"
    assert run(tmp_path, f'exec {sys.executable} -c "{waits}"').stdout == "none\n"


def test_long_output_is_cut_by_its_bytes(tmp_path: Path) -> None:
    result = run(tmp_path, "yes 漢字 | head -n 100000; yes é | head -n 100000 >&2", output_kb=10)
    assert result.truncated
    assert len(f"{result.stdout}{result.stderr}".encode()) < 10_000
    assert len(str(result).encode()) < 10_000
