"""Compares a tool's result with facts that a second way found, field by field.

Facts are plain data in the shape of a result: a dict for each item, by field name. A field that is
not in the facts was not computed, so that nothing is said of it. `Like` stands for a value that
cannot be foretold to the byte but can be tested.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from punie.tool import Item

Facts = dict[str, Any]
LONGEST = 300
"""Characters of a value that a disagreement quotes."""


@dataclass(frozen=True)
class Like:
    """A value that is known by a test only."""

    agrees: Callable[[Any], bool]
    wanted: str
    """What the test asks for, in words."""
    covers: tuple[str, ...] = ()
    """Fields of items, as `Class.field`, that the test looks at, too."""

    def __repr__(self) -> str:
        return self.wanted


@dataclass(frozen=True)
class Difference:
    """A field of a result about which tool and second way disagree."""

    field: str
    """As `Class.field`."""
    tool: str
    """What the tool says, as Python writes it."""
    second: str

    def __str__(self) -> str:
        return f"{self.field}: tool {self.tool}, second way {self.second}"


@dataclass
class Comparison:
    """What was compared of one call."""

    compared: set[str] = field(default_factory=set)
    """Fields, as `Class.field`, of which every value was compared."""
    differences: list[Difference] = field(default_factory=list)
    fault: str = ""
    """Why a failed call should not have failed; empty when it was right to."""
    facts: Facts = field(default_factory=dict)
    """What the second way found of a call that succeeded."""

    def __str__(self) -> str:
        """What is wrong first; empty when all agrees."""
        return self.fault or (str(self.differences[0]) if self.differences else "")


def compare(facts: Facts, result: Item) -> Comparison:
    """Compare all that the facts hold."""
    missing: set[str] = set()
    found = Comparison()
    found.differences = list(_differences(facts, result, found.compared, missing))
    found.compared -= missing
    found.facts = facts
    return found


def _differences(
    facts: Facts, item: Item, compared: set[str], missing: set[str]
) -> Iterator[Difference]:
    for name in type(item).model_fields:
        place, ours = f"{type(item).__name__}.{name}", getattr(item, name)
        if name not in facts:
            missing.add(place)
            continue
        compared.add(place)
        theirs = facts[name]
        if isinstance(theirs, list) and isinstance(ours, list) and _facts(theirs, ours):
            if len(ours) != len(theirs):
                odd = next(
                    (n for n, pair in enumerate(zip(ours, theirs, strict=False)) if _other(*pair)),
                    None,
                )
                at = min(len(ours), len(theirs)) if odd is None else odd
                yield Difference(place, _counted(ours, at), _counted(theirs, at))
            else:
                for inner, wanted in zip(ours, theirs, strict=True):
                    yield from _differences(wanted, inner, compared, missing)
        elif isinstance(theirs, Like):
            compared.update(theirs.covers)
            if not theirs.agrees(ours):
                yield Difference(place, _short(ours), theirs.wanted)
        elif ours != theirs:
            yield Difference(place, _short(ours), _short(theirs))


def _facts(theirs: list[Any], ours: list[Any]) -> bool:
    return all(isinstance(t, dict) for t in theirs) and all(isinstance(o, Item) for o in ours)


def _other(item: Item, facts: Facts) -> bool:
    return bool(next(_differences(facts, item, set(), set()), None))


def _counted(values: list[Any], at: int) -> str:
    shown = repr(values[at]) if at < len(values) else "the end"
    return f"{len(values)}, at {at}: {_short(shown)}"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
