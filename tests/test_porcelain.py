"""The parsers of git's machine formats: what a writer wrote comes back, whatever it holds."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from punie.errors import ToolFailure
from punie.git.porcelain import (
    BINARY,
    Blamed,
    Branch,
    Header,
    iso_date,
    parse_blame,
    parse_branches,
    parse_diff,
    parse_log,
    parse_show,
    parse_status,
)

QUICK = settings(max_examples=40, deadline=None)
NAMES = st.binary(min_size=1, max_size=12).filter(
    lambda b: b"\0" not in b and not b.startswith(b"/")
)
"""File names: any bytes but NUL, never absolute."""
TEXTS = st.binary(max_size=30).filter(lambda b: b"\0" not in b)
LINES = TEXTS.filter(lambda b: b"\n" not in b)
HASHES = st.sampled_from(["1" * 40, "ab" * 20, "cd" * 32, "0" * 40])


def text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def quoted(name: bytes) -> bytes:
    """A name as git quotes it in the header of a patch, written from its manual."""
    special = {7: "a", 8: "b", 9: "t", 10: "n", 11: "v", 12: "f", 13: "r", 34: '"', 92: "\\"}
    parts = [
        f"\\{special[c]}".encode()
        if c in special
        else f"\\{c:03o}".encode()
        if c < 32 or c == 127
        else bytes([c])
        for c in name
    ]
    joined = b"".join(parts)
    return joined if joined == name else b'"' + joined + b'"'


# --- status

SHA = b"1" * 40
PLAIN = st.tuples(st.sampled_from("MADT."), st.sampled_from("MADT."), NAMES)
MOVED = st.tuples(st.sampled_from(["R.", "C.", "RM", ".R", "CD", ".C"]), NAMES, NAMES)
Entry = tuple[str, bytes, bytes, bool]


@QUICK
@given(st.lists(PLAIN), st.lists(MOVED), st.lists(NAMES), st.lists(NAMES))
def test_a_status_comes_back(
    plain: list[tuple[str, str, bytes]],
    moved: list[tuple[str, bytes, bytes]],
    conflicts: list[bytes],
    untracked: list[bytes],
) -> None:
    output, expected = b"# branch.oid x\0", list[Entry]()
    for index, tree, name in plain:
        fields = f"1 {index}{tree} N... 100644 100644 100644 ".encode() + SHA + b" " + SHA
        output += fields + b" " + name + b"\0"
        expected += [(index, name, name, True)] * (index != ".")
        expected += [(tree, name, name, False)] * (tree != ".")
    for states, name, old in moved:
        fields = f"2 {states} N... 100644 100644 100644 ".encode() + SHA + b" " + SHA
        output += fields + b" R100 " + name + b"\0" + old + b"\0"
        for letter, staged in zip(states, (True, False), strict=True):
            former = old if letter in "RC" else name
            expected += [(letter, name, former, staged)] * (letter != ".")
    for name in conflicts:
        output += b"u UU N... 1 2 3 4 " + b" ".join([SHA] * 3) + b" " + name + b"\0"
        expected.append(("U", name, name, False))
    for name in untracked:
        output += b"? " + name + b"\0"
        expected.append(("?", name, name, False))
    found = [(c.letter, c.name, c.old, c.staged) for c in parse_status(output)]
    assert found == expected
    for prefix in {name[:2] for _, name, _, _ in expected}:
        below = [(c.letter, prefix + c.name, c.staged) for c in parse_status(output, prefix)]
        assert below == [(e[0], e[1], e[3]) for e in expected if e[1].startswith(prefix)]


# --- commits

HEADERS = st.tuples(HASHES, TEXTS, TEXTS, st.just(b"2024-05-01T10:00:00+02:00"), LINES, TEXTS)


def header(parts: tuple[str, bytes, bytes, bytes, bytes, bytes]) -> Header:
    sha, *rest = parts
    author, email, date, subject, body = map(text, rest)
    return Header(sha, author, email, date, subject, body.strip("\n"))


@QUICK
@given(st.lists(st.tuples(HEADERS, st.lists(NAMES.filter(lambda n: not n.startswith(b"\n"))))))
def test_a_log_comes_back(
    commits: list[tuple[tuple[str, bytes, bytes, bytes, bytes, bytes], list[bytes]]],
) -> None:
    output = b""
    for (sha, *rest), names in commits:
        output += b"\0".join([b"//", sha.encode(), *rest]) + b"\0"
        output += b"\n" * bool(names) + b"".join(name + b"\0" for name in names)
    assert list(parse_log(output)) == [(header(parts), names) for parts, names in commits]


def test_utc_is_written_one_way() -> None:
    tokens = [b"//", b"1" * 40, b"A", b"a@x", b"2024-05-01T10:00:00Z", b"s", b"b", b""]
    [(one, _)] = parse_log(b"\0".join(tokens))
    assert one.date == "2024-05-01T10:00:00+00:00"


# --- diffs

BODY = st.lists(st.tuples(st.sampled_from(b" +-"), LINES).map(lambda p: bytes([p[0]]) + p[1]))


def hunk_of(body: list[bytes]) -> bytes:
    old, new = (sum(line[:1] in signs for line in body) for signs in (b" -", b" +"))
    return b"\n".join([b"@@ -1,%d +3,%d @@ def f():" % (old, new), *body])


HUNK = BODY.map(hunk_of)
KINDS = st.sampled_from(["hunks", "hunks", "binary", "mode", "stamp", "conflict"])
FILES = st.lists(st.tuples(NAMES, NAMES, st.booleans(), KINDS, st.lists(HUNK, min_size=1)))


@QUICK
@given(FILES)
def test_a_diff_comes_back(files: list[tuple[bytes, bytes, bool, str, list[bytes]]]) -> None:
    """Names may be those of other files, quoted or empty of meaning; each name stands once."""
    raw, patch, expected, seen = b"", b"", list[tuple[str, bytes, bytes, list[str]]](), set()
    for name, other, renamed, kind, hunks in files:
        if name in seen:
            continue
        seen.add(name)
        moved = renamed and kind in ("hunks", "binary") and name != other
        old, letter = (other, "R") if moved else (name, "U" if kind == "conflict" else "M")
        state = f"{letter}{'075' if moved else ''}".encode()
        raw += b":100644 100644 1111111 2222222 " + state + b"\0"
        raw += (old + b"\0" if moved else b"") + name + b"\0"
        if kind == "stamp":
            continue
        head = b"diff --git %s %s\n" % (quoted(b"a/" + old), quoted(b"b/" + name))
        if kind == "conflict":
            patch += (
                b"* Unmerged path %s\n" % name.replace(b"\n", b"")
                if name[:1] not in b"d@B"
                else b""
            )
            expected.append((letter, name, old, []))
        elif kind == "mode":
            patch += head + b"old mode 100644\nnew mode 100755\n"
            expected.append((letter, name, old, []))
        elif kind == "binary":
            patch += head + b"index 1..2\nBinary files a/x and b/x differ\n"
            expected.append((letter, name, old, [BINARY]))
        else:
            patch += head + b"index 1..2\n--- a/x\n+++ b/x\n" + b"\n".join(hunks) + b"\n"
            expected.append((letter, name, old, [text(hunk) for hunk in hunks]))
    found = parse_diff(raw + b"\0" + patch if raw else b"")
    assert [(c.letter, c.name, c.old, c.hunks) for c in found] == expected


@QUICK
@given(HEADERS, NAMES, HUNK)
def test_a_commit_with_its_diff_comes_back(
    parts: tuple[str, bytes, bytes, bytes, bytes, bytes], name: bytes, hunk: bytes
) -> None:
    sha, *rest = parts
    output = b"\0".join([sha.encode(), *rest]) + b"\0\0"
    assert parse_show(output) == (header(parts), [])
    output += b"\n:100644 100644 1 2 M\0" + name + b"\0\0"
    output += b"diff --git %s %s\n" % (quoted(b"a/" + name), quoted(b"b/" + name))
    found, changes = parse_show(output + hunk + b"\n")
    assert found == header(parts)
    assert [(c.name, c.hunks) for c in changes] == [(name, [text(hunk)])]


@pytest.mark.parametrize("keep", [b"--- a/x\n", b"@@ -1 +1,2 @@\n-a\n+b\n", b"@@ -1 +1 @@\n-a\n"])
def test_a_patch_that_breaks_off_after_a_line_is_an_error(keep: bytes) -> None:
    """It was a diff with fewer lines."""
    patch = b"diff --git a/x b/x\nindex 1..2\n" + keep
    with pytest.raises(ToolFailure, match="diff cannot be read"):
        parse_diff(b":100644 100644 1 2 M\0x\0\0" + patch)


def test_a_patch_without_its_record_is_an_error() -> None:
    patch = b"diff --git a/x b/x\n@@ -1 +1 @@\n-a\n+b\n"
    with pytest.raises(ToolFailure, match="has no record"):
        parse_diff(b":100644 100644 1 2 M\0y\0\0" + patch)


# --- blame

AUTHORS = st.dictionaries(HASHES, st.tuples(LINES, st.integers(0, 4_102_444_800)), min_size=1)
STATS = b"num read blob: 1\nnum get patch: 0\nnum commits: 1\n"
ZONES = st.sampled_from([b"+0000", b"-0330", b"+0545", b"-1200"])


@QUICK
@given(AUTHORS, ZONES, st.data())
def test_a_blame_comes_back(
    authors: dict[str, tuple[bytes, int]], zone: bytes, data: st.DataObject
) -> None:
    """A commit is described at its first line only, as git does it."""
    output, expected, told = b"", list[Blamed](), set()
    chosen = st.lists(st.tuples(st.sampled_from(sorted(authors)), LINES))
    for number, (sha, line) in enumerate(data.draw(chosen), 3):
        author, seconds = authors[sha]
        output += f"{sha} 9 {number}{' 2' if sha not in told else ''}\n".encode()
        if sha not in told:
            output += b"author " + author + f"\nauthor-mail <x>\nauthor-time {seconds}\n".encode()
            output += b"author-tz " + zone + b"\nsummary author x\nboundary\nfilename \tx\n"
        told.add(sha)
        output += b"\t" + line + b"\n"
        date = iso_date(str(seconds).encode(), zone)
        shown = text(line.removesuffix(b"\r"))
        expected.append(Blamed(number, sha, text(author), date, shown))
    assert list(parse_blame(output + STATS)) == expected
    with pytest.raises(ToolFailure, match="blame cannot be read"):
        list(parse_blame(output))


@QUICK
@given(st.integers(-(2**33), 2**35), st.integers(-14 * 60, 14 * 60))
def test_a_date_is_the_same_moment_in_the_same_zone(seconds: int, minutes: int) -> None:
    sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    date = iso_date(str(seconds).encode(), f"{sign}{hours:02}{rest:02}".encode())
    moment = datetime.fromisoformat(date)
    offset = moment.utcoffset()
    assert offset is not None
    assert (moment.timestamp(), offset.total_seconds()) == (seconds, minutes * 60)


@pytest.mark.parametrize("seconds", [b"99999999999999999999", b"x", b""])
def test_a_date_that_is_none_is_empty(seconds: bytes) -> None:
    assert iso_date(seconds, b"+0000") == ""


# --- branches

TRACKS = st.tuples(st.integers(0, 99), st.integers(0, 99), st.booleans())


@QUICK
@given(st.lists(st.tuples(LINES.filter(bool), st.booleans(), HASHES, LINES, TRACKS, TEXTS)))
def test_branches_come_back(
    rows: list[tuple[bytes, bool, str, bytes, tuple[int, int, bool], bytes]],
) -> None:
    output, expected = b"", list[Branch]()
    for name, current, sha, upstream, (ahead, behind, gone), subject in rows:
        words = [f"ahead {ahead}"] * bool(ahead) + [f"behind {behind}"] * bool(behind)
        track = "gone" if gone else ", ".join(words)
        there = b"refs/remotes/o/" + upstream
        fields = [b"*" if current else b" ", b"refs/heads/" + name, sha.encode(), there]
        fields += [track.encode(), b"2024-05-01T10:00:00+02:00", subject]
        output += b"\0" + b"\0".join(fields) + b"\n"
        distance = (0, 0) if gone else (ahead, behind)
        shown = "" if gone else text(b"o/" + upstream)
        last = ("2024-05-01T10:00:00+02:00", text(subject))
        expected.append(Branch(text(name), current, sha, shown, *distance, *last))
    assert list(parse_branches(output)) == expected


# --- anything at all

PIECES = st.sampled_from(
    [
        *(
            b"\0",
            b"\0\0",
            b"\n",
            b"\t",
            b" ",
            b"//",
            b":",
            b"R100",
            b"? x",
            b"1 .M ",
            b"2 R. ",
            b"u ",
        ),
        *(b"diff --git a/x b/x\n", b"@@ ", b"+", b"1" * 40, b"author A\n", b"author-time 1\n"),
        *(b"author-tz +0000\n", b":100644 100644 1 2 M\0x", b" 1 1\n", b"\xff", b"*"),
    ]
)
ANYTHING = st.lists(PIECES | st.binary(max_size=5)).map(b"".join)


@pytest.mark.parametrize(
    "parse", [parse_status, parse_log, parse_show, parse_diff, parse_blame, parse_branches]
)
@settings(max_examples=60, deadline=None)
@given(output=ANYTHING)
def test_whatever_comes_is_read_or_refused(parse: object, output: bytes) -> None:
    """A child that was killed or replaced may print anything: no crash, no other error."""
    assert callable(parse)
    try:
        list(parse(output))
    except ToolFailure as failure:
        assert "cannot be read" in str(failure)  # noqa: PT017


@pytest.mark.parametrize("keep", range(1, 60, 7))
def test_a_log_that_breaks_off_is_no_shorter_log(keep: int) -> None:
    one = b"\0".join([b"//", b"1" * 40, b"A", b"a@x", b"2024-05-01T10:00:00Z", b"s", b"b", b""])
    with pytest.raises(ToolFailure, match="log cannot be read"):
        list(parse_log(one + one[:keep]))
