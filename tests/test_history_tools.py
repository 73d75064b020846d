"""git_blame, git_show and git_branch on small real repositories."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from punie.tool import Result
from punie.tools.history import (
    GitBlameLine,
    GitBlameResult,
    GitBranch,
    GitBranchResult,
    GitShowResult,
    git_blame,
    git_branch,
    git_show,
)
from repos import ask, commit, git, repository, write

FIRST = "".join(f"line {n}\n" for n in range(1, 6))
DATE = "2024-05-01T10:00:00+02:00"


def blame(root: Path, path: str, **arguments: Any) -> GitBlameResult:
    result = ask(git_blame, root, path=path, **arguments)
    assert isinstance(result, GitBlameResult)
    return result


def show(root: Path, commit: str, **arguments: Any) -> GitShowResult:
    result = ask(git_show, root, commit=commit, **arguments)
    assert isinstance(result, GitShowResult)
    return result


def branch(root: Path) -> GitBranchResult:
    result = ask(git_branch, root)
    assert isinstance(result, GitBranchResult)
    return result


def reason(result: Result) -> str:
    assert not result.success
    assert result.parse_error
    return result.parse_error


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return repository(tmp_path / "repo", {"a.py": FIRST, "src/b.py": "b = 1\n"})


# --- blame


def test_blame_names_the_commit_of_each_line(root: Path) -> None:
    first = git(root, "rev-parse", "HEAD").decode().strip()
    second = commit(root, {"a.py": FIRST.replace("line 2", "zwei ü")}, "Second")
    write(root, {"a.py": FIRST.replace("line 2", "zwei ü") + "new\n"})
    result = blame(root, "a.py")
    assert result.success, result.parse_error
    assert [line.line for line in result.lines] == [1, 2, 3, 4, 5, 6]
    assert result.lines[1] == GitBlameLine(
        line=2, hash=second, author="Ada Lovelace", date=DATE, text="zwei ü"
    )
    assert {line.hash for line in result.lines} == {first, second, "0" * 40}
    assert (result.lines[5].author, result.lines[5].text) == ("Not Committed Yet", "new")
    assert str(result).splitlines()[1] == f"{second[:7]} 2024-05-01 Ada Lovelace  2  zwei ü"


def test_blame_of_a_range(root: Path) -> None:
    texts = [line.text for line in blame(root, "a.py", start_line=2, end_line=3).lines]
    assert texts == ["line 2", "line 3"]
    assert [line.line for line in blame(root, "a.py", start_line=4, end_line=99).lines] == [4, 5]
    assert [line.line for line in blame(root, "a.py", end_line=1).lines] == [1]
    assert blame(root, "b.py").lines == blame(root, "src/b.py").lines != []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"path": "a.py", "start_line": 6}, "start_line=6: 'a.py' has 5 lines"),
        ({"path": "a.py", "start_line": 0}, "give 1-based lines"),
        ({"path": "a.py", "start_line": 3, "end_line": 2}, "give 1-based lines"),
        ({"path": "src"}, "'src' is a folder: give a file"),
        ({"path": "."}, "'.' is a folder: give a file"),
        ({"path": "new.py"}, "'new.py' is not tracked by git"),
        ({"path": "gone.py"}, "'gone.py' is deleted in the working tree"),
        ({"path": "aa.py"}, "did you mean 'a.py'"),
    ],
    ids=str,
)
def test_what_cannot_be_blamed_is_said(root: Path, arguments: dict[str, Any], said: str) -> None:
    commit(root, {"gone.py": "1\n"}, "More")
    (root / "gone.py").unlink()
    write(root, {"new.py": "1\n"})
    assert said in reason(ask(git_blame, root, **arguments))


def test_an_empty_file_has_no_lines_and_no_history_none(root: Path, tmp_path: Path) -> None:
    commit(root, {"empty.py": ""}, "Empty")
    assert (blame(root, "empty.py").success, blame(root, "empty.py").lines) == (True, [])
    fresh = repository(tmp_path / "fresh")
    write(fresh, {"a.py": "1\n"})
    git(fresh, "add", "a.py")
    assert "no commits yet" in reason(blame(fresh, "a.py"))


def test_blame_of_a_long_file_is_cut_and_says_how_to_go_on(root: Path) -> None:
    commit(root, {"long.py": FIRST * 50, "wide.py": "x" * 5000 + "\n"}, "Long")
    result = blame(root, "long.py")
    assert (len(result.lines), result.truncated) == (200, True)
    assert result.parse_error == "'long.py' has 250 lines: the list is cut"
    assert str(result).splitlines()[-2:] == [
        result.parse_error,
        "(cut: go on with start_line=201)",
    ]
    rest = blame(root, "long.py", start_line=201)
    assert ([line.line for line in rest.lines], rest.truncated) == ([*range(201, 251)], False)
    assert not blame(root, "long.py", start_line=1, end_line=200).truncated
    wide = blame(root, "wide.py")
    assert wide.truncated
    assert len(wide.lines[0].text) < 1100


# --- show


def test_show_has_every_field(root: Path) -> None:
    sha = commit(root, {"a.py": FIRST + "six\n", "new.py": "1\n"}, "Subject: ü\n\nBody\n\n- more")
    result = show(root, "HEAD")
    assert (result.hash, result.message, result.body) == (sha, "Subject: ü", "Body\n\n- more")
    assert (result.author, result.email, result.date) == ("Ada Lovelace", "ada@example.org", DATE)
    assert (result.additions, result.deletions, result.truncated) == (2, 0, False)
    assert [(f.file, f.status, f.additions) for f in result.files] == [
        ("a.py", "modified", 1),
        ("new.py", "added", 1),
    ]
    assert result.files[1].hunks == ["@@ -0,0 +1 @@\n+1"]
    for name in (sha[:8], "main", "HEAD~0", "v1"):
        git(root, "tag", "--force", "--annotate", "--message", "x", "v1")
        assert show(root, name).hash == sha
    assert str(result).splitlines()[:3] == [
        sha,
        f"Ada Lovelace <ada@example.org>  {DATE}",
        "Subject: ü",
    ]


def test_show_of_a_first_commit_a_merge_and_an_empty_one(root: Path) -> None:
    assert [f.status for f in show(root, "HEAD").files] == ["added", "added"]
    git(root, "checkout", "--quiet", "-b", "side")
    commit(root, {"side.py": "1\n"}, "Side")
    git(root, "checkout", "--quiet", "main")
    commit(root, {"main.py": "1\n"}, "Main")
    git(root, "merge", "--quiet", "--no-ff", "--message", "Merge side", "side")
    assert [f.file for f in show(root, "HEAD").files] == ["side.py"]
    commit(root, {}, "Nothing")
    assert (show(root, "HEAD").files, show(root, "HEAD").success) == ([], True)
    assert "no files changed" in str(show(root, "HEAD"))


def test_what_is_no_commit_is_named_with_the_nearest(root: Path, tmp_path: Path) -> None:
    git(root, "branch", "feature/login")
    assert "did you mean 'feature/login'" in reason(show(root, "feature/logn"))
    assert "did you mean 'HEAD'" in reason(show(root, "HAED"))
    assert "no commit 'zzz': give a hash" in reason(show(root, "zzz"))
    assert "is a range" in reason(show(root, "HEAD..main"))
    assert "no commit 'HEAD:a.py'" in reason(show(root, "HEAD:a.py"))
    assert "no commit ''" in reason(show(root, ""))
    fresh = repository(tmp_path / "fresh")
    assert "no commit 'HEAD': the repository has no commits yet" in reason(show(fresh, "HEAD"))
    assert "not in a git repository" in reason(show(tmp_path, "HEAD"))


def test_a_commit_is_no_option(root: Path) -> None:
    """`git show --output=FILE` would write a file."""
    assert "no commit '--output=x'" in reason(show(root, "--output=x"))
    assert not (root / "x").exists()


def test_a_short_hash_that_several_commits_share_lists_them(root: Path) -> None:
    one = "commit refs/heads/main\ncommitter A <a@x> {n} +0000\ndata {size}\nNumber {n}\n"
    text = "".join(one.format(n=n, size=len(f"Number {n}")) for n in range(1500))
    git(root, "fast-import", "--quiet", "--force", stdin=text.encode())
    hashes = git(root, "rev-list", "HEAD").decode().split()
    short = next(h[:4] for h in hashes if sum(o[:4] == h[:4] for o in hashes) > 1)
    said = reason(show(root, short))
    assert said.startswith(f"commit {short!r} may be any of {short}")
    assert "(Number " in said


def test_a_workspace_below_the_repository_sees_its_part_of_a_commit(root: Path) -> None:
    commit(root, {"a.py": "1\n", "src/b.py": "b = 2\n"}, "Both")
    assert [f.file for f in show(root / "src", "HEAD").files] == ["b.py"]
    assert show(root / "src", "HEAD").additions == 1
    assert [line.text for line in blame(root / "src", "b.py").lines] == ["b = 2"]


# --- branch


def test_branches_and_what_they_follow(root: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "repo", "copy")
    copy = tmp_path / "copy"
    theirs = commit(root, {"c.py": ""}, "Theirs")
    git(copy, "fetch", "--quiet")
    ours = commit(copy, {"d.py": ""}, "Ours")
    git(copy, "branch", "feature/x", "HEAD~1")
    result = branch(copy)
    assert result.current == "main"
    assert result.branches[1] == GitBranch(
        name="main",
        current=True,
        upstream="origin/main",
        ahead=1,
        behind=1,
        hash=ours,
        message="Ours",
        date=DATE,
    )
    assert [b.name for b in result.branches] == ["feature/x", "main"]
    assert (result.branches[0].upstream, result.branches[0].message) == ("", "Start")
    assert theirs not in {b.hash for b in result.branches}
    shown = f"* main  {ours[:7]} 2024-05-01  Ours  [origin/main: ahead 1, behind 1]"
    assert shown in str(result).splitlines()


def test_a_branch_whose_upstream_is_gone_follows_none(root: Path, tmp_path: Path) -> None:
    """Ahead 0 of a branch that is gone would read as: all of it is pushed."""
    git(root, "branch", "topic")
    git(tmp_path, "clone", "--quiet", "repo", "copy")
    copy = tmp_path / "copy"
    git(copy, "checkout", "--quiet", "topic")
    git(root, "branch", "-D", "topic")
    git(copy, "fetch", "--quiet", "--prune")
    [_, topic] = branch(copy).branches
    assert (topic.name, topic.upstream, topic.current) == ("topic", "", True)


def test_branches_of_a_detached_head_and_of_no_commits(root: Path, tmp_path: Path) -> None:
    git(root, "checkout", "--quiet", "--detach")
    result = branch(root)
    assert (result.current, [b.current for b in result.branches]) == ("", [False])
    assert str(result).startswith("HEAD is detached")
    fresh = branch(repository(tmp_path / "fresh"))
    assert (fresh.success, fresh.current, fresh.branches) == (True, "main", [])
    assert str(fresh) == "no commits yet"
    assert "not in a git repository" in reason(branch(tmp_path))


def test_many_branches_are_cut_and_the_current_one_stays(root: Path) -> None:
    head = git(root, "rev-parse", "HEAD").decode().strip()
    lines = "".join(f"create refs/heads/b{n:03} {head}\n" for n in range(230))
    git(root, "update-ref", "--stdin", stdin=lines.encode())
    result = branch(root)
    assert (len(result.branches), result.truncated) == (200, True)
    assert result.parse_error == "231 branches in all: the list is cut"
    assert str(result).splitlines()[-2:] == ["(cut)", result.parse_error]
    assert [b.name for b in result.branches if b.current] == ["main"]


def test_a_commit_is_found_by_a_text_of_its_message(root: Path) -> None:
    first = git(root, "rev-parse", "HEAD").decode().strip()
    commit(root, {}, "Mend a..b")
    assert show(root, ":/Start").hash == first
    assert show(root, ":/a..b").message == "Mend a..b"
    assert reason(show(root, ":/none")) == "no commit ':/none': no message holds 'none'"
    assert "it names a file of one" in reason(show(root, "HEAD:a.py"))


def test_a_commit_of_many_files_tells_their_number(root: Path) -> None:
    commit(root, {f"many/{n}.txt": f"{n}\n" for n in range(230)}, "Many")
    result = show(root, "HEAD")
    assert (len(result.files), result.truncated, result.additions) == (200, True, 230)
    assert result.parse_error == "the commit changed 230 files: the list is cut"
    assert str(result).splitlines()[-1] == result.parse_error


def test_a_broken_branch_is_not_left_out_silently(root: Path) -> None:
    write(root, {".git/refs/heads/torn": "junk\n"})
    assert "refs/heads/torn" in reason(branch(root))
