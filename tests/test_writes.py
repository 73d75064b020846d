"""What is written is what was approved, byte for byte, and can be taken back."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from punie.diff import MOST_PAIRS, unified_diff
from punie.errors import ToolFailure
from punie.tools.files import Plan, WriteResult, read_file, write_file
from punie.undo import undo
from punie.wrap import Allow, Request, call
from repos import ask, commit, context, git, repository, snapshot, write


@pytest.fixture(autouse=True, scope="module")
def data() -> object:
    """The user's data folder, far from the real one."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PUNIE_DATA", folder)
        yield


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "work"
    write(root, {"a.txt": "one\ntwo\n", "src/b.py": "b = 1\n"})
    return root


class Meanwhile(Allow):
    """Approves, but something happens while it is asked."""

    def __init__(self, event: Callable[[], object]) -> None:
        super().__init__()
        self.event = event

    async def approve(self, request: Request) -> bool:
        self.event()
        return await super().approve(request)


def put(
    root: Path, path: str, content: str, meanwhile: Callable[[], object] = lambda: None
) -> WriteResult:
    here = context(root)
    here.approver = Meanwhile(meanwhile)
    result, _ = asyncio.run(call(write_file, here, {"path": path, "content": content}))
    assert isinstance(result, WriteResult)
    return result


def reason(result: WriteResult) -> str:
    assert not result.success
    assert result.parse_error
    return result.parse_error


# --- approval


def test_a_file_that_changed_while_its_diff_was_read_is_left(root: Path) -> None:
    """Once the diff was approved, another was made and written, over what had changed."""
    path = root / "a.txt"
    result = put(root, "a.txt", "punie\n", lambda: path.write_text("one\nmine\n"))
    assert "'a.txt' changed after its diff was made: nothing is written" in reason(result)
    assert path.read_text() == "one\nmine\n"
    with pytest.raises(ToolFailure, match="nothing to undo"):
        undo(root)


def test_a_file_that_came_or_went_meanwhile_is_left(root: Path) -> None:
    path, new = root / "a.txt", root / "new.txt"
    assert "changed after" in reason(put(root, "new.txt", "p\n", lambda: new.write_text("u\n")))
    assert new.read_text() == "u\n"
    assert "changed after" in reason(put(root, "a.txt", "p\n", path.unlink))
    assert not path.exists()


def test_a_path_that_leads_elsewhere_meanwhile_is_not_followed(root: Path, tmp_path: Path) -> None:
    write(tmp_path, {"secret.txt": "one\ntwo\n"})

    def lead_out() -> None:
        (root / "a.txt").unlink()
        (root / "a.txt").symlink_to(tmp_path / "secret.txt")

    def lead_in() -> None:
        (root / "src").rename(root / "real")
        (root / "src").symlink_to("real")

    assert "outside the workspace" in reason(put(root, "a.txt", "x\n", lead_out))
    assert (tmp_path / "secret.txt").read_text() == "one\ntwo\n"
    assert "changed after" in reason(put(root, "src/b.py", "b = 2\n", lead_in))
    assert (root / "real/b.py").read_text() == "b = 1\n"


def test_a_new_file_never_takes_the_place_of_one_that_came_last(root: Path) -> None:
    plan = Plan(context(root), "deep/new.txt", "punie\n")
    write(root, {"deep/new.txt": "user\n"})
    with pytest.raises(FileExistsError):
        plan.workspace.write_atomic(plan.target, plan.new, new=True)
    assert (root / "deep/new.txt").read_text() == "user\n"
    assert [p.name for p in (root / "deep").iterdir()] == ["new.txt"]


# --- bytes


