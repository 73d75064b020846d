"""Reading, writing and undoing, on small real workspaces."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from punie.errors import ToolFailure
from punie.settings import data_folder
from punie.tools.files import ReadFileResult, WriteResult, read_file, write_file
from punie.undo import KEPT, record, undo
from punie.wrap import Allow, call
from repos import context, git, repository, snapshot, write


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's data folder, far from the real one."""
    monkeypatch.setenv("PUNIE_DATA", str(tmp_path / "data"))
    assert data_folder() == tmp_path / "data"
    return tmp_path / "data"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "work"
    write(root, {"a.txt": "one\ntwo\nthree\n", "src/b.py": "b = 1\n", "windows.txt": "1\r\n2\r\n"})
    return root


def read(root: Path, path: str, **arguments: Any) -> ReadFileResult:
    bound = read_file.bind((path,), arguments)
    result, _ = asyncio.run(call(read_file, context(root), bound))
    assert isinstance(result, ReadFileResult)
    return result


def put(root: Path, path: str, content: str) -> WriteResult:
    """Write through every wrapper; the approver saw the diff of the result."""
    here = context(root)
    arguments = {"path": path, "content": content}
    result, _ = asyncio.run(call(write_file, here, arguments))
    assert isinstance(result, WriteResult)
    assert isinstance(here.approver, Allow)
    if result.success and result.diff:
        (request,) = here.approver.requests
        led = "" if request.detail.startswith("---") else f"{path} leads to a.txt\n"
        assert request.detail == led + result.diff
    return result


def reason(result: ReadFileResult | WriteResult) -> str:
    assert not result.success
    assert result.parse_error
    return result.parse_error


def test_read_gives_the_whole_text_and_prints_it(root: Path) -> None:
    before = snapshot(root)
    result = read(root, "./src/../a.txt")
    assert (result.path, result.text, result.start_line) == ("a.txt", "one\ntwo\nthree\n", 1)
    assert result.line_count == 3
    assert str(result) == "one\ntwo\nthree"
    assert snapshot(root) == before


def test_read_gives_chosen_lines_with_their_ends(root: Path) -> None:
    middle = read(root, "a.txt", start_line=2, end_line=2)
    assert (middle.text, middle.start_line, middle.line_count) == ("two\n", 2, 3)
    assert read(root, "a.txt", start_line=2, end_line=99).text == "two\nthree\n"
    assert read(root, "a.txt", end_line=1).text == "one\n"
    assert read(root, "windows.txt", start_line=2).text == "2\r\n"


def test_a_line_ends_where_python_says_and_nowhere_else(root: Path) -> None:
    """`str.splitlines` would count form feeds and U+2028 as line ends too."""
    write(root, {"odd.py": "a = '\u2028'\n\x0cb = 1\rc = 2\r\nd = 3"})
    assert read(root, "odd.py").line_count == 4
    assert read(root, "odd.py", start_line=4).text == "d = 3"


def test_an_empty_file_has_no_lines(root: Path) -> None:
    write(root, {"empty": ""})
    result = read(root, "empty")
    assert (result.success, result.text, result.line_count) == (True, "", 0)


def test_what_cannot_be_read_is_said(root: Path) -> None:
    write(root, {"latin.py": b"x = 'caf\xe9'\n"})
    os.mkfifo(root / "pipe")
    with (root / "huge").open("wb") as file:
        file.truncate(2**30)
    assert "did you mean 'src/b.py'" in reason(read(root, "src/bb.py"))
    assert read(root, "b.py").path == "src/b.py"
    assert "'src' is a folder" in reason(read(root, "src"))
    assert "not UTF-8 text (byte 8)" in reason(read(root, "latin.py"))
    assert "no regular file" in reason(read(root, "pipe"))
    assert "over 32 MB" in reason(read(root, "huge"))
    assert "outside the workspace" in reason(read(root, "../secret"))
    assert "cannot be used" in reason(read(root, "x" * 5000))
    assert "'a.txt' has 3 lines" in reason(read(root, "a.txt", start_line=4))
    for lines in ({"start_line": 0}, {"end_line": 0}, {"start_line": 3, "end_line": 2}):
        assert "1-based" in reason(read(root, "a.txt", **lines))


def test_a_path_back_through_a_link_does_not_leave_the_workspace(
    root: Path, tmp_path: Path
) -> None:
    """`in/../evil` once was checked as `src/evil`, where `in` leads, and opened as `evil`."""
    write(tmp_path, {"secret": "s"})
    write(root, {"src/deep/x": ""})
    (root / "in").symlink_to("src/deep")
    (root / "evil").symlink_to(tmp_path / "secret")
    for path in ("in/../evil", "evil"):
        assert "outside the workspace" in reason(read(root, path))
        assert "outside the workspace" in reason(put(root, path, "x"))
    (root / "round").symlink_to("round")
    assert not read(root, "round").success
    assert not put(root, "round", "x").success
    assert (tmp_path / "secret").read_text() == "s"


