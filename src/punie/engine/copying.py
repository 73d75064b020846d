"""Copying, not recalling: which string literals a program may hold.

A tuned model writes two kinds of plain string literal: words of the conversation (a path, a name, a
text to search) and the few fixed words that its training programs used ("modified", "failed").
`Copying` tells whether a reply that is still being written can end with only such literals, so
that a small model never half-remembers a name from its training. Which tool is called with which
words stays the model's choice; f-strings are not looked into.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from unicodedata import category

from punie.mentioned import Kind, Mentioned
from punie.prompt import Message


class Literal(NamedTuple):
    """A plain string literal of a program."""

    value: bytes
    """Its value in UTF-8: a token may end inside a character."""
    closed: bool
    """Whether its closing quote is there."""
    escaping: bool = False
    """Whether it ends, so far, with the backslash of an escape."""
    start: int = 0
    """Where it begins in the program, with its prefix and quote."""


_ESCAPES = {
    b"n": b"\n",
    b"t": b"\t",
    b"r": b"\r",
    b"a": b"\a",
    b"b": b"\b",
    b"f": b"\f",
    b"v": b"\v",
    b"\\": b"\\",
    b"'": b"'",
    b'"': b'"',
}
_TOKEN = re.compile(rb"""#[^\n]*|(?P<prefix>\b[A-Za-z]{1,2})?(?P<quote>"{3}|'{3}|["'])""")
_KEYWORD = re.compile(rb"(\w+)[ ]?=[ ]?$")
_CALLED = re.compile(rb"(\w+)\($")
_STRING = re.compile(rb'"(?:\\.|[^"\\\n])*"' + rb"|'(?:\\.|[^'\\\n])*'")


def literals(code: bytes) -> list[Literal]:
    """The plain string literals of a program that may still be unfinished, in order."""
    found: list[Literal] = []
    place = 0
    while token := _TOKEN.search(code, place):
        place = token.end()
        if not (quote := token["quote"]):
            continue
        prefix = (token["prefix"] or b"").lower()
        value = bytearray()
        closed = escaping = False
        while place < len(code) and not closed:
            if code.startswith(quote, place):
                place, closed = place + len(quote), True
            elif code[place : place + 1] == b"\\" and b"r" not in prefix:
                following = code[place + 1 : place + 2]
                escaping = not following
                value += b"" if escaping else _ESCAPES.get(following, b"\\" + following)
                place += 2
            else:
                value.append(code[place])
                place += 1
        if b"f" not in prefix:
            found.append(Literal(bytes(value), closed, escaping, token.start()))
    return found


class Copying:
    """What the program of one reply may hold: words of `messages`, and the literals `known`; as
    an argument that names a path or symbol, only words that `mentioned` has for it."""

    def __init__(
        self,
        messages: Sequence[Message],
        known: Iterable[str],
        mentioned: Mentioned | None = None,
    ) -> None:
        said = [m["content"] for m in messages if m["role"] in ("user", "tool")]
        text = "\n".join(said)
        self._said = text.encode("utf-8", "replace")
        self._inside = _inside(text)
        self._known = [value.encode() for value in known]
        self._mentioned = mentioned

    def allows(self, code: bytes) -> bool:
        """Whether every literal of the unfinished program is, or can become, an allowed one."""
        return all(self._allowed(code, literal) for literal in literals(code))

    def _allowed(self, code: bytes, literal: Literal) -> bool:
        value = literal.value
        values = [value + end for end in _ESCAPES.values()] if literal.escaping else [value]
        if self._mentioned and (kind := self._kind(code[: literal.start])):
            words = [word.encode() for word in self._mentioned.words(kind)]
            if literal.closed:
                return value in words
            return any(word.startswith(v) for word in words for v in values)
        if literal.closed:
            return value in self._known or self.said(value)
        return any(
            self.said(v, whole=False) or any(k.startswith(v) for k in self._known) for v in values
        )

    def _kind(self, before: bytes) -> Kind:
        """What an argument that begins after `before` names."""
        assert self._mentioned is not None
        before = _STRING.sub(b'""', before)  # what they hold is no code
        depth, place, end = 0, 0, len(before)
        keyword = _KEYWORD.search(before)
        while end > 0:
            end -= 1
            sign = before[end : end + 1]
            if sign in b")]}":
                depth += 1
            elif sign == b"," and not depth:
                place += 1
            elif sign in b"([{":
                if depth:
                    depth -= 1
                    continue
                name = _CALLED.search(before[: end + 1])
                tool = name[1].decode() if name else ""
                return self._mentioned.kind(tool, keyword[1].decode() if keyword else place)
        return ""

    def said(self, value: bytes, *, whole: bool = True) -> bool:
        """Whether whole words of the conversation are, or (not `whole`) begin with, `value`."""
        if not value:
            return not whole
        start = self._said.find(value)
        while start >= 0:
            if self._between_words(start) and (
                not whole or self._between_words(start + len(value))
            ):
                return True
            start = self._said.find(value, start + 1)
        return False

    def _between_words(self, place: int) -> bool:
        """Whether `place` is no place inside a word."""
        return place not in self._inside


def _inside(text: str) -> set[int]:
    """Places in the UTF-8 of a text that are inside a word."""
    found: set[int] = set()
    place, before = 0, False
    for sign in text:
        size, wordy = len(sign.encode("utf-8", "replace")), _wordy(sign)
        if before and wordy:
            found.add(place)
        found.update(range(place + 1, place + size))  # inside a character
        place, before = place + size, wordy
    return found


def _wordy(sign: str) -> bool:
    """Whether a character makes one word with its neighbours; scripts without spaces do not."""
    return sign == "_" or (sign.isalnum() and category(sign) != "Lo")
