"""What git, ruff and ty leave behind when Punie is killed: nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import repos
from punie.strays import Guard
from test_shell_tool import processes, wait_for


@pytest.mark.parametrize(
    ("tool", "waits", "blocks"),
    [
        ("git_status", "settings", b"git"),
        ("typecheck", "ty.toml", b""),
        ("ruff_check", "ruff.toml", b""),
    ],
)
def test_nothing_is_left_of_a_program_that_waits_when_punie_is_killed(
    tmp_path: Path, tool: str, waits: str, blocks: bytes
) -> None:
    root = repos.repository(tmp_path / "work", {"a.py": "x = 1\n"})
    os.mkfifo(root / waits)
    if tool == "git_status":
        with (root / ".git/config").open("a") as config:
            config.write(f"[include]\n\tpath = {root / waits}\n")
    data = os.environ | {"PUNIE_DATA": str(tmp_path / "data")}
    command = [sys.executable, "-m", "punie", "call", tool, "-w", str(root)]
    quiet = subprocess.DEVNULL
    punie = subprocess.Popen(command, env=data, cwd="/", stdout=quiet, stderr=quiet)
    wait_for(lambda: processes(root, blocks) != [])
    punie.kill()
    punie.wait()
    wait_for(lambda: processes(root, b"") == [])


def test_a_group_that_ended_is_left_alone_and_one_that_runs_is_not() -> None:
    guard = Guard()
    sleeping = [subprocess.Popen(["sleep", "60"], start_new_session=True) for _ in range(2)]
    try:
        for each in sleeping:
            guard.began(each.pid)
        guard.ended(sleeping[0].pid)
        guard.close()
        assert sleeping[1].wait(10) == -signal.SIGKILL
        assert sleeping[0].poll() is None
    finally:
        for each in sleeping:
            each.kill()
            each.wait()


def test_a_guard_that_somebody_ended_is_started_again() -> None:
    guard = Guard()
    sleeping = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        guard.began(1_000_000_000)
        guard.kill()
        guard.began(sleeping.pid)
        guard.close()
        assert sleeping.wait(10) == -signal.SIGKILL
    finally:
        sleeping.kill()
        sleeping.wait()
