"""Uses and symbols that the language server's lists leave out, and what it cannot know.

The server does not search files that git or its own defaults ignore (such as all in a `dist`), and
cannot tell what `x.name` is where it does not know the type of x. So every other place where the
name stands is looked up, as far as there are not too many; what stays unknown is said, since an
empty list would hide it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from punie.declaration import CLASS, Declaration, Spot
from punie.outline import Outline, enumerated

LOOKED_UP = 300
"""Places that are looked up for one answer."""
FIRST = 2
"""Places of a file without known uses that tell whether the server leaves the file out."""


@dataclass
class Uses:
    """Where a thing is used."""

    direct: dict[Spot, None] = field(default_factory=dict)
    """Of the thing itself."""
    override: dict[Spot, None] = field(default_factory=dict)
    """Of methods that override it."""
    note: str = ""
    """Where further uses may be unseen, in words."""


async def overlooked(
    outline: Outline,
    declarations: list[Declaration],
    overrides: list[Declaration],
    known: Iterable[Spot],
) -> Uses:
    """Uses of a thing, and of what overrides it, beyond the known ones."""
    if not declarations or not declarations[0].kind:
        return Uses()
    thing, found = declarations[0], Uses()
    own, over = {d.spot for d in declarations}, {d.spot for d in overrides}
    first, rest = await _candidates(outline, thing, {*known, *own, *over})
    looked = (first + rest)[:LOOKED_UP] if thing.member else first[:LOOKED_UP]
    meant = dict(zip(looked, await outline.meanings(looked), strict=True))
    files = {spot.path for spot, targets in meant.items() if targets & own}
    more = [s for s in rest if s.path in files and s not in meant]
    meant |= dict(zip(more, await outline.meanings(more), strict=True))
    for spot, targets in meant.items():
        if thing.member and not targets:
            targets |= await _super(outline, spot)
        if targets & own:
            found.direct[spot] = None
        elif targets & over:
            found.override[spot] = None
    unknown = [spot for spot, targets in meant.items() if not targets]
    if not thing.member:
        unknown = [s for s in unknown if outline.imported(s)]
    left = len(first) + len(rest) - len(meant) if thing.member else 0
    found.note = _said(outline, thing, unknown, left)
    return found


async def unlisted(outline: Outline, query: str, listed: set[Path]) -> list[Declaration]:
    """Declarations whose name holds a query, in files of which the server lists none."""
    paths = await outline.files_declaring(query, listed)
    lists = await asyncio.gather(*(outline.declarations(path) for path in paths))
    return [d for each in lists for d in each if query.lower() in d.name.lower()]


async def _candidates(
    outline: Outline, thing: Declaration, known: set[Spot]
) -> tuple[list[Spot], list[Spot]]:
    """Other places of the name: a few of each file without known uses, and the rest."""
    searched = {spot.path for spot in known}
    first, rest = [], []
    held = await outline.files_with(thing.name)
    for path in outline.elsewhere(thing.name, held, known):
        spots = [Spot(path, n.line, n.column) for n in outline.source(path).names(thing.name)]
        spots = [s for s in spots if s not in known and (not thing.member or outline.dotted(s))]
        cut = 0 if path in searched else FIRST
        first += spots[:cut]
        rest += spots[cut:]
    return first, rest


async def _super(outline: Outline, spot: Spot) -> set[Spot]:
    """What `super().name` means, of which the server says nothing where it is a property."""
    source = outline.source(spot.path)
    at = source.offset(spot.line, spot.column)
    name = source.word_at(spot.line, spot.column)
    if name is None or not source.text[:at].endswith("super()."):
        return set()
    classes = [
        d
        for d in await outline.declarations(spot.path)
        if d.kind == CLASS and d.start <= (spot.line, spot.column) < d.end
    ]
    for base in await outline.bases(classes[-1]) if classes else ():
        if members := {c.spot for c in base.children if c.name == name.text}:
            return members
    return set()


def _said(outline: Outline, thing: Declaration, unknown: list[Spot], left: int) -> str:
    said = []
    if unknown and thing.member:
        what = f"uses of .{thing.name} on values of unknown type are not counted"
        said.append(f"{what} ({_enumerate(outline, unknown)})")
    elif unknown:
        what = f"imports of {thing.name} from modules that are not found are not counted"
        said.append(f"{what} ({_enumerate(outline, unknown)})")
    if left:
        said.append(f"{left} more places of .{thing.name} were not looked at")
    return "; ".join(said)


def _enumerate(outline: Outline, spots: list[Spot]) -> str:
    """`file:line` of the first places; lines of one file once each."""
    shown = groupby(outline.show(spot) for spot in sorted(spots, key=_key))
    return enumerated([place for place, _ in shown])


def _key(spot: Spot) -> tuple[str, int, int]:
    return str(spot.path), spot.line, spot.column
