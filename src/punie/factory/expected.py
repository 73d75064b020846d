"""What a right answer must hold, derived from a program's run or from a text that is known."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from punie.factory.suite import holds
from punie.sandbox import Outcome
from punie.tool import Item, Result

MOST, WRONG = 10, 3
"""Facts that are expected, and that are rejected, at most."""
LONGEST = 100
"""Characters of a fact, at most."""
RARE = 3
"""Answers that may hold a word by which one of them is known."""
_VOLATILE = re.compile(r"0x[0-9a-f]{4,}|/tmp/|/home/|/root/")


def facts(outcome: Outcome, root: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(facts that an answer must hold, facts that it must not) of a program that ran well.

    Expected are values of the fields that the program read, as far as it printed them; without
    any, lines of its output. Wrong are values of the same printed fields that it did not print: a
    filter that was left out shows them. Fractions, addresses and places of this machine are no
    facts: they may differ next time.
    """
    printed: dict[str, None] = {}
    missing: dict[str, str] = {}
    shown: set[str] = set()
    for call, result in zip(outcome.calls, outcome.results, strict=True):
        for name, value in _values(result):
            if name not in call.fields or not _steady(value, root):
                continue
            if holds(outcome.stdout, value):
                printed[value] = None
                shown.add(name)
            elif not result.truncated:  # what a cut list lacks may hang on how long tests took
                missing[value] = name
    wrong = [
        value
        for value, name in missing.items()
        if name in shown and len(value) > 4 and not value.isdigit() and value not in outcome.stdout
    ]
    if not printed:
        lines = (line.strip() for line in outcome.stdout.splitlines())
        printed = dict.fromkeys(line for line in lines if _steady(line, root))
    # In the order of their letters: lists of tests come in the order of their durations.
    return _spread(sorted(printed), MOST), _spread(sorted(wrong), WRONG)


def direct_facts(answers: Sequence[str]) -> Callable[[str, str], str]:
    """A function of (answer, its questions) that gives what an answer in other words must hold:
    one of the four words of it that the fewest other answers have and the questions do not say.
    "" where the answer has no such word."""
    counts: Counter[str] = Counter()
    for answer in dict.fromkeys(answers):
        counts.update(set(_words(answer)))

    def fact(answer: str, questions: str) -> str:
        asked = set(_words(questions))
        own = [w for w in dict.fromkeys(_words(answer)) if counts[w] <= RARE and w not in asked]
        own.sort(key=lambda word: (counts[word], -len(word), word))
        return rf"re:\b(?:{'|'.join(re.escape(word) for word in own[:4])})" if own else ""

    return fact


def _values(item: Item) -> Iterator[tuple[str, str]]:
    """(Class.field, value as text) of all texts and whole numbers in a result, in order."""
    kind = type(item).__name__
    for name in type(item).model_fields:
        if name in Result.model_fields:
            continue
        value: Any = getattr(item, name)
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, Item):
                yield from _values(each)
            elif isinstance(each, str | int) and not isinstance(each, bool):
                yield f"{kind}.{name}", str(each)


def _steady(value: str, root: str) -> bool:
    """Whether a value can be a fact: short, on one line, the same next time and elsewhere."""
    plain = value.strip()
    if not plain or plain != value or len(value) > LONGEST or "\n" in value:
        return False
    if value.startswith("re:") or root in value or _VOLATILE.search(value):
        return False
    return not re.search(r"\d\.\d+\s*s\b", value)


def _spread(values: Sequence[str], most: int) -> tuple[str, ...]:
    """At most `most` of the values, evenly over them, the first and the last included."""
    if len(values) <= most:
        return tuple(values)
    return tuple(values[round(n * (len(values) - 1) / (most - 1))] for n in range(most))


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z_][\w-]{3,}", text.lower())
