"""Bytes of a file as text and back, without loss: encoding, byte order mark, line ends.

A UTF-8 or UTF-16 byte order mark decides; a Python file's declaration (PEP 263) comes next; then
UTF-8. Other files that are no UTF-8 and look like text are Latin-1, which keeps every byte.
Imports little: the search worker loads it in each run.
"""

from __future__ import annotations

import codecs
import re

MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""Byte order marks and what they say."""
PYTHON = (".py", ".pyi", ".pyw")
_DECLARED = re.compile(rb"[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
_COMMENT = re.compile(rb"[ \t\f]*(?:#.*)?$")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_END = re.compile(rb"\r\n|\r|\n")


class Text:
    """A decoded file."""

    __slots__ = ("encoding", "mark", "text")

    def __init__(self, text: str, encoding: str, mark: bytes) -> None:
        self.text, self.encoding, self.mark = text, encoding, mark
        """The text without its mark, the codec's name, the bytes of the byte order mark."""


def decode(data: bytes, name: str) -> Text:
    """A file's text. Raises `ValueError` that says why it has none.

    A Python file that is not in the encoding that it declares (UTF-8 when it declares none) has
    no text, as Python itself would not read it.
    """
    for mark, codec in MARKS:
        if data.startswith(mark) and not data.startswith(codecs.BOM_UTF32_LE):
            return Text(_strict(data[len(mark) :], codec), codec, mark)
    codec = declared(data) if name.lower().endswith(PYTHON) else ""
    if codec:
        return Text(_strict(data, codec), codec, b"")
    try:
        return Text(data.decode(), "utf-8", b"")
    except UnicodeDecodeError as error:
        if name.lower().endswith(PYTHON) or _CONTROL.search(data):
            raise ValueError(f"it is not UTF-8 text (byte {error.start})") from None
        return Text(data.decode("latin-1"), "latin-1", b"")


def encode(text: str, encoding: str, mark: bytes) -> bytes:
    """The bytes of a text. Raises `ValueError` that names the character without a code."""
    try:
        return mark + text.encode(encoding)
    except UnicodeEncodeError as error:
        character = text[error.start]
        line = text.count("\n", 0, error.start) + 1
        reason = f"line {line} has the character {character!a}, which {encoding} does not know"
        raise ValueError(reason) from None


def declared(data: bytes) -> str:
    """The codec that the first two lines of Python source declare, "" for none.

    Raises `ValueError` for one that Python does not know.
    """
    for line in _END.split(data[:1000], maxsplit=2)[:2]:
        if match := _DECLARED.match(line):
            name = match[1].decode("ascii", "replace")
            try:
                found = codecs.lookup(name)
                "".encode(name)  # some codecs are for bytes: hex, zip
            except LookupError:
                raise ValueError(f"it declares the unknown encoding {name!r}") from None
            return "" if found.name == "utf-8" else found.name
        if not _COMMENT.match(line):
            break
    return ""


def is_binary(data: bytes) -> bool:
    """Whether git would call it binary: a NUL near its start, and no UTF-16 mark."""
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return b"\0" in data[:8000] and not wide


def is_utf16(data: bytes) -> bool:
    """Whether it is UTF-16: marked so, or every other byte of its start is NUL."""
    first = data[:2]
    if first in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return True
    if b"\0" not in first:
        return False
    start = data[:64]
    return not (start[::2].strip(b"\0") and start[1::2].strip(b"\0"))


def both_ways(data: bytes) -> list[str]:
    """What UTF-16 says in either order of bytes; one of the two is nonsense."""
    return [data.decode(codec, "replace") for codec in ("utf-16-le", "utf-16-be")]


def decodes(data: bytes) -> bool:
    """Whether it is UTF-8; if not, a language server's positions in it are wrong."""
    if is_utf16(data):
        return False
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def line_count(data: bytes) -> int:
    """Lines as `read_file` counts them: each ends at LF, CRLF or CR; none in a binary file."""
    if is_binary(data):
        return 0
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        data = data.decode("utf-16", "replace").encode()
    data = data.removeprefix(codecs.BOM_UTF8)
    ends = data.count(b"\n")
    if b"\r" in data:
        ends += data.count(b"\r") - data.count(b"\r\n")
    return ends + (bool(data) and not data.endswith((b"\n", b"\r")))


def _strict(data: bytes, codec: str) -> str:
    try:
        return data.decode(codec)
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not {codec} text (byte {error.start})") from None


def is_utf8(path: str) -> bool:
    """Whether a name on disk is text: the language server ends at one that is not."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