@pytest.mark.parametrize(
    ("name", "old", "content", "new"),
    [
        (
            "cookie.py",
            "# coding: latin-1\nx = 'é'\n".encode("latin-1"),
            "# coding: latin-1\nx = 'é à'\n",
            "# coding: latin-1\nx = 'é à'\n".encode("latin-1"),
        ),
        ("cookie.py", b"# coding: latin-1\nx = '\xe9'\n", "x = 'é'\n", "x = 'é'\n".encode()),
        ("x.py", b"x = 1\n", "# coding: cp1251\nx = 'ж'\n", b"# coding: cp1251\nx = '\xe6'\n"),
        ("latin.txt", b"caf\xe9\r\n", "café au lait\n", b"caf\xe9 au lait\r\n"),
        ("wide.txt", "à\n".encode("utf-16"), "b\n", "b\n".encode("utf-16")),
        ("big.txt", b"\xfe\xff\0a", "b", b"\xfe\xff\0b"),
        ("mark.py", b"\xef\xbb\xbfx = 1\r\n", "x = 2\n", b"\xef\xbb\xbfx = 2\r\n"),
        ("mark.py", b"\xef\xbb\xbfx = 1\n", "\ufeffx = 2\n", b"\xef\xbb\xbfx = 2\n"),
        ("old.txt", b"a\rb\r", "a\nc\n", b"a\rc\r"),
        ("mixed.txt", b"a\r\nb\n", "a\nb\r\n", b"a\nb\r\n"),
    ],
)
def test_encoding_mark_and_line_ends_are_kept(
    root: Path, name: str, old: bytes, content: str, new: bytes
) -> None:
    write(root, {name: old})
    result = put(root, name, content)
    assert result.success, result.parse_error
    assert (root / name).read_bytes() == new
    assert ask(read_file, root, path=name).text.replace("\r", "\n").endswith(content[-1])
    undo(root)
    assert (root / name).read_bytes() == old


def test_a_text_without_a_code_is_refused_before_anything_is_written(root: Path) -> None:
    write(root, {"latin.txt": b"caf\xe9\n", "odd.py": b"# coding: klingon\n", "b.txt": b"a\xff\0"})
    assert "line 2 has the character '\\u20ac', which latin-1 does not know" in reason(
        put(root, "latin.txt", "café\n5 €\n")
    )
    assert "not be read back" in reason(put(root, "latin.txt", "Ã©\n"))
    assert "unknown encoding 'klingon'" in reason(put(root, "odd.py", "x = 1\n"))
    assert "unknown encoding 'klingon'" in reason(put(root, "new.py", "# coding: klingon\n"))
    assert "not UTF-8 text" in reason(put(root, "b.txt", "x"))
    assert not (root / "new.py").exists()


def test_mode_and_owner_are_kept_and_another_hard_link_keeps_the_old_text(root: Path) -> None:
    path = root / "a.txt"
    path.chmod(0o4751)
    if os.geteuid() == 0:
        os.chown(path, 12, 34)
    os.link(path, root / "other.txt")
    before = path.stat()
    assert put(root, "a.txt", "x\n").success
    after = path.stat()
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert stat.S_IMODE(after.st_mode) == stat.S_IMODE(before.st_mode)
    assert (root / "other.txt").read_text() == "one\ntwo\n"
    assert sorted(p.name for p in root.iterdir()) == ["a.txt", "other.txt", "src"]


def test_a_new_file_gets_the_mode_that_the_user_gives_new_files(root: Path) -> None:
    mask = os.umask(0o027)
    try:
        assert put(root, "new.txt", "x").success
    finally:
        os.umask(mask)
    assert stat.S_IMODE((root / "new.txt").stat().st_mode) == 0o640


# --- what is not written


def test_nothing_of_git_is_written_wherever_it_lies(root: Path, tmp_path: Path) -> None:
    """A hook or a config in any of these would run as code at git's next turn."""
    repository(root)
    commit(root, {"c.txt": "c\n"})
    library = repository(tmp_path / "lib", {"l.txt": "l\n"})
    git(
        root, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library), "sub"
    )
    git(root, "worktree", "add", "--quiet", "tree")
    git(root, "clone", "--quiet", "--bare", str(library), "bare")
    git(root, "init", "--quiet", "--separate-git-dir", "meta", "apart")
    (root / "link").symlink_to(".git/hooks")
    paths = [
        *(".git", ".git/hooks/x", ".GIT/config", ".Git/x", "sub/.git", "tree/.git", "src/.git/x"),
        *("bare/hooks/x", "bare/config", "meta/config", "link/pre-commit", ".git/modules/sub/HEAD"),
        *(".git./config", ".g\u200cit/config", "git~1/config", ".git::$INDEX_ALLOCATION/config"),
    ]
    before = snapshot(root)
    for path in paths:
        assert "belongs to git itself" in reason(put(root, path, "x")), path
    assert snapshot(root) == before
    for path in (".gitignore", "sub/l.txt", "tree/c.txt", ".github/x.yml", "digit/a"):
        assert put(root, path, "fine\n").success, path


