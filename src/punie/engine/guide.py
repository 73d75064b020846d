"""What a tuned model may write: programs that copy, and answers that were checked.

A program's literals are held by `Copying`. A reply in words must be one of the answers that the
model was trained on, each of which people wrote and read: a small model that makes sentences of
its own is fluent and often wrong. It decides between the answers to the known questions that are
worded most like the one asked (`punie.engine.wordings`). Where none is plainly the same and it
would rather say something else, it is not sure.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence

from punie.engine.copying import Copying
from punie.engine.wordings import Wordings

UNSURE = math.log(30)
"""How much likelier another token may be than the next one of any checked answer."""
TRIES = 60_000
"""Tokens that are refused in one reply before it is given up: some seconds of work."""
FIRST = 8
"""Tokens after which a model that leaves no choice of answers may disagree with the wording."""
CHOICE = 5
"""Answers between which the model decides, those of the questions most like the one asked."""
CLOSE = 0.9
"""Least likeness of such a question, as a share of that of the first."""
ALIKE = 0.25
"""Likeness to a known question from which the model gives one of these answers in any case."""


class Answers:
    """A set of texts, and what they can begin with."""

    def __init__(self, texts: Iterable[str], *, fitting: bool = False) -> None:
        """`fitting` texts answer a question that is plainly the one asked."""
        self._texts, self.fitting = sorted({text.encode() for text in texts}), fitting

    def beginning(self, text: bytes) -> int:
        """How many of them begin with `text`: 0, 1, or 2 for several."""
        place = bisect_left(self._texts, text)
        return sum(t.startswith(text) for t in self._texts[place : place + 2])

    def only(self, text: bytes) -> bytes | None:
        """The one that begins with `text`; None when there are none or several."""
        return self._texts[bisect_left(self._texts, text)] if self.beginning(text) == 1 else None

    def __contains__(self, text: bytes) -> bool:
        place = bisect_left(self._texts, text)
        return place < len(self._texts) and self._texts[place] == text


class Bank:
    """All answers with the questions that they are known for."""

    def __init__(self, answers: Mapping[str, Sequence[str]]) -> None:
        self.all, self._questions = Answers(answers), answers
        self._wordings: Wordings | None = None

    def to(self, question: str) -> Answers:
        """The answers that a question may get: to the questions most like it, or all when none
        is known. The first call takes half a second for 8,000 questions."""
        if not any(self._questions.values()):
            return self.all
        if self._wordings is None:
            self._wordings = Wordings(self._questions)
        found = self._wordings.nearest(question, CHOICE)
        best = found[0][1] if found else 0.0
        return Answers((a for a, like in found if like >= CLOSE * best), fitting=best >= ALIKE)


class Guide:
    """Judges one reply while it is being written."""

    def __init__(
        self,
        opener: str,
        copying: Copying | None,
        answers: Answers | None,
        narrowed: Callable[[], Answers] | None = None,
    ) -> None:
        """`opener` is what a program begins with; `narrowed` gives those of the `answers` that the
        question may get, once the model wants to answer in words. None = no limit."""
        self._opener, self._copying, self._answers = opener.encode(), copying, answers
        self._narrowed, self._in_words = narrowed, False
        self._refused = 0

    def begin(self, token: bytes) -> None:
        """Told what the model would begin with: if that is no program, none may follow."""
        if self._answers is not None and not self._opener.startswith(token or b" "):
            self._in_words = True
            self._answers = self._narrowed() if self._narrowed else self._answers

    def allows(self, reply: bytes) -> bool:
        """Whether the unfinished reply may go on as it is."""
        words, marker, code = reply.partition(self._opener)
        if marker:
            return not self._in_words and (self._copying is None or self._copying.allows(code))
        return self._answers is None or bool(self._answers.beginning(words))

    def lost(self) -> bool:
        """Whether so much was refused that the model plainly wants to say something else. Ask
        once for each token that is tried in vain."""
        self._refused += 1
        return self._refused > TRIES

    def whole(self, reply: bytes, tokens: int) -> bytes | None:
        """The reply in words as a whole, once nothing is left to choose. `tokens` are written."""
        if not self._in_words or self._answers is None:
            return None
        return self._answers.only(reply) if self._answers.fitting or tokens >= FIRST else None

    def may_end(self, reply: bytes) -> bool:
        """Whether the reply may end here."""
        return self._opener in reply or self._answers is None or reply in self._answers

    def unsure(self, reply: bytes, tokens: int, lead: float) -> bool:
        """Whether a model whose own next token leads the best allowed one by `lead` (difference
        of logits) would rather give another answer than those there are. `tokens` come before."""
        if self._answers is None or self._answers.fitting:
            return False
        if self._opener in reply or lead <= UNSURE:
            return False
        return tokens < FIRST or self._answers.beginning(reply) > 1
