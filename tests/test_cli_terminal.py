"""`punie ask` on a pseudo-terminal: what it shows, and how it asks for an approval."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from programs import COUNT, program
from repos import snapshot
from workbench import Bench

WRITE = program("print(write_file('new.py', 'x: int = 1\\n').created)")


def on_terminal(
    bench: Bench, *args: str, replies: list[str], typed: str = "", early: str = ""
) -> tuple[int, str]:
    """Status of `punie` on a pseudo-terminal, and all that this showed.

    `typed` answers `[y/s/a/N]`, a Ctrl-C there is a signal; `early` is typed before it asks.
    """
    ours, theirs = pty.openpty()
    os.write(ours, early.encode())
    process = subprocess.Popen(
        [sys.executable, "-m", "punie", *args, *bench.script(replies)],
        cwd=bench.root,
        env=bench.env | {"TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown, deadline = b"", time.monotonic() + 30
    try:
        while time.monotonic() < deadline:
            if select.select([ours], [], [], 0.2)[0]:
                try:
                    chunk = os.read(ours, 65536)
                except OSError:  # the other side is closed
                    break
                shown += chunk
                if typed and b"[y/s/a/N]" in shown:
                    if typed == "\x03":
                        process.send_signal(signal.SIGINT)
                    else:
                        os.write(ours, typed.encode())
                    typed = ""
    finally:
        if process.poll() is None and time.monotonic() >= deadline:
            process.kill()
        status = process.wait()
        os.close(ours)
    return status, shown.decode().replace("\r\n", "\n")


def test_a_terminal_shows_the_program_dimmed_above_the_answer(bench: Bench) -> None:
    status, shown = on_terminal(bench, "ask", "how many?", replies=[program(COUNT)])
    assert status == 0
    assert shown == "\x1b[2mprint(git_status().file_count)\x1b[0m\n4\n"


def test_escapes_are_shown_on_a_terminal_and_not_obeyed(bench: Bench) -> None:
    code = program("print('\\x1b[31mred\\x07 \u202eback')  # \x1b]0;title\x07")
    status, shown = on_terminal(bench, "ask", "colour?", replies=[code])
    dimmed, answer = shown.splitlines()
    assert status == 0
    assert answer == r"\x1b[31mred\x07 \x202eback"
    assert dimmed.startswith("\x1b[2m")
    assert dimmed.count("\x1b") == 2
    assert dimmed.endswith("\\x1b]0;title\\x07\x1b[0m")
    status, shown = on_terminal(bench, "ask", "words?", replies=["a\x1b[2Jb\rc"])
    assert shown == "a\\x1b[2Jb\\x0dc\n"


def test_a_write_shows_its_diff_and_happens_only_when_it_is_approved(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    before = snapshot(bench.root)
    status, shown = on_terminal(bench, "ask", "write it", replies=[WRITE], typed="n\n")
    assert status == 3
    assert "+x: int = 1" in shown
    assert "Allow write: write_file path='new.py'" in shown
    assert "was refused" in shown
    assert snapshot(bench.root) == before
    status, shown = on_terminal(bench, "ask", "write it", replies=[WRITE], typed="y\n")
    assert (status, shown.splitlines()[-1]) == (0, "True")
    assert (bench.root / "new.py").read_text() == "x: int = 1\n"
    assert bench.punie("undo").status == 0
    assert snapshot(bench.root) == before


def test_ctrl_c_at_an_approval_ends_at_once(tmp_path: Path) -> None:
    """It once waited for Enter, since a thread was reading the answer."""
    bench = Bench(tmp_path)
    before = snapshot(bench.root)
    status, shown = on_terminal(bench, "ask", "write it", replies=[WRITE], typed="\x03")
    assert status == 130
    assert shown.rstrip().endswith("interrupted")
    assert snapshot(bench.root) == before


def test_what_was_typed_before_the_question_does_not_answer_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    before = snapshot(bench.root)
    status, shown = on_terminal(
        bench, "ask", "write it", replies=[WRITE], early="y\n", typed="what\nno\n"
    )
    assert status == 3
    assert "Answer with one of the letters." in shown
    assert snapshot(bench.root) == before
