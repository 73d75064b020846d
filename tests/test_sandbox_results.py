"""Results in programs: which fields were read, how they print, and failures that are not read."""

from __future__ import annotations

from pathlib import Path

import pytest

from programs import run
from repos import snapshot

FILES = [
    "M  staged  shop/pricing.py",
    "M  unstaged  shop/report.py",
    "M  unstaged  tests/test_orders.py",
    "?  untracked  shop/gifts.py",
]
"""How the changed files of the demo repository print."""


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
