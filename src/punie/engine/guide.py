"""What a tuned model may write: programs that copy, and answers that were checked.

A program's literals are held by `Copying`. A reply in words must be one of the answers that the
model was trained on, each of which people wrote and read: a small model that makes sentences of
its own is fluent and often wrong. Where it would rather say something else, it is not sure.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable

from punie.engine.copying import Copying

UNSURE = math.log(30)
"""How much likelier another token may be than the next one of any checked answer."""
TRIES = 60_000
"""Tokens that are refused in one reply before it is given up: some seconds of work."""
FIRST = 8
"""Tokens after which a model that leaves no choice of answers may disagree with the wording."""


class Answers:
    """A set of texts, and what they can begin with."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = sorted({text.encode() for text in texts})

    def beginning(self, text: bytes) -> int:
        """How many of them begin with `text`: 0, 1, or 2 for several."""
        place = bisect_left(self._texts, text)
        return sum(t.startswith(text) for t in self._texts[place : place + 2])

    def __contains__(self, text: bytes) -> bool:
        place = bisect_left(self._texts, text)
        return place < len(self._texts) and self._texts[place] == text


class Guide:
    """Judges one reply while it is being written."""

    def __init__(self, opener: str, copying: Copying | None, answers: Answers | None) -> None:
        """`opener` is what a program begins with; None = no limit."""
        self._opener, self._copying, self._answers = opener.encode(), copying, answers
        self._refused = 0

    def allows(self, reply: bytes) -> bool:
        """Whether the unfinished reply may go on as it is."""
        words, marker, code = reply.partition(self._opener)
        if marker:
            return self._copying is None or self._copying.allows(code)
        return self._answers is None or bool(self._answers.beginning(words))

    def lost(self) -> bool:
        """Whether so much was refused that the model plainly wants to say something else. Ask
        once for each token that is tried in vain."""
        self._refused += 1
        return self._refused > TRIES

    def may_end(self, reply: bytes) -> bool:
        """Whether the reply may end here."""
        return self._opener in reply or self._answers is None or reply in self._answers

    def unsure(self, reply: bytes, tokens: int, lead: float) -> bool:
        """Whether a model whose own next token leads the best allowed one by `lead` (difference
        of logits) would rather give another answer than those there are. `tokens` come before."""
        if self._answers is None or self._opener in reply or lead <= UNSURE:
            return False
        return tokens < FIRST or self._answers.beginning(reply) > 1
