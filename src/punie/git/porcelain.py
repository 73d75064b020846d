"""Git's machine formats: the options that ask for each, and the parser that takes it apart.

A parser gives all that git wrote or raises `ToolFailure`: what it cannot read is never left out.
File names are bytes, as git's are; texts that are not UTF-8 get U+FFFD.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import lru_cache

from punie.errors import ToolFailure

_CHANGED = re.compile(
    rb"(?=[12u] (?P<states>[.MADRCTU]{2}) |\? )"
    rb"(?:\?|1 ..(?: \S+){6}|2 ..(?: \S+){7}|u ..(?: \S+){8}) (?P<name>.+)",
    re.DOTALL,
)
"""A file of a status: its states in index and tree, fields that are passed over, its name."""

STATUS_FORMAT = (
    *("--porcelain=v2", "-z", "--untracked-files=all", "--find-renames"),
    *("--branch", "--no-ahead-behind"),  # so that something is said of a clean tree, too
)
"""Options that `parse_status` relies on."""

DIFF_FORMAT = (
    *("--raw", "-p", "-z", "--no-ext-diff", "--no-textconv", "--no-color", "--relative"),
    *("-U3", "--inter-hunk-context=0", "--submodule=short"),
    *("--src-prefix=a/", "--dst-prefix=b/", "--indent-heuristic"),
)
"""Options that `parse_diff` relies on; renames or copies are asked for beside them.

With `--relative`, git 2.39 crashes on conflicts outside the folder unless a pathspec hides them.
"""

_COMMIT = "%H%x00%an%x00%ae%x00%aI%x00%s%x00%b"
_PLAIN = ("--encoding=UTF-8", "--no-show-signature", "--no-color")

LOG_FORMAT = (
    *(f"--format=tformat://%x00{_COMMIT}", *_PLAIN),
    *("-z", "--name-only", "--diff-merges=first-parent", "--no-ext-diff", "--relative"),
)
"""Options that `parse_log` relies on."""

SHOW_FORMAT = (
    *(f"--format=tformat:{_COMMIT}%x00", *_PLAIN),
    *("--diff-merges=first-parent", *DIFF_FORMAT),
)
"""Options that `parse_show` relies on."""

BRANCH_FORMAT = "--format=%00%(HEAD)%00%(refname)%00%(objectname)%00%(upstream)" + (
    "%00%(upstream:track,nobracket)%00%(authordate:iso-strict)%00%(contents:subject)"
)
"""Option that `parse_branches` relies on."""

BLAME_FORMAT = ("--show-stats", "--porcelain", "--encoding=UTF-8", "--no-textconv")
"""Options that `parse_blame` relies on."""

_STATS = re.compile(rb"\d+\nnum get patch: \d+\nnum commits: \d+\n")
"""What ends a blame: without it, it is not whole."""
_COUNTS = re.compile(rb"@@ -\d+(?:,(\d{1,18}))? \+\d+(?:,(\d{1,18}))? @@")

BINARY = "Binary files differ"


@dataclass
class Change:
    """One file of a status or diff. `old` differs from `name` after a rename or copy."""

    letter: str
    """Git's status letter: M A D R C T, U = conflicted, ? = untracked."""
    name: bytes
    old: bytes
    staged: bool = False
    hunks: list[str] = field(default_factory=list)
    """Texts from their `@@` line on; `BINARY` alone for a binary file."""


@dataclass(frozen=True)
class Header:
    """What a commit says about itself."""

    hash: str
    author: str
    email: str
    date: str
    """ISO 8601."""
    subject: str
    body: str


@dataclass(frozen=True)
class Blamed:
    """A line and the commit that it comes from."""

    line: int
    hash: str
    author: str
    date: str
    text: str


@dataclass(frozen=True)
class Branch:
    """A local branch. Without an upstream, or when that is gone, `upstream` is empty."""

    name: str
    current: bool
    hash: str
    upstream: str
    ahead: int
    behind: int
    date: str
    subject: str
    """As its bytes are: `for-each-ref` does not heed a commit's encoding, unlike `log`."""

    @property
    def is_encoded(self) -> bool:
        """Whether the subject may be in another encoding than UTF-8."""
        return "\ufffd" in self.subject or "\x1b" in self.subject


