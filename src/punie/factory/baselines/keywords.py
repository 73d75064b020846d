"""A router by words: the first rule that fits the question gives the program.

Some twenty rules in `keywords.toml`, as someone would write them in an afternoon. No question of
a suite was looked at for them.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path

from punie.factory.baselines.words import words

WORDS = "I do not know."


@cache
def rules() -> tuple[tuple[re.Pattern[str], str], ...]:
    """(words, program) of each rule, the first that fits counts."""
    table = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
    return tuple(
        (re.compile(rule["words"], re.IGNORECASE), rule["program"]) for rule in table["rule"]
    )


def route(question: str) -> tuple[str, str]:
    """(program, "") by the first rule that fits and can be filled, else ("", words)."""
    named = words(question)
    values = {
        "path": repr(named.path[0]) if named.path else "'.'",
        "number": named.number[0] if named.number else "10",
    }
    if named.name:
        values["name"] = repr(named.name[0])
    for pattern, program in rules():
        if pattern.search(question) and ("{name}" not in program or named.name):
            for slot, value in values.items():
                program = program.replace("{%s}" % slot, value)
            return program, ""
    return "", WORDS
