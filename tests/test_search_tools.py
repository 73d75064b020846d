"""Searching text and listing files, compared with plain git on small real repositories."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from punie.tools.search import FileListResult, SearchResult, list_files, search_text
from repos import ask, commit, git, repository, snapshot, write

FILES: dict[str, str | bytes] = {
    "a.py": "import os\n\n\ndef one() -> str:\n    return 'one'  # TODO\n",
    "src/b.py": "def two():\n\treturn 'zwei €' # TODO\n",
    "src/deep/c.txt": "one\r\ntwo\r\n\r\nthree TODO",
    "src/deep/data.bin": b"TODO\0TODO\n",
    ".gitignore": "*.log\nbuild/\n",
    "x.log": "TODO in a log\n",
    "build/out.py": "TODO in a build\n",
    ".hidden/d.py": "# TODO\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return repository(tmp_path / "work", dict(FILES))


def search(root: Path, pattern: str, path: str = ".", **more: Any) -> SearchResult:
    before = snapshot(root)
    result: SearchResult = ask(search_text, root, pattern=pattern, path=path, **more)
    assert snapshot(root) == before
    return result


def places(result: SearchResult) -> list[tuple[str, int]]:
    assert result.success, result.parse_error
    assert result.match_count == len(result.matches)
    return [(m.file, m.line) for m in result.matches]


def listed(root: Path, pattern: str = "*", path: str = ".", **more: Any) -> FileListResult:
    before = snapshot(root)
    result: FileListResult = ask(list_files, root, pattern=pattern, path=path, **more)
    assert snapshot(root) == before
    return result


def names(result: FileListResult) -> list[str]:
    assert result.success, result.parse_error
    assert result.file_count == len(result.files)
    return [f.path for f in result.files]


def reason(result: SearchResult | FileListResult) -> str:
    assert not result.success
    assert result.parse_error
    return result.parse_error


# --- search_text


def test_text_is_found_in_what_git_does_not_ignore(root: Path) -> None:
    write(root, {"new.py": "# TODO\n"})
    found = search(root, "TODO")
    assert places(found) == [
        (".hidden/d.py", 1),
        ("a.py", 5),
        ("new.py", 1),
        ("src/b.py", 2),
        ("src/deep/c.txt", 4),
    ]
    assert [m.text for m in found.matches][1] == "    return 'one'  # TODO"
    assert str(found).startswith("match_count: 5\n.hidden/d.py:1: # TODO\n")
    assert places(search(root, "TODO", "src")) == [("src/b.py", 2), ("src/deep/c.txt", 4)]
    assert places(search(root, "TODO", "c.txt")) == [("src/deep/c.txt", 4)]


def test_a_line_counts_once_and_ends_where_read_file_says(root: Path) -> None:
    write(root, {"ends.txt": "a\rb b b\r\nc\nb", "none.txt": ""})
    assert places(search(root, "b", "ends.txt")) == [("ends.txt", 2), ("ends.txt", 4)]
    assert places(search(root, "^two$", "src/deep/c.txt")) == [("src/deep/c.txt", 2)]
    assert places(search(root, "^$", "src/deep/c.txt")) == [("src/deep/c.txt", 3)]
    assert places(search(root, "^$", "none.txt")) == []


@pytest.mark.parametrize(
    "pattern",
    ["def", "def (one|two)", r"\bone\b", "o.e", "^import", r"return '\w+", "(?i)todo", "[zw]{2}"],
)
def test_expressions_find_what_git_finds_with_its_own(root: Path, pattern: str) -> None:
    output = git(root, "grep", "--untracked", "-nIPz", "--no-color", "-e", pattern)
    fields = [line.split(b"\0") for line in output.splitlines()]
    theirs = [(file.decode(), int(line)) for file, line, _ in fields]
    assert theirs
    assert places(search(root, pattern)) == theirs


def test_what_is_no_expression_or_matches_as_none_is_plain_text(root: Path) -> None:
    """`one()` as an expression is `one`, and `two():` would have been found nowhere but by luck."""
    write(root, {"calls.py": "print(one())\nx = items[0] + y\nf(*args, **kw)\n"})
    for pattern in ("print(one(", "**kw", "items[0] + y", "print(one())", "f(*args, **kw)"):
        assert [file for file, _ in places(search(root, pattern))] == ["calls.py"], pattern
    assert "is no regular expression (missing ), " in reason(search(root, "(nowhere"))
    assert "no line holds it as plain text" in reason(search(root, "(nowhere"))


def test_none_found_is_an_answer_only_where_lines_were_searched(root: Path) -> None:
    nothing = search(root, "nowhere at all")
    assert (nothing.success, nothing.match_count, nothing.parse_error) == (True, 0, None)
    assert "is empty" in reason(search(root, ""))
    assert "line end" in reason(search(root, "one\ntwo"))
    assert "line end" in reason(search(root, r"one\ntwo"))
    assert places(search(root, r"\\n")) == []
    assert "'src/deep/data.bin' is a binary file" in reason(search(root, "TODO", "data.bin"))
    assert "did you mean 'src/b.py'" in reason(search(root, "x", "src/bb.py"))
    os.mkfifo(root / "pipe")
    assert "no regular file" in reason(search_fifo(root))


def search_fifo(root: Path) -> SearchResult:
    result: SearchResult = ask(search_text, root, pattern="x", path="pipe")
    return result


@pytest.mark.parametrize("text", ["(a+)+$", "(a|aa)+$", "(a+a+)+$"])
def test_an_expression_that_would_take_for_ever_ends_at_the_limit(root: Path, text: str) -> None:
    write(root, {"long.txt": "a" * 60 + "!\n"})
    result = search(root, text, settings={"tool_seconds": 1.0})
    assert "search_text took longer than its limit of 1 s" in reason(result)


def test_a_cut_list_keeps_the_whole_count(root: Path) -> None:
    write(root, {"many.txt": "same line\n" * 1000})
    for pattern in ("same", "sam[e]", "(same)"):
        cut = search(root, pattern)
        assert (cut.match_count, len(cut.matches), cut.truncated) == (1000, 200, True)
        assert search(root, pattern, limit=1000).truncated is False
    assert "at least 1" in reason(search(root, "x", limit=0))


def test_of_a_long_line_the_part_around_the_match_is_shown(root: Path) -> None:
    write(root, {"min.js": "x" * 50_000 + " needle " + "y" * 50_000 + "\n"})
    for pattern in ("needle", "need(le)"):
        found = search(root, pattern)
        (match,) = found.matches
        assert found.truncated
        assert " needle " in match.text
        assert len(match.text) < 500
        assert "characters cut" in match.text


def test_files_in_other_encodings_are_searched_as_their_readers_see_them(root: Path) -> None:
    write(
        root,
        {
            "cookie.py": "# coding: koi8-r\nx = 'привет'\n".encode("koi8-r"),
            "broken.py": b"x = 'caf\xe9'\n",
            "latin.txt": b"caf\xe9\n",
            "wide.txt": "grün café\n".encode("utf-16"),
            "mark.py": b"\xef\xbb\xbfcaf\xc3\xa9 = 1\n",
        },
    )
    assert places(search(root, "привет")) == [("cookie.py", 2)]
    assert places(search(root, "café")) == [("latin.txt", 1), ("mark.py", 1), ("wide.txt", 1)]
    assert places(search(root, "^caf. = 1")) == [("mark.py", 1)]
    assert places(search(root, "grün")) == [("wide.txt", 1)]
    assert search(root, "caf", "broken.py").matches[0].text == "x = 'caf\ufffd'"


def test_what_could_not_be_searched_is_said(root: Path) -> None:
    with (root / "huge.txt").open("wb") as file:
        file.truncate(2**26)
    found = ask(search_text, root, pattern="TODO")
    assert (found.success, found.match_count, found.truncated) == (True, 4, True)
    assert (found.parse_error or "").startswith("not searched: 'huge.txt' (over 32 MB); taken for")
    assert str(found).endswith(found.parse_error or "")


# --- list_files


def test_files_are_listed_with_size_and_lines(root: Path) -> None:
    result = listed(root, "*")
    output = git(root, "ls-files", "-z", "-c", "-o", "--exclude-standard")
    assert sorted(names(result)) == sorted(output.decode().split("\0")[:-1])
    sizes = {f.path: (f.size, f.line_count) for f in result.files}
    assert sizes["src/deep/c.txt"] == (len(FILES["src/deep/c.txt"]), 4)
    assert sizes["src/deep/data.bin"] == (10, 0)
    assert str(listed(root, "a.py")) == "file_count: 1\na.py  5 lines  55 bytes"


@pytest.mark.parametrize(
    ("glob", "path", "expected"),
    [
        ("*.py", ".", [".hidden/d.py", "a.py", "src/b.py"]),
        ("*.py", "src", ["src/b.py"]),
        ("src/*", ".", ["src/b.py"]),
        ("src/*", "src", ["src/b.py"]),
        ("./*.py", ".", ["a.py"]),
        ("src/**", ".", ["src/b.py", "src/deep/c.txt", "src/deep/data.bin"]),
        ("**/c.*", ".", ["src/deep/c.txt"]),
        ("src/**/b.py", ".", ["src/b.py"]),
        ("*.{txt,bin}", ".", ["src/deep/c.txt", "src/deep/data.bin"]),
        ("[ab].p?", ".", ["a.py", "src/b.py"]),
        ("deep", ".", ["src/deep/c.txt", "src/deep/data.bin"]),
        ("dee*", ".", ["src/deep/c.txt", "src/deep/data.bin"]),
        ("src/deep/", ".", ["src/deep/c.txt", "src/deep/data.bin"]),
        ("deep/*.txt", ".", ["src/deep/c.txt"]),
        ("*.log", ".", []),
        ("a.py", "src", []),
        ("*", "a.py", ["a.py"]),
    ],
)
def test_a_glob_means_what_people_mean(
    root: Path, glob: str, path: str, expected: list[str]
) -> None:
    assert names(listed(root, glob, path)) == expected


def test_an_unusable_glob_is_an_error(root: Path) -> None:
    assert "is empty" in reason(listed(root, ""))
    assert "over 1000 globs" in reason(listed(root, "{a,b}" * 20))


def test_many_files_are_cut_and_counted(root: Path) -> None:
    write(root, {f"many/{n:03}.txt": "x\n" for n in range(250)})
    result = listed(root, "*.txt", "many")
    assert (result.file_count, len(result.files), result.truncated) == (250, 200, True)
    assert names(listed(root, "*.txt", "many", limit=300))[-1] == "many/249.txt"


# --- repositories as people have them


def test_the_tree_counts_and_not_the_index(root: Path) -> None:
    """What git remembers but is gone is not listed; what was edited is read as it is now."""
    git(root, "update-index", "--assume-unchanged", "a.py")
    write(root, {"a.py": "changed here\n", "src/added.py": "x = 1\n"})
    (root / "src/b.py").unlink()
    git(root, "add", "--intent-to-add", "src/added.py")
    assert names(listed(root, "*.py")) == [".hidden/d.py", "a.py", "src/added.py"]
    assert places(search(root, "changed here")) == [("a.py", 1)]


def test_a_conflicted_file_is_listed_once(root: Path) -> None:
    git(root, "checkout", "-qb", "other")
    commit(root, {"a.py": "other\n"})
    git(root, "checkout", "-q", "main")
    commit(root, {"a.py": "main\n"})
    git(root, "merge", "other", check=False)
    assert names(listed(root, "a.py")) == ["a.py"]
    assert places(search(root, "<<<<<<<")) == [("a.py", 1)]


def test_a_repository_inside_is_looked_into_by_its_own_rules(root: Path, tmp_path: Path) -> None:
    inner = repository(tmp_path / "lib", {"lib.py": "INNER\n", ".gitignore": "*.tmp\n"})
    git(root, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "sub")
    shutil.copytree(inner, root / "vendor/lib")
    write(root, {"sub/x.tmp": "INNER\n", "vendor/lib/x.tmp": "INNER\n", "vendor/lib/y": "INNER\n"})
    expected = ["sub/lib.py", "vendor/lib/lib.py", "vendor/lib/y"]
    assert [file for file, _ in places(search(root, "INNER"))] == expected
    assert names(listed(root, "lib.py")) == expected[:2]
    assert names(listed(root, "*", "sub")) == ["sub/.gitignore", "sub/lib.py"]


def test_links_are_listed_and_not_followed(root: Path, tmp_path: Path) -> None:
    write(tmp_path, {"outside/secret.py": "TODO\n"})
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "again.py").symlink_to("a.py")
    (root / "inside").symlink_to("src")
    (root / "broken").symlink_to("nowhere")
    assert [f for f, _ in places(search(root, "TODO"))].count("again.py") == 0
    links = {f.path: (f.size, f.line_count) for f in listed(root).files}
    assert links["again.py"] == (4, 0)
    assert {"out", "inside", "broken"} <= set(links)
    assert names(listed(root, "*.py", "inside")) == ["src/b.py"]
    assert "outside the workspace" in reason(search(root, "TODO", "out"))


def test_without_git_everything_but_caches_is_searched(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": "TODO\n", "node_modules/x.js": "TODO\n", ".venv/lib/y.py": "TODO\n"})
    assert places(search(tmp_path, "TODO")) == [("a.py", 1)]
    assert names(listed(tmp_path)) == ["a.py"]
    assert places(search(tmp_path, "TODO", ".venv")) == [(".venv/lib/y.py", 1)]


def test_an_ignored_place_is_searched_when_it_is_named(root: Path) -> None:
    assert places(search(root, "TODO", "build")) == [("build/out.py", 1)]
    assert places(search(root, "TODO", "x.log")) == [("x.log", 1)]
    assert names(listed(root, "*", "build")) == ["build/out.py"]


def test_a_workspace_may_be_a_folder_of_a_repository(root: Path) -> None:
    assert places(search(root / "src", "TODO")) == [("b.py", 2), ("deep/c.txt", 4)]
    assert names(listed(root / "src", "*.txt")) == ["deep/c.txt"]


def test_odd_names_are_shown_and_can_be_asked_for_again(tmp_path: Path) -> None:
    root = repository(tmp_path / "odd")
    odd = ['a "b"\n.py', "grün €.py", "tab\t.py", "-rf.py", ":(top).py"]
    write(root, dict.fromkeys(odd, "TODO\n"))
    (root / os.fsdecode(b"caf\xe9.py")).write_text("TODO\n")
    git(root, "add", "--all")
    assert sorted(names(listed(root))) == sorted([*odd, "caf\ufffd.py"])
    for name in [*odd, "caf\ufffd.py"]:
        assert places(search(root, "TODO", name)) == [(name, 1)]


def test_a_refusal_of_git_is_told_in_its_words(root: Path) -> None:
    (root / ".git/index").write_bytes(b"no index")
    assert "git cannot list the files" in reason(search(root, "TODO"))


@pytest.mark.parametrize("pattern", ["needle", "need.e", "(ne)+edle", "[n]eedle$"])
def test_files_taken_for_binary_are_named_when_they_hold_the_pattern(
    root: Path, pattern: str
) -> None:
    """A log with one NUL byte held what was asked for, and the search said nothing of it."""
    write(root, {"odd.txt": b"one\0\nneedle\nend\n", "other.bin": b"\0none\n", "a.txt": "needle\n"})
    found = search(root, pattern)
    assert places(found) == [("a.txt", 1)]
    said = "taken for binary (a NUL byte) and not searched, though the pattern is in: 'odd.txt'"
    assert (found.parse_error, found.truncated) == (said, False)
    assert str(found).endswith(said)
    write(root, {f"many/{n}.bin": b"\0needle\n" for n in range(9)})
    assert (search(root, pattern).parse_error or "").endswith(" and 5 more")
    assert search(root, "no such line").parse_error is None


def test_a_glob_also_means_the_file_with_its_very_name(root: Path) -> None:
    """`k[1].py` and `a{b,c}.py` exist, and the list was empty."""
    write(root, {"src/k[1].py": "", "src/k1.py": "", "a{b,c}.py": "", "ab.py": ""})
    assert names(listed(root, "k[1].py")) == ["src/k1.py", "src/k[1].py"]
    assert names(listed(root, "src/k[1].py")) == ["src/k1.py", "src/k[1].py"]
    assert names(listed(root, "a{b,c}.py")) == ["ab.py", "a{b,c}.py"]


def test_a_glob_of_a_name_that_is_no_text_finds_it(root: Path) -> None:
    Path(os.fsdecode(os.fsencode(root) + b"/od\xff.py")).write_text("")
    assert names(listed(root, "od\udcff.py")) == ["od\ufffd.py"]