def parse_status(output: bytes, prefix: bytes = b"") -> Iterator[Change]:
    """The changes of a status in `STATUS_FORMAT`; staged and unstaged ones apart.

    A status names files from the repository's top: those below `prefix` are given, from there.
    """
    records = iter(_terminated(output, "status"))
    for record in records:
        if record[:2] in (b"# ", b"! "):  # a header, an ignored file
            continue
        match = _CHANGED.fullmatch(record)
        old = next(records, b"") if record.startswith(b"2") else b""
        if not match or (record.startswith(b"2") and not old):
            raise _unreadable("status", record)
        if not match["name"].startswith(prefix):
            continue
        name = match["name"].removeprefix(prefix)
        if record[:1] in b"u?":
            yield Change(record[:1].decode().upper(), name, name)
            continue
        for letter, staged in zip(match["states"].decode(), (True, False), strict=True):
            if letter != ".":
                former = old.removeprefix(prefix) if letter in "RC" else name
                yield Change(letter, name, former, staged)


def parse_log(output: bytes) -> Iterator[tuple[Header, list[bytes]]]:
    """Each commit of a log in `LOG_FORMAT`, and the names of its files.

    The mark before each commit is `//`, which no file name can hold.
    """
    tokens = _terminated(output, "log")
    start = 0
    while start < len(tokens):
        end = start + 7
        if tokens[start] != b"//" or end > len(tokens):
            raise _unreadable("log", tokens[start])
        while end < len(tokens) and tokens[end] != b"//":
            end += 1
        names = tokens[start + 7 : end]
        if names:
            names[0] = names[0].removeprefix(b"\n")
        yield _header(tokens[start + 1 : start + 7]), [name for name in names if name]
        start = end


def parse_show(output: bytes) -> tuple[Header, list[Change]]:
    """A commit in `SHOW_FORMAT` and what it changed."""
    parts = output.split(b"\0", 7)
    if len(parts) < 8 or parts[6]:
        raise _unreadable("commit", output)
    return _header(parts[:6]), parse_diff(parts[7].removeprefix(b"\n"))


def parse_diff(output: bytes) -> list[Change]:
    """The files of a diff in `DIFF_FORMAT`: raw records, a NUL, then the patch.

    A patch names files ambiguously, so each record looks for the header that it must have. One
    without has a new time stamp only (the index was not refreshed) and is left out.
    """
    records, patch = _raw_records(output)
    patches = list(reversed(_patches(patch)))
    found: dict[bytes, Change] = {}
    for letter, old, name in records:
        header = b"diff --git %s %s" % (_quoted(b"a/" + old), _quoted(b"b/" + name))
        hunks: list[str] = []
        matched = letter == "U"
        while patches and patches[-1][0] == header:
            hunks += patches.pop()[1]
            matched = True
        if matched:  # a conflict has a record of its own before that of the lines
            found.setdefault(name, Change(letter, name, old)).hunks += hunks
    if patches:
        raise ToolFailure(f"git's diff cannot be read: {patches[-1][0]!r} has no record")
    return list(found.values())


def parse_blame(output: bytes) -> Iterator[Blamed]:
    """The lines of a blame in `BLAME_FORMAT`; a commit is described at its first line only."""
    *rows, end = output.rpartition(b"num read blob: ")
    if not _STATS.fullmatch(end):
        raise _unreadable("blame", end)
    output = rows[0]
    about: dict[bytes, dict[bytes, bytes]] = {}
    sha, number, facts = b"", b"", dict[bytes, bytes]()
    for row in output.removesuffix(b"\n").split(b"\n") if output else []:
        word, _, rest = row.partition(b" ")
        if row.startswith(b"\t"):
            counted = number.isdigit() and len(number) < 19
            if not counted or not {b"author", b"author-time", b"author-tz"} <= set(facts):
                raise _unreadable("blame", row)
            date = iso_date(facts[b"author-time"], facts[b"author-tz"])
            text = _text(row[1:].removesuffix(b"\r"))
            yield Blamed(int(number), _text(sha), _text(facts[b"author"]), date, text)
            sha = number = b""
        elif not sha:
            sha, number = word, b"".join(rest.split(b" ")[1:2])
            facts = about.setdefault(sha, {})
        else:
            facts[word] = rest
    if sha:
        raise _unreadable("blame", sha)


def parse_branches(output: bytes) -> Iterator[Branch]:
    """The branches of `for-each-ref` in `BRANCH_FORMAT`."""
    if output and not output.endswith(b"\n"):
        raise _unreadable("branches", output[-80:])
    tokens = [_text(token.removesuffix(b"\n")) for token in output.split(b"\0")[1:]]
    for start in range(0, len(tokens), 7):
        if len(tokens) - start < 7:
            raise _unreadable("branches", output)
        mark, name, sha, upstream, track, date, subject = tokens[start : start + 7]
        counts = {word: int(n) for word, n in re.findall(r"(ahead|behind) (\d{1,18})", track)}
        yield Branch(
            name=name.removeprefix("refs/heads/"),
            current=mark == "*",
            hash=sha,
            upstream="" if track == "gone" else re.sub("^refs/(heads|remotes)/", "", upstream),
            ahead=counts.get("ahead", 0),
            behind=counts.get("behind", 0),
            date=_utc(date),
            subject=subject,
        )


