"""The git tools against git's own plumbing, on small real repositories."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from punie.tool import Result, Tool
from punie.tools.git import (
    GitDiffResult,
    GitLogResult,
    GitStatusResult,
    git_diff,
    git_log,
    git_status,
)
from repos import ask, commit, git, repository, snapshot, write

ODD = ["with space.py", 'quo"te.py', "new\nline.py", "tab\t.py", "back\\slash.py", "*.py", "ü.py"]


def status(root: Path, **arguments: Any) -> GitStatusResult:
    result = ask(git_status, root, **arguments)
    assert isinstance(result, GitStatusResult)
    return result


def diff(root: Path, **arguments: Any) -> GitDiffResult:
    result = ask(git_diff, root, **arguments)
    assert isinstance(result, GitDiffResult)
    return result


def log(root: Path, **arguments: Any) -> GitLogResult:
    result = ask(git_log, root, **arguments)
    assert isinstance(result, GitLogResult)
    return result


def entries(result: GitStatusResult) -> set[tuple[str, str, bool, str]]:
    assert result.success, result.parse_error
    return {(f.file, f.status, f.staged, f.old_file) for f in result.files}


def reason(result: Result) -> str:
    assert not result.success
    assert result.parse_error
    return result.parse_error


def numstat(root: Path, *options: str) -> dict[str, tuple[int, int]]:
    """Additions and deletions of each file, from git's own count."""
    output = git(root, "diff", "--numstat", "--no-renames", "-z", *options).decode()
    rows = [row.split("\t") for row in output.split("\0") if row]
    return {name: (int(a), int(d)) for a, d, name in rows if a != "-"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    lines = "".join(f"line {n}\n" for n in range(1, 41))
    files: dict[str, str | bytes] = {"a.py": lines, "src/b.py": "b = 1\n", "src/c.py": "c = 1\n"}
    return repository(tmp_path / "repo", files)


def test_a_clean_tree_is_clean(root: Path) -> None:
    result = status(root)
    assert (result.success, result.clean, result.file_count, result.files) == (True, True, 0, [])
    assert str(result) == "clean"


def test_status_words_for_index_and_tree(root: Path) -> None:
    write(root, {"kept.py": "".join(f"k{n}\n" for n in range(20))})
    commit(root, {"gone.py": "1\n", "typed": "x\n"}, "More")
    git(root, "mv", "kept.py", "moved.py")
    git(root, "rm", "--quiet", "gone.py")
    write(root, {"added.py": "new = 1\n", "src/b.py": "b = 2\n"})
    git(root, "add", "added.py", "src/b.py")
    write(root, {"src/b.py": "b = 3\n", "new/deep/file.py": "", "new/other.py": ""})
    (root / "src/c.py").unlink()
    (root / "typed").unlink()
    (root / "typed").symlink_to("a.py")
    result = status(root)
    assert entries(result) == {
        ("moved.py", "renamed", True, "kept.py"),
        ("gone.py", "deleted", True, ""),
        ("added.py", "added", True, ""),
        ("src/b.py", "modified", True, ""),
        ("src/b.py", "modified", False, ""),
        ("src/c.py", "deleted", False, ""),
        ("typed", "type_changed", False, ""),
        ("new/deep/file.py", "untracked", False, ""),
        ("new/other.py", "untracked", False, ""),
    }
    assert result.file_count == len({f.file for f in result.files}) == 8
    assert not result.clean
    assert "R  staged  kept.py -> moved.py" in str(result).splitlines()
    assert "M  unstaged  src/b.py" in str(result).splitlines()
    assert "?  untracked  new/other.py" in str(result).splitlines()


def test_copies_are_named_where_the_user_asks_git_for_them(root: Path) -> None:
    git(root, "config", "status.renames", "copies")
    text = (root / "a.py").read_text()
    write(root, {"copy.py": text, "a.py": text + "more\n"})
    git(root, "add", "--all")
    assert ("copy.py", "copied", True, "a.py") in entries(status(root))


def test_status_of_a_path_shows_that_path_only(root: Path) -> None:
    write(root, {"a.py": "", "src/b.py": "", "src/new.py": ""})
    assert {f.file for f in status(root, path="src").files} == {"src/b.py", "src/new.py"}
    assert {f.file for f in status(root, path="src/../a.py").files} == {"a.py"}
    assert status(root, path="src/c.py").clean


def test_odd_names_survive_status_diff_and_log(root: Path) -> None:
    """Pathspecs are literal: `*.py` is a file here, not a pattern."""
    commit(root, dict.fromkeys(ODD, "1\n"), "Odd names")
    write(root, dict.fromkeys(ODD, "1\n2\n"))
    assert {f.file for f in status(root).files} == set(ODD)
    assert {f.file: f.additions for f in diff(root).files} == dict.fromkeys(ODD, 1)
    assert set(log(root, count=1).commits[0].files) == set(ODD)
    for name in ODD:
        assert [f.file for f in status(root, path=name).files] == [name]
        assert [f.file for f in diff(root, path=name).files] == [name]
        assert [c.message for c in log(root, path=name).commits] == ["Odd names"]


def test_names_that_are_not_utf8_are_shown_with_replacement_characters(root: Path) -> None:
    name = os.fsencode(root) + b"/caf\xe9.py"
    Path(os.fsdecode(name)).write_bytes(b"1\n")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "Latin")
    Path(os.fsdecode(name)).write_bytes(b"2\n")
    assert status(root).files[0].file == "caf\ufffd.py"
    assert diff(root).files[0].file == "caf\ufffd.py"
    assert log(root).commits[0].files == ["caf\ufffd.py"]


