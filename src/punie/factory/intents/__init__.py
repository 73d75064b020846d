"""Intents, phrasings and direct answers: data files that generation is made from.

Each `*.toml` here holds `[[intent]]` tables (name, about, slots, program, phrasings) or
`[[direct]]` tables (topic, questions, answer); `phrasings/*.toml` more questions by intent, a file
a writer; `composed/*.toml` parts that workflows are composed from; `asides.toml` what people say
beside their question, `followups.toml` what they ask next.
`unseen/*.toml` are more questions by writers on whom nothing trains: test sets are made of them.
What cannot be used is refused as a whole, with all its mistakes.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeGuard

from punie.errors import UsageError
from punie.factory.intents import brought as beside
from punie.factory.intents import composing
from punie.factory.intents.wordings import SLOT, collisions, glued, wording
from punie.factory.intents.wordings import plain as plain

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Intent:
    """What a question is after, and the program that answers it."""

    name: str
    about: str
    program: str
    """`{slot}` stands for the slot's value as a Python literal."""
    group: str
    """Name of its file, or of the module or package that brings it."""
    slots: dict[str, str] = field(default_factory=dict)
    """Slot → kind of value, a method of `Slots`."""
    needs: str = ""
    """A word on what the workspace must have, for readers; `drafts.CONFLICT` chooses workspaces."""
    phrasings: tuple[str, ...] = ()
    brought: bool = False
    """Whether it stands beside its tool (`intents.brought`)."""


@dataclass(frozen=True)
class Direct:
    """A question that needs no tool, in several wordings, with its answer."""

    topic: str
    questions: tuple[str, ...]
    answer: str


@dataclass(frozen=True)
class Followup:
    """A second question, in words that lean on the first."""

    to: str
    """Intent that it asks for."""
    after: str | tuple[str, ...]
    """The one slot of the first question, or the first questions' intents."""
    phrasings: tuple[str, ...]


def load_followups(intents: Mapping[str, Intent], folder: Path = FOLDER) -> list[Followup]:
    """The follow-ups of `followups.toml`. Raises `UsageError` for one of an unknown intent."""
    found: list[Followup] = []
    problems: list[str] = []
    for entry in _read(folder / "followups.toml", problems).get("followup", []):
        if missing := sorted({"to", "after", "phrasings"} - set(entry)):
            problems.append(f"a follow-up to {entry.get('to')!r} lacks {missing}")
            continue
        after = entry["after"] if isinstance(entry["after"], str) else tuple(entry["after"])
        followup = Followup(entry["to"], after, tuple(entry["phrasings"]))
        named = [followup.to, *(() if isinstance(after, str) else after)]
        problems += [f"unknown intent {name!r}" for name in named if name not in intents]
        if not followup.phrasings:
            problems.append(f"{followup.to} has no phrasings")
        found.append(followup)
    if problems:
        raise UsageError("the follow-ups cannot be used:\n  " + "\n  ".join(problems))
    return found


@dataclass(frozen=True)
class Asides:
    """Sentences beside a question that ask for nothing."""

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


def load_asides(folder: Path = FOLDER) -> Asides:
    """The asides of `asides.toml`."""
    problems: list[str] = []
    table = _read(folder / "asides.toml", problems)
    problems += [f"asides.toml lacks {key!r}" for key in ("before", "after") if key not in table]
    if problems:
        raise UsageError("the asides cannot be used:\n  " + "\n  ".join(problems))
    return Asides(tuple(table["before"]), tuple(table["after"]))


def load(
    folder: Path = FOLDER, brought: Mapping[Path, str] | None = None
) -> tuple[dict[str, Intent], list[Direct]]:
    """Read all data files of the folder, and those `brought` with their group: by default, all
    that stand beside a tool. Raises `UsageError` that lists every mistake."""
    brought = beside.files() if brought is None else brought
    problems: list[str] = []
    intents: dict[str, Intent] = {}
    direct: list[Direct] = []
    phrasings: dict[str, list[str]] = {}
    for file in sorted((folder / "phrasings").glob("*.toml")):
        for name, table in _read(file, problems).items():
            texts = table.get("phrasings") if isinstance(table, dict) else None
            if not _texts(texts):
                problems.append(f"{file.name}: {name} has no list of phrasings")
                continue
            phrasings.setdefault(name, []).extend(texts)
    for file in [*sorted(folder.glob("*.toml")), *sorted(brought)]:
        data = _read(file, problems)
        for entry in data.get("intent", []):
            name = entry.get("name", "")
            intent = _intent(entry, phrasings.pop(name, []), file, problems)
            if intent and name in intents:
                problems.append(f"{file.name}: intent {name!r} is taken")
            elif intent:
                group = brought.get(file, file.stem)
                intents[name] = replace(intent, group=group, brought=file in brought)
        for entry in data.get("direct", []):
            if sorted(entry) != ["answer", "questions", "topic"] or not _texts(entry["questions"]):
                problems.append(f"{file.name}: a direct entry needs topic, questions, answer only")
                continue
            direct.append(Direct(entry["topic"], tuple(entry["questions"]), entry["answer"]))
    taken = {wording(p): i.name for i in intents.values() for p in i.phrasings}
    taken |= {wording(question): entry.topic for entry in direct for question in entry.questions}
    entries = composing.distinct(composing.compose(folder / "composed", problems), taken)
    for entry in entries:
        more = phrasings.pop(entry["name"], [])
        if intent := _intent(entry, more, Path(f"{composing.GROUP}.toml"), problems):
            intents[intent.name] = intent
    problems += [f"phrasings for an unknown intent {name!r}" for name in phrasings]
    problems += _answered_twice(direct)
    problems += [fault for intent in intents.values() for fault in glued(intent)]
    problems += collisions(intents.values(), direct)
    if problems:
        raise UsageError("the intents cannot be used:\n  " + "\n  ".join(problems))
    return intents, direct


