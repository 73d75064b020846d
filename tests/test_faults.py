"""Children that are killed or cut short: an error that names them, never a shorter answer."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from punie.demo import create
from punie.tool import load_tools
from repos import ask

WRAPPER = """\
#!/bin/sh
case " $* " in
  *" "{verb}" "*) {real} "$@" | head -c {keep}; {end} ;;
  *) exec {real} "$@" ;;
esac
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return create(tmp_path_factory.mktemp("faults") / "shop")


def wrap_git(folder: Path, verb: str, keep: int, end: str = "exit 0") -> str:
    """PATH on which a git stands first whose output is cut for a verb, or for `*` every verb."""
    wrapper = folder / "git"
    real = shutil.which("git")
    wrapper.write_text(WRAPPER.format(real=real, verb=verb, keep=keep, end=end))
    wrapper.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.parametrize(
    ("tool", "arguments", "verb", "keep", "reason"),
    [
        # Nothing at all was clean, without changes, without commits.
        ("git_status", {}, "*", 0, "git config was cut off"),
        ("git_diff", {"staged": True}, "*", 0, "git config was cut off"),
        ("git_log", {}, "*", 0, "git log was cut off"),
        ("git_branch", {}, "*", 0, "git for-each-ref was cut off"),
        ("list_files", {}, "*", 0, "git ls-files was cut off"),
        ("git_status", {}, "status", 0, "git status was cut off"),
        ("git_log", {"path": "shop"}, "--no-walk=unsorted", 0, "git log was cut off"),
        # A name without its end was left out.
        ("list_files", {}, "ls-files", 20, "git ls-files was cut off"),
        ("search_text", {"pattern": "total"}, "ls-files", 20, "git ls-files was cut off"),
        # Three digits of a hash are a shorter name of the same commit.
        ("git_log", {"path": "shop"}, "log", 44, "git log was cut off"),
        ("git_diff", {}, "diff", 500, "git diff was cut off"),
        ("git_branch", {}, "for-each-ref", 60, "git's branches cannot be read"),
        ("git_blame", {"path": "shop/orders.py"}, "blame", 400, "git blame was cut off"),
    ],
)
def test_what_git_did_not_say_to_the_end_is_no_answer(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tool: str,
    arguments: dict[str, Any],
    verb: str,
    keep: int,
    reason: str,
) -> None:
    monkeypatch.setenv("PATH", wrap_git(tmp_path, verb, keep))
    result = ask(load_tools()[tool], root, **arguments)
    assert not result.success
    assert reason in result.parse_error


@pytest.mark.parametrize("verb", ["ls-files", "check-ignore"])
def test_a_git_that_is_killed_while_it_lists_is_no_folder_without_git(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """The folder was walked instead, or empty: another answer, and nothing said so."""
    empty = root / "empty"
    empty.mkdir(exist_ok=True)
    monkeypatch.setenv("PATH", wrap_git(tmp_path, verb, 0, "kill -9 $$"))
    result = ask(load_tools()["list_files"], root, path="empty")
    assert not result.success
    assert f"git {verb}" in result.parse_error
