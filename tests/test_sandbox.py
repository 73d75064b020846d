"""Programs in the sandbox: checked first, limited, measured, and otherwise as in CPython."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from punie import demo
from punie.sandbox import Outcome, Sandbox
from punie.tool import load_tools
from punie.wrap import Refuse
from repos import context, snapshot

TOOLS = load_tools()
FILES = [
    "M  staged  shop/pricing.py",
    "M  unstaged  shop/report.py",
    "M  unstaged  tests/test_orders.py",
    "?  untracked  shop/gifts.py",
]
"""How the changed files of the demo repository print."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo repository; no test here changes it."""
    return demo.create(tmp_path_factory.mktemp("sandbox") / "shop")


def run_all(root: Path, programs: Iterable[str], **settings: Any) -> list[Outcome]:
    """Run programs one after the other in one sandbox; nothing is approved."""
    here = context(root, **settings)
    here.approver = Refuse()

    async def main() -> list[Outcome]:
        async with Sandbox(TOOLS.values(), here.settings) as sandbox:
            return [await sandbox.run(program, here) for program in programs]

    return asyncio.run(main())


def run(root: Path, program: str, **settings: Any) -> Outcome:
    return run_all(root, [program], **settings)[0]


def called(outcome: Outcome) -> list[str]:
    return [call.tool for call in outcome.calls]


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


# --- checked before anything runs


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (
            "write_file('a.txt', 'x')\nfor f in git_status().files:\n    print(f.name)",
            "unresolved-attribute: Object of type `GitFileStatus` has no attribute `name` "
            "in `print(f.name)`",
        ),
        (
            "r = git_log()\n\nprint(git_log(cout=3))",
            "unknown-argument: Argument `cout` does not match any known parameter of function "
            "`git_log` in `print(git_log(cout=3))`",
        ),
        (
            "git_status()\ngit_log(count='3')",
            "invalid-argument-type: Argument to function `git_log` is incorrect: Expected `int`, "
            "found `Literal[\"3\"]` in `git_log(count='3')`",
        ),
        (
            "git_status()\nprint(git_stash())",
            "unresolved-reference: Name `git_stash` used when not defined in `print(git_stash())`",
        ),
        (
            "r = hover(symbol='Order')\nprint(r.parse_error.upper())",
            "unresolved-attribute: Attribute `upper` is not defined on `None` in union "
            "`str | None` in `print(r.parse_error.upper())`",
        ),
        (
            "git_status()\nprint('a'",
            "invalid-syntax: unexpected EOF while parsing in `print('a'`",
        ),
    ],
    ids=["field", "parameter", "type", "tool", "none", "syntax"],
)
def test_a_mistake_is_found_before_any_tool_runs(shop: Path, program: str, said: str) -> None:
    outcome = run(shop, program)
    assert (outcome.checked, outcome.error, outcome.calls) == (False, said, [])


def test_every_mistake_of_a_program_is_told_at_once(shop: Path) -> None:
    outcome = run(shop, "r = git_status()\nprint(r.one)\nprint(r.two)\n")
    assert [line.rpartition(" in ")[2] for line in (outcome.error or "").splitlines()] == [
        "`print(r.one)`",
        "`print(r.two)`",
    ]


def test_a_check_for_none_narrows_the_type_of_a_field(shop: Path) -> None:
    """The program was once checked after it had been rewritten: `r.parse_error` had become a
    call's attribute, which narrows nothing, and programs like this one were refused."""
    outcome = run(
        shop,
        "r = read_file('none.py')\n"
        "if r.parse_error is not None:\n"
        "    print('failed: ' + r.parse_error)\n"
        "if r.parse_error:\n"
        "    print(r.parse_error[:7].upper())\n",
    )
    assert outcome.error is None
    assert outcome.stdout.splitlines() == [
        "failed: no file or folder 'none.py' in the workspace",
        "NO FILE",
    ]


