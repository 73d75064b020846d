"""The training example that is most like a question, with its slots filled from the question.

If this ties with the model, a suite measures memory. Likeness is the cosine of word counts
weighted by rarity (tf-idf), names, paths and numbers masked by their kind.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from math import log, sqrt
from pathlib import Path
from typing import Self

from punie.errors import UsageError
from punie.factory.baselines.words import Words, words

Example = tuple[str, str, str]
"""(question, program, answer in words): one of the last two is empty."""
KINDS = ("path", "name", "number")


class Nearest:
    """An index of training examples."""

    def __init__(self, examples: Iterable[Example]) -> None:
        self._examples = list(examples)
        self._words = [words(question) for question, _, _ in self._examples]
        seen = Counter(word for found in self._words for word in set(found.rest))
        self._rarity = {word: log(1 + len(self._words) / count) for word, count in seen.items()}
        self._index: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for number, found in enumerate(self._words):
            for word, weight in self._weights(found).items():
                self._index[word].append((number, weight))

    @classmethod
    def read(cls, path: Path) -> Self:
        """The single-turn examples of a file of rows. Raises UsageError when there is none."""
        found: list[Example] = []
        try:
            for line in path.read_text("utf-8").split("\n"):
                turns = json.loads(line)["messages"] if line.strip() else []
                if [turn["role"] for turn in turns] == ["system", "user", "assistant"]:
                    reply = turns[2]
                    found.append((turns[1]["content"], reply.get("code", ""), reply["content"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"no rows can be read from {str(path)!r}: {error!r}") from None
        if not found:
            raise UsageError(f"{str(path)!r} has no single-turn example")
        return cls(found)

    def reply(self, question: str) -> tuple[str, str]:
        """(program, "") or ("", words) of the nearest example, the first of equals."""
        asked = words(question)
        scores: dict[int, float] = defaultdict(float)
        for word, weight in self._weights(asked).items():
            for number, other in self._index.get(word, ()):
                scores[number] += weight * other
        if not scores:
            return "", "I do not know."
        best = max(scores, key=lambda number: (scores[number], -number))
        _, code, told = self._examples[best]
        return (_filled(code, self._words[best], asked), "") if code else ("", told)

    def _weights(self, found: Words) -> dict[str, float]:
        """Each word's share of a vector of length 1; unknown words have none."""
        counts = Counter(word for word in found.rest if word in self._rarity)
        raw = {word: count * self._rarity[word] for word, count in counts.items()}
        length = sqrt(sum(value * value for value in raw.values())) or 1.0
        return {word: value / length for word, value in raw.items()}


def _filled(code: str, example: Words, asked: Words) -> str:
    """The example's program with what its question named replaced by what this one names, kind by
    kind and in order; what the question lacks stays."""
    changes: dict[str, str] = {}
    for kind in KINDS:
        changes |= dict(zip(getattr(example, kind), getattr(asked, kind), strict=False))
    if not changes:
        return code
    old = "|".join(re.escape(value) for value in sorted(changes, key=len, reverse=True))
    literal = rf"(?P<quote>[\"'])(?P<text>{old})(?P=quote)|(?<![\w.\"'])(?P<bare>\d+)(?![\w.\"'])"

    def change(match: re.Match[str]) -> str:
        if match["quote"]:
            return json.dumps(changes[match["text"]], ensure_ascii=False)
        return changes.get(match["bare"], match["bare"])

    return re.sub(literal, change, code)
