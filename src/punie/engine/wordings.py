"""Which of the known questions are worded most like the one that is asked.

Likeness is the cosine of two weighted bags of words and of pieces of words: pieces see slips and
endings for what they are, words that few questions hold count most. It picks a few candidates; the
model decides between them.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

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
        """`questions` are the wordings of each key; takes half a second for 8,000."""
        self._keys = [key for key, wordings in questions.items() for _ in wordings]
        bags = [_bag(wording) for wordings in questions.values() for wording in wordings]
        holders: dict[str, set[str]] = defaultdict(set)
        for key, bag in zip(self._keys, bags, strict=True):
            for part in bag:
                holders[part].add(key)
        self._most = math.log(1 + len(questions))
        self._rare = {p: math.log(1 + len(questions) / len(k)) for p, k in holders.items()}
        self._places: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for place, bag in enumerate(bags):
            for part, value in self._weighed(bag).items():
                self._places[part].append((place, value))

    def nearest(self, question: str, count: int) -> list[tuple[str, float]]:
        """The `count` keys with the likeliest wordings, best first, and how alike they are, 0 to
        1."""
        sums: dict[int, float] = defaultdict(float)
        for part, value in self._weighed(_bag(question)).items():
            for place, theirs in self._places.get(part, ()):
                sums[place] += value * theirs
        found: dict[str, list[float]] = defaultdict(list)
        for place, likeness in sums.items():
            found[self._keys[place]].append(likeness)
        scores = {key: _score(each) for key, each in found.items()}
        return sorted(scores.items(), key=lambda one: (-one[1], one[0]))[:count]

    def _weighed(self, bag: Mapping[str, float]) -> dict[str, float]:
        """Rare parts count more; the length is 1."""
        found = {part: count * self._rare.get(part, self._most) for part, count in bag.items()}
        length = math.sqrt(sum(value * value for value in found.values())) or 1.0
        return {part: value / length for part, value in found.items()}


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
