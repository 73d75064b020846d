"""What the search rests on, against slower ways that cannot be wrong."""

from __future__ import annotations

import re
import tempfile
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from punie import text as encoded
from punie.ends import split_lines
from punie.grep import (
    LARGEST,
    PART,
    WIDTH,
    Search,
    TooWide,
    count_lines,
    required,
    safe_width,
    window,
    within_lines,
)
from punie.listing import matcher
from punie.wrap import CUT_NOTE, middle_cut
from repos import git, write

PATTERNS = st.text(st.sampled_from("ab_é()[]{}|?*+.\\^$,01:=!<P-dwsbn"), min_size=1, max_size=14)
CONTENTS = st.text(st.sampled_from("ab_é 01(){}\\\r\n"), max_size=60)


def compiled(pattern: str) -> re.Pattern[str] | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return re.compile(pattern)
    except (re.error, OverflowError):
        return None


@settings(max_examples=1500, deadline=None)
@given(PATTERNS, st.lists(CONTENTS, min_size=1, max_size=5))
def test_every_match_holds_the_required_text(pattern: str, texts: list[str]) -> None:
    expression = compiled(pattern)
    if expression is None:
        return
    for text in [*texts, *re.findall(r"[ab_é01]+", pattern), pattern]:
        if expression.search(text):
            assert required(pattern) in text


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"def \w+_cut\(", "_cut("),
        (r"^class Order\b", "class Order"),
        ("colou?r = 1", "r = 1"),
        ("ab+c", "ab"),
        ("x{2}yz", "yz"),
        ("{name}", "{name}"),
        ("(one|two)three", "three"),
        ("one|two", ""),
        ("(?i)one", ""),
        (r"\x41bcd", ""),
        ("[]x]yz", "yz"),
        (r"\$\{a\}", "${a}"),
    ],
)
def test_the_required_text_is_the_longest_that_is_sure(pattern: str, text: str) -> None:
    assert compiled(pattern)
    assert required(pattern) == text


@pytest.mark.parametrize(
    ("width", "patterns"),
    [
        (LARGEST, ["a.b", "^x$", r"\bfoo\b", r"f\(", "one|two", "[abc]x", r"\*"]),
        (1000, ["a*", "a+?", "[*]", r"\\+"]),
        (200, ["a*b*", r"def \w+.*:"]),
        (0, ["(a)", "a{9}", "a*b*c*", "(?i)a"]),
    ],
)
def test_only_what_ends_soon_is_tried_in_this_process(width: int, patterns: list[str]) -> None:
    assert [safe_width(pattern) for pattern in patterns] == [width] * len(patterns)


def test_a_line_too_wide_is_left_to_the_process(tmp_path: Path) -> None:
    write(tmp_path, {"x": "a" * 10 + "b"})
    with pytest.raises(TooWide):
        Search("a+", plain=False, limit=1).run(bytes(tmp_path), [(b"x", 11)], lambda: False, 10)


