"""The table `[composition]` of a recipe: its parts, read and checked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from punie.errors import UsageError
from punie.factory import recipes
from punie.factory.intents import Direct, Intent, load
from punie.tool import load_tools


class Part(BaseModel):
    """Examples of one kind. Exactly one of `tools`, `intents` and `topic` is given."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    source: str
    """Name of the source that the part counts for."""
    tools: tuple[str, ...] = ()
    """Its programs call all of these tools and no other."""
    intents: tuple[str, ...] = ()
    """Names of its intents."""
    topic: str = ""
    """Topic of its direct answers."""
    single: int = Field(default=0, ge=0)
    """Examples that end with the program or the direct answer."""
    multi: int = Field(default=0, ge=0)
    """Examples of five messages: after the program its output and a conclusion."""


class Composition(BaseModel):
    """The table `[composition]` of a recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    validation: int = Field(ge=0)
    """Examples held out."""
    preambles: float = Field(default=0.0, ge=0, le=1)
    """Share of programs that a sentence precedes."""
    parts: tuple[Part, ...]

    @property
    def size(self) -> int:
        """Examples in all."""
        return sum(part.single + part.multi for part in self.parts)


def read(recipe: Path) -> Composition | None:
    """The composition of a recipe, None where it states none. Raises `UsageError` that lists
    every mistake."""
    if "composition" not in recipes.tables(recipe):
        return None
    composition = recipes.options(Composition, recipe, "composition")
    intents, direct = load()
    problems = [
        f"part {number}: {problem}"
        for number, part in enumerate(composition.parts, 1)
        if (problem := _mistake(part, intents, direct))
    ]
    if problems:
        raise UsageError(f"{recipe}: [composition] cannot be used:\n  " + "\n  ".join(problems))
    return composition


def _mistake(part: Part, intents: dict[str, Intent], direct: Sequence[Direct]) -> str:
    if sum(map(bool, (part.tools, part.intents, part.topic))) != 1:
        return "give one of tools, intents and topic"
    if unknown := sorted(set(part.intents) - intents.keys()):
        return f"unknown intents {unknown}"
    if part.tools and not intents_of(part, intents):
        return f"no intent calls just {list(part.tools)}"
    if part.topic and (part.multi or part.single > sum(d.topic == part.topic for d in direct)):
        return f"topic {part.topic!r} has not so many answers, or is asked for conclusions"
    return ""


def intents_of(part: Part, intents: dict[str, Intent]) -> list[Intent]:
    """The intents that a part draws on."""
    if part.intents:
        return [intents[name] for name in part.intents]
    known, wanted = set(load_tools()), set(part.tools)
    return [i for i in intents.values() if known & _called(i.program) == wanted and i.phrasings]


def _called(program: str) -> set[str]:
    return set(re.findall(r"\b(\w+)\(", program))
