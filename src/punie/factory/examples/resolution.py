"""Which names in code certainly mean a declaration, and which may: by scopes and imports alone."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from functools import lru_cache

from punie.factory.examples.inventory import Inventory
from punie.factory.examples.syntax import Code, Symbol, Use, code, module_name

Place = tuple[str, int, int]
"""File, line and column."""


@dataclass
class Bounds:
    """Uses that are certain and those that are possible, and whether each is an import."""

    certain: dict[Place, bool] = field(default_factory=dict)
    possible: dict[Place, bool] = field(default_factory=dict)


@lru_cache(maxsize=2)
def _by_name(inventory: Inventory) -> dict[str, list[Use]]:
    found: dict[str, list[Use]] = {}
    for place in code(inventory).values():
        for use in place.uses:
            found.setdefault(use.name, []).append(use)
    return found


@lru_cache(maxsize=2)
def _modules(inventory: Inventory) -> dict[str, str]:
    """File by the dotted name that it is imported as."""
    return {module_name(file): file for file in code(inventory)}


def bounds(inventory: Inventory, declarations: list[Symbol]) -> Bounds:
    """The uses of what is declared at the top of a module or in a class."""
    first, found = declarations[0], Bounds()
    own = {(d.file, d.line, d.column) for d in declarations}
    heads = [(d.file, _start(d), d.line) for d in declarations]
    names = [first.name]
    if "." not in first.qualified:
        names += _aliases(inventory, first)
    for use in (u for name in dict.fromkeys(names) for u in _by_name(inventory).get(name, [])):
        place = (use.file, use.line, use.column)
        if place in own:
            continue
        certainty = _member(use, first) if "." in first.qualified else _top(inventory, use, first)
        if any(use.file == f and start <= use.line < line for f, start, line in heads):
            certainty = min(certainty, 1)  # in its own decorators
        if certainty:
            kind = found.certain if certainty == 2 else found.possible
            kind[place] = use.sort == "import"
    _add_words(inventory, first, own, found)
    return found


def _start(symbol: Symbol) -> int:
    decorators: list[ast.expr] = getattr(symbol.node, "decorator_list", [])
    return min([symbol.line, *(each.lineno for each in decorators)])


def _aliases(inventory: Inventory, symbol: Symbol) -> list[str]:
    """Other names that an import of the workspace gives it."""
    pairs = (pair for place in code(inventory).values() for pair in place.aliases)
    return [bound for bound, name in pairs if name == symbol.name]


def _top(inventory: Inventory, use: Use, symbol: Symbol) -> int:
    """0 = it is something else, 1 = it may be it, 2 = it is the function, class or variable."""
    if use.sort in ("local", "parameter"):
        return int(_is_fixture(symbol))
    if use.sort == "class":
        return 0
    if use.sort == "inner":
        module, _, name = use.about.partition(":")
        return _in_module(inventory, module, name, symbol) if name else 0
    if use.sort == "attribute":
        if not use.about or use.about in ("self", "cls"):
            return 0
        if use.about == "?":
            return 1
        before = _module_of(inventory, use.file, use.about)
        return 0 if before is None else _in_module(inventory, before, use.name, symbol)
    if use.sort == "import":
        return _in_module(inventory, use.about, use.name, symbol)
    meaning = _in_file(inventory, code(inventory)[use.file], use.name, symbol, 0)
    return min(meaning, 1) if use.sort == "store" else meaning


def _is_fixture(symbol: Symbol) -> bool:
    """Whether tests get it by a parameter of its name."""
    decorators = getattr(symbol.node, "decorator_list", [])
    return any("fixture" in ast.unparse(each) for each in decorators)


def _module_of(inventory: Inventory, file: str, about: str) -> str | None:
    """The module that a dotted name before an attribute is; None when it is none."""
    head, _, rest = about.partition(".")
    sources = code(inventory)[file].imports.get(head, [])
    if not sources:
        return None
    module, name = sources[-1]
    return ".".join(part for part in (module, name, rest) if part)


def _in_module(inventory: Inventory, module: str, name: str, symbol: Symbol, depth: int = 0) -> int:
    file = _modules(inventory).get(module)
    if file is not None:
        return _in_file(inventory, code(inventory)[file], name, symbol, depth + 1)
    known = module_name(symbol.file).split(".")
    last = module.rpartition(".")[2]
    return int(last in known)  # a path that is put on sys.path


def _in_file(inventory: Inventory, place: Code, name: str, symbol: Symbol, depth: int) -> int:
    """What a name at the top of a file means."""
    declared = any(s.name == name for s in place.symbols)
    sources = place.imports.get(name, [])
    if place.file == symbol.file and name == symbol.name and declared:
        return 1 if sources else 2
    if depth > 9:
        return 1
    meanings = [
        _in_module(inventory, module, inner, symbol, depth)
        for module, inner in sources
        if inner and module_name(place.file) != module
    ]
    if meanings and not declared:
        return min(meanings) if len(set(meanings)) == 1 else min(max(meanings), 1)
    if meanings:
        return min(max(meanings), 1)
    stars = any(_in_module(inventory, m, name, symbol, depth) for m in place.stars)
    return int(stars and not declared)


def _member(use: Use, symbol: Symbol) -> int:
    """As `_top`, for a method or field: of its own class's `self` it is certain."""
    owner = symbol.qualified.rpartition(".")[0]
    if use.sort == "class":  # that of another class may inherit it
        return 2 if use.about == owner and use.file == symbol.file else 1
    if use.sort != "attribute":
        return 0
    own = use.about == "self" and use.within == owner and use.file == symbol.file
    return 2 if own else 1


def _add_words(inventory: Inventory, symbol: Symbol, own: set[Place], found: Bounds) -> None:
    """Names in strings, such as annotations and what is formatted: possible uses."""
    pattern = re.compile(rf"(?<!\w){re.escape(symbol.name)}(?!\w)")
    known = {(u.file, u.line, u.column) for u in _by_name(inventory).get(symbol.name, [])}
    defined = {
        (s.file, s.line, s.column)
        for file in code(inventory).values()
        for s in file.all()
        if s.name == symbol.name
    }
    for place in code(inventory).values():
        for number, line in enumerate(place.lines, 1):
            if symbol.name not in line or not re.search(r"['\"]", line):
                continue
            for match in pattern.finditer(line):
                at = (place.file, number, match.start() + 1)
                quoted = re.search(r"['\"]", line[: match.start()]) is not None
                if quoted and at not in known | defined | own:
                    found.possible.setdefault(at, False)
