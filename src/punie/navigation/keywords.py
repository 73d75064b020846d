"""Keywords that may set a field or a parameter: `replace(point, x=1)`, `case Point(x=1)`, `f(x=1)`.

The server knows them only where it knows all parameters of what is called.
"""

from __future__ import annotations

import asyncio
import re

from punie.navigation.declaration import CLASS, Declaration, Spot
from punie.navigation.outline import Outline
from punie.navigation.pysource import Source

COPIES = frozenset({"replace", "_replace", "evolve", "assoc", "model_copy", "partial", "cls"})
"""Callables that take any class's fields by name."""
FAR = 2000
"""Characters between a keyword and the bracket that it stands in."""
_CALLED = re.compile(r"(\b(?:def|class)[ \t]+)?(?<!\w)([^\W\d]\w*)[ \t]*(?:\[[^\[\]\n]*\])?[ \t]*$")


async def keyword_places(outline: Outline, thing: Declaration) -> list[Spot]:
    """Where the name of a field or parameter stands as a keyword of what may take it."""
    takers = _takers(outline, thing)
    if not takers:
        return []
    held = await outline.files_with(thing.name)

    def search() -> list[Spot]:
        return [
            Spot(path, name.line, name.column)
            for path in held
            for name in outline.source(path).names(thing.name)
            if called(outline.source(path), name.offset, len(thing.name)) in takers
        ]

    return await asyncio.to_thread(search)


def _takers(outline: Outline, thing: Declaration) -> frozenset[str]:
    """Names of what may be called with the thing as a keyword."""
    if thing.kind == 0:
        owner = outline.source(thing.spot.path).function_with(thing.spot.line, thing.spot.column)
        return frozenset({owner, "partial"} if owner else ())
    if not thing.member or thing.container is None or thing.container.kind != CLASS:
        return frozenset()
    if thing.kind == CLASS or thing.name.startswith("__"):
        return frozenset()
    return COPIES | {thing.container.name}


def called(source: Source, offset: int, length: int) -> str:
    """The last name of what is called where a keyword stands; empty when it is no keyword."""
    text = source.text
    if not re.match(r"[ \t]*=(?!=)", text[offset + length : offset + length + 20]):
        return ""
    depth, at, first = 0, offset, max(0, offset - FAR)
    before = text[max(0, offset - 400) : offset].rstrip()
    if not before.endswith(("(", ",")) and not before.split("\n")[-1].lstrip().startswith("#"):
        return ""
    while at > first:
        at -= 1
        char = text[at]
        if char in ")]}":
            depth += 1
        elif char in "([{":
            if depth == 0:
                break
            depth -= 1
    else:
        return ""
    match = _CALLED.search(text, max(0, at - 200), at) if text[at] == "(" else None
    return match[2] if match and not match[1] else ""
