"""The limits of programs in the sandbox, and that it is as new after every failure."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path

import pytest

from programs import TOOLS, run, run_all
from punie.sandbox import Outcome, Sandbox
from repos import context

LOOP = "git_status()\nwhile True:\n    pass"
LIMITS: dict[str, tuple[str, str]] = {
    "time": (
        LOOP,
        "the program computed longer than its limit of 0.3 s (calls made: git_status)",
    ),
    "time, errors caught": (
        "git_status()\ntry:\n    while True:\n        pass\nexcept BaseException:\n    print('on')",
        "the program computed longer than its limit of 0.3 s (calls made: git_status)",
    ),
    "memory": (
        "git_status()\nx = []\nwhile True:\n    x.append('a' * 1000000)",
        "the program used more than its limit of 32 MB (calls made: git_status)",
    ),
    "memory at once": (
        "git_status()\nx = 'a' * 10**12",
        "the program used more than its limit of 32 MB (calls made: git_status)",
    ),
    "output": (
        "git_status()\nwhile True:\n    print('a' * 99)",
        "it printed more than its limit of 2 kB (calls made: git_status)",
    ),
    "calls": (
        "git_log()\nfor n in range(9):\n    git_status()",
        "it made more than 3 tool calls (calls made: git_log, 2 × git_status)",
    ),
    "recursion": (
        "def f(n):\n    return f(n + 1)\n\ngit_status()\nf(0)",
        "RecursionError: maximum recursion depth exceeded in `return f(n + 1)` "
        "(calls made: git_status)",
    ),
}
SMALL = {"program_seconds": 0.3, "memory_mb": 32, "output_kb": 2, "tool_calls": 3}


def workers() -> list[int]:
    """Process ids of our children that are sandbox workers."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
                if int(parent) == os.getpid() and b"monty" in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
    return found


# --- limits


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_is_told_with_the_calls_already_made(shop: Path, name: str) -> None:
    program, said = LIMITS[name]
    outcome = run(shop, program, **SMALL)
    assert outcome.error == said
    assert outcome.checked
    assert "on" not in outcome.stdout
    assert len(outcome.stdout) <= 2000


def test_output_up_to_the_limit_is_whole(shop: Path) -> None:
    outcome = run(shop, "print('a' * 1999)", output_kb=2)
    assert (outcome.error, outcome.stdout) == (None, "a" * 1999 + "\n")
    outcome = run(shop, "print('a' * 2000)", output_kb=2)
    assert outcome.error == "it printed more than its limit of 2 kB"
    assert outcome.stdout == "a" * 2000


def test_the_time_of_tools_is_not_the_program_s_own(shop: Path) -> None:
    outcome = run(shop, "for n in range(90):\n    git_status()\nprint('done')", program_seconds=0.2)
    assert (outcome.error, outcome.stdout) == (None, "done\n")
    assert sum(call.ms for call in outcome.calls) > 200


# --- the sandbox goes on


FAILURES = [program for program, _ in LIMITS.values()] + [
    "",
    "   \n",
    "print(",
    "\0",
    "print(nothing)",
    "raise SystemExit(1)",
    "raise KeyboardInterrupt",
    "import subprocess",
    "class A(int):\n    pass",
    "write_file('a.txt', 'x')",
    "print(" + "(" * 3000 + ")" * 3000 + ")",
    "_reads = 3\npunie_read = 5",
    "import asyncio\nasync def f():\n    await asyncio.gather(f(), f())\nasyncio.run(f())",
]


def test_after_every_failure_the_sandbox_is_as_new(shop: Path) -> None:
    good = "print(git_status().file_count)"
    programs = [p for failing in FAILURES for p in (failing, good)]
    outcomes = run_all(shop, programs, **SMALL)
    for failing, bad, fine in zip(FAILURES, outcomes[::2], outcomes[1::2], strict=True):
        assert bad.error or failing.startswith("_reads"), failing
        assert (fine.stdout, fine.error) == ("4\n", None), failing
        assert [c.fields for c in fine.calls] == [["GitStatusResult.file_count"]], failing


def test_programs_do_not_see_each_other(shop: Path) -> None:
    first, second = run_all(shop, ["x = 5\nprint(x)", "print(x)"])
    assert first.stdout == "5\n"
    assert "`x` used when not defined" in (second.error or "")


def test_programs_may_run_at_the_same_time(shop: Path) -> None:
    here = context(shop)

    async def main() -> list[Outcome]:
        async with Sandbox(TOOLS.values(), here.settings) as sandbox:
            programs = [f"print({n}, git_status().file_count)" for n in range(6)]
            return await asyncio.gather(*(sandbox.run(p, here) for p in programs))

    assert [o.stdout for o in asyncio.run(main())] == [f"{n} 4\n" for n in range(6)]


def test_a_killed_worker_is_told_and_replaced_and_none_is_left(shop: Path) -> None:
    here = context(shop)
    before = workers()

    async def main() -> tuple[Outcome, Outcome]:
        async with Sandbox(TOOLS.values(), here.settings) as sandbox:
            running = asyncio.create_task(sandbox.run(LOOP, here))
            await asyncio.sleep(0.4)
            ours = [pid for pid in workers() if pid not in before]
            assert ours
            for pid in ours:
                os.kill(pid, signal.SIGKILL)
            return await running, await sandbox.run("print(1)", here)

    killed, after = asyncio.run(main())
    assert killed.error == ("the sandbox ended: time or memory ran out (calls made: git_status)")
    assert (after.stdout, after.error) == ("1\n", None)
    assert workers() == before


def test_no_worker_is_left_after_a_program_that_was_stopped(shop: Path) -> None:
    before = workers()
    run_all(shop, [LIMITS["calls"][0], LIMITS["output"][0], LOOP], **SMALL)
    assert workers() == before


def test_a_sandbox_that_ran_nothing_started_nothing(shop: Path) -> None:
    async def main() -> list[int]:
        async with Sandbox(TOOLS.values(), context(shop).settings):
            return workers()

    before = workers()
    assert asyncio.run(main()) == before
