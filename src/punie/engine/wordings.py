"""Which of the known questions are worded most like the one that is asked.

Likeness is the cosine of two weighted bags of words and of pieces of words: pieces see slips and
endings for what they are, words that few questions hold count most. It picks a few candidates; the
model decides between them.
"""

from __future__ import annotations

import math
import re
from array import array
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

_WORD = re.compile(r"[\w+#*@<>=-]+")
_COMMON = frozenset(
    """a an the is are was of to in on for and or it its me my i you we do does did please can could
    would what whats which how why when with be that this one so if at as by from""".split()  # noqa: SIM905
)
"""Words that say little about what is asked."""
COMMON, PIECE = 0.3, 0.35
"""Weights of such a word and of a piece, beside 1 for another word."""


class Wordings:
    """Questions by what they stand for, ready to be compared with another question."""

    def __init__(self, questions: Mapping[str, Sequence[str]]) -> None:
        """`questions` are the wordings of each key."""
        self._keys = [key for key, wordings in questions.items() for _ in wordings]
        self._parts: dict[str, int] = {}
        parts, places, counts, holders = array("i"), array("i"), array("d"), array("i")
        for wordings in questions.values():
            held: set[int] = set()
            for wording in wordings:
                bag = _bag(wording)
                numbers = [self._parts.setdefault(part, len(self._parts)) for part in bag]
                parts.extend(numbers)
                counts.extend(bag.values())
                places.append(len(numbers))
                held.update(numbers)
            holders.extend(held)
        # An inverted index: the wordings that hold a part stand side by side.
        of = np.array(parts, np.int32)
        place = np.repeat(np.arange(len(places), dtype=np.int32), places)
        held_by = np.bincount(np.array(holders, np.int32), minlength=len(self._parts))
        self._most = math.log(1 + len(questions))
        self._rare = np.log(1 + len(questions) / np.maximum(held_by, 1))
        values = np.array(counts) * self._rare[of]
        lengths = np.sqrt(np.bincount(place, values**2, len(places)))
        values /= np.where(lengths, lengths, 1)[place]
        order = np.argsort(of, kind="stable")
        self._place, self._value = place[order], values[order].astype(np.float32)
        self._start = np.searchsorted(of[order], np.arange(len(self._parts) + 1))

    def nearest(self, question: str, count: int) -> list[tuple[str, float]]:
        """The `count` keys with the likeliest wordings, best first, and how alike they are, 0 to
        1."""
        sums, squares = np.zeros(len(self._keys)), 0.0
        for part, number in _bag(question).items():
            known = self._parts.get(part)
            weight = number * (self._most if known is None else self._rare[known])
            squares += weight**2
            if known is not None:
                there = slice(self._start[known], self._start[known + 1])
                sums[self._place[there]] += self._value[there] * weight
        sums /= math.sqrt(squares) or 1.0
        found: dict[str, list[float]] = defaultdict(list)
        for place in np.nonzero(sums)[0]:
            found[self._keys[place]].append(float(sums[place]))
        scores = {key: _score(each) for key, each in found.items()}
        return sorted(scores.items(), key=lambda one: (-one[1], one[0]))[:count]


def _score(likenesses: list[float]) -> float:
    """Between the best and the mean of the best three: one odd wording alone counts less."""
    best = sorted(likenesses, reverse=True)[:3]
    return (best[0] + sum(best) / len(best)) / 2


def _bag(text: str) -> dict[str, float]:
    """A text's words and, of the telling ones, their pieces of three and four letters."""
    found: dict[str, float] = defaultdict(float)
    for word in _WORD.findall(text.lower()):
        padded = f" {word} "
        if word in _COMMON:
            found[padded] += COMMON
            continue
        found[padded] += 1.0
        for size in (3, 4):
            for start in range(len(padded) - size + 1):
                found["~" + padded[start : start + size]] += PIECE
    return found
