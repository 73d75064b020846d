"""Repetition and contradiction: duplicates, near-duplicates, one question with two labels."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations

from punie.factory.audit.data import Example
from punie.factory.audit.findings import Finding, gathered
from punie.factory.audit.nearness import grams
from punie.factory.audit.subject import Subject
from punie.factory.intents import plain

Spoken = tuple[tuple[str, str, str], ...]


def _spoken(example: Example) -> Spoken:
    """What is said in an example, apart from capitals and the space between words."""
    return tuple(
        (m["role"], " ".join(m["content"].lower().split()), m.get("code", ""))
        for m in example.messages
    )


def duplicates(subject: Subject) -> list[Finding]:
    """Examples that say the same, in one split or in both."""
    first: dict[Spoken, Example] = {}
    same = []
    for example in subject.data.examples:
        other = first.setdefault(_spoken(example), example)
        if other is not example:
            same.append((example.id, f"as {other.id}: {example.asked}"))
    return gathered("duplicate", same, "examples say what another one says")


def near_duplicates(subject: Subject) -> list[Finding]:
    """Examples of one label whose questions are nearly the same."""
    groups: dict[str, list[Example]] = defaultdict(list)
    for example in subject.data.examples:
        if example.kind in ("tool", "direct"):
            groups[example.label].append(example)
    least = subject.norms.near_duplicate
    near: dict[str, str] = {}
    for group in groups.values():
        sets = {e.id: grams(e.asked) for e in group}
        for one, other in combinations(group, 2):
            ours, theirs = sets[one.id], sets[other.id]
            small, large = sorted((len(ours), len(theirs)))
            if small >= least * large and len(ours & theirs) >= least * len(ours | theirs):
                near.setdefault(other.id, f"near {one.id}: {one.asked!r}, {other.asked!r}")
    many = len(near) > subject.norms.near_duplicates * len(subject.data.examples)
    text = f"examples lie at {least} or nearer to another of the same label"
    return gathered("near-duplicate", near.items(), text, "breach" if many else "remark")


def conflicts(subject: Subject) -> list[Finding]:
    """One question with two labels: two programs, two answers, or a program and an answer."""
    groups: dict[str, list[Example]] = defaultdict(list)
    for example in subject.data.examples:
        groups[plain(example.asked)].append(example)
    faults = []
    for group in groups.values():
        labels = list(dict.fromkeys(e.label for e in group))
        if len(labels) > 1:
            shown = " | ".join(label[:60].replace("\n", "; ") for label in labels)
            faults += [(e.id, f"{e.asked!r}: {shown}") for e in group]
    return gathered("conflicting labels", faults, "examples share a question and not its label")


def wordings(subject: Subject) -> list[Finding]:
    """One wording that stands for two intents, so that other values would be in conflict."""
    groups: dict[str, dict[str, Example]] = defaultdict(dict)
    for example in subject.data.examples:
        if example.kind == "tool":
            groups[_wording(example.phrasing)].setdefault(example.intent, example)
    faults = [
        (e.id, f"{e.phrasing!r} of {' and '.join(sorted(found))}")
        for found in groups.values()
        if len(found) > 1
        for e in found.values()
    ]
    return gathered("wording of two intents", faults, "examples word two intents alike", "remark")


def _wording(phrasing: str) -> str:
    """A phrasing with all slots alike."""
    words = plain(phrasing).split()
    return " ".join("{}" if word.startswith("{") else word for word in words)