@lru_cache(maxsize=4096)
def iso_date(seconds: bytes, zone: bytes) -> str:
    """Git's seconds since 1970 and `+0200` as ISO 8601; empty when there is no such date."""
    try:
        minutes = int(zone[-4:-2]) * 60 + int(zone[-2:])
        offset = timezone(timedelta(minutes=-minutes if zone.startswith(b"-") else minutes))
        return datetime.fromtimestamp(int(seconds), offset).isoformat()
    except (ValueError, OverflowError, OSError):
        return ""


def _terminated(output: bytes, what: str) -> list[bytes]:
    """The records of an output in which each ends with NUL."""
    *records, last = output.split(b"\0")
    if last:
        raise _unreadable(what, last)
    return records


def _unreadable(what: str, given: bytes) -> ToolFailure:
    return ToolFailure(f"git's {what} cannot be read: it holds {given[:80]!r}")


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _header(tokens: list[bytes]) -> Header:
    sha, author, email, date, subject, body = map(_text, tokens)
    return Header(sha, author, email, _utc(date), subject, body.strip("\n"))


def _utc(date: str) -> str:
    """A date in which UTC is `+00:00`; git says `Z` from 2.45 on."""
    return date[:-1] + "+00:00" if date.endswith("Z") else date


def _raw_records(output: bytes) -> tuple[list[tuple[str, bytes, bytes]], bytes]:
    """Letter, old name and new name of each raw record, and the patch after them."""
    raw, _, patch = output.partition(b"\0\0")
    tokens = iter(raw.removesuffix(b"\0").split(b"\0") if raw else [])
    records = []
    for meta in tokens:
        letter = meta.rpartition(b" ")[2][:1].decode("ascii", "replace")
        old = next(tokens, b"")
        name = next(tokens, b"") if letter in ("R", "C") else old
        if not (meta.startswith(b":") and letter in tuple("MADRCTU") and old and name):
            raise _unreadable("diff", meta)
        records.append((letter, old, name))
    return records, patch


def _patches(patch: bytes) -> list[tuple[bytes, list[str]]]:
    """Header line and hunks of each file of a patch."""
    patches: list[tuple[bytes, list[list[bytes]]]] = []
    in_hunk = False
    for line in patch.split(b"\n"):
        if line.startswith(b"diff --git "):
            patches.append((line, []))
            in_hunk = False
        elif patches and line.startswith(b"@@ "):
            patches[-1][1].append([line])
            in_hunk = True
        elif in_hunk and line[:1] in (b" ", b"+", b"-", b"\\"):
            patches[-1][1][-1].append(line)
        else:
            in_hunk = False
            if patches and line.startswith(b"Binary files ") and line.endswith(b" differ"):
                patches[-1][1].append([BINARY.encode()])
    if patches:  # it may have broken off in the last one
        _check_hunk(patches[-1][1][-1] if patches[-1][1] else patch.splitlines()[-1:])
    return [(header, [_text(b"\n".join(hunk)) for hunk in hunks]) for header, hunks in patches]


def _check_hunk(hunk: list[bytes]) -> None:
    """Raise `ToolFailure` for a hunk that has fewer lines than it says, or is not even begun."""
    if hunk[0].startswith((b"--- ", b"+++ ")):
        raise _unreadable("diff", hunk[0])
    if counts := _COUNTS.match(hunk[0]):
        kept = [sum(line[:1] in signs for line in hunk[1:]) for signs in (b" -", b" +")]
        if any(int(said or 1) > there for said, there in zip(counts.groups(), kept, strict=True)):
            raise _unreadable("diff", hunk[-1])


def _quoted(name: bytes) -> bytes:
    """A name as the headers of a patch write it with `core.quotepath=off`."""
    short = dict(zip(b'\a\b\t\n\v\f\r"\\', b'abtnvfr"\\', strict=True))
    text = b"".join(
        b"\\%c" % short[c] if c in short else b"\\%03o" % c if c < 32 or c == 127 else b"%c" % c
        for c in name
    )
    return b'"%s"' % text if text != name else name
