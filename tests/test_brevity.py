"""Questions that want a figure alone get a program that stops at the figure."""

from __future__ import annotations

import ast

import pytest

from punie.factory.examples.brevity import brief, figure_alone, fitted
from punie.factory.intents import load

INTENTS, _ = load()
COUNTED = """found = find_references(symbol={symbol})
print(found.reference_count)
for r in found.references:
    print(r.file)
"""


@pytest.mark.parametrize(
    "phrasing",
    [
        "just the number: usages of {symbol}",
        "{symbol}: how often used? digits only",
        "type checker happy with {path}, yes or no",
        "linter passing yes/no",
        "one number, no list: type errors in {path}",
        "how many are there? don't list them",
        "just the number of tests that reach the parser",
        "the total, without listing them",
    ],
)
def test_words_that_want_a_figure_alone(phrasing: str) -> None:
    assert figure_alone(phrasing)


@pytest.mark.parametrize(
    "phrasing",
    [
        "list the uses of {symbol}",
        "only the first {count} results, please",
        "I don't want only a number: which files?",
        "yes or no, with evidence: is {symbol} used?",
        "line numbers alone do not help me",
        "how many uses has {symbol}?",
        "each file with its number only",
        "how many tests reach the parser? name them",
    ],
)
def test_words_that_want_more(phrasing: str) -> None:
    assert not figure_alone(phrasing)


def test_the_list_behind_the_figure_goes() -> None:
    assert brief(COUNTED) == "\n".join(COUNTED.splitlines()[:2])


@pytest.mark.parametrize(
    "program",
    [
        "for c in git_log().commits:\n    print(c.author)",
        "print(git_status().file_count)",
        "n = 0\nfor c in git_log().commits:\n    n += 1\nprint(n)",
    ],
)
def test_a_program_without_such_an_end_stays(program: str) -> None:
    assert brief(program) == program


def test_intents_that_list_have_a_program_for_those_who_want_a_figure() -> None:
    shorter = {
        intent.name
        for intent in INTENTS.values()
        for phrasing in intent.phrasings
        if fitted(intent, phrasing).program != intent.program
    }
    assert {"types_count_path", "refs_count", "tests_ok", "lint_ok", "status_clean"} <= shorter
    for name in shorter:
        ast.parse(brief(INTENTS[name].program))
