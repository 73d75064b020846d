"""Uses and symbols that the language server's lists leave out, and what it cannot know.

The server does not search files that git or its own defaults ignore (such as all in a `dist`), and
cannot tell what `x.name` is where it does not know the type of x. So every other place where the
name stands is looked up, as far as there are not too many; what stays unknown is said, since an
empty list would hide it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from punie.navigation.declaration import CLASS, Declaration, Spot
from punie.navigation.keywords import keyword_places
from punie.navigation.outline import Outline, enumerated

LOOKED_UP = 300
"""Places that are looked up for one answer."""
FIRST = 2
"""Places of a file without known uses that tell whether the server leaves the file out."""
BASES = re.compile(r"\w+\s*(?:\[[^\]]*\]\s*)?\([^)]*")
"""A class's name with its bases, from the name on; they may stand on several lines."""


@dataclass
class Uses:
    """Where a thing is used."""

    direct: dict[Spot, None] = field(default_factory=dict)
    """Of the thing itself."""
    override: dict[Spot, None] = field(default_factory=dict)
    """Of methods that override it."""
    note: str = ""
    """Where further uses may be unseen, in words."""
    settled: set[str] = field(default_factory=set)
    """Places, each as `file:line`, that the note speaks of or that are known to be another's."""


async def overlooked(
    outline: Outline,
    declarations: list[Declaration],
    overrides: list[Declaration],
    known: Iterable[Spot],
) -> Uses:
    """Uses of a thing, and of what overrides it, beyond the known ones."""
    if not declarations:
        return Uses()
    thing, found = declarations[0], Uses()
    own, over = {d.spot for d in declarations}, {d.spot for d in overrides}
    seen = {*known, *own, *over}
    first, rest = await _candidates(outline, thing, seen) if thing.kind else ([], [])
    looked = first[:LOOKED_UP]
    meant = dict(zip(looked, await outline.meanings(looked), strict=True))
    files = {spot.path for spot, targets in meant.items() if targets & own}
    more = [s for s in rest if s.path in files and s not in meant]
    meant |= dict(zip(more, await outline.meanings(more), strict=True))
    keywords = [s for s in await keyword_places(outline, thing) if s not in seen]
    passed = dict(zip(keywords, await outline.meanings(keywords[:LOOKED_UP]), strict=False))
    for spot, targets in (meant | passed).items():
        if thing.member and not targets and spot not in passed:
            targets |= await _own(outline, spot)
        if targets & own:
            found.direct[spot] = None
        elif targets & over:
            found.override[spot] = None
    unknown = [spot for spot, targets in meant.items() if not targets]
    if not thing.member:
        unknown = [s for s in unknown if outline.imported(s) or outline.dotted(s)]
    unsure = [spot for spot, targets in passed.items() if not targets]
    left = max(0, len(first) - LOOKED_UP) + max(0, len(keywords) - LOOKED_UP)
    found.settled = {outline.show(spot) for spot in [*meant, *first, *keywords]}
    notes = [_said(outline, thing, unknown, unsure, left)]
    if thing.member:
        notes.append(await _protocols(outline, meant, own | over))
    found.note = "; ".join(note for note in notes if note)
    return found


async def _protocols(outline: Outline, meant: dict[Spot, set[Spot]], own: set[Spot]) -> str:
    """Where a member of the same name is used through a protocol, in words."""
    found: dict[str, list[Spot]] = {}
    for spot, targets in meant.items():
        for target in targets - own:
            if owner := await _protocol(outline, target):
                found.setdefault(owner, []).append(spot)
    return "; ".join(
        f"uses through the protocol {owner} are not counted ({_enumerate(outline, spots)})"
        for owner, spots in found.items()
    )


async def _protocol(outline: Outline, spot: Spot) -> str:
    """The protocol of the workspace that declares a member there; else empty."""
    if outline.workspace.root not in spot.path.parents:
        return ""
    for each in await outline.declarations(spot.path):
        if each.spot == spot and each.container is not None and each.member:
            at, source = each.container.spot, outline.source(spot.path)
            bases = BASES.match(source.text, source.offset(at.line, at.column))
            named = bases and re.search(r"\bProtocol\b", bases[0])
            return each.container.name if named else ""
    return ""


