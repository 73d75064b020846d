"""Which repository answers for a path, and what is said when git cannot answer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from punie.tool import Result, load_tools
from repos import ask, commit, git, repository, write

TOOLS = load_tools()


def answer(tool: str, root: Path, **arguments: Any) -> Any:
    result = ask(TOOLS[tool], root, **arguments)
    assert result.success, result.parse_error
    return result


def reason(tool: str, root: Path, **arguments: Any) -> str:
    result: Result = ask(TOOLS[tool], root, **arguments)
    assert not result.success
    return result.parse_error or ""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with another one in `inner`, not known to it, and a submodule in `sub`."""
    root = repository(tmp_path / "repo", {"a.py": "1\n"})
    repository(tmp_path / "up", {"lib/x.py": "1\n"})
    git(root, "-c", "protocol.file.allow=always", "submodule", "add", "--quiet", "../up", "sub")
    commit(root, {}, "Add the submodule")
    repository(root / "inner", {"y.py": "1\n"})
    write(root, {"inner/y.py": "2\n", "sub/lib/x.py": "2\n"})
    return root


def test_a_path_in_a_repository_inside_is_that_ones(root: Path) -> None:
    """The outer one has no history of it: its answer would be a confident `no commits`."""
    status = answer("git_status", root, path="inner/y.py")
    assert [(f.file, f.status) for f in status.files] == [("inner/y.py", "modified")]
    [changed] = answer("git_diff", root, path="sub/lib").files
    assert (changed.file, changed.additions) == ("sub/lib/x.py", 1)
    [start] = answer("git_log", root, path="sub/lib/x.py").commits
    assert (start.message, start.files) == ("Start", ["sub/lib/x.py"])
    assert answer("git_blame", root, path="inner/y.py").lines[0].author == "Not Committed Yet"
    assert [c.message for c in answer("git_log", root, path="inner").commits] == ["Start"]


def test_a_submodule_itself_is_a_thing_of_the_outer_repository(root: Path) -> None:
    status = answer("git_status", root, path="sub")
    assert [(f.file, f.status) for f in status.files] == [("sub", "modified")]
    log = answer("git_log", root, path="sub")
    assert [c.message for c in log.commits] == ["Add the submodule"]
    whole = answer("git_status", root)
    assert [(f.file, f.status) for f in whole.files] == [
        ("sub", "modified"),
        ("inner/", "untracked"),
    ]


def test_a_git_folder_that_is_none_makes_no_repository(root: Path) -> None:
    write(root, {"plain/z.py": "1\n", "plain/.git/HEAD": "ref: refs/heads/main\n"})
    assert [f.file for f in answer("git_status", root, path="plain").files] == ["plain/z.py"]
    assert [f.file for f in answer("git_status", root / "plain").files] == ["z.py"]


def test_gits_own_folder_has_no_history(root: Path) -> None:
    for tool in ("git_status", "git_diff", "git_log", "git_blame"):
        assert "'.git/config' is git's own" in reason(tool, root, path=".git/config")


def test_a_file_called_head_is_not_taken_for_a_commit(root: Path) -> None:
    commit(root, {"HEAD": "1\n", "main": "1\n"}, "Odd names")
    assert {"HEAD", "main"} <= set(answer("git_log", root).commits[0].files)
    assert [c.message for c in answer("git_log", root, path="HEAD").commits] == ["Odd names"]
    assert answer("git_show", root, commit="HEAD").message == "Odd names"
    assert [b.name for b in answer("git_branch", root).branches] == ["main"]
    assert answer("git_log", root, count=0).commit_count == 3


def test_a_name_that_results_show_can_be_given_back(root: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.py"))
    path.write_bytes(b"1\n")
    commit(root, {}, "Bytes")
    path.write_bytes(b"2\n")
    [shown] = [f.file for f in answer("git_status", root).files if f.file.startswith("caf")]
    assert [f.additions for f in answer("git_diff", root, path=shown).files] == [1]
    assert [c.message for c in answer("git_log", root, path=shown).commits] == ["Bytes"]


def test_an_unborn_branch_beside_others_is_named(root: Path) -> None:
    git(root, "checkout", "--quiet", "--orphan", "fresh")
    assert "no commits yet: branch 'fresh'" in reason("git_log", root)
    assert [b.name for b in answer("git_branch", root).branches] == ["main"]


def test_a_broken_head_is_not_called_a_lack_of_commits(root: Path) -> None:
    write(root, {".git/refs/heads/main": "junk\n"})
    assert "appears to be broken" in reason("git_log", root)


def test_the_folder_to_trust_is_the_repositorys(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trusting the workspace below it would change nothing."""
    write(root, {"src/b.py": ""})
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "true")
    for tool, arguments in (("git_status", {}), ("git_log", {}), ("git_show", {"commit": "HEAD"})):
        assert f"safe.directory {root}`" in reason(tool, root / "src", **arguments)


@pytest.mark.parametrize("body", ["kill -9 $$", "echo half; kill -9 $$"])
def test_a_git_that_is_killed_is_an_error(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/git").write_text(f"#!/bin/sh\n{body}\n")
    (tmp_path / "bin/git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    for tool in ("git_status", "git_diff", "git_log", "git_branch"):
        assert "ended by signal 9" in reason(tool, root)


def test_git_that_is_not_there_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert "git is not installed" in reason("git_log", root)


def test_a_path_that_git_does_not_know_is_said_to_be_so(tmp_path: Path) -> None:
    """`clean`, `no changes` and `no commits` were all that was said of ignored files."""
    root = repository(tmp_path / "repo", {".gitignore": "*.log\nout/\n", "a.py": "1\n"})
    write(root, {"x.log": "1\n", "out/y.py": "1\n", "new.py": "1\n", "[z].log": "1\n"})
    for path in ("x.log", "out", "out/y.py", "[z].log"):
        for tool in ("git_status", "git_diff", "git_log"):
            said = answer(tool, root, path=path).parse_error or ""
            assert said.startswith(f"{path!r} is ignored by git: ")
    assert "'x.log' is ignored by git" in reason("git_blame", root, path="x.log")
    for tool in ("git_diff", "git_log"):
        said = answer(tool, root, path="new.py").parse_error or ""
        assert said.startswith("'new.py' is not tracked by git: ")
        assert answer(tool, root, path="a.py").parse_error is None
    assert answer("git_status", root, path="a.py").parse_error is None
    assert answer("git_status", root, path="new.py").parse_error is None


def test_a_broken_repository_is_not_called_none(tmp_path: Path) -> None:
    root = repository(tmp_path / "repo", {"a.py": "1\n"})
    (root / ".git/objects").rename(tmp_path / "away")
    assert "has a .git without objects" in reason("git_status", root)
