"""How near two questions are: the share of letter triples that they have in common.

Nearness is the Jaccard index of the sets of character trigrams of two texts, lower case and
without signs: 1 for the same text, 0 for nothing in common. It sees slips, endings and courtesies
for what they are; it knows nothing about meaning, so two wordings of one question may lie far
apart.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from punie.engine.copying import literals

SLOT = re.compile(r"\{\w+\}")
_WORD = re.compile(r"[^\W_]+")


def grams(text: str) -> frozenset[str]:
    """The letter triples of a text's words, each word with a space before and after it."""
    padded = f" {' '.join(_WORD.findall(SLOT.sub(' ', text).lower()))} "
    return frozenset(padded[i : i + 3] for i in range(len(padded) - 2))


def nearness(one: str, other: str) -> float:
    """Nearness of two texts, from 0 to 1."""
    ours, theirs = grams(one), grams(other)
    return len(ours & theirs) / (len(ours | theirs) or 1)


def without_values(question: str, programs: Sequence[str]) -> str:
    """A question without the names, paths and numbers that its programs copy from it."""
    values = {v.value.decode("utf-8", "replace") for p in programs for v in literals(p.encode())}
    for value in sorted(values, key=lambda v: (-len(v), v)):
        if value:
            question = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", " ", question)
    return question


class Nearest:
    """Finds, among many texts, the one that is nearest to another text."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts
        sets = [grams(text) for text in texts]
        self._sizes = np.array([len(s) for s in sets], dtype=np.int64)
        places: dict[str, list[int]] = {}
        for number, found in enumerate(sets):
            for gram in found:
                places.setdefault(gram, []).append(number)
        self._places = {g: np.array(p, dtype=np.int64) for g, p in places.items()}

    def all(self, text: str) -> NDArray[np.float64]:
        """Nearness of `text` to every text, in their order."""
        wanted = grams(text)
        hits = [self._places[g] for g in sorted(wanted) if g in self._places]
        if not hits:
            return np.zeros(len(self.texts))
        shared = np.bincount(np.concatenate(hits), minlength=len(self.texts))
        union = self._sizes + len(wanted) - shared
        found: NDArray[np.float64] = shared / np.maximum(union, 1)
        return found

    def one(self, text: str) -> tuple[float, int]:
        """Nearness and number of the nearest text, the first of several; (0.0, -1) of none."""
        if not self.texts:
            return 0.0, -1
        found = self.all(text)
        place = int(found.argmax())
        return float(found[place]), place