@settings(max_examples=400, deadline=None)
@given(PATTERNS, CONTENTS, st.booleans(), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_a_search_finds_the_lines_that_match_one_by_one(
    pattern: str, content: str, plain: bool, codec: str
) -> None:
    expression = compiled(re.escape(pattern) if plain else pattern)
    if expression is None:
        return
    lines = [line.rstrip("\r\n") for line in split_lines(content)]
    expected = [(n, line) for n, line in enumerate(lines, 1) if expression.search(line)]
    with tempfile.TemporaryDirectory() as folder:
        data = content.encode(codec)
        (Path(folder) / "x.txt").write_bytes(data)
        search = Search(pattern, plain=plain, limit=3)
        search.run(folder.encode(), [(b"x.txt", len(data))], lambda: False)
        assert search.count == len(expected)
        assert [(n, text) for _, n, text, _ in search.matches] == expected[:3]
        assert count_lines(f"{folder}/x.txt".encode(), len(data)) == len(lines)


@pytest.mark.parametrize("pattern", [r"\d+ \w+$", "^$", "^[ab]", "b?", r"\b1|0$"])
@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
def test_many_lines_at_once_are_as_good_as_one_by_one(
    tmp_path: Path, pattern: str, end: str
) -> None:
    lines = [["a 1", "", "17 b", "b" * 90, "10", "x 0 y"][n * 7 // 3 % 6] for n in range(PART // 5)]
    content = "\n".join(lines) + end
    write(tmp_path, {"x": content})
    search = Search(pattern, plain=False, limit=10_000)
    assert search.inside is not None
    search.run(bytes(tmp_path), [(b"x", len(content))], lambda: False, 200)
    expected = [
        (n, line)
        for n, line in enumerate(content.removesuffix("\n").split("\n"), 1)
        if re.search(pattern, line)
    ]
    assert expected
    assert [(n, text) for _, n, text, _ in search.matches] == expected


def test_many_lines_at_once_heed_the_time_and_the_width(tmp_path: Path) -> None:
    write(tmp_path, {"x": "1\n" * 5 * PART, "y": "1\n" + "a" * 11})
    looks = iter([False, False, False])
    with pytest.raises(TimeoutError):
        Search(r"\d+$", plain=False, limit=9).run(
            bytes(tmp_path), [(b"x", 10 * PART)], lambda: next(looks, True), 10
        )
    with pytest.raises(TooWide):
        Search(r"\d+$", plain=False, limit=9).run(bytes(tmp_path), [(b"y", 13)], lambda: False, 10)


@pytest.mark.parametrize(
    "pattern", [r"a\s", r"\D", r"[^a]", "(?=a)", r"\Aa", r"a\Z", "[\t-~]", r"(a)\1", r"\x0a"]
)
def test_what_may_match_a_line_end_is_tried_on_each_line(pattern: str) -> None:
    assert not within_lines(pattern)


@pytest.mark.parametrize("size", [0, 1, 5, 6, 7, 9000])
def test_a_file_of_another_size_than_listed_is_read_to_its_end(tmp_path: Path, size: int) -> None:
    write(tmp_path, {"x": "a\nb\nab"})
    search = Search("b", plain=True, limit=9)
    search.run(bytes(tmp_path), [(b"x", size)], lambda: False)
    assert [(n, text) for _, n, text, _ in search.matches] == [(2, "b"), (3, "ab")]
    assert count_lines(bytes(tmp_path / "x"), size) == 3


def test_a_late_search_stops() -> None:
    with pytest.raises(TimeoutError):
        Search("x", plain=True, limit=1).run(b"/", [(b"x", 1)], lambda: True)


def test_lines_of_a_huge_file_are_counted_piece_by_piece(tmp_path: Path) -> None:
    with (tmp_path / "x").open("wb") as file:
        file.write(b"\n" * 1000)
        file.truncate(LARGEST + 2)
    assert count_lines(bytes(tmp_path / "x"), LARGEST + 2) == 1000


@given(st.integers(0, 3 * WIDTH), st.integers(0, 2 * WIDTH), st.integers(0, 3 * WIDTH))
def test_a_window_holds_the_match_and_stays_small(before: int, size: int, after: int) -> None:
    line = "x" * before + "M" * size + "y" * after
    shown, cut = window(line, before, before + size)
    assert cut == (len(line) > WIDTH)
    assert len(shown) <= WIDTH + 70
    assert "M" * min(size, WIDTH // 2) in shown
    assert cut or shown == line


# --- encodings


@given(st.text(), st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]))
def test_bytes_are_text_and_bytes_again(text: str, codec: str) -> None:
    data = text.encode(codec, "replace")
    try:
        found = encoded.decode(data, "x.txt")
    except ValueError:
        assert codec == "latin-1"
        return
    assert encoded.encode(found.text, found.encoding, found.mark) == data


@given(st.binary(max_size=200), st.sampled_from(["x.py", "x.txt"]))
def test_any_bytes_are_text_or_said_not_to_be(data: bytes, name: str) -> None:
    try:
        found = encoded.decode(data, name)
    except ValueError as error:
        said = str(error)
    else:
        said = ""
    assert re.search(r"^$|is not [\w-]+ text|unknown encoding", said)
    if said:
        return
    assert encoded.encode(found.text, found.encoding, found.mark) == data
    if not encoded.is_binary(data):
        assert encoded.line_count(data) == len(split_lines(found.text))


@given(st.text(), st.integers(60, 400))
def test_a_cut_text_keeps_its_ends_and_its_bound(text: str, most: int) -> None:
    shown = middle_cut(text, most)
    assert len(shown.encode()) <= most
    if len(text.encode()) <= most:
        assert shown == text
        return
    start, note, end = re.split(r"(\n… \[\d+ characters cut\] …\n)", shown)
    left_out = len(text) - len(start) - len(end)
    assert text.startswith(start)
    assert text.endswith(end)
    assert note == CUT_NOTE.format(n=left_out)


# --- globs


TREE = [
    *("a", "b.py", "ab.py", "x/a", "x/b.py", "x/y/a", "x/y/b.py", "x/y/z/ab.py", "y/x/b.py"),
    *("a.b/c", ".h/b.py", "x/.b.py", "q[1].py", "x/q?.py"),
]
GLOBS = st.lists(
    st.sampled_from(["**", "*", "?", "a", "b.py", "*.py", "x", "y", "a*", "[!a]*", "[xy]", "*b*"]),
    min_size=2,
    max_size=5,
).map("/".join)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    git(root, "init", "--quiet")
    write(root, dict.fromkeys(TREE, ""))
    git(root, "add", "--all")
    return root


@settings(max_examples=80, deadline=None)
@given(glob=GLOBS)
def test_a_glob_chooses_what_git_chooses(tree: Path, glob: str) -> None:
    theirs = git(tree, "ls-files", "-z", "--", f":(glob){glob}").decode().split("\0")[:-1]
    # A pathspec that fits a folder stands for what is in it; a glob is about files.
    folders = {
        "/".join(name.split("/")[:n]) for name in TREE for n in range(1, name.count("/") + 1)
    }
    deeper = {
        n for n in theirs if any(matcher(f"./{glob}")(f) and n.startswith(f"{f}/") for f in folders)
    }
    ours = [name for name in sorted(TREE) if matcher(f"./{glob}")(name)]
    assert set(ours) <= set(theirs)
    assert set(theirs) - set(ours) <= deeper


def test_a_glob_made_to_take_for_ever_does_not() -> None:
    assert not matcher("/".join(["**", "*a*a*a*a*a*b"] * 8))("/".join(["a" * 40] * 12))
