"""Workflows composed from typed parts: a source of items, a question about them, and their words.

`composed/*.toml` hold sources (what a tool call gives: files, lines, symbols, commits, test files),
things that can be counted in a file, sinks over those, and questions of their own. A question fits
a source when it takes what the source gives and rests on another tool; each fitting pair is an
intent, with the program and the phrasings joined from both parts' fragments. Which pairs become
kinds is drawn so that every part is used about as often.
"""

from __future__ import annotations

import hashlib
import itertools
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from punie.factory.intents.parts import Ask, Parts, Source, conditional, read_parts
from punie.factory.intents.wordings import wording

GROUP = "composed"
EACH = {"file": 9, "line": 4, "symbol": 5, "commit": 4, "test": 3}
"""What a source gives → how many kinds are made of each such source."""
MOST = {"clear": 16, "terse": 12, "chatty": 16, "abroad": 10, "hasty": 8}
"""Voice → phrasings of a kind in it."""
LEAD = 0.4
"""Share of chatty phrasings that begin with what led to the question."""


def compose(folder: Path, problems: list[str]) -> Iterator[dict[str, Any]]:
    """The composed intents, as entries of an intents file, each with its phrasings.

    What is wrong with the parts is added to `problems`, and then there are none; as without a
    folder.
    """
    faults: list[str] = []
    parts = read_parts(folder, faults)
    problems += faults
    if faults:
        return
    for source, ask in chosen(parts):
        yield {
            "name": name(source, ask),
            "about": about(source, ask),
            "slots": {**source.slots, **ask.slots},
            "program": program(source, ask),
            "phrasings": phrasings(source, ask, parts.leads.get(source.gives, [])),
        }


def name(source: Source, ask: Ask) -> str:
    """Name of the kind."""
    return f"composed_{source.name}_{ask.name}".replace(".", "_")


def about(source: Source, ask: Ask) -> str:
    """What the kind is after, in its first words."""
    return _joined(ask.voices["clear"][0], source.items[0], ask, 0)


def fits(source: Source, ask: Ask, parts: Parts) -> bool:
    """Whether the question can be asked of the source: types, tools, no slot of both, no odd
    pair."""
    return (
        source.gives == ask.takes
        and not source.tools & ask.tools
        and not set(source.slots) & set(ask.slots)
        and not any(fnmatch(source.name, s) and fnmatch(ask.name, a) for s, a in parts.odd)
    )


def chosen(parts: Parts) -> list[tuple[Source, Ask]]:
    """The pairs that become kinds: of each source the fitting questions whose parts are used the
    least so far."""
    used: Counter[str] = Counter()
    found = []
    for source in parts.sources:
        fitting = [ask for ask in parts.asks if fits(source, ask, parts)]
        own: Counter[str] = Counter()
        for _ in range(min(EACH[source.gives], len(fitting))):
            ask = min(
                fitting,
                key=lambda a: (
                    20 * own[a.family] + sum(4 * own[p] + used[p] for p in a.name.split(".")),
                    _rank(f"{source.name}/{a.name}"),
                ),
            )
            fitting.remove(ask)
            used.update(ask.name.split("."))
            own.update([ask.family, *ask.name.split(".")])
            found.append((source, ask))
    return found


def program(source: Source, ask: Ask) -> str:
    """The program: the question's, with the source's code in its place."""
    files = _files(source, ask) if source.item else ""
    loop = re.search(r"for \S+ in <list>", ask.program)
    text = conditional(ask.program, f"{loop[0]}:" if loop else "", source.condition)
    if source.condition:  # the loops that are left stand in comprehensions
        text = text.replace("<list> if ", f"<list> if {source.condition} and ")
        text = re.sub(r"<list>(?!:| if )", lambda m: f"{m[0]} if {source.condition}", text)
    values = {"source": f"sorted({files})", "set": files, "var": source.var}
    for key, value in {**values, "list": source.list, "at": source.at}.items():
        text = text.replace(f"<{key}>", value)
    return text


def _files(source: Source, ask: Ask) -> str:
    """The code of the set of the source's files, those that the question can read."""
    where = list(source.where)
    if ask.python and not source.python:
        where.append(f'{source.item}.endswith(".py")')
    if ask.reads and source.history:
        where.append(f"list_files({source.item}).file_count")
    return f"{{{replace(source, where=tuple(where)).paths}}}"


def phrasings(source: Source, ask: Ask, leads: Iterable[str]) -> list[str]:
    """The questions of the kind, voice by voice; none twice."""
    return [text for voice in MOST for text in voiced(source, ask, voice, leads)]


def voiced(source: Source, ask: Ask, voice: str, leads: Iterable[str]) -> list[str]:
    """The questions of the kind in one voice; hasty is the clear one with slips of the finger."""
    rng = random.Random(f"{name(source, ask)}/{voice}")
    if voice == "hasty":
        texts = [_hasty(text, rng) for text in voiced(source, ask, "clear", leads)]
        return rng.sample(texts, min(len(texts), MOST[voice]))
    names = source.short if voice == "terse" else source.items
    words = range(max(1, *map(len, ask.words.values()), 1))
    each = list(itertools.product(ask.voices[voice], names, words))
    rng.shuffle(each)
    before = [*source.chatty * 3, *leads] if voice == "chatty" else []
    found: dict[str, str] = {}
    for frame, items, word in each:
        text = _joined(frame, items, ask, word)
        if before and rng.random() < LEAD:
            text = f"{rng.choice(before)} {_inside(text)}"
        found.setdefault(wording(text), text)
    return list(found.values())[: MOST[voice]]


def voices(folder: Path) -> dict[str, str]:
    """Composed phrasing → its voice."""
    parts = read_parts(folder, [])
    return {
        text: voice
        for source, ask in chosen(parts)
        for voice in MOST
        for text in voiced(source, ask, voice, parts.leads.get(source.gives, ()))
    }


def _joined(frame: str, items: str, ask: Ask, word: int) -> str:
    """A frame with the words of the items and of what is asked about them."""
    text = frame.replace("<items>", items).replace("<short>", items)
    for key, words in ask.words.items():
        text = text.replace(f"<{key}>", words[word % len(words)])
    return text


def distinct(
    entries: Iterable[dict[str, Any]], taken: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """The entries without phrasings whose wording another intent or entry has; `taken`: wording →
    who has it."""
    owners = dict(taken)
    for entry in entries:
        kept = []
        for text in entry["phrasings"]:
            if owners.setdefault(wording(text), entry["name"]) == entry["name"]:
                kept.append(text)
        yield entry | {"phrasings": kept}


def _hasty(text: str, rng: random.Random) -> str:
    """The text as typed in a hurry: small letters, no end, a letter swapped, lost or doubled."""
    parts = re.split(r"(\{\w+\})", text.rstrip(".?"))
    plain = [n for n, part in enumerate(parts) if re.search(r"[a-z]{5}", part) and n % 2 == 0]
    parts = [part if n % 2 else part.lower() for n, part in enumerate(parts)]
    chosen = rng.choice(plain)
    word = rng.choice(list(re.finditer(r"[a-z]{5,}", parts[chosen])))
    at = rng.randrange(word.start() + 1, word.end() - 2)
    pair = parts[chosen][at : at + 2]
    slip = rng.choice([pair[::-1], pair[1], pair[0] + pair])
    parts[chosen] = parts[chosen][:at] + slip + parts[chosen][at + 2 :]
    return "".join(parts)


def _inside(text: str) -> str:
    """A sentence that stands behind another one's beginning."""
    return text if re.match(r"I\b", text) else text[0].lower() + text[1:]


def _rank(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