def test_write_replaces_shows_the_diff_and_can_be_undone(root: Path) -> None:
    (root / "a.txt").chmod(0o750)
    before = snapshot(root)
    result = put(root, "a.txt", "one\n2\nthree\n")
    assert (result.path, result.created) == ("a.txt", False)
    assert result.diff == "--- a/a.txt\n+++ b/a.txt\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n"
    assert str(result) == "changed: a.txt"
    assert (root / "a.txt").read_text() == "one\n2\nthree\n"
    assert stat.S_IMODE((root / "a.txt").stat().st_mode) == 0o750
    assert str(undo(root)) == f"restored {root}/a.txt"
    assert snapshot(root) == before


def test_write_creates_with_folders_and_undo_removes_both(root: Path) -> None:
    before = snapshot(root)
    result = put(root, "new/deep/c.txt", "c")
    assert (result.created, str(result)) == (True, "created: new/deep/c.txt")
    assert result.diff.startswith("--- /dev/null\n+++ b/new/deep/c.txt\n")
    assert result.diff.endswith("+c\n\\ No newline at end of file\n")
    assert str(undo(root)) == f"removed {root}/new/deep/c.txt (it had been created)"
    assert snapshot(root) == before
    assert not (root / "new").exists()


def test_the_diff_is_one_that_git_can_apply(tmp_path: Path) -> None:
    root = repository(tmp_path / "repo", {"a.txt": "1\r\n2\r\n3", "b.txt": "x\n"})
    patches = [
        put(root, "a.txt", "1\n4\n3\n").diff,
        put(root, "b.txt", "").diff,
        put(root, "c d.txt", "new").diff,
    ]
    written = snapshot(root)
    git(root, "checkout", "--quiet", ".")
    git(root, "clean", "-fdq")
    for patch in patches:
        git(root, "apply", stdin=patch.encode())
    after = snapshot(root)
    names = [os.fspath(root / name) for name in ("a.txt", "b.txt", "c d.txt")]
    assert [after[name] for name in names] == [written[name] for name in names]


def test_line_ends_and_byte_order_mark_are_kept(root: Path) -> None:
    put(root, "windows.txt", "1\n2\n3\n")
    assert (root / "windows.txt").read_bytes() == b"1\r\n2\r\n3\r\n"
    assert put(root, "windows.txt", "1\r\n2\r\n3\r\n").diff == ""
    put(root, "a.txt", "one\r\n")
    assert (root / "a.txt").read_bytes() == b"one\n"
    write(root, {"mark.txt": b"\xef\xbb\xbfx\n", "mixed.txt": b"1\r\n2\n"})
    put(root, "mark.txt", "y\n")
    assert (root / "mark.txt").read_bytes() == b"\xef\xbb\xbfy\n"
    put(root, "mixed.txt", "1\r\n3\n")
    assert (root / "mixed.txt").read_bytes() == b"1\r\n3\n"


def test_the_same_text_is_no_write(root: Path) -> None:
    result = put(root, "a.txt", "one\ntwo\nthree\n")
    assert (result.success, result.diff, str(result)) == (True, "", "unchanged: a.txt")
    with pytest.raises(ToolFailure, match="nothing to undo"):
        undo(root)


def test_a_link_inside_is_written_through_and_stays_a_link(root: Path) -> None:
    (root / "link.txt").symlink_to("a.txt")
    assert put(root, "link.txt", "new\n").path == "link.txt"
    assert (root / "link.txt").is_symlink()
    assert (root / "a.txt").read_text() == "new\n"


def test_what_must_not_be_written_is_refused(root: Path, tmp_path: Path) -> None:
    git(root, "init", "--quiet")
    os.mkfifo(root / "pipe")
    (root / "hooks").symlink_to(".git/hooks")
    write(root, {"latin.py": b"x = 'caf\xe9'\n"})
    before = snapshot(root / ".git") | snapshot(root / "src")
    for path in (".git/config", ".GIT/config", "src/.git/x", "hooks/pre-commit", ".git"):
        assert "belongs to git" in reason(put(root, path, "x"))
    for path in ("src", ".", "new/"):
        assert "is a folder" in reason(put(root, path, "x"))
    assert "'a.txt' is a file, no folder" in reason(put(root, "a.txt/b", "x"))
    assert "no regular file" in reason(put(root, "pipe", "x"))
    assert "not UTF-8" in reason(put(root, "latin.py", "x"))
    assert "outside" in reason(put(root, str(tmp_path / "x"), "x"))
    assert "utf-8 does not know" in reason(put(root, "a.txt", "\ud800"))
    assert "cannot be used" in reason(put(root, "n" * 256, "x"))
    assert snapshot(root / ".git") | snapshot(root / "src") == before


def test_a_refused_write_changes_nothing(root: Path) -> None:
    here = context(root, read_only=True)
    before = snapshot(root)
    with pytest.raises(Exception, match="read-only"):
        asyncio.run(call(write_file, here, {"path": "a.txt", "content": "x"}))
    assert snapshot(root) == before


