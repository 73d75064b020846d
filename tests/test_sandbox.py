"""Programs in the sandbox: checked before they run, reaching only tools, quoted in errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from programs import run
from repos import snapshot

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
    assert [call.tool for call in outcome.calls] == ["git_status"]


def test_an_empty_program_is_named(shop: Path) -> None:
    assert run(shop, " \n").error == "the program is empty"


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
