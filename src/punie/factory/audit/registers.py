"""In which register a question is asked: by which hand, and in which form."""

from __future__ import annotations

import tomllib
from pathlib import Path

from punie.factory.audit.data import Example
from punie.factory.intents import FOLDER

TERSE = 4
"""Words up to which a question is terse."""
LONG = 16
"""Words from which it is long."""


def hands(folder: Path = FOLDER / "phrasings") -> dict[str, str]:
    """Phrasing → the file of the hand that wrote it; the first of several."""
    found: dict[str, str] = {}
    for file in sorted(folder.glob("*.toml")):
        for table in tomllib.loads(file.read_text("utf-8")).values():
            for phrasing in table.get("phrasings", []):
                found.setdefault(phrasing, file.stem)
    return found


def hand(example: Example, known: dict[str, str]) -> str:
    """The hand of an example's phrasing; answers in words have none."""
    if example.kind == "direct":
        return "(answered in words)"
    return known.get(example.phrasing, "(no longer there)")


def forms(question: str) -> list[str]:
    """What can be seen of a question's register."""
    words = question.split()
    found = [
        ("terse, up to 4 words", len(words) <= TERSE),
        ("long, 16 words or more", len(words) >= LONG),
        ("ends with a question mark", question.rstrip().endswith("?")),
        ("all lower case", question == question.lower()),
        ("several sentences", any(sign in question for sign in (". ", "? ", "! "))),
        ("with a please", any(w in question.lower() for w in ("please", "pls", "kindly", "thx"))),
    ]
    return [name for name, holds in found if holds]
