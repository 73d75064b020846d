"""In which register a question is asked: by which hand, in which form, and as code tells it.

Two norms hold. Every register has its share of the data, for a model answers the hand that it has
seen: a breach, since more rows of those phrasings mend it. Every intent has most registers among
all its phrasings, else it is known in one tone only: a breach, too, mended by phrasings. Neither
asks for all: some intents have no way to name a tool, or no reason to be polite about.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from punie.factory.audit import surface
from punie.factory.audit.data import Example
from punie.factory.audit.findings import Finding, gathered
from punie.factory.audit.subject import Subject
from punie.factory.intents import FOLDER, composing, load

TERSE = 4
"""Words up to which a question is terse."""
LONG = 16
"""Words from which it is long."""


def hands(folder: Path = FOLDER / "phrasings") -> dict[str, str]:
    """Phrasing → the file of the hand that wrote it, or the voice of a composed workflow; the first
    of several."""
    found: dict[str, str] = {}
    for file in sorted(folder.glob("*.toml")):
        for table in tomllib.loads(file.read_text("utf-8")).values():
            for phrasing in table.get("phrasings", []):
                found.setdefault(phrasing, file.stem)
    for phrasing, voice in composing.voices(folder.parent / "composed").items():
        found.setdefault(phrasing, f"composed, {voice}")
    return found


def hand(example: Example, known: dict[str, str]) -> str:
    """The hand of an example's phrasing; answers in words have none."""
    if example.kind == "direct":
        return "(answered in words)"
    return known.get(example.phrasing, "(no longer there)")


@lru_cache(maxsize=1)
def known_rules() -> Mapping[str, surface.Rule]:
    """Register → its rule, for phrasings; the spelling is that of all that the package has."""
    intents, direct = load()
    phrasings = [text for intent in intents.values() for text in intent.phrasings]
    return surface.rules([*phrasings, *(text for entry in direct for text in entry.questions)])


def counted(questions: Iterable[str]) -> dict[str, int]:
    """Register → questions of it, most first; a register that none has, too."""
    rules = {**known_rules(), **surface.PLACES}
    counts = Counter(dict.fromkeys(rules, 0))
    for asked in questions:
        counts.update(name for name, rule in rules.items() if rule(asked))
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def shares(subject: Subject) -> list[Finding]:
    """Registers that have too small a share of the data."""
    total, least = len(subject.data.examples), subject.norms.registers
    few = {
        name: count
        for name, count in counted(e.asked for e in subject.data.examples).items()
        if count < least * total
    }
    if not few:
        return []
    text = f"{len(few)} registers have less than {least:.0%} of the examples"
    shown = tuple(
        f"{name}: {count} of {total} ({count / total:.1%})" for name, count in few.items()
    )
    return [Finding("norm: registers", "breach", text, sample=shown)]


def of_intents(subject: Subject) -> list[Finding]:
    """Intents of the data whose phrasings are of too few registers."""
    least, rules = subject.norms.registers_each, known_rules()
    faults = []
    for name in sorted({e.intent for e in subject.data.examples} & subject.bank.keys()):
        phrasings = subject.bank[name]
        lacking = [r for r, rule in rules.items() if not any(map(rule, phrasings))]
        if len(rules) - len(lacking) < least:
            faults.append((name, f"none of its {len(phrasings)} is {', '.join(lacking)}"))
    text = f"intents have phrasings of fewer than {least} of {len(rules)} registers"
    return gathered("registers of an intent", faults, text)


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
