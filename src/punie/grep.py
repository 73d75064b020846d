"""Lines of files that hold a text or match a regular expression.

A regular expression may take for ever on one line, and nothing can stop Python's `re` inside its
own process. `safe_width` tells what is quick all the same; for the rest there is a process that
can be killed (`main`). Imports little, since that process starts for each such search.
"""

from __future__ import annotations

import marshal
import os
import re
import sys
from collections.abc import Callable, Iterable

from punie import text as files

LARGEST = 32 * 2**20
"""Bytes of the largest file that is searched."""
WIDTH = 400
"""Characters of a line that a match shows."""
CUT = "… [{n} characters cut] …"
SPECIAL = frozenset("\\.^$*+?{}[]|()")
_COUNT = re.compile(r"\d*,?\d*\}")
_REPEAT = re.compile(r"[*+?]+")
SAFE_WIDTHS = {0: LARGEST, 1: 1000, 2: 200}
"""Characters of a line on which an expression with so many repeats takes under 0.1 s."""

TELLING = 3
"""Characters of a text that is not in nearly every line."""
PART = 10_000
"""Characters, or few more, that are tried at once between two looks at the time."""
LINE = 1000
"""Characters of what may be a line of text in a binary file."""
BINARY_PART = 2**20
"""Bytes of a binary file on which a regular expression is tried."""
TURNS = 50
"""Lines that are tried between two looks at the time."""

Match = tuple[str, int, str, bool]
"""File, line (1-based), the line's text, whether it was cut."""
Skipped = tuple[str, str]
"""File and the reason why it was not searched."""


class TooWide(Exception):
    """A line is too long to be tried on in this process."""


class Search:
    """One search through many files. `count` is right also when `matches` is cut at `limit`."""

    def __init__(self, pattern: str, *, plain: bool, limit: int) -> None:
        """`plain` takes the pattern as it stands, else it is a valid regular expression."""
        self.needle = pattern if plain else required(pattern)
        self.search = None if plain else re.compile(pattern).search
        lines = None if plain or not within_lines(pattern) else re.compile(pattern, re.MULTILINE)
        self.inside = lines.search if lines else None
        self.tail = re.compile(re.escape(pattern) + "[^\n]*") if plain else None
        self.limit = limit
        self.count = 0
        self.matches: list[Match] = []
        self.skipped: list[Skipped] = []
        self.binary: list[str] = []
        """Files that were taken for binary, and whose bytes hold the pattern all the same."""
        self._turns = 0
        self._raw = self.needle.encode() if self.needle.isascii() else None

    def run(
        self,
        root: bytes,
        named: Iterable[tuple[bytes, int]],
        late: Callable[[], bool],
        width: int = LARGEST,
    ) -> None:
        """Search files, given relative to `root`, each with the bytes that it has or had.

        Raises `TimeoutError` when `late` says so, which is asked often, and `TooWide` at a line
        of more than `width` characters.
        """
        root = root.rstrip(b"/") + b"/"
        for name, size in named:
            if late():
                raise TimeoutError
            try:
                data = _read(root + name, size)
            except FileNotFoundError:
                continue  # deleted since it was listed
            except OSError as error:
                self._skip(name, error.strerror or str(error))
                continue
            if data is None:
                self._skip(name, f"over {LARGEST // 2**20} MB")
            elif not self._possible(data):
                continue
            elif not files.is_binary(data):
                self._lines(name.decode("utf-8", "replace"), data, late, width)
            elif self._inside_binary(data, late, width):
                self.binary.append(name.decode("utf-8", "replace"))

    def _skip(self, name: bytes, reason: str) -> None:
        self.skipped.append((name.decode("utf-8", "replace"), reason))

    def _possible(self, data: bytes) -> bool:
        """Whether a file may hold the needle: a quick look at its bytes."""
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            return True
        return self._raw in data if self._raw is not None else not data.isascii()

    def _inside_binary(self, data: bytes, late: Callable[[], bool], width: int) -> bool:
        """Whether a file without lines holds the pattern; a regular expression is tried at the
        file's start only, and on what is no longer than a line.
        """
        if self.search is None:
            return self.needle in data.decode("utf-8", "replace")
        width = min(width, LINE)
        content = data[:BINARY_PART].decode("utf-8", "replace").replace("\r", "\n")
        lines = (line for line in content.split("\n") if len(line) <= width)
        return any(self.needle in line and self._tried(line, late, width) for line in lines)

    def _lines(self, shown: str, data: bytes, late: Callable[[], bool], width: int) -> None:
        """Try the lines that hold the needle."""
        content = text_of(data, shown)
        if self.inside and len(self.needle) < TELLING:
            self._many_lines(shown, content, late, width)
            return
        if not self.needle:
            self._every_line(shown, content, late, width)
            return
        at, number, counted = 0, 1, 0
        while (found := content.find(self.needle, at)) >= 0:
            if self.tail and len(self.matches) >= self.limit:
                self.count += sum(1 for _ in self.tail.finditer(content, found))
                break
            start = content.rfind("\n", 0, found) + 1
            end = content.find("\n", found)
            end = len(content) if end < 0 else end
            line, at = content[start:end], end + 1
            if self.search is None:
                span = (found - start, found - start + len(self.needle))
            elif match := self._tried(line, late, width):
                span = match.span()
            else:
                continue
            number += content.count("\n", counted, start)
            counted = start
            self._add(shown, number, line, span)

    def _every_line(self, shown: str, content: str, late: Callable[[], bool], width: int) -> None:
        lines = content.removesuffix("\n").split("\n") if content else []
        for number, line in enumerate(lines, 1):
            if match := self._tried(line, late, width):
                self._add(shown, number, line, match.span())

    def _many_lines(self, shown: str, content: str, late: Callable[[], bool], width: int) -> None:
        """As `_every_line`, many at a time, for what matches no line end."""
        assert self.inside is not None
        text = content.removesuffix("\n")
        if max(map(len, text.split("\n"))) > width:
            raise TooWide
        at, number, counted = 0, 1, 0
        while content and at <= len(text):
            if late():
                raise TimeoutError
            stop = text.find("\n", at + PART)
            stop = len(text) if stop < 0 else stop
            while at <= stop and (match := self.inside(text, at, stop)):
                start = text.rfind("\n", 0, match.start()) + 1
                end = text.find("\n", match.start())
                end = len(text) if end < 0 else end
                number += text.count("\n", counted, start)
                counted = start
                span = (match.start() - start, match.end() - start)
                self._add(shown, number, text[start:end], span)
                at = end + 1
            at = max(at, stop + 1)

    def _tried(self, line: str, late: Callable[[], bool], width: int) -> re.Match[str] | None:
        if len(line) > width:
            raise TooWide
        self._turns += 1
        if self._turns % TURNS == 0 and late():
            raise TimeoutError
        assert self.search is not None
        return self.search(line)

    def _add(self, shown: str, number: int, line: str, span: tuple[int, int]) -> None:
        self.count += 1
        if len(self.matches) < self.limit:
            self.matches.append((shown, number, *window(line, *span)))


