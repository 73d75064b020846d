"""Intents, phrasings and direct answers: data files that generation is made from.

Each `*.toml` here holds `[[intent]]` tables (name, about, slots, program) or `[[direct]]` tables
(topic, questions, answer); `phrasings/*.toml` holds questions by intent, a file a writer;
`asides.toml` what people say beside their question, `followups.toml` what they ask next.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from punie.errors import UsageError

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Intent:
    """What a question is after, and the program that answers it."""

    name: str
    about: str
    program: str
    """`{slot}` stands for the slot's value as a Python literal."""
    group: str
    """Name of its file."""
    slots: dict[str, str] = field(default_factory=dict)
    """Slot → kind of value, a method of `Slots`."""
    needs: str = ""
    """A word on what the workspace must have, for readers."""
    phrasings: tuple[str, ...] = ()


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
    found, problems = [], []
    table = tomllib.loads((folder / "followups.toml").read_text("utf-8"))
    for entry in table["followup"]:
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
    table = tomllib.loads((folder / "asides.toml").read_text("utf-8"))
    return Asides(tuple(table["before"]), tuple(table["after"]))


def load(folder: Path = FOLDER) -> tuple[dict[str, Intent], list[Direct]]:
    """Read all data files. Raises `UsageError` that lists every mistake."""
    problems: list[str] = []
    intents: dict[str, Intent] = {}
    direct: list[Direct] = []
    phrasings: dict[str, list[str]] = {}
    for file in sorted((folder / "phrasings").glob("*.toml")):
        for name, table in _read(file, problems).items():
            phrasings.setdefault(name, []).extend(table.get("phrasings", []))
    for file in sorted(folder.glob("*.toml")):
        data: dict[str, Any] = _read(file, problems)
        for entry in data.get("intent", []):
            name = entry.get("name", "")
            texts = tuple(dict.fromkeys(phrasings.pop(name, [])))
            slots: dict[str, str] = entry.get("slots", {})
            problems += [
                f"{name}: phrasing {t!r} lacks a slot"
                for t in texts
                if any(t.count("{%s}" % slot) != 1 for slot in slots)
            ]
            if not name or name in intents or not entry.get("program"):
                problems.append(f"{file.name}: intent {name!r} is taken or has no program")
                continue
            intents[name] = Intent(group=file.stem, phrasings=texts, **entry)
        for entry in data.get("direct", []):
            direct.append(Direct(entry["topic"], tuple(entry["questions"]), entry["answer"]))
    problems += [f"phrasings for an unknown intent {name!r}" for name in phrasings]
    problems += _answered_twice(direct)
    if problems:
        raise UsageError("the intents cannot be used:\n  " + "\n  ".join(problems))
    return intents, direct


def plain(text: str) -> str:
    """A question without case, signs and the space between words: what makes it the same."""
    return " ".join(re.findall(r"[\w{}./:-]*\w[\w{}]*", text.lower()))


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
