"""The second way of the language server's tools: syntax trees, scopes and the files' text.

What a name without a known type means (`x.run`) a tree does not tell. So the uses of a thing are
known by bounds: those that are certain must be there, and no other than those that may be.
"""

from __future__ import annotations

import ast
import inspect
import re
from functools import lru_cache
from typing import Any

from punie.factory.examples.comparison import Facts, Like, compare
from punie.factory.examples.inventory import Inventory
from punie.factory.examples.resolution import Bounds, bounds
from punie.factory.examples.syntax import Defined, Symbol, code, in_what_does_not_parse

MOST = 200
PLACE = ("file", "line", "column", "preview")


@lru_cache(maxsize=2)
def symbols(inventory: Inventory) -> dict[str, list[Symbol]]:
    """All symbols of all files by bare name, by file and place."""
    found: dict[str, list[Symbol]] = {}
    for file in sorted(code(inventory)):
        for each in code(inventory)[file].all():
            found.setdefault(each.name, []).append(each)
    return found


def meant(inventory: Inventory, args: dict[str, Any]) -> list[Symbol]:
    """The declarations of the one thing that a call is about; none where a tree cannot tell."""
    symbol, file = args.get("symbol", ""), args.get("file_path")
    if args.get("column"):
        return _at(inventory, args)
    parts = re.sub(r"^(?:class|def)\s+|\(.*\)$", "", symbol.strip()).split(".")
    found = [
        each
        for each in symbols(inventory).get(parts[-1], [])
        if each.qualified.split(".")[-len(parts) :] == parts
    ]
    if not found or in_what_does_not_parse(inventory, parts[-1]):
        return []
    if file:
        found = [each for each in found if each.file == file]
    if line := args.get("line"):
        found = [each for each in found if each.line == line]
    things = {(each.file, each.qualified) for each in found}
    outer = {thing for thing in things if thing[1].split(".") == parts}
    if file and len(things) > 1 and len(outer) == 1:
        found = [each for each in found if (each.file, each.qualified) in outer]
        things = outer
    return found if len(things) == 1 else []


def _at(inventory: Inventory, args: dict[str, Any]) -> list[Symbol]:
    """The one declaration whose name stands at a place; none where a use stands there."""
    place = code(inventory).get(args.get("file_path", ""))
    here = [
        each
        for each in (place.all() if place else ())
        if each.line == args.get("line")
        and each.column <= args["column"] < each.column + len(each.name)
    ]
    if len(here) != 1 or in_what_does_not_parse(inventory, here[0].name):
        return []
    same = [s for s in symbols(inventory)[here[0].name] if s.file == here[0].file]
    return [s for s in same if s.qualified == here[0].qualified]


def _named(args: dict[str, Any], found: list[Symbol]) -> str:
    """The symbol as it was asked for; of a place the name that stands there."""
    return str(args.get("symbol") or found[0].name)


def outline(inventory: Inventory, args: dict[str, Any]) -> Facts:
    """Every symbol of the file, with those that it contains; nothing of one without a tree."""
    file = args["file_path"]
    if not (inventory.root / file).read_bytes().strip():
        return {"file_path": file, "symbols": [], "symbol_count": 0, "truncated": False}
    if file not in code(inventory):
        return {}
    place = code(inventory)[file]

    def item(symbol: Symbol) -> Facts:
        facts: Facts = {name: getattr(symbol, name) for name in ("name", "kind", "line")}
        facts |= {"end_line": symbol.end_line, "preview": place.preview(symbol.line)}
        return facts | {"children": [item(child) for child in symbol.children]}

    facts: Facts = {"file_path": place.file, "symbol_count": len(list(place.all()))}
    if facts["symbol_count"] > MOST:
        covers = tuple(f"DocumentSymbol.{name}" for name in item(place.symbols[0]))
        whole = [item(each) for each in place.symbols]
        return facts | {"symbols": Like(lambda ours: _begins(whole, ours), "a beginning", covers)}
    return facts | {"symbols": [item(each) for each in place.symbols], "truncated": False}


def _begins(whole: list[Facts], ours: list[Any]) -> bool:
    """Whether a list is the beginning of the whole, and so are those within it."""
    alone = [{n: v for n, v in each.items() if n != "children"} for each in whole]
    return 0 < len(ours) <= len(whole) and all(
        not compare(facts, item).differences
        and (not item.children or _begins(each["children"], item.children))
        for each, facts, item in zip(whole, alone, ours, strict=False)
    )


def search(inventory: Inventory, args: dict[str, Any]) -> Facts:
    """Symbols whose names hold the query, equal names first."""
    query, limit = args["query"], args.get("limit", MOST)
    name = query.strip().rpartition(".")[2]
    ranked = []
    for each in (s for found in symbols(inventory).values() for s in found):
        low, wanted = each.name.lower(), name.lower()
        if wanted in low:
            order = [each.name != name, low != wanted, not low.startswith(wanted)]
            place = (order, len(each.name), each.name, each.file.split("/"), each.line, each.column)
            ranked.append((place, each))
    if not ranked or "." in query or in_what_does_not_parse(inventory, name):
        return {"query": query}
    ranked.sort(key=lambda pair: pair[0])
    rows = [
        {"name": s.name, "kind": s.kind, "file": s.file, "line": s.line}
        | {"container_name": s.qualified.rpartition(".")[0]}
        | {"preview": code(inventory)[s.file].preview(s.line)}
        for _, s in ranked
    ]
    facts: Facts = {"query": query, "symbol_count": len(rows), "truncated": len(rows) > limit}
    return facts | {"symbols": rows[:limit]}