def test_write_tells_the_problems_it_brought_and_no_old_ones(root: Path) -> None:
    write(root, {"src/c.py": "import os\n\nx: int = 'old'\n"})
    result = put(root, "src/c.py", "import os\nimport sys\n\nx: int = 'old'\ny: str = 1\n")
    assert result.parse_error is None
    assert [(e.file, e.line) for e in result.errors] == [("src/c.py", 5)]
    assert [(v.code, v.line) for v in result.violations] == [("F401", 2)]
    assert "src/c.py:5:10 error" in str(result)
    assert put(root, "src/d.py", "z: int = ''\n").errors[0].line == 1
    assert put(root, "src/d.py", "z: int = 0\n").errors == []
    assert put(root, "src/e.py", "def f(:\n").errors != []
    assert not list(root.rglob(".ruff_cache"))


def test_a_missing_check_does_not_hide_that_the_file_is_written(root: Path) -> None:
    write(root, {"ruff.toml": "not toml"})
    result = put(root, "src/b.py", "b = 2\n")
    assert result.success
    assert "written, but not checked: its style: ruff check failed" in str(result)
    assert (root / "src/b.py").read_text() == "b = 2\n"


def test_undo_goes_back_write_by_write(root: Path) -> None:
    for text in ("1\n", "2\n", "3\n"):
        put(root, "a.txt", text)
    put(root, "new.txt", "n\n")
    seen = []
    for _ in range(4):
        undo(root)
        seen.append((root / "a.txt").read_text())
    assert seen == ["3\n", "2\n", "1\n", "one\ntwo\nthree\n"]
    assert not (root / "new.txt").exists()
    with pytest.raises(ToolFailure, match="nothing to undo"):
        undo(root)


def test_undo_leaves_what_the_user_changed_since(root: Path, data: Path) -> None:
    put(root, "src/b.py", "b = 2\n")
    put(root, "a.txt", "punie\n")
    (root / "a.txt").write_text("user\n")
    with pytest.raises(ToolFailure, match=r"'a\.txt' changed after Punie wrote it") as error:
        undo(root)
    kept = Path(str(error.value).split("'")[-2])
    assert kept.read_text() == "one\ntwo\nthree\n"
    assert (root / "a.txt").read_text() == "user\n"
    assert undo(root).path == root / "src/b.py"


def test_the_journal_is_private_and_apart_for_each_workspace(
    root: Path, tmp_path: Path, data: Path
) -> None:
    put(root, "a.txt", "x\n")
    files = [path for path in data.rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    (tmp_path / "other").mkdir()
    with pytest.raises(ToolFailure, match="nothing to undo"):
        undo(tmp_path / "other")


def test_the_journal_keeps_its_last_writes_only(root: Path, data: Path) -> None:
    for number in range(KEPT + 5):
        record(root, root / "a.txt", f"{number}\n".encode(), b"new\n")
    assert len(list(data.rglob("*.json"))) == len(list(data.rglob("*.old"))) == KEPT


def test_what_one_checker_refuses_the_other_still_tells(root: Path) -> None:
    """`force-exclude` made ruff refuse the file, and the type error that came was not told."""
    write(root, {"ruff.toml": 'force-exclude = true\nexclude = ["src"]\n'})
    result = put(root, "src/b.py", "b: int = ''\n")
    assert [e.code for e in result.errors] == ["invalid-assignment"]
    assert (result.parse_error or "").startswith("written, but not checked: its style: ruff check")


def test_findings_of_a_new_notebook_are_told(root: Path) -> None:
    cell = '{"cell_type":"code","execution_count":null,"metadata":{},"outputs":[],'
    cell += '"source":["b: int = 0j"]}'
    text = '{"cells":[%s],"metadata":{},"nbformat":4,"nbformat_minor":5}\n' % cell
    (error,) = put(root, "n.ipynb", text).errors
    assert (error.line, error.message.endswith("(cell 1)")) == (1, True)


@pytest.mark.parametrize(
    ("old", "new", "kept"),
    [
        (b"1\r\n2\n3\r\n", "1\n2\n3\n4\n", b"1\r\n2\n3\r\n4\r\n"),
        (b"1\r\n2\n3\r\n", "0\n2\n3", b"0\r\n2\n3"),
        (b"1\r\n2\n3\r\n4", "1\n2\n4\n", b"1\r\n2\n4\r\n"),
    ],
)
def test_lines_of_a_file_of_mixed_ends_keep_their_own(
    root: Path, old: bytes, new: str, kept: bytes
) -> None:
    """All became line feeds, and the diff showed each line as changed."""
    write(root, {"mixed.txt": old})
    result = put(root, "mixed.txt", new)
    assert (root / "mixed.txt").read_bytes() == kept
    assert "mixes line ends" in (result.parse_error or "")
