"""Pieces of Python that workspaces get: with lint hits, with type errors, plain, and tests.

Each is a template; `$fn`, `$noun`, `$nouns`, `$part`, `$n` and `$m` are drawn. The lint codes are
in ruff's families E7 and F, the type codes are those that the pinned `ty` reports.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from random import Random
from string import Template
from typing import Any


@dataclass(frozen=True)
class Snippet:
    """A template of one top-level definition."""

    codes: tuple[str, ...]
    """Codes that its text makes ruff or ty report; for tests, the outcomes in order."""
    text: str
    """Template text, ending with a newline."""


def _read(kind: str) -> tuple[Snippet, ...]:
    return tuple(Snippet(tuple(entry["codes"]), entry["text"]) for entry in _FILE[kind])


_FILE: dict[str, Any] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))

NOUNS: list[str] = _FILE["nouns"].split()
VERBS: list[str] = _FILE["verbs"].split()
PARTS: list[str] = _FILE["parts"].split()
IMPORTS: list[str] = _FILE["imports"].split()
"""Modules for unused imports (F401)."""


LINT = _read("lint")
"""Functions with hits of E7 and F, without annotations."""
TYPES = _read("types")
"""Annotated functions with errors that ty reports, without lint hits."""
PLAIN = _read("plain")
"""Functions and classes without findings; all but the last are functions."""
TESTS = _read("tests")
"""Test functions by outcome; they import nothing but pytest."""


def plural(noun: str) -> str:
    """The plural of one of `NOUNS`."""
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{noun[:-1]}ies"
    if noun == "series":
        return noun
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")


class Words:
    """Draws names for templates; no function name is drawn twice."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.used: set[str] = set()

    def fill(self, snippet: Snippet, private: bool = False) -> tuple[str, str]:
        """The text of a snippet (ending with a newline) and the name that it was given."""
        while True:
            noun, verb = self.rng.choice(NOUNS), self.rng.choice(VERBS)
            part = self.rng.choice([part for part in PARTS if part != noun])
            name = f"{verb}_{self.rng.choice([noun, plural(noun), f'{noun}_{part}'])}"
            if name not in self.used and noun != "series":
                break
        self.used.add(name)
        low = self.rng.randrange(2, 60)
        values = {
            "fn": f"_{name}" if private else name,
            "noun": noun,
            "nouns": plural(noun),
            "Fn": name.title().replace("_", ""),
            "part": part,
            "n": str(low),
            "m": str(low + self.rng.randrange(1, 40)),
        }
        return Template(snippet.text).substitute(values), values["fn"]