def conflict(root: Path) -> None:
    """Both branches changed a.py; one changed src/b.py that the other deleted."""
    git(root, "checkout", "--quiet", "-b", "side")
    git(root, "rm", "--quiet", "src/b.py")
    commit(root, {"a.py": "side\n"}, "Side")
    git(root, "checkout", "--quiet", "main")
    commit(root, {"a.py": "main\n", "src/b.py": "b = 9\n"}, "Main")
    git(root, "merge", "side", check=False)


def test_a_conflict_is_one_entry_and_its_diff_is_against_ours(root: Path) -> None:
    conflict(root)
    both = {("a.py", "conflicted", False, ""), ("src/b.py", "conflicted", False, "")}
    assert entries(status(root)) == both
    result = diff(root)
    assert [(f.file, f.status) for f in result.files] == [
        ("a.py", "conflicted"),
        ("src/b.py", "conflicted"),
    ]
    assert result.file_count == 2
    assert "+<<<<<<< HEAD" in result.files[0].hunks[0]
    assert (result.files[0].additions, result.files[0].deletions) == (4, 0)
    staged = diff(root, staged=True)
    assert {(f.file, f.status) for f in staged.files} == {
        ("a.py", "conflicted"),
        ("src/b.py", "conflicted"),
    }


def test_diff_counts_and_hunks_are_those_of_git(root: Path) -> None:
    lines = (root / "a.py").read_text().splitlines(keepends=True)
    lines[2], lines[30] = "changed\n", "++ odd\n-- odder\n"
    write(root, {"a.py": "".join(lines), "src/b.py": "b = 1"})
    result = diff(root)
    assert {f.file: (f.additions, f.deletions) for f in result.files} == numstat(root)
    assert (result.additions, result.deletions) == (4, 3)
    assert [h.splitlines()[0] for h in result.files[0].hunks] == [
        "@@ -1,6 +1,6 @@",
        "@@ -28,7 +28,8 @@ line 27",
    ]
    assert "\\ No newline at end of file" in result.files[1].hunks[0]
    # Printed, it is a patch: git takes it back.
    (root / "../p.patch").write_text(str(result) + "\n")
    git(root, "apply", "--reverse", "../p.patch")
    assert status(root).clean


