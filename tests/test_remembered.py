"""One memory of what the user allowed, for every front end."""

from __future__ import annotations

import asyncio
import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import repos
from punie import cli, settings
from punie.assembly import open_context
from punie.errors import ApprovalRefused, UsageError
from punie.remembered import Approval, Remembered, Scope, Subject, entries, revoke
from punie.tool import load_tools
from punie.wrap import Request, call


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PUNIE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "data"


class Says:
    """A user who always answers the same, and what they were asked."""

    def __init__(self, answer: bool | Scope) -> None:
        self.answer, self.asked = answer, [""]

    async def approve(self, request: Request) -> bool | Scope:
        self.asked.append(request.covers)
        return self.answer


CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "tests": ("pytest_run", {"path": "test_a.py"}),
    "write": ("write_file", {"path": "a.txt", "content": "a\n"}),
    "command": ("run_command", {"command": "echo a; echo b"}),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    repos.write(tmp_path / "work", {"test_a.py": "def test_a(): ...\n"})
    return tmp_path / "work"


def ask(
    root: Path, says: Says, *calls: tuple[str, dict[str, Any]], times: int = 1, **options: Any
) -> list[str]:
    """`done` or why it was refused, for each call, in one session."""

    async def run() -> list[str]:
        found = []
        async with open_context(root, settings.Settings(**options), says) as context:
            for name, arguments in calls * times:
                tool = load_tools()[name]
                try:
                    result, _ = await call(tool, context, tool.bind((), arguments))
                    found.append("done" if result.success else str(result.parse_error))
                except ApprovalRefused as error:
                    found.append(str(error))
        return found

    return asyncio.run(run())


def punie(*arguments: str) -> str:
    done = CliRunner().invoke(cli.app, ["approvals", *arguments])
    return done.output or str(done.exception or "")


@pytest.mark.parametrize("kind", CALLS)
@pytest.mark.parametrize(
    ("answer", "questions"),
    [(True, [2, 4]), ("once", [2, 4]), ("session", [1, 2]), ("always", [1, 1])],
)
def test_an_answer_holds_as_long_as_it_said(
    root: Path, kind: str, answer: bool | Scope, questions: list[int]
) -> None:
    """A test run that was approved once went on without asking for good; nobody had said so."""
    says = Says(answer)
    for count in questions:
        assert ask(root, says, CALLS[kind], times=2) == ["done", "done"]
        assert len(says.asked) - 1 == count
    assert [entry.kind for entry in entries()] == ([kind] if answer == "always" else [])


def test_always_covers_that_file_or_command_in_that_workspace_only(
    root: Path, tmp_path: Path
) -> None:
    ask(root, Says("always"), *CALLS.values())
    other = [
        ("write_file", {"path": "b.txt", "content": "a\n"}),
        ("run_command", {"command": "echo a; echo b; echo c"}),
        ("run_command", {"command": "echo a"}),
    ]
    says = Says(False)
    assert all("was refused" in told for told in ask(root, says, *other))
    assert says.asked[1:] == [
        "write_file b.txt",
        "run_command echo a; echo b; echo c",
        "run_command echo a",
    ]
    (tmp_path / "elsewhere").mkdir()
    assert "was refused" in ask(tmp_path / "elsewhere", Says(False), CALLS["command"])[0]
    same = ("write_file", {"path": "x/../a.txt", "content": "another\n"})
    assert ask(root, Says(False), same) == ["done"]


def test_letters_that_patterns_mean_otherwise_are_letters(root: Path) -> None:
    ask(root, Says("always"), ("run_command", {"command": "echo *"}))
    assert ask(root, Says(False), ("run_command", {"command": "echo *"})) == ["done"]
    assert "was refused" in ask(root, Says(False), ("run_command", {"command": "echo all"}))[0]
    assert "  run" not in punie("list")
    assert "  echo *  (always, 20" in punie("list")


