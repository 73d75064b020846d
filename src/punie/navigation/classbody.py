"""`class K: size = size`: the value is read before the class has the name and is the module's.

The language server takes it for the attribute, which is only made there.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from functools import lru_cache

from punie.navigation.declaration import Declaration, Spot
from punie.navigation.outline import Outline


async def put_right(
    outline: Outline, declarations: list[Declaration], found: dict[Spot, None]
) -> None:
    """Take such values from an attribute's uses, and give them to what the module calls so."""
    if not declarations or not declarations[0].kind or declarations[0].inside_function:
        return
    name = declarations[0].name
    if declarations[0].member:
        for path in {spot.path for spot in found} & {d.spot.path for d in declarations}:
            for spot in _values(outline, Spot(path, 0, 0), name):
                found.pop(spot, None)
    elif declarations[0].container is None:
        imported = [s for s in found if outline.imported(s) and not _renamed(outline, s)]
        for place in [*(d.spot for d in declarations), *imported]:
            found |= dict.fromkeys(_values(outline, place, name))


def _renamed(outline: Outline, spot: Spot) -> bool:
    """Whether an import gives the thing another name."""
    source = outline.source(spot.path)
    return source.alias_at(source.offset(spot.line, spot.column)) is not None


def _values(outline: Outline, place: Spot, name: str) -> Iterable[Spot]:
    return [Spot(place.path, *at) for at in read_early(outline.source(place.path).text, name)]


@lru_cache(maxsize=64)
def read_early(text: str, name: str) -> tuple[tuple[int, int], ...]:
    """Lines and columns, 1-based in characters, of a name that a class body reads in the value
    that first gives the class that name; none in a text without a tree."""
    if not re.search(rf"(?<![\w.]){re.escape(name)}[ \t]*(?::[^=\n]*)?=(?!=)", text):
        return ()
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return ()
    lines = re.split(r"\r\n|\r|\n", text)
    found: list[tuple[int, int]] = []
    for node in tree.body:
        for each in node.body if isinstance(node, ast.ClassDef) else ():
            if not _binds(each, name):
                continue
            value = each.value if isinstance(each, ast.Assign | ast.AnnAssign) else None
            for part in _now(value) if value else ():
                if isinstance(part, ast.Name) and part.id == name:
                    before = lines[part.lineno - 1].encode()[: part.col_offset]
                    found.append((part.lineno, len(before.decode()) + 1))
            break
    return tuple(found)


def _binds(statement: ast.stmt, name: str) -> bool:
    """Whether a statement gives a class the name."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return statement.name == name
    if isinstance(statement, ast.AnnAssign) and statement.value is None:
        return False
    stored = (p for p in ast.walk(statement) if isinstance(p, ast.Name))
    imports = (
        a for p in ast.walk(statement) if isinstance(p, ast.alias) for a in [p.asname or p.name]
    )
    return name in imports or any(
        p.id == name and isinstance(p.ctx, ast.Store | ast.Del) for p in stored
    )


def _now(value: ast.expr) -> Iterable[ast.AST]:
    """The parts of a value that are read when the class is made: not what a lambda will read."""
    waiting: list[ast.AST] = [value]
    while waiting:
        part = waiting.pop()
        yield part
        if isinstance(part, ast.Lambda):
            waiting += [*part.args.defaults, *(d for d in part.args.kw_defaults if d)]
        else:
            waiting += ast.iter_child_nodes(part)
