"""Uses of a name: under all the names that it is imported as, through overrides, and in strings."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path

from punie.outline import METHODS, Declaration, Outline, Spot, path_of

PLACES = 5
"""Places that a note lists."""
TRIED = 100
"""Places whose meaning is looked up for a note."""


async def uses(
    outline: Outline, spots: Sequence[Spot], declarations: list[Declaration]
) -> dict[Spot, None]:
    """Uses of the thing whose name stands at some places, also under names it is imported as."""
    found: dict[Spot, None] = {}
    waiting, asked = list(spots), set(spots)
    while waiting:
        # Without the declaration the server leaves out imports and assignments, too.
        more = {"context": {"includeDeclaration": True}}
        answers = await asyncio.gather(*(outline.ask("references", s, **more) for s in waiting))
        waiting = []
        for link in [link for answer in answers for link in answer or []]:
            path = path_of(link["uri"])
            spot = Spot(path, *outline.place(path, link["range"]["start"]))
            if spot in found or any(_declares(d, spot) for d in declarations):
                continue
            source = outline.source(path)
            at = source.offset(spot.line, spot.column)
            if alias := source.alias_at(at):
                other = Spot(path, alias.line, alias.column)
                waiting += [] if other in asked else [other]
                asked.add(other)
            if not source.is_alias(at):  # the alias is the same import as its original name
                found[spot] = None
    return found


def _declares(declaration: Declaration, spot: Spot) -> bool:
    """Whether a place is the declaration's name, or stands in its decorators."""
    own = declaration.spot
    inside = declaration.start <= (spot.line, spot.column) <= (own.line, own.column)
    return spot.path == own.path and inside


async def overriding(outline: Outline, declarations: list[Declaration]) -> list[Declaration]:
    """The methods that override a method."""
    methods = [d for d in declarations if d.container and d.kind in METHODS]
    found = [o for d in methods for o in await outline.implementations(d.spot)]
    return [o for o in found if o.kind and o not in declarations]


async def overridden(outline: Outline, declarations: list[Declaration]) -> str:
    """Which methods of the workspace's base classes a method overrides, in words."""
    methods = [d for d in declarations if d.container and d.kind in METHODS]
    if not methods or methods[0].container is None:
        return ""
    names = [
        c.qualified
        for base in await outline.bases(methods[0].container)
        if outline.workspace.root in base.spot.path.parents
        for c in base.children
        if c.name == methods[0].name
    ]
    if not names:
        return ""
    listed = ", ".join(dict.fromkeys(names))
    return f"{methods[0].qualified} overrides {listed}, whose uses are not counted here"


async def untyped(outline: Outline, declarations: list[Declaration], uses: set[Spot]) -> str:
    """Where `x.name` may be the member asked about, but the server does not know the type of x.

    Such places are in no answer of the server; an empty list of uses would hide them.
    """
    if not declarations or declarations[0].container is None:
        return ""
    name, spots = declarations[0].name, []
    for path in await outline.files_with(name):
        source = outline.source(path)
        members = (n for n in source.names(name) if source.text[n.offset - 1 : n.offset] == ".")
        spots += [s for n in members if (s := Spot(path, n.line, n.column)) not in uses]
    answers = await asyncio.gather(*(outline.ask("definition", s) for s in spots[:TRIED]))
    unknown = [s for s, answer in zip(spots, answers, strict=False) if not answer]
    if not unknown:
        return ""
    listed = _enumerate([outline.show(s) for s in unknown])
    return f"uses of .{name} on values of unknown type are not counted ({listed})"


async def mentioned(outline: Outline, name: str, uses: set[Spot]) -> str:
    """Where a name also stands in `__all__` and in strings, in words; empty if nowhere."""
    paths = await outline.files_with(name)
    return await asyncio.to_thread(_read_mentions, outline, name, uses, paths)


def _read_mentions(outline: Outline, name: str, uses: set[Spot], paths: list[Path]) -> str:
    word = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
    exported: list[str] = []
    strings: list[tuple[bool, str]] = []
    for path in paths:
        source = outline.source(path)
        known = {source.offset(s.line, s.column) for s in uses if s.path == path}
        if all(m.start() in known for m in word.finditer(source.text)):
            continue
        for mention in source.mentions(name):
            spot = Spot(path, mention.line, mention.column)
            if mention.exported:
                exported.append(outline.show(spot))
            elif spot not in uses:  # a quoted annotation is a use
                strings.append((not mention.exact, outline.show(spot)))
    strings.sort(key=lambda s: s[0])  # those that hold nothing else come first
    said = []
    for where, places in (("__all__", exported), ("strings", [p for _, p in strings])):
        if places:
            said.append(f"in {where} ({_enumerate(places)})")
    return f"{name} also stands {' and '.join(said)}" if said else ""


def _enumerate(places: list[str]) -> str:
    more = f" and {len(places) - PLACES} more" if len(places) > PLACES else ""
    return ", ".join(places[:PLACES]) + more
