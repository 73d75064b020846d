"""git_log against git's own plumbing, on small real repositories."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from punie.tools.git import GitCommit, GitLogResult, git_log
from repos import ask, commit, git, repository


def log(root: Path, **arguments: Any) -> GitLogResult:
    result = ask(git_log, root, **arguments)
    assert isinstance(result, GitLogResult)
    return result


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files: dict[str, str | bytes] = {
        "a.py": "a = 1\n",
        "src/b.py": "b = 1\n",
        "src/c.py": "c = 1\n",
    }
    return repository(tmp_path / "repo", files)


def test_log_has_every_field(root: Path) -> None:
    sha = commit(root, {"src/b.py": "b = 2\n"}, "Subject: ü\n\nBody one\n\n- body two\n")
    result = log(root)
    assert result.commit_count == len(result.commits) == 2
    assert result.commits[0] == GitCommit(
        hash=sha,
        message="Subject: ü",
        body="Body one\n\n- body two",
        author="Ada Lovelace",
        email="ada@example.org",
        date="2024-05-01T10:00:00+02:00",
        files=["src/b.py"],
    )
    assert result.commits[1].files == ["a.py", "src/b.py", "src/c.py"]
    assert str(result).splitlines()[0] == f"{sha[:7]} 2024-05-01 Ada Lovelace  Subject: ü"


def test_log_of_a_path_names_all_files_of_its_commits(root: Path) -> None:
    commit(root, {"src/b.py": "b = 2\n", "a.py": "a\n"}, "Both")
    commit(root, {"a.py": "aa\n"}, "Only a")
    result = log(root, path="src/b.py")
    assert [c.message for c in result.commits] == ["Both", "Start"]
    assert result.commits[0].files == ["a.py", "src/b.py"]


def test_log_of_merges_empty_commits_and_odd_messages(root: Path) -> None:
    git(root, "checkout", "--quiet", "-b", "side")
    commit(root, {"side.py": ""}, "//\n\n//\nfake")
    git(root, "checkout", "--quiet", "main")
    commit(root, {"main.py": ""}, "Main")
    git(root, "merge", "--quiet", "--no-ff", "--message", "Merge side", "side")
    commit(root, {}, "Nothing")
    files = {c.message: c.files for c in log(root).commits}
    assert files["Merge side"] == ["side.py"]
    assert files["Nothing"] == []
    assert files["//"] == ["side.py"]
    assert files["Main"] == ["main.py"]
    hashes = git(root, "rev-list", "HEAD").decode().split()
    assert [c.hash for c in log(root).commits] == hashes


def test_count_limits_the_log_and_the_cap_says_so(tmp_path: Path) -> None:
    """205 commits: one `fast-import` makes them faster than 205 processes."""
    root = repository(tmp_path / "repo", {"a.py": ""})
    who = "committer Ada Lovelace <ada@example.org> 1714550400 +0200"
    one = f"commit refs/heads/main\n{who}\ndata 5\nMore\n"
    first = one + "from refs/heads/main^0\n"
    git(root, "fast-import", "--quiet", stdin=(first + one * 203).encode())
    for count, total, listed, cut in [
        (3, 3, 3, False),
        (200, 200, 200, False),
        (0, 205, 200, True),
        (203, 203, 200, True),
        (999, 205, 200, True),
    ]:
        result = log(root, count=count, settings={"output_kb": 1000})
        assert (result.commit_count, len(result.commits), result.truncated) == (total, listed, cut)
    few = log(root)
    assert (few.commit_count, few.truncated) == (10, False)
    assert few.parse_error is None  # as many as were asked for: nothing to add
    whole = log(root, path="a.py", count=0)
    assert (whole.commit_count, whole.parse_error) == (1, None)
    assert log(root, path="a.py", count=1).parse_error is None
    assert log(root, count=205).parse_error is None


def test_a_commit_of_many_files_tells_their_number(tmp_path: Path) -> None:
    """The list of a commit's files has no count of its own."""
    root = repository(tmp_path / "repo", {f"f{n}.txt": "" for n in range(230)})
    one = git(root, "rev-parse", "--short=7", "HEAD").decode().strip()
    result = log(root)
    assert (len(result.commits[0].files), result.truncated) == (200, True)
    assert result.parse_error == f"files cut to 200: {one} has 230 files"


def test_a_negative_count_is_an_error(root: Path) -> None:
    result = log(root, count=-1)
    assert not result.success
    assert "count -1" in (result.parse_error or "")


def test_a_merge_that_did_not_change_a_path_is_not_in_its_history(root: Path) -> None:
    """sqlparse: main changed a file while a branch was open; its merge topped the history."""
    commit(root, {"ours.py": "1\n"}, "Ours")
    git(root, "checkout", "--quiet", "-b", "topic")
    commit(root, {"theirs.py": "1\n"}, "Theirs")
    git(root, "checkout", "--quiet", "-")
    commit(root, {"ours.py": "2\n"}, "Ours again")
    git(root, "merge", "--quiet", "--no-ff", "--message", "Merge topic", "topic")
    assert [c.message for c in log(root, path="ours.py").commits] == ["Ours again", "Ours"]
    assert log(root).commits[0].message == "Merge topic"
    assert log(root).commits[0].files == ["theirs.py"]