def load_unseen(
    hand: str, intents: Mapping[str, Intent], direct: list[Direct], folder: Path = FOLDER
) -> tuple[dict[str, Intent], list[Direct]]:
    """The intents and direct answers with the questions of one writer of `unseen/` alone; those
    that they did not write for have none. Raises `UsageError` that lists every mistake."""
    file = folder / "unseen" / f"{hand}.toml"
    problems: list[str] = []
    table = _read(file, problems)
    answers = {entry.answer: () for entry in direct} | {
        entry["answer"]: tuple(entry["questions"]) for entry in table.pop("direct", [])
    }
    problems += [f"{file.name}: unknown intent {name!r}" for name in table if name not in intents]
    if strange := len(answers) - len({entry.answer for entry in direct}):
        problems.append(f"{file.name}: {strange} answers stand nowhere else")
    made: dict[str, Intent] = {}
    for name, intent in intents.items():
        entry = {
            "name": name,
            "about": intent.about,
            "program": intent.program,
            "slots": intent.slots,
        }
        found = _intent(entry, table.get(name, {}).get("phrasings", []), file, problems)
        made[name] = replace(intent, phrasings=found.phrasings if found else ())
    trained = {plain(text) for intent in intents.values() for text in intent.phrasings}
    trained |= {plain(text) for entry in direct for text in entry.questions}
    asked = [text for intent in made.values() for text in intent.phrasings]
    asked += [text for questions in answers.values() for text in questions]
    problems += [f"{file.name}: {text!r} is trained on" for text in asked if plain(text) in trained]
    if problems:
        raise UsageError("the unseen questions cannot be used:\n  " + "\n  ".join(problems))
    return made, [replace(entry, questions=answers[entry.answer]) for entry in direct]


def _intent(
    entry: dict[str, Any], phrasings: list[str], file: Path, problems: list[str]
) -> Intent | None:
    """The intent of an `[[intent]]` table; None, and why, for one that cannot be used."""
    entry = dict(entry)
    name, slots = entry.get("name", ""), entry.get("slots", {})
    texts = tuple(dict.fromkeys([*entry.pop("phrasings", []), *phrasings]))
    known = ("name", "about", "program", "slots", "needs")
    faults = [f"unknown key {key!r}" for key in entry if key not in known]
    faults += [f"no {key}" for key in ("name", "about", "program") if not entry.get(key)]
    if not isinstance(slots, dict) or not _texts([*slots.values()]):
        faults, slots = [*faults, "slots must be a table of kinds"], {}
    strange = {slot for text in texts for slot in SLOT.findall(text)} - set(slots)
    faults += [f"phrasings name an unknown slot {slot!r}" for slot in sorted(strange)]
    faults += [
        f"phrasing {text!r} lacks a slot"
        for text in texts
        if any(text.count("{%s}" % slot) != 1 for slot in slots)
    ]
    problems += [f"{file.name}: {name}: {fault}" for fault in faults]
    return None if faults else Intent(group=file.stem, phrasings=texts, **entry)


def _texts(value: object) -> TypeGuard[list[str]]:
    """Whether it is a list of texts."""
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _answered_twice(direct: list[Direct]) -> list[str]:
    """Questions that two entries answer, each in its way."""
    answers: dict[str, str] = {}
    return [
        f"{asked!r} has two answers: {answer!r} and {entry.answer!r}"
        for entry in direct
        for asked in entry.questions
        if (answer := answers.setdefault(plain(asked), entry.answer)) != entry.answer
    ]


def _read(file: Path, problems: list[str]) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        problems.append(f"{file.name}: {error}")
        return {}