def test_staged_and_unstaged_changes_are_apart(root: Path) -> None:
    write(root, {"src/b.py": "b = 2\n"})
    git(root, "add", "--all")
    write(root, {"src/c.py": "c = 2\n"})
    assert [f.file for f in diff(root, staged=True).files] == ["src/b.py"]
    assert [f.file for f in diff(root).files] == ["src/c.py"]
    assert diff(root, path="src/b.py").file_count == 0
    assert str(diff(root, path="src/b.py")) == "no changes"


def test_diff_of_renames_binaries_modes_and_types(root: Path) -> None:
    commit(root, {"bin": b"\0\1\2", "run.sh": "#!/bin/sh\n", "typed": "x\n"}, "More")
    git(root, "mv", "a.py", "z.py")
    write(root, {"z.py": (root / "z.py").read_text() + "end\n", "bin": b"\0\3", "empty": ""})
    (root / "run.sh").chmod(0o755)
    (root / "typed").unlink()
    (root / "typed").symlink_to("z.py")
    git(root, "add", "--all")
    files = {f.file: f for f in diff(root, staged=True).files}
    assert set(files) == {"z.py", "bin", "run.sh", "typed", "empty"}
    assert (files["z.py"].status, files["z.py"].old_file) == ("renamed", "a.py")
    assert (files["z.py"].additions, files["z.py"].deletions) == (1, 0)
    assert files["bin"].hunks == ["Binary files differ"]
    assert (files["bin"].additions, files["bin"].deletions) == (0, 0)
    assert (files["run.sh"].status, files["run.sh"].hunks) == ("modified", [])
    assert files["typed"].status == "type_changed"
    assert len(files["typed"].hunks) == 2
    assert files["empty"].status == "added"


def test_the_users_settings_do_not_change_the_answer(root: Path) -> None:
    """Each of these once broke someone's parser of `git diff`."""
    write(root, {"a.py": "x\n\ny\n", "src/b.py": "b = 2\n"})
    plain = diff(root), log(root), status(root)
    for name, value in {
        "diff.noprefix": "true",
        "diff.mnemonicPrefix": "true",
        "diff.context": "0",
        "diff.external": "false",
        "diff.suppressBlankEmpty": "true",
        "diff.relative": "true",
        "diff.orderFile": "nowhere",
        "color.ui": "always",
        "log.showSignature": "true",
        "log.showRoot": "false",
        "log.date": "relative",
        "format.pretty": "oneline",
        "status.short": "true",
        "status.showUntrackedFiles": "no",
        "core.fsmonitor": "false-program",
    }.items():
        git(root, "config", name, value)
    assert (diff(root), log(root), status(root)) == plain