def test_the_check_runs_nothing_of_the_program(shop: Path) -> None:
    outcome = run(shop, "print('once')\nprint(git_status().file_count)")
    assert outcome.stdout == "once\n4\n"
    assert called(outcome) == ["git_status"]


# --- limits

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


# --- what a program must not reach


@pytest.mark.parametrize(
    ("program", "word"),
    [
        ("import subprocess\nsubprocess.run(['ls'])", "Cannot resolve imported module"),
        ("import socket", "Cannot resolve imported module"),
        ("import ctypes", "Cannot resolve imported module"),
        ("from punie import workspace", "Cannot resolve imported module"),
        ("import os\nprint(os.listdir('.'))", "Permission denied"),
        ("import os\nprint(os.environ)", "not supported"),
        ("import os\nos.system('ls')", "no member `system`"),
        ("from pathlib import Path\nprint(Path('README.md').read_text())", "Permission denied"),
        ("from pathlib import Path\nPath('new.txt').write_text('x')", "Permission denied"),
        ("import time\ntime.sleep(60)", "not supported"),
        ("print(open('README.md').read())", "`open` used when not defined"),
        ("__import__('os')", "`__import__` used when not defined"),
        ("compile('1', 'a', 'exec')", "`compile` used when not defined"),
        ("input()", "`input` used when not defined"),
        ("print(globals())", "`globals` used when not defined"),
        ("print(().__class__.__bases__[0].__subclasses__())", "__subclasses__"),
        ("print(eval('open(\"README.md\")'))", "Permission denied"),
    ],
)
def test_a_program_reaches_nothing_but_tools(shop: Path, program: str, word: str) -> None:
    before = snapshot(shop)
    outcome = run(shop, program)
    assert word in (outcome.error or "")
    assert (outcome.stdout, outcome.calls) == ("", [])
    assert snapshot(shop) == before


@pytest.mark.parametrize(
    ("program", "what", "line"),
    [
        ("print(1)\nclass A(int):\n    pass", "class inheritance and metaclasses", "class A(int):"),
        ("print(1)\ndef f():\n    yield 1", "yield expressions", "yield 1"),
        ("x = 1\ndel x", "the 'del' statement", "del x"),
    ],
)
def test_unsupported_syntax_is_named_and_nothing_runs(
    shop: Path, program: str, what: str, line: str
) -> None:
    outcome = run(shop, program)
    assert (outcome.checked, outcome.stdout) == (False, "")
    assert outcome.error is not None
    assert f"does not support {what} in `{line}`" in outcome.error


# --- which fields were read


@pytest.mark.parametrize(
    ("program", "fields"),
    [
        ("print(git_status().file_count)", ["GitStatusResult.file_count"]),
        ("git_status()", []),
        ("print(git_status())", []),
        (
            "print(min(git_status().files, key=lambda f: f.file).status)",
            ["GitFileStatus.file", "GitFileStatus.status", "GitStatusResult.files"],
        ),
        (
            "print([f.old_file for f in git_status().files if f.staged])",
            ["GitFileStatus.old_file", "GitFileStatus.staged", "GitStatusResult.files"],
        ),
        (
            "r = git_status()\nprint(f'{r.file_count:>{len(r.files)}} {r.clean!r}')",
            ["GitStatusResult.clean", "GitStatusResult.file_count", "GitStatusResult.files"],
        ),
        (
            "def count(r):\n    return r.file_count\nprint(count(git_status()))",
            ["GitStatusResult.file_count"],
        ),
        ("if (n := git_status().file_count) > 1:\n    print(n)", ["GitStatusResult.file_count"]),
        ("f = git_status\nprint(f().clean)", ["GitStatusResult.clean"]),
        ("r = git_status()\nr.file_count = 3\nprint(r.clean)", ["GitStatusResult.clean"]),
        (
            "class Own:\n    def __init__(self):\n        self.clean = 1\n"
            "print(Own().clean, git_status().success)",
            ["GitStatusResult.success"],
        ),
        (
            "r = git_status()\nif False:\n    print(r.file_count)\nprint(r.clean)",
            ["GitStatusResult.clean"],
        ),
    ],
)
def test_the_fields_that_a_program_reads_are_recorded(
    shop: Path, program: str, fields: list[str]
) -> None:
    outcome = run(shop, program)
    assert outcome.error is None
    assert [call.fields for call in outcome.calls] == [fields]


