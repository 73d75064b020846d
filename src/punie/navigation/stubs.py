"""A thing's declarations on both sides: in the code that runs, and in the stubs that describe it.

The language server takes a stub's `def` and the function that it describes for two things: uses
that it resolves to the one are no uses of the other. Who asks about either means both.
"""

from __future__ import annotations

from collections.abc import Iterable

from punie.navigation.declaration import MODULE, Declaration, Spot
from punie.navigation.outline import Outline

STUB = ".pyi"


async def both_sides(
    outline: Outline, declarations: list[Declaration], asked: Iterable[Spot] = ()
) -> list[Declaration]:
    """Declarations of one thing and, where stubs of the workspace have it, all of the other side.

    A thing without kind, as an attribute is that was `asked` about at one of its uses, is looked
    up among the attributes that classes set.
    """
    if not declarations or declarations[0].kind == MODULE:
        return declarations
    name = declarations[0].name
    paths = [p for p in await outline.files_with(name) if p.suffix == STUB]
    paths += [d.spot.path for d in declarations if d.spot.path.suffix == STUB]
    if not paths:
        return declarations
    found = await _known(outline, declarations, asked)
    found += [d for d in await outline.whole(found) if d not in found]
    described = [d for d in found if d.spot.path.suffix == STUB and d.kind]
    found += [d for d in await _implementations(outline, described) if d not in found]
    own = {d.spot for d in found}
    places = {(d.spot.path.with_suffix(STUB), d.qualified) for d in found if d.kind}
    for path in dict.fromkeys(paths):
        same = [d for d in await outline.declarations(path) if d.name == name and d not in found]
        meant = await outline.meanings([d.spot for d in same])
        found += [
            d
            for d, targets in zip(same, meant, strict=True)
            if targets & own or (d.member and (path, d.qualified) in places)
        ]
    return sorted(found, key=lambda d: d.spot.path.suffix == STUB)  # first what runs


async def joined(outline: Outline, groups: list[list[Declaration]]) -> list[list[Declaration]]:
    """Groups of declarations, with a stub's and those of what it describes as one."""
    if len(groups) < 2 or not any(d.spot.path.suffix == STUB for g in groups for d in g):
        return groups
    things: list[list[Declaration]] = []
    for each in groups:
        whole = await both_sides(outline, each)
        same = next((g for g in things if not set(g).isdisjoint(whole)), None)
        if same is None:
            things.append(whole)
        else:
            same += [d for d in whole if d not in same]
    return things


async def _known(
    outline: Outline, declarations: list[Declaration], asked: Iterable[Spot]
) -> list[Declaration]:
    """The declarations, attributes without a kind as what their classes have."""
    if declarations[0].kind:
        return list(declarations)
    here = {d.spot for d in declarations} | set(asked)
    found = await outline.attributes(
        [declarations[0].name], sorted({spot.path for spot in here if outline.dotted(spot)})
    )
    return [d for d in found if d.spot in here] or list(declarations)


async def _implementations(outline: Outline, stubs: list[Declaration]) -> list[Declaration]:
    """What some declarations of stubs describe, as far as the workspace has it."""
    found: list[Declaration] = []
    for each in stubs:
        meant = await outline.whole(await outline.definitions(each.spot))
        path = each.spot.path.with_suffix(".py")
        if path.is_file():
            beside = await outline.declarations(path)
            meant += [d for d in beside if d.qualified == each.qualified]
            if each.member:
                meant += await outline.attributes(each.qualified.split("."), [path])
        found += [
            d
            for d in meant
            if d.kind
            and d.name == each.name
            and d.spot.path.suffix != STUB
            and outline.places.ours(d.spot.path)
        ]
    return list(dict.fromkeys(found))
