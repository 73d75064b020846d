"""The git tools on odd repositories, field by field against git's plumbing.

The whole zoo is `benchmarks/git_zoo.py`; here are the kinds that once gave wrong answers, and
those whose configuration names programs, which no tool may start.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import zoo_setups
from plumbing import Judge
from punie.tool import Result, load_tools
from repos import ENVIRONMENT, ask, git, snapshot
from zoo import REFUSALS, ZOO

TOOLS = load_tools()
SPIES = ["hostile_settings", "filter_needed", "filter_with_an_odd_name", "partial_clone"]
SPIES += ["submodule_with_a_filter", "filters_at_rest"]
JUDGED = ["merge_conflict", "names_that_are_no_text", "workspace_below", "copies"]
JUDGED += ["intent_to_add", "sparse", "submodule_moved_and_staged", "odd_messages"]


def asker(root: Path) -> Any:
    def one(tool: str, **arguments: Any) -> Result:
        result: Result = ask(TOOLS[tool], root, **arguments)
        return result

    return one


@pytest.fixture(autouse=True)
def plain_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("name", JUDGED)
def test_every_field_is_what_plumbing_says(name: str, tmp_path: Path) -> None:
    root = ZOO[name](tmp_path)
    judge = Judge(root, asker(root), REFUSALS.get(name, ()))
    judge.everything()
    assert judge.wrong == []
    assert judge.compared > 40


@pytest.mark.parametrize("name", SPIES)
def test_no_tool_starts_a_program_of_a_configuration(name: str, tmp_path: Path) -> None:
    root = ZOO[name](tmp_path)
    file = git(root, "ls-files", "-z").decode().split("\0")[1]
    (tmp_path / "ran.log").unlink(missing_ok=True)
    before = snapshot(root)
    one = asker(root)
    results = [one(tool) for tool in ("git_status", "git_diff", "git_log", "git_branch")]
    results += [one("git_diff", staged=True), one("git_show", commit="HEAD")]
    results += [one("git_blame", path=file), one("git_status", path=file)]
    assert not (tmp_path / "ran.log").exists()
    assert snapshot(root) == before
    for reason in (r.parse_error for r in results if not r.success):
        assert any(part in (reason or "") for part in REFUSALS[name])


def test_the_spies_of_the_zoo_would_be_seen(tmp_path: Path) -> None:
    """Plain git starts the filter that the tools refuse to start."""
    root = ZOO["filter_needed"](tmp_path)
    (tmp_path / "ran.log").unlink(missing_ok=True)
    git(root, "status", check=False)
    assert (tmp_path / "ran.log").exists()


def test_the_judge_can_fail(tmp_path: Path) -> None:
    root = ZOO["renames"](tmp_path)

    def wrong(tool: str, **arguments: Any) -> Result:
        result: Any = asker(root)(tool, **arguments)
        if tool == "git_diff" and result.files:
            result.files[0].additions += 1
        if tool == "git_blame" and result.lines:
            result.lines[0].author = "Nobody"
        return result  # type: ignore[no-any-return]

    judge = Judge(root, wrong)
    judge.everything()
    assert any("lines: tool" in line for line in judge.wrong)
    assert any("Nobody" in line for line in judge.wrong)


def test_the_zoo_is_large() -> None:
    assert zoo_setups.__doc__
    assert len(ZOO) >= 40