def test_fields_belong_to_the_call_whose_result_was_read(shop: Path) -> None:
    outcome = run(
        shop, "a = git_status()\nb = git_status()\nprint(b.clean, git_log().commit_count)"
    )
    assert [call.fields for call in outcome.calls] == [
        [],
        ["GitStatusResult.clean"],
        ["GitLogResult.commit_count"],
    ]


def test_what_was_read_before_an_error_is_recorded(shop: Path) -> None:
    outcome = run(shop, "r = git_status()\nprint(r.file_count // 0)")
    assert outcome.calls[0].fields == ["GitStatusResult.file_count"]


def test_a_call_is_recorded_with_its_arguments(shop: Path) -> None:
    outcome = run(shop, "git_log('shop', count=2)\nread_file('README.md')")
    assert [(c.tool, c.args, c.ok, c.error) for c in outcome.calls] == [
        ("git_log", {"path": "shop", "count": 2}, True, None),
        ("read_file", {"path": "README.md"}, True, None),
    ]
    assert [type(r).__name__ for r in outcome.results] == ["GitLogResult", "ReadFileResult"]


# --- printing results


@pytest.mark.parametrize(
    ("program", "lines"),
    [
        ("print(git_status())", ["clean: False", "file_count: 4", *FILES]),
        ("print(git_status().files)", FILES),
        ("print(git_status().files[:2])", FILES[:2]),
        ("print(*git_status().files, sep='\\n')", FILES),
        ("print(*git_status().files[:2])", [" ".join(FILES[:2])]),
        ("for f in git_status().files:\n    print(f)", FILES),
        ("print('\\n'.join(str(f) for f in git_status().files))", FILES),
        ("print(f'{git_status().files[0]}')", FILES[:1]),
        ("print(f'{git_status().files[0]!s}')", FILES[:1]),
        ("print(read_file('README.md'), end='')", ["# Shop", "", "Orders, prices and reports."]),
    ],
)
def test_results_and_items_print_as_text(shop: Path, program: str, lines: list[str]) -> None:
    outcome = run(shop, program)
    assert (outcome.error, outcome.stdout.splitlines()) == (None, lines)


@pytest.mark.parametrize(
    "spelled",
    ["repr(f)", "f'{f!r}'", "'{}'.format(f)", "'%s' % f", "[[f]]", "{'it\\'s': f}", "(f, f)"],
)
def test_how_fields_are_measured_is_never_shown(shop: Path, spelled: str) -> None:
    """Items in other places than an argument of `print` once showed the hidden attribute."""
    outcome = run(shop, f"f = git_status('shop/pricing.py').files[0]\nprint({spelled})")
    assert outcome.error is None
    shown = "GitFileStatus(file='shop/pricing.py', status='modified', staged=True, old_file='')"
    assert shown in outcome.stdout
    assert "_punie" not in outcome.stdout


# --- failures that cannot pass silently


def test_a_failed_call_that_the_program_does_not_look_at_is_told(shop: Path) -> None:
    outcome = run(shop, "print(read_file('none.py').line_count)")
    assert (outcome.stdout, outcome.error) == ("0\n", None)
    assert outcome.unread == ["no file or folder 'none.py' in the workspace"]


@pytest.mark.parametrize("field", ["success", "parse_error"])
def test_a_failed_call_that_the_program_looks_at_is_its_own_affair(shop: Path, field: str) -> None:
    outcome = run(shop, f"print(read_file('none.py').{field})")
    assert (outcome.error, outcome.unread) == (None, [])


