"""Uses of a name: under all the names that it is imported as, through overrides, and in strings."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path

from punie.navigation.classbody import put_right
from punie.navigation.declaration import CLASS, FUNCTIONS, METHODS, MODULE, Declaration, Spot
from punie.navigation.outline import Outline, enumerated, path_of
from punie.navigation.overlooked import Uses, meaningless, overlooked
from punie.navigation.silence import unsaid
from punie.navigation.stubs import both_sides


async def everywhere(
    outline: Outline, spots: Iterable[Spot], declarations: list[Declaration]
) -> Uses:
    """All uses of what is declared so, or else stands at some places."""
    if declarations and declarations[0].kind == MODULE:
        module = declarations[0]
        found = Uses(await module_uses(outline, module))
        notes = [await mentioned(outline, module.qualified, set(found.direct), found.settled)]
        return await _noted(outline, found, declarations, notes)
    spots = list(spots)
    declarations = await both_sides(outline, declarations, spots)
    start = dict.fromkeys([*spots, *(d.spot for d in declarations if d.kind)])
    overrides = await overriding(outline, declarations)
    known = [*declarations, *overrides]
    found = Uses(await uses(outline, list(start), known))
    await put_right(outline, declarations, found.direct)
    found.override = await uses(outline, [o.spot for o in overrides], known)
    more = await overlooked(outline, declarations, overrides, [*found.direct, *found.override])
    found.direct |= more.direct
    found.override |= more.override
    found.settled = more.settled
    spot = next(iter(start))
    word = outline.source(spot.path).word_at(spot.line, spot.column)
    name = declarations[0].name if declarations else word.text if word else ""
    seen = {*found.direct, *found.override}
    notes = [
        await overridden(outline, declarations),
        more.note,
        "" if declarations or not name else await meaningless(outline, name, seen),
        await mentioned(outline, name, seen, found.settled) if name else "",
    ]
    return await _noted(outline, found, declarations, notes)


async def _noted(
    outline: Outline, found: Uses, declarations: list[Declaration], notes: list[str]
) -> Uses:
    """The uses with their notes and with what may be one more."""
    notes.append(await unsaid(outline, declarations, found))
    found.note = "; ".join(note for note in notes if note)
    return found


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
            if source.import_at(at) is None:
                found[spot] = None
                continue
            if alias := source.alias_at(at):
                other = Spot(path, alias.line, alias.column)
                waiting += [] if other in asked else [other]
                asked.add(other)
            if not source.is_alias(at):  # the alias is the same import as its original name
                found[spot] = None
    for spot in await _variables(outline, found, declarations):
        del found[spot]
    return found


def _declares(declaration: Declaration, spot: Spot) -> bool:
    """Whether a place is the declaration's name, or stands in its decorators."""
    own = declaration.spot
    inside = declaration.start <= (spot.line, spot.column) <= (own.line, own.column)
    return inside and spot.path == own.path


async def _variables(
    outline: Outline, found: Iterable[Spot], declarations: list[Declaration]
) -> list[Spot]:
    """Places that name a variable which holds the thing: both of `append = text.append` but one.

    The server takes the first and all calls of it for uses of the function or class.
    """
    if not any(d.kind in FUNCTIONS or d.kind == CLASS for d in declarations):
        return []

    def plain(spot: Spot) -> bool:
        return bool(spot.line) and not outline.dotted(spot) and not outline.imported(spot)

    suspects = []
    for spot in found:
        source = outline.source(spot.path)
        name = source.word_at(spot.line, spot.column)
        if name and source.binds(name.text) and plain(spot):
            suspects.append(spot)
    own = {d.spot for d in declarations}
    return [
        spot
        for spot, meant in zip(suspects, await outline.meanings(suspects), strict=True)
        if any(m not in own and m.path == spot.path and plain(m) for m in meant)
    ]


async def module_uses(outline: Outline, module: Declaration) -> dict[Spot, None]:
    """Where imports and code name a module, also under the names it is imported as.

    The server knows these places only one by one. `from . import x` does not name the package.
    """
    spots = [
        Spot(path, name.line, name.column)
        for path in await outline.files_with(module.name)
        for name in outline.source(path).names(module.name)
    ]
    meant = await outline.meanings(spots)
    own = {Spot(module.spot.path.with_suffix(end), 0, 0) for end in (".py", ".pyi")}
    found = {spot: None for spot, targets in zip(spots, meant, strict=True) if targets & own}
    aliases = []
    for spot in found:
        source = outline.source(spot.path)
        if alias := source.alias_at(source.offset(spot.line, spot.column)):
            aliases.append(Spot(spot.path, alias.line, alias.column))
    return found | await uses(outline, aliases, [])


async def overriding(outline: Outline, declarations: list[Declaration]) -> list[Declaration]:
    """The methods that override a method."""
    methods = [d for d in declarations if d.container and d.kind in METHODS]
    found = [o for d in methods for o in await outline.implementations(d.spot)]
    return [o for o in await outline.whole(found) if o.kind and o not in declarations]


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


async def mentioned(outline: Outline, name: str, uses: set[Spot], settled: set[str]) -> str:
    """Where a name also stands in `__all__`, strings and unreadable files, in words.

    Adds the places to `settled`."""
    paths = await outline.files_with(name)
    mentions = await asyncio.to_thread(_read_mentions, outline, name, uses, paths)
    said = [f"in {where} ({enumerated(places)})" for where, places in mentions.items() if places]
    settled.update(place for places in mentions.values() for place in places)
    odd = [outline.workspace.relative(path) for path in await outline.files_with(name, odd=True)]
    if odd:
        said.append(f"in files that are not UTF-8 and were not searched ({enumerated(odd)})")
    return f"{name} also stands {' and '.join(said)}" if said else ""


def _read_mentions(
    outline: Outline, name: str, uses: set[Spot], paths: list[Path]
) -> dict[str, list[str]]:
    """Places by what they stand in."""
    exported: list[str] = []
    strings: list[tuple[bool, str]] = []
    for path in outline.elsewhere(name, paths, uses):
        source = outline.source(path)
        for mention in source.mentions(name):
            spot = Spot(path, mention.line, mention.column)
            if mention.exported:
                exported.append(outline.show(spot))
            elif spot not in uses:  # a quoted annotation is a use
                strings.append((not mention.exact, outline.show(spot)))
    strings.sort(key=lambda s: s[0])  # those that hold nothing else come first
    return {"__all__": exported, "strings": [place for _, place in strings]}