def test_a_pattern_of_commands_allows_only_words() -> None:
    entry = Approval(kind="command", workspace="/w", pattern="git fetch*")

    def covers(command: str, root: str = "/w", kind: Any = "command") -> bool:
        return entry.covers(Path(root), Subject(kind, "run_command", command))

    assert covers("git fetch --all")
    assert not covers("git fetch; rm -r x")
    assert not covers("git fetch\nrm -r x")
    assert not covers("git fetch", root="/v")
    assert not covers("git fetch", kind="write")
    paths = Approval(kind="write", workspace="/w", tool="write_file", pattern="docs/*")
    assert paths.covers(Path("/w"), Subject("write", "write_file", "docs/a (1).md"))
    assert not paths.covers(Path("/w"), Subject("write", "delete_file", "docs/a.md"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"read_only": True}, "--read-only"),
        ({"approve": {"refuse": [{"effect": e} for e in ("test", "write", "run")]}}, "your rule"),
    ],
)
def test_the_owner_s_refusals_beat_what_was_always_allowed(
    root: Path, options: dict[str, Any], said: str
) -> None:
    ask(root, Says("always"), *CALLS.values())
    told = ask(root, Says("always"), *CALLS.values(), **options)
    assert [said in each for each in told] == [True] * 3


def test_approvals_are_listed_and_revoked_by_number(root: Path, data: Path) -> None:
    assert punie("list") == ""
    assert "numbers are: none" in punie("revoke", "1")
    ask(root, Says("always"), *CALLS.values())
    assert stat.S_IMODE((data / "approvals.json").stat().st_mode) == 0o600
    lines = punie("list").splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["1", "tests"],
        ["2", "write"],
        ["3", "command"],
    ]
    assert f"{root}  a.txt  (always, 20" in lines[1]
    assert "no remembered approval 4, 9; numbers are: 1 to 3" in punie("revoke", "1", "9", "4")
    assert "'x', '-1' is no number" in punie("revoke", "--", "x", "-1")
    assert "not both" in punie("revoke", "all", "1")
    assert len(entries()) == 3
    assert punie("revoke", "1", "3").count("revoked") == 2
    assert [entry.kind for entry in entries()] == ["write"]
    assert "revoked write" in punie("revoke", "all")
    assert punie("revoke", "all") == "nothing was remembered\n"


def test_a_revocation_ends_it_also_where_punie_runs(root: Path) -> None:
    says = Says("always")

    async def run() -> None:
        async with open_context(root, settings.Settings(), says) as context:
            for step in ("asked", "remembered", "revoked"):
                if step == "revoked":
                    assert "revoked tests" in punie("revoke", "1")
                    says.answer = False
                    with pytest.raises(ApprovalRefused):
                        await call(load_tools()["pytest_run"], context, {"path": "."})
                else:
                    await call(load_tools()["pytest_run"], context, {"path": "."})

    asyncio.run(run())
    assert len(says.asked) - 1 == 2


def test_what_an_earlier_punie_trusted_is_taken_over_once(root: Path, data: Path) -> None:
    data.mkdir()
    (data / "trusted.json").write_text(json.dumps([str(root), "/gone"]))
    assert ask(root, Says(False), CALLS["tests"]) == ["done"]
    assert not (data / "trusted.json").exists()
    assert [(e.kind, e.workspace) for e in entries()] == [("tests", str(root)), ("tests", "/gone")]
    revoke([1])
    assert "was refused" in ask(root, Says(False), CALLS["tests"])[0]


@pytest.mark.parametrize("text", ["{", "{}", '[{"kind": "all"}]', '["/work"]'])
def test_a_broken_file_allows_nothing_and_is_not_overwritten(
    root: Path, data: Path, text: str
) -> None:
    data.mkdir()
    (data / "approvals.json").write_text(text)
    says = Says("always")
    assert ask(root, says, CALLS["command"], times=2) == ["done", "done"]
    assert len(says.asked) - 1 == 2
    assert (data / "approvals.json").read_text() == text
    assert "cannot be read, so nothing in it is allowed: mend or delete it" in punie("list")
    with pytest.raises(UsageError, match="mend or delete"):
        revoke()


KEEP = """
import sys
from pathlib import Path
from punie.remembered import Remembered, Subject
for number in range(20):
    Remembered(Path(sys.argv[1])).keep(Subject("write", "write_file", str(number)), "always")
"""


def test_processes_at_once_lose_no_approval(data: Path) -> None:
    places = [f"/w{number}" for number in range(3)]
    children = [subprocess.Popen([sys.executable, "-c", KEEP, place]) for place in places]
    assert [child.wait(120) for child in children] == [0, 0, 0]
    assert len(entries()) == 60
    assert {p.name for p in data.iterdir()} == {"approvals.json", "approvals.lock"}


def test_without_a_workspace_nothing_is_stored(data: Path) -> None:
    memory, subject = Remembered(), Subject("tests", "", "*")
    memory.keep(subject, "always")
    assert memory.covers(subject)
    assert not Remembered().covers(subject)
    assert not data.exists()
