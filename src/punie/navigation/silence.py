"""What "no references" would leave unsaid: on such an answer somebody deletes live code.

No reader of Python knows entry points, templates, notebooks, scripts without a suffix, code that
another version runs, or what a framework does with a decorated function. So a thing without known
uses is looked for as a word in all files that git does not ignore, and where it stands is told.
Of a thing with known uses only such places are told that are hardly anything but uses.
"""

from __future__ import annotations

import asyncio
import os
import re
import stat
import time
from collections.abc import Iterable

from punie.errors import ToolFailure
from punie.grep import Search
from punie.listing import listing
from punie.navigation.declaration import MODULE, Declaration
from punie.navigation.disguised import in_comments, used, worth_reading
from punie.navigation.outline import Outline, enumerated
from punie.navigation.overlooked import Uses

SECONDS = 3.0
"""Time for the search; what it found until then is told."""
MOST = 2000
"""Lines with the name that are looked at."""
KNOWN = frozenset(
    {"property", "staticmethod", "classmethod", "overload", "override", "abstractmethod", "final"}
    | {"cached_property", "setter", "getter", "deleter", "cache", "lru_cache", "wraps", "dataclass"}
    | {"contextmanager", "asynccontextmanager", "total_ordering", "runtime_checkable"}
)
"""Decorators that hand what they decorate to nobody."""
_DECORATOR = re.compile(r"[ \t]*@[ \t]*([\w.]+)")


async def unsaid(outline: Outline, declarations: list[Declaration], found: Uses) -> str:
    """How a thing may be used beyond the uses that were found, in words; empty when it is not.

    Of a thing without uses every place of the word is told, of others what is hardly anything but
    a use. Places that are settled are not told again."""
    if not declarations or not declarations[0].kind or declarations[0].inside_function:
        return ""
    thing = declarations[0]
    if thing.member and re.fullmatch(r"__\w+__", thing.name):
        return f"Python itself calls {thing.name}, which is not counted"
    said = []
    if decorators := _decorators(outline, declarations):
        said.append(f"what {' and '.join(decorators)} does with {thing.name} is not counted")
    seen = [*found.direct, *found.override]
    places, whole = await _places(outline, declarations, sure=bool(seen))
    if seen:
        places += await in_comments(outline, thing)
    if places := [place for place in places if place not in found.settled]:
        said.append(f"the word {thing.name} stands as text in {enumerated(places)}")
    if not whole:
        said.append(f"not all files could be searched for the word {thing.name}")
    return "; ".join(said)


def _decorators(outline: Outline, declarations: Iterable[Declaration]) -> list[str]:
    """Decorators that may register what they decorate, as `@app.route`."""
    found: dict[str, None] = {}
    for each in declarations:
        if each.kind == MODULE:
            continue
        source = outline.source(each.spot.path)
        for line in range(each.start[0], each.spot.line):
            match = _DECORATOR.match(source.line(line))
            if match is None or match[1].startswith("pytest.mark."):
                continue
            if match[1].rpartition(".")[2] not in KNOWN:
                found[f"@{match[1]}"] = None
    return list(found)


async def _places(
    outline: Outline, declarations: list[Declaration], *, sure: bool
) -> tuple[list[str], bool]:
    """`file:line` wherever the name stands and is not declared; and whether all was searched.

    With `sure` only what is hardly anything but a use."""
    name = declarations[0].name
    workspace = outline.workspace
    search = Search(name, plain=True, limit=MOST)
    until = time.monotonic() + SECONDS
    try:
        files = await listing(workspace, workspace.root, SECONDS)
        if sure:
            named = worth_reading(files.items())
        else:
            named = [(path, at.st_size) for path, at in files.items() if stat.S_ISREG(at.st_mode)]
        root = os.fsencode(workspace.root)
        await asyncio.to_thread(search.run, root, named, lambda: time.monotonic() > until)
        whole = search.count <= MOST and not search.skipped
    except (ToolFailure, TimeoutError):
        whole = False
    word = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
    declared = re.compile(rf"\b(?:def|class)[ \t]+{re.escape(name)}\b")
    own = {f"{workspace.relative(d.spot.path)}:{d.spot.line}" for d in declarations}
    use = used(workspace.root, declarations) if sure else lambda file, line: True
    places = [
        f"{file}:{line}"
        for file, line, text, _ in search.matches
        if word.search(text) and not declared.search(text) and use(file, text)
    ]
    return [place for place in places if place not in own], whole