def test_only_regular_files_inside_are_written(root: Path, tmp_path: Path) -> None:
    os.mkfifo(root / "pipe")
    place = socket.socket(socket.AF_UNIX)
    place.bind(os.path.relpath(root / "sock"))
    (root / "null").symlink_to("/dev/null")
    (root / "a.txt").chmod(0o444)
    for path, why in (
        ("pipe", "no regular file"),
        ("sock", "no regular file"),
        ("null", "outside the workspace"),
        ("/dev/null", "outside the workspace"),
        ("../x", "outside the workspace"),
        ("src", "is a folder"),
        ("a.txt", "write-protected"),
        ("a.txt/x", "is a file, no folder"),
        ("x\0y", "NUL"),
    ):
        assert why in reason(put(root, path, "x")), path
    place.close()


def test_a_folder_that_cannot_be_written_leaves_nothing(root: Path) -> None:
    before = snapshot(root)
    assert "cannot be" in reason(put(root, f"new/deeper/{'n' * 256}", "x"))
    assert snapshot(root) == before
    assert not (root / "new").exists()


# --- undo


def test_undo_does_not_go_through_a_link_that_came_later(root: Path, tmp_path: Path) -> None:
    write(tmp_path, {"out/b.py": "b = 2\n"})
    put(root, "src/b.py", "b = 2\n")
    (root / "src").rename(root / "old")
    (root / "src").symlink_to(tmp_path / "out")
    with pytest.raises(ToolFailure, match=r"leads through a link|outside"):
        undo(root)
    assert (tmp_path / "out/b.py").read_text() == "b = 2\n"


TEXTS = st.text(st.sampled_from("aé€\t \n\r\u2028\ufeff🙂'#"), max_size=40)
CODECS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"])


@settings(max_examples=150, deadline=None)
@given(old=TEXTS, new=TEXTS, codec=CODECS, exists=st.booleans())
def test_a_write_is_read_back_and_undone_to_the_byte(
    old: str, new: str, codec: str, exists: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root, path = Path(folder).resolve(), Path(folder).resolve() / "x.txt"
        before = old.encode(codec, "replace")
        if exists:
            path.write_bytes(before)
        try:
            plan = Plan(context(root), "x.txt", new)
        except ToolFailure:
            assert "latin-1" in codec or "\ufeff" in new or "\0" in old
            return
        if plan.old != plan.new:
            asyncio.run(plan.write())
            undone = ask(read_file, root, path="x.txt").text
            assert undone.split() == new.removeprefix("\ufeff").split()
            assert undo(root).path == path
        assert (path.read_bytes() if path.exists() else None) == (before if exists else None)


# --- diffs


LINES = st.lists(st.sampled_from(["a", "b", "c", "d\r", "", " e"]), max_size=30)


@settings(max_examples=60, deadline=None)
@given(old=LINES, new=LINES, ends=st.tuples(st.booleans(), st.booleans()))
def test_git_makes_the_new_text_from_the_old_one_and_the_diff(
    old: list[str], new: list[str], ends: tuple[bool, bool]
) -> None:
    before, after = ("\n".join(t) + "\n" * e for t, e in zip((old, new), ends, strict=True))
    patch = unified_diff("x", before, after)
    assert (patch == "") == (before == after)
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), {"x": before})
        if patch and before and after:  # of an empty file git wants other headers
            git(Path(folder), "apply", "--unidiff-zero", "-", stdin=patch.encode())
            assert (Path(folder) / "x").read_bytes() == after.encode()


def test_a_diff_of_huge_texts_is_made_in_blocks_and_still_true(tmp_path: Path) -> None:
    """Python's difflib needs minutes for this, and nothing could stop it."""
    size = 3000
    assert size * size > MOST_PAIRS
    old = "".join(f"{n * 7919 % size}\n" for n in range(size))
    new = "head\n" + "".join(f"{n * 104729 % size}\n" for n in range(size))
    write(tmp_path, {"x": f"same\n{old}end\n"})
    patch = unified_diff("x", f"same\n{old}end\n", f"same\n{new}end\n")
    git(tmp_path, "apply", "-", stdin=patch.encode())
    assert (tmp_path / "x").read_text() == f"same\n{new}end\n"
