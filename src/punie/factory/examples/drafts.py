"""Which intent is asked in which words on which workspace, and what is held out.

Validation holds out phrasings and, where the recipe says so, workspaces: a held-out phrasing is
asked only there, and nothing else is. What is held out is chosen by hash, so that neither another
seed nor a new intent changes it.
"""

from __future__ import annotations

import hashlib
import math
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from punie.errors import UsageError
from punie.factory.examples.brevity import fitted
from punie.factory.examples.options import GenerateOptions
from punie.factory.intents import Intent
from punie.factory.intents.wordings import wording
from punie.tool import load_tools

SURPLUS = 1.25
"""Examples tried for each one wanted, since some are rejected."""
CONFLICT = "conflict"
"""What an intent needs that is asked where a merge stopped."""
MARGIN = 1.08
"""How far above a share is aimed at, since more of some kinds are rejected."""


@dataclass(frozen=True)
class Draft:
    """An example that is still to be filled, run and checked."""

    intent: Intent
    phrasing: str
    seed: int
    held_out: bool


def drafts(
    options: GenerateOptions,
    intents: Mapping[str, Intent],
    names: Iterable[str],
    stopped: Collection[str] = (),
) -> dict[str, list[Draft]]:
    """The drafts of each workspace; in those that are `stopped`, a merge left conflicts."""
    places: dict[str, list[Draft]] = {name: [] for name in names}
    apart = held_places(options, places)
    trained = sorted(set(places) - apart)
    kept, tried = wanted(options, intents.values()), held_out(options, intents.values())
    for intent in intents.values():
        if not kept[intent.name] or not intent.phrasings:
            continue
        # A draw of its own: another intents file changes nothing in the data of this one.
        rng = random.Random(f"{options.seed}/{intent.name}")
        words = [p for p in intent.phrasings if p not in tried[intent.name]]
        held = sorted(tried[intent.name])
        train, validation = parts(kept[intent.name], options)
        for number, phrasings, where, out in (
            (train, words, trained, False),
            (validation, held, sorted(apart) or trained, True),
        ):
            phrasings, where = list(phrasings), _fit(intent, where, stopped)
            rng.shuffle(phrasings)
            rng.shuffle(where)
            for place in range(round(number * SURPLUS) if phrasings else 0):
                phrasing = phrasings[place % len(phrasings)]
                draft = Draft(fitted(intent, phrasing), phrasing, rng.randrange(2**32), out)
                places[where[place % len(where)]].append(draft)
    return places


def _fit(intent: Intent, places: list[str], stopped: Collection[str]) -> list[str]:
    """The places that an intent is asked in: one that needs a conflict, four times in five where
    there is one."""
    having = [place for place in places if place in stopped]
    others = [place for place in places if place not in stopped]
    if intent.needs != CONFLICT or not having:
        return list(places)
    return having * max(1, round(4 * len(others) / len(having))) + others


def parts(wanted: int, options: GenerateOptions) -> tuple[int, int]:
    """Training and validation examples out of the wanted ones; at least one of each."""
    held = max(1, round(wanted * options.validation)) if options.validation else 0
    return max(1, wanted - held), held


def held_places(options: GenerateOptions, names: Iterable[str]) -> set[str]:
    """The workspaces that only validation uses. Raises `UsageError` if none were left."""
    number, ranked = options.validation_workspaces, sorted(names, key=_rank(options, "workspace"))
    if number and number >= len(ranked):
        raise UsageError(
            f"validation_workspaces is {number}, but there are {len(ranked)} workspaces: "
            "none would be left to train on"
        )
    return set(ranked[:number])


def held_out(options: GenerateOptions, intents: Iterable[Intent]) -> dict[str, set[str]]:
    """Intent → its held-out phrasings. A wording that another intent has too stays in training,
    and two phrasings that differ in signs alone go together."""
    intents = list(intents)
    owners: dict[str, set[str]] = defaultdict(set)
    for intent in intents:
        for phrasing in intent.phrasings:
            owners[wording(phrasing)].add(intent.name)
    found: dict[str, set[str]] = {}
    for intent in intents:
        own = {w for p in intent.phrasings if len(owners[w := wording(p)]) == 1}
        share = len(intent.phrasings) * options.validation
        number = min(max(1, round(share)), len(own) - 1) if options.validation else 0
        chosen = set(sorted(own, key=_rank(options, intent.name))[: max(0, number)])
        found[intent.name] = {p for p in intent.phrasings if wording(p) in chosen}
    return found


def _rank(options: GenerateOptions, what: str) -> Callable[[str], str]:
    """A key that orders texts as if shuffled, always alike."""
    prefix = f"{options.split_seed}/{what}/"
    return lambda text: hashlib.sha256((prefix + text).encode()).hexdigest()


def chance(options: GenerateOptions, text: str) -> float:
    """A number from 0 to 1 that only depends on the text and the split's seed."""
    return int(_rank(options, "direct")(text)[:8], 16) / 16**8


def wanted(options: GenerateOptions, intents: Iterable[Intent]) -> Counter[str]:
    """Examples for each intent, raised to where the recipe's `shares` can be met.

    Raises `UsageError` for a share that no intent adds to.
    """
    intents = [i for i in intents if i.phrasings]
    counts = Counter({i.name: options.wanted(i.name, i.group, i.brought) for i in intents})
    known = set(load_tools())
    for _ in range(3):  # raising one share lowers the others
        for key, share in options.shares.items():
            having = [i.name for i in intents if key in _kinds(i, known)]
            ours = sum(counts[name] for name in having)
            if not ours:
                raise UsageError(f"shares: no intent of the recipe calls or belongs to {key!r}")
            total = sum(counts.values()) / (1 - options.direct_share)
            aim = min(0.9, share * MARGIN)
            if ours < aim * total:
                factor = aim * (total - ours) / (ours * (1 - aim))
                for name in having:
                    counts[name] = math.ceil(counts[name] * factor)
    return counts


def _kinds(intent: Intent, known: set[str]) -> set[str]:
    """What the key of a share may be to count an intent: its group, a tool, `several_tools`."""
    called = set(re.findall(r"\b(\w+)\(", intent.program)) & known
    return called | {intent.group} | ({"several_tools"} if len(called) > 1 else set())
