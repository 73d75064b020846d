"""Leaks: what one split, or a suite that grades, has in common with what is trained."""

from __future__ import annotations

import re
from collections import defaultdict

from punie.engine.copying import literals
from punie.factory.audit.data import Example
from punie.factory.audit.findings import Finding, gathered
from punie.factory.audit.nearness import Nearest, without_values
from punie.factory.audit.subject import CLOSED, CODE_LIKE, Subject
from punie.factory.intents import plain

SHORT = 3
"""Words, without names and paths, that two hands may well type alike."""
NAMES = 20
"""Names that only code is called, below which a repository is too small to compare."""


def between_splits(subject: Subject) -> list[Finding]:
    """Phrasings, near phrasings and repositories that training and validation share."""
    train, held_out = subject.data.by_split["train"], subject.data.by_split["validation"]
    trained = list(dict.fromkeys(e.phrasing for e in train))
    known = {plain(p) for p in trained}
    same = [(e.id, e.phrasing) for e in held_out if plain(e.phrasing) in known]
    nearest, near = Nearest(trained), []
    for example in held_out:
        value, place = nearest.one(example.phrasing)
        if value >= subject.norms.near_validation and plain(example.phrasing) not in known:
            near.append((example.id, f"{example.phrasing!r} near {trained[place]!r}"))
    return [
        *gathered("phrasing in both splits", same, "held-out examples have a trained phrasing"),
        *gathered("near phrasing in both splits", near, "held-out phrasings lie near", "remark"),
        *_repositories(subject, train, held_out),
    ]


def _repositories(subject: Subject, train: list[Example], held_out: list[Example]) -> list[Finding]:
    shared = {e.workspace for e in train} & {e.workspace for e in held_out} - {""}
    if not shared or not subject.norms.own_repositories:
        return []
    faults = [(e.id, e.workspace) for e in held_out if e.workspace in shared]
    return gathered("repository in both splits", faults, "held-out examples are of trained ones")


def repositories(subject: Subject) -> list[Finding]:
    """Examples on a repository that a suite grades on."""
    owner = {place: suite.name for suite in subject.suites for place in suite.workspaces}
    faults = [
        (e.id, f"{e.workspace} is of suite {owner[e.workspace]}")
        for e in subject.data.examples
        if e.workspace in owner
    ]
    return gathered("repository of a suite", faults, "examples are on a repository of a suite")


def alike(subject: Subject) -> list[Finding]:
    """Trained repositories that are nearly one of a suite or of the validation split, by the names
    that they declare (Jaccard index): a fork, another release, a vendored copy. Those that are not
    built here cannot be looked at."""
    train = sorted({e.workspace for e in subject.data.by_split["train"]} - {""})
    apart = {place: f"suite {suite.name}" for suite in subject.suites for place in suite.workspaces}
    if subject.norms.own_repositories:
        apart |= {e.workspace: "validation" for e in subject.data.by_split["validation"]}
    known = {name: subject.declared(name) for name in {*train, *apart} if name}
    faults = []
    for ours in train:
        for theirs in sorted(set(apart) - {ours, ""}):
            one, other = known[ours], known[theirs]
            if min(len(one), len(other)) < NAMES:
                continue
            share = len(one & other) / len(one | other)
            if share >= subject.norms.near_repository:
                shown = f"{share:.0%} of the names of {ours} and {theirs} ({apart[theirs]})"
                faults.append((ours, shown))
    text = "trained repositories are nearly one that must be apart"
    return gathered("repository nearly of a suite", faults, text)


def questions(subject: Subject) -> list[Finding]:
    """Examples that ask, or are worded, as a suite's question or nearly so."""
    asked: dict[str, list[Example]] = defaultdict(list)
    worded: dict[str, list[Example]] = defaultdict(list)
    for example in subject.data.examples:
        asked[plain(example.asked)].append(example)
        worded[example.phrasing].append(example)
    phrasings = list(worded)
    nearest = Nearest(phrasings)
    same: list[tuple[str, str]] = []
    near: list[tuple[str, str]] = []
    short: list[tuple[str, str]] = []
    for suite in subject.suites:
        for case in suite.cases:
            place = f"suite {suite.name}" + ("" if suite.name in CLOSED else f", {case.id}")
            same += [(e.id, place) for e in asked.get(plain(case.query), ())]
            bare = without_values(case.query, case.references)
            found = short if len(bare.split()) <= SHORT else near
            for number in (nearest.all(bare) >= subject.norms.near_suite).nonzero()[0]:
                phrasing = phrasings[int(number)]
                shown = "" if suite.name in CLOSED else f": {phrasing!r}"
                found += [(e.id, place + shown) for e in worded[phrasing]]
    few = f"examples are worded as a suite's question of {SHORT} words or less"
    return [
        *gathered("question of a suite", same, "examples ask a question of a suite"),
        *gathered("phrasing of a suite", near, "examples are worded as a question of a suite"),
        *gathered("short phrasing of a suite", short, few, "remark"),
    ]


def values(subject: Subject) -> list[Finding]:
    """Examples that name a symbol or path of a suite's repository which is not in their own."""
    faults: list[tuple[str, str]] = []
    unsure: list[tuple[str, str]] = []
    for example in subject.data.examples:
        for program in example.programs:
            for literal in literals(program.encode()):
                value = literal.value.decode("utf-8", "replace")
                if value not in subject.suite_values or not CODE_LIKE.fullmatch(value):
                    continue
                name = subject.suite_values[value]
                shown = f"suite {name}" + ("" if name in CLOSED else f": {value}")
                own = _own(subject, example, value)
                if own is not True:
                    (unsure if own is None else faults).append((example.id, shown))
    return [
        *gathered("value of a suite", faults, "examples name what only a suite's repository has"),
        *gathered("value as in a suite", unsure, "examples name what a suite asks about", "remark"),
    ]


def _own(subject: Subject, example: Example, value: str) -> bool | None:
    """Whether the example's own workspace holds the value; None when it is not here."""
    inventory = subject.inventory(example.workspace)
    if inventory is None:
        return None
    if any(f == value or f"/{value}" in f"/{f}" for f in inventory.files):
        return True
    word = re.compile(rf"(?<!\w){re.escape(value.rpartition('.')[2])}(?!\w)")
    return any(word.search(text) for text in inventory.text_files.values())