def test_variables_of_a_git_hook_do_not_lead_to_another_repository(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = repository(tmp_path / "other", {"z.py": ""})
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git/index"))
    assert log(root).commits[0].files == ["a.py", "src/b.py", "src/c.py"]
    assert status(root).clean


def test_reading_leaves_every_byte_as_it_was(root: Path) -> None:
    """`git diff` rewrites the index of touched files even with GIT_OPTIONAL_LOCKS=0."""
    write(root, {"src/b.py": "b = 2\n", "new.py": ""})
    later = time.time() + 100
    os.utime(root / "a.py", (later, later))
    before = snapshot(root)
    assert [f.file for f in diff(root).files] == ["src/b.py"]
    assert diff(root, staged=True).file_count == 0
    assert {f.file for f in status(root).files} == {"src/b.py", "new.py"}
    assert log(root).commit_count == 1
    assert snapshot(root) == before


def test_a_mode_change_of_a_touched_file_is_no_mere_time_stamp(root: Path) -> None:
    (root / "a.py").chmod(0o755)
    assert [(f.file, f.additions) for f in diff(root).files] == [("a.py", 0)]


def test_a_log_without_commits_says_so_and_the_others_work(tmp_path: Path) -> None:
    root = repository(tmp_path / "repo")
    assert "no commits yet" in reason(log(root))
    assert status(root).clean
    write(root, {"a.py": "1\n"})
    git(root, "add", "a.py")
    assert entries(status(root)) == {("a.py", "added", True, "")}
    assert diff(root, staged=True).additions == 1
    assert diff(root).file_count == 0
    assert "'nope'" in reason(status(root, path="nope"))


def test_a_folder_without_a_repository_is_named(tmp_path: Path) -> None:
    for ask_one in (status, diff, log):
        assert f"'{tmp_path}' is not in a git repository" in reason(ask_one(tmp_path))


def test_a_bare_repository_is_no_working_tree(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--bare")
    assert "no working tree" in reason(status(tmp_path))


def test_a_repository_of_another_owner_is_named_with_the_way_out(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "true")
    assert f"git config --global --add safe.directory {root}" in reason(status(root))


@pytest.mark.parametrize("tool", [git_status, git_diff, git_log], ids=lambda tool: tool.name)
def test_missing_paths_are_named_and_deleted_ones_are_fine(root: Path, tool: Tool) -> None:
    assert "did you mean 'src/b.py'" in reason(ask(tool, root, path="src/bb.py"))
    assert ask(tool, root, path="b.py") == ask(tool, root, path="src/b.py")
    write(root, {"x/b.py": ""})
    assert "may be any of 'src/b.py', 'x/b.py'" in reason(ask(tool, root, path="b.py"))
    (root / "x/b.py").unlink()
    assert "outside the workspace" in reason(ask(tool, root, path="../x"))
    (root / "src/c.py").unlink()
    assert ask(tool, root, path="src/c.py").success
    git(root, "commit", "--quiet", "--all", "--message", "Delete")
    assert ask(tool, root, path="src/c.py").success


def test_a_workspace_below_the_repository_sees_itself_only(root: Path) -> None:
    commit(root, {"a.py": "a\n", "src/b.py": "b = 2\n"}, "Both")
    commit(root, {"a.py": "aa\n"}, "Above")
    write(root, {"a.py": "", "src/b.py": "b = 3\n", "src/new.py": ""})
    below = root / "src"
    assert entries(status(below)) == {
        ("b.py", "modified", False, ""),
        ("new.py", "untracked", False, ""),
    }
    assert [f.file for f in diff(below).files] == ["b.py"]
    assert [(c.message, c.files) for c in log(below).commits] == [
        ("Both", ["b.py"]),
        ("Start", ["b.py", "c.py"]),
    ]
    assert [f.file for f in status(below, path="b.py").files] == ["b.py"]


def test_a_path_through_a_linked_folder_is_followed(root: Path) -> None:
    (root / "link").symlink_to("src")
    write(root, {"src/b.py": "b = 2\n"})
    assert [f.file for f in diff(root, path="link/b.py").files] == ["src/b.py"]
    assert entries(status(root, path="link")) == {("link", "untracked", False, "")}


def test_lists_are_capped_and_counts_are_not(root: Path) -> None:
    write(root, {f"n{n:03}.py": "1\n" for n in range(250)})
    result = status(root)
    assert (result.file_count, len(result.files), result.truncated) == (250, 200, True)
    git(root, "add", "--all")
    staged = diff(root, staged=True)
    assert (staged.file_count, staged.additions, len(staged.files)) == (250, 250, 200)
    assert staged.truncated


def test_one_huge_diff_is_cut_in_the_middle_not_dropped(root: Path) -> None:
    write(root, {"a.py": "".join(f"number {n}\n" for n in range(9000)), "src/b.py": "b = 2\n"})
    result = diff(root, settings={"output_kb": 10})
    assert result.truncated
    assert [(f.file, f.additions) for f in result.files] == [("a.py", 9000), ("src/b.py", 1)]
    assert "characters cut" in result.files[0].hunks[0]
    assert len(result.model_dump_json()) < 10_000


def test_a_time_limit_is_named(root: Path) -> None:
    assert "limit of 0.0001 s" in reason(status(root, settings={"tool_seconds": 0.0001}))
