"""How near the questions of the suites lie to the phrasings that training is made from.

For each question the nearest of all phrasings is looked up (`nearness`). Of `development` the
nearest pairs are shown; of the suites that must stay unseen only the distribution is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from punie.factory.audit.nearness import Nearest, without_values
from punie.factory.audit.pictures import histogram, quantiles
from punie.factory.intents import Direct, Intent, load
from punie.factory.intents import brought as beside
from punie.factory.suite import FOLDER, Suite, load_suite
from punie.tool import own_tools

SUITES = ("development", "test", "forty")
SHOWN = frozenset({"development"})
"""Suites whose questions may be shown."""
PAIRS = 30
SHORT = 3
"""Words that two hands may well type alike."""
PAGE = FOLDER / "overlap.md"

HEAD = """\
# How near the suites lie to the training phrasings

Made by `punie overlap`, never by hand. For each question of a suite, names, paths and numbers that
its reference programs copy are cut out, and of all {phrasings} phrasings of intents and {facts}
wordings of general questions the nearest is looked up. Nearness is the share of letter triples
that two texts have in common (Jaccard index of character trigrams): 1 = the same text. Two
wordings of one question in other words lie at about 0.2 to 0.4, so this finds copies, not
likeness of meaning."""


def texts(intents: dict[str, Intent], direct: Sequence[Direct]) -> list[tuple[str, str]]:
    """(Where it stands, text) of every phrasing and every wording of a general question."""
    found = [(i.name, p) for i in intents.values() for p in i.phrasings]
    return found + [(f"direct_{d.topic}", q) for d in direct for q in d.questions]


def page() -> str:
    """The page of today's suites and phrasings."""
    intents, direct = load(brought=beside.files(own_tools().values()))
    known = texts(intents, direct)
    facts = sum(len(d.questions) for d in direct)
    head = HEAD.format(phrasings=len(known) - facts, facts=facts)
    nearest = Nearest([text for _, text in known])
    parts = [_suite(load_suite(name), nearest, known) for name in SUITES]
    return "\n\n".join([head, *parts]) + "\n"


def _suite(suite: Suite, nearest: Nearest, known: Sequence[tuple[str, str]]) -> str:
    """One suite: its distribution and, where they may be shown, the nearest pairs."""
    pairs = []
    same = short = 0
    for case in suite.cases:
        bare = without_values(case.query, case.references)
        value, place = nearest.one(bare)
        pairs.append((value, case, known[place]))
        same += value == 1.0
        short += value == 1.0 and len(bare.split()) <= SHORT
    values = [value for value, _, _ in pairs]
    picture = f"{quantiles(values, 2)}\n\n{histogram(values, 0.05, 2, top=1.0)}"
    alike = f"Worded just as a phrasing: {same}, of which {short} have at most {SHORT} words left."
    parts = [f"## {suite.name}: {len(values)} questions", alike, f"```text\n{picture}\n```"]
    if suite.name in SHOWN:
        pairs.sort(key=lambda pair: (-pair[0], pair[1].id))
        rows = [
            f"| {value:.2f} | {case.id} | {_cell(case.query)} | {_cell(text)} | {intent} |"
            for value, case, (intent, text) in pairs[:PAIRS]
        ]
        table = ["| nearness | case | question | phrasing | intent |", "|---|---|---|---|---|"]
        parts.append("\n".join([*table, *rows]))
    return "\n\n".join(parts)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def write(path: Path = PAGE) -> Path:
    """Write the page."""
    path.write_text(page(), "utf-8")
    return path