async def meaningless(outline: Outline, name: str, known: Iterable[Spot]) -> str:
    """Where a name stands of which nothing is known, not even a declaration, in words.

    So is what is declared in files that the server cannot read, or that are not there.
    """
    seen = set(known)
    spots = [
        Spot(path, each.line, each.column)
        for path in await outline.files_with(name)
        for each in outline.source(path).names(name)
    ]
    spots = [spot for spot in spots if spot not in seen]
    meant = await outline.meanings(spots[:LOOKED_UP])
    targets = dict(zip(spots, meant, strict=False))
    empty = {spot for spot, found in targets.items() if not found}
    unknown = [spot for spot, found in targets.items() if found <= empty]  # or an import of it
    said = []
    if unknown:
        where = _enumerate(outline, unknown)
        said.append(f"what {name} means is not known where it stands uncounted ({where})")
    if len(spots) > LOOKED_UP:
        said.append(f"{len(spots) - LOOKED_UP} more places of {name} were not looked at")
    return "; ".join(said)


async def unlisted(outline: Outline, query: str, listed: set[Path]) -> list[Declaration]:
    """Declarations whose name holds a query, in files of which the server lists none."""
    paths = await outline.files_declaring(query, listed)
    lists = await asyncio.gather(*(outline.declarations(path) for path in paths))
    return [d for each in lists for d in each if query.lower() in d.name.lower()]


async def _candidates(
    outline: Outline, thing: Declaration, known: set[Spot]
) -> tuple[list[Spot], list[Spot]]:
    """Other places of the name: those to look up, and the rest of files that these may bring in.

    Of a member, and behind dots, that is all; of plain names a few of each file without known uses.
    """
    searched = {spot.path for spot in known}
    first: list[Spot] = []
    rest: list[Spot] = []
    late: list[Spot] = []
    held = await outline.files_with(thing.name)
    for path in outline.elsewhere(thing.name, held, known):
        spots = [Spot(path, n.line, n.column) for n in outline.source(path).names(thing.name)]
        spots = [s for s in spots if s not in known and (not thing.member or outline.dotted(s))]
        plain = [] if thing.member else [s for s in spots if not outline.dotted(s)]
        cut = 0 if path in searched else FIRST
        first += plain[:cut]
        rest += plain[cut:]
        dotted = spots if thing.member else [s for s in spots if outline.dotted(s)]
        first, late = first + dotted[:cut], late + dotted[cut:]
    return first + late, rest


async def _own(outline: Outline, spot: Spot) -> set[Spot]:
    """What `super().name` and `self.name` mean, by the classes' text.

    The server says nothing of the first where it is a property, nor of the second in code that it
    takes for unreachable.
    """
    source = outline.source(spot.path)
    at = source.offset(spot.line, spot.column)
    name = source.word_at(spot.line, spot.column)
    before = source.text[max(0, at - 8) : at]
    mine = re.search(r"(?<![\w.])self\.$", before) is not None
    if name is None or not (mine or before.endswith("super().")):
        return set()
    classes = [
        d
        for d in await outline.declarations(spot.path)
        if d.kind == CLASS and d.start <= (spot.line, spot.column) < d.end
    ]
    owners = [*classes[-1:] * mine, *(await outline.bases(classes[-1]) if classes else ())]
    for owner in owners:
        if members := {c.spot for c in owner.children if c.name == name.text}:
            return members
    return set()


def _said(
    outline: Outline, thing: Declaration, unknown: list[Spot], unsure: list[Spot], left: int
) -> str:
    said = []
    name = f".{thing.name}" if thing.member else thing.name
    dotted = [spot for spot in unknown if outline.dotted(spot) and not outline.imported(spot)]
    imported = [spot for spot in unknown if spot not in dotted]
    if dotted:
        what = f"uses of .{thing.name} on values of unknown type are not counted"
        said.append(f"{what} ({_enumerate(outline, dotted)})")
    if imported:
        what = f"imports of {thing.name} from modules that are not found are not counted"
        said.append(f"{what} ({_enumerate(outline, imported)})")
    if unsure:
        what = f"{thing.name}= is not counted where it is not known what takes it"
        said.append(f"{what} ({_enumerate(outline, unsure)})")
    if left:
        said.append(f"{left} more places of {name} were not looked at")
    return "; ".join(said)


def _enumerate(outline: Outline, spots: list[Spot]) -> str:
    """`file:line` of the first places; lines of one file once each."""
    shown = groupby(outline.show(spot) for spot in sorted(spots, key=_key))
    return enumerated([place for place, _ in shown])


def _key(spot: Spot) -> tuple[str, int, int]:
    return str(spot.path), spot.line, spot.column