def text_of(data: bytes, name: str) -> str:
    """A file's text with line feeds as its only line ends.

    What is not in the encoding that it should be in is read all the same; odd bytes are U+FFFD.
    """
    try:
        content = files.decode(data, name).text
    except ValueError:
        content = data.decode("utf-8", "replace")
    return content.replace("\r\n", "\n").replace("\r", "\n") if "\r" in content else content


def window(line: str, start: int, end: int) -> tuple[str, bool]:
    """A line, and whether it was cut to what stands around its match."""
    if len(line) <= WIDTH:
        return line, False
    first = max(0, min(start - WIDTH // 4, len(line) - WIDTH))
    last = min(first + WIDTH, len(line))
    before = CUT.format(n=first) if first else ""
    after = CUT.format(n=len(line) - last) if last < len(line) else ""
    return before + line[first:last] + after, True


def safe_width(pattern: str) -> int:
    """Characters of a line on which a regular expression is sure to end soon; 0 for none.

    Groups and counts may multiply repeats, so there are none for them.
    """
    bare = re.sub(r"\\.", "", pattern, flags=re.DOTALL)
    return 0 if set("{(") & set(bare) else SAFE_WIDTHS.get(len(_REPEAT.findall(bare)), 0)


def within_lines(pattern: str) -> bool:
    """Whether a valid regular expression is sure to match the same in a line as in many lines.

    Nothing in it may match or look at a line end, but `^` and `$`, which can be told to.
    """
    escaped = re.findall(r"\\(.)", pattern, re.DOTALL)
    known = all(char in "dwb" or not char.isalnum() for char in escaped)
    return known and not re.search(r"\[\^|\(\?|[\x00-\x1f]", pattern)


def required(pattern: str) -> str:
    """The longest text that is in each match of a valid regular expression; "" if none is sure.

    Reads plain characters outside groups and classes only, and gives up on what it does not know.
    """
    if re.search(r"\(\?(?![:=!>]|P<|<[=!])", pattern):
        return ""  # flags, comments, conditions
    runs, depth, at = [""], 0, 0
    while at < len(pattern):
        char, at = pattern[at], at + 1
        literal = char not in SPECIAL or char in "]}"
        if char == "\\":
            char, at = pattern[at], at + 1
            if char.isalnum() and char not in "dDwWsSbBAZ":
                return ""
            literal = not char.isalnum()
        elif char == "{" and not (count := _COUNT.match(pattern, at)):
            literal = True
        if literal:
            runs[-1] += char if depth == 0 else ""
        elif char in "*?{":  # the last character may be missing
            at = count.end() if char == "{" and count else at
            runs[-1:] = [runs[-1][:-1], ""]
        elif char == "|" and depth == 0:
            return ""
        else:
            at = _class_end(pattern, at) if char == "[" else at
            depth += (char == "(") - (char == ")")
            runs.append("")
    return max(runs, key=len)


def _class_end(pattern: str, at: int) -> int:
    """The place behind a class that was opened just before `at`."""
    at += pattern.startswith("^", at)
    at += pattern.startswith("]", at)
    while pattern[at] != "]":
        at += 2 if pattern[at] == "\\" else 1
    return at + 1


def count_lines(path: bytes, size: int) -> int:
    """Lines of a file of about so many bytes; of one over `LARGEST` its line feeds.

    Raises `OSError`.
    """
    data = _read(path, size)
    if data is not None:
        return files.line_count(data)
    with open(path, "rb", buffering=0) as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(2**20), b""))


def _read(path: bytes, size: int) -> bytes | None:
    """A file's bytes, `size` of them unless it has changed; None for one over `LARGEST`.

    Plain calls, and as few as can be: pathlib takes thrice as long.
    """
    if size > LARGEST:
        return None
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(file, size + 1)
        while len(data) != size and (more := os.read(file, 2**20)):
            size = -1  # it is another file than it was: to its end
            data += more
            if len(data) > LARGEST:
                return None
        return data
    finally:
        os.close(file)


def main() -> None:
    """The worker: a search on standard input, its result on standard output, as `marshal`."""
    pattern, limit, root, named = marshal.load(sys.stdin.buffer)
    search = Search(pattern, plain=False, limit=limit)
    search.run(root, named, lambda: False)
    found = (search.count, search.matches, search.skipped, search.binary)
    marshal.dump(found, sys.stdout.buffer)