def test_looking_at_one_failure_hides_no_other(shop: Path) -> None:
    outcome = run(shop, "print(read_file('a.py').success)\nread_file('b.py')\nread_file('b.py')")
    assert outcome.unread == ["no file or folder 'b.py' in the workspace"]


def test_an_argument_that_only_the_tool_can_judge_is_a_failed_call(shop: Path) -> None:
    outcome = run(shop, "print(git_log(count=-5).commit_count)")
    assert (outcome.stdout, outcome.error) == ("0\n", None)
    assert outcome.unread == ["count -5 cannot be used: give 0 for all, or a positive number"]


def test_a_refused_effect_ends_the_program(shop: Path) -> None:
    before = snapshot(shop)
    outcome = run(
        shop,
        "git_status()\ntry:\n    write_file('new.txt', 'x')\nexcept BaseException:\n    pass\n"
        "print('after')",
    )
    assert outcome.refused
    assert outcome.stdout == ""
    assert outcome.error == (
        "write_file(path='new.txt', content='x') was refused: "
        "approve it in a terminal, or give --yes"
    )
    assert outcome.unread == []
    assert [(c.tool, c.ok) for c in outcome.calls] == [("git_status", True), ("write_file", False)]
    assert snapshot(shop) == before


# --- messages quote what the user wrote


@pytest.mark.parametrize(
    ("program", "line"),
    [
        ("# c\n\nx = [1]\n\nprint(  x[9]  )  # end", "print(  x[9]  )  # end"),
        ("def f(a):\n    # comment\n    return 1 // a\n\n\nprint(f(0))", "return 1 // a"),
        ("t = '''one\ntwo\nthree'''\nx = [1]\n\n\nprint(x[5])", "print(x[5])"),
        (
            "r = git_status()\nx = sorted(r.files, key=lambda f: f.file)[7]",
            "x = sorted(r.files, key=lambda f: f.file)[7]",
        ),
        ("if 1: print({}['a'])", "if 1: print({}['a'])"),
        ("x = 1; y = [][0]", "x = 1; y = [][0]"),
        (
            "for n in [0]:\n    if n == 0:\n        raise ValueError('zero')\n    print(n)",
            "raise ValueError('zero')",
        ),
        (
            "r = git_status()\n\n\n\n\ndef f(n):\n    return f(r.file_count)\n\nf(1)",
            "return f(r.file_count)",
        ),
        ("x = [\n    1,\n]\nprint(\n    x[9],\n)", "print("),
    ],
)
def test_a_runtime_error_quotes_the_user_s_own_line(shop: Path, program: str, line: str) -> None:
    outcome = run(shop, program)
    assert outcome.error is not None
    assert f" in `{line}`" in outcome.error
    assert "punie_" not in outcome.error


@pytest.mark.parametrize(
    ("program", "printed"),
    [
        ("x = 'a'\nprint(f'{f'{x}'}{'b'}')", "ab\n"),  # 3.12
        ("def f[T](x: T) -> T:\n    return x\nprint(f(1))", "1\n"),  # 3.12
        ("try:\n    1 // 0\nexcept ZeroDivisionError, ValueError:\n    print('z')", "z\n"),  # 3.14
    ],
)
def test_a_program_may_be_newer_than_the_host_s_python(
    shop: Path, program: str, printed: str
) -> None:
    outcome = run(shop, program)
    assert (outcome.error, outcome.stdout) == (None, printed)


def test_an_error_in_a_program_newer_than_the_host_s_python_quotes_its_line(shop: Path) -> None:
    outcome = run(shop, "x = 'a'\nprint(f'{f'{x}'}')\n\ny = [][1]")
    assert outcome.error == "IndexError: list index out of range in `y = [][1]`"
    outcome = run(shop, "type Name = str\nprint(1)")
    assert "does not support type aliases in `type Name = str`" in (outcome.error or "")


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


def test_an_empty_program_is_named(shop: Path) -> None:
    assert run(shop, " \n").error == "the program is empty"


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