def definition(inventory: Inventory, args: dict[str, Any]) -> Facts:
    """The declarations of the one thing that the name can mean."""
    found = meant(inventory, args)
    if not found:
        return {}
    locations: list[Facts] = [
        {"file": s.file, "line": s.line, "column": s.column, "end_line": s.end_line}
        | {"end_column": s.end_column, "preview": code(inventory)[s.file].preview(s.line)}
        for s in found
    ]
    return {"symbol": _named(args, found), "locations": locations, "truncated": False}


def hover(inventory: Inventory, args: dict[str, Any]) -> Facts:
    """The docstring; of the signature what the source writes out."""
    found = meant(inventory, args)
    functions = [s for s in found if isinstance(s.node, Defined)]
    if not functions or len(functions) != len(found):
        return {}
    docs = [ast.get_docstring(s.node) or "" for s in functions]  # type: ignore[arg-type]
    facts: Facts = {"symbol": _named(args, found), "language": "python", "truncated": False}
    words = [_words(doc) for doc in docs]
    facts["docstring"] = Like(lambda ours: _words(ours) in words, f"one of {docs!r}")
    names = [_parameters(s) for s in functions]
    bare = functions[0].name

    def agrees(ours: str) -> bool:
        if any(names) and (shown := _shown(ours)):
            return shown[0] == bare and shown[1] in names
        inner = ours.partition("(")[2]
        return re.search(rf"\b{re.escape(bare)}\b|^property", ours) is not None and any(
            _in_order(each, inner) for each in names
        )

    def both(ours: str) -> bool:
        return agrees(ours) and any(set(each) <= set(_words(ours)) for each in words)

    facts["content"] = Like(both, "signature and docstring")
    facts["signature"] = Like(agrees, f"{bare} with one of the parameters {names!r}")
    return facts


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", inspect.cleandoc(text))


def _parameters(symbol: Symbol) -> list[str]:
    """What a function's signature must name, in its order; a class or what is decorated may be
    shown otherwise."""
    node = symbol.node
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.decorator_list:
        return []
    return _names(node)


def _names(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    given = node.args
    each = [*given.posonlyargs, *given.args, given.vararg, *given.kwonlyargs, given.kwarg]
    return [arg.arg for arg in each if arg]


def _shown(signature: str) -> tuple[str, list[str]] | None:
    """Name and parameters of a signature that Python can read; None of others."""
    try:
        (node,) = ast.parse(f"{signature}: ...").body
    except (SyntaxError, ValueError):
        return None
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return node.name, _names(node)
    return None


def _in_order(names: list[str], text: str) -> bool:
    at = 0
    for name in names:
        match = re.compile(rf"\b{re.escape(name)}\b").search(text, at)
        if match is None:
            return False
        at = match.end()
    return True


def references(inventory: Inventory, args: dict[str, Any]) -> Facts:
    """The uses by bounds, each with what stands at its place."""
    found = [s for s in meant(inventory, args) if not s.inside_function]
    if not found:
        return {}
    limits, limit = bounds(inventory, found), args.get("limit", MOST)
    least, most = len(limits.certain), len(limits.certain) + len(limits.possible)
    plain = "." not in found[0].qualified

    def agrees(ours: list[Any]) -> bool:
        places = [(r.file, r.line, r.column) for r in ours]
        fine = sorted(places) == places and len(set(places)) == len(places)
        fine = fine and all(_fits(inventory, limits, r, plain) for r in ours)
        return fine and (len(ours) >= limit or limits.certain.keys() <= set(places))

    counted = Like(lambda n: least <= n <= most, f"{least} to {most}")
    names = ("file", "line", "column", "preview", "is_import", *(["is_override"] if plain else []))
    wanted = f"{sorted(limits.certain)} and some of {sorted(limits.possible)}"
    covers = tuple(f"SymbolReference.{name}" for name in names)
    facts: Facts = {"symbol": _named(args, found), "reference_count": counted}
    facts["references"] = Like(agrees, wanted, covers)
    facts["truncated"] = Like(lambda cut: not cut or most > limit, "cut only above the limit")
    return facts | {"note": _note(inventory, found[0], least)}


def _fits(inventory: Inventory, limits: Bounds, ours: Any, plain: bool) -> bool:
    place = (ours.file, ours.line, ours.column)
    is_import = limits.certain.get(place, limits.possible.get(place))
    if is_import is None or (plain and ours.is_override):
        return False
    text = code(inventory)[ours.file].preview(ours.line)
    return bool(ours.preview == text and ours.is_import == is_import)


def _note(inventory: Inventory, symbol: Symbol, certain: int) -> Like:
    """Each place that a note names must hold the name; where there is a certain use, no note may
    say that there is none."""
    files = inventory.sources

    def agrees(ours: str) -> bool:
        places = re.findall(r"([\w./-]+\.pyi?):(\d+)", ours)
        lines = {f: files[f].splitlines() for f, _ in places if f in files}
        held = all(
            int(n) <= len(lines[f]) and symbol.name in lines[f][int(n) - 1]
            for f, n in places
            if f in lines
        )
        return held and not (certain and "no use" in ours)

    return Like(agrees, f"places that hold {symbol.name}")
