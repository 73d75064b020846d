"""What Python files declare and where they name it, read off their syntax trees alone.

`Symbol`s are those that an outline shows: classes and functions everywhere, variables outside of
functions. `Use`s are names in code, with what their scope tells of their meaning.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from punie.factory.examples.inventory import Inventory

KINDS = {"class": 5, "method": 6, "field": 8, "constructor": 9, "function": 12, "variable": 13}
CONSTANT = 14
Defined = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass
class Symbol:
    """A class, function, variable or attribute; lines and columns as tools give them."""

    name: str
    kind: int
    """As the language server numbers kinds."""
    file: str
    line: int
    column: int
    end_line: int
    end_column: int
    qualified: str
    inside_function: bool
    node: ast.AST
    children: list[Symbol] = field(default_factory=list)


@dataclass(frozen=True)
class Use:
    """A name in code or in an import."""

    name: str
    file: str
    line: int
    column: int
    sort: str
    """global, local, parameter, class, attribute or import; inner for what an import in a function
    or class binds; store for one that binds at module level."""
    about: str = ""
    """Of an attribute what stands before the dot, if that is a dotted name, `?` where that
    is imported in a function; of an import its module, of an inner one `module:name`; of a class
    scope that class."""
    within: str = ""
    """Qualified name of the class in whose method or body it stands, or empty."""


@dataclass
class Code:
    """One file."""

    file: str
    lines: list[str]
    symbols: list[Symbol] = field(default_factory=list)
    """Those at the top; others are their children."""
    uses: list[Use] = field(default_factory=list)
    imports: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """Name bound at the top → (module, name in it or empty for the module itself)."""
    stars: list[str] = field(default_factory=list)
    aliases: list[tuple[str, str]] = field(default_factory=list)
    """(new name, name in its module) of every import with `as`."""

    def all(self) -> Iterator[Symbol]:
        """All symbols, each before what it contains."""
        waiting = list(reversed(self.symbols))
        while waiting:
            symbol = waiting.pop()
            yield symbol
            waiting += reversed(symbol.children)

    def column(self, line: int, offset: int) -> int:
        """Column, 1-based, of an offset in bytes."""
        return len(self.lines[line - 1].encode()[:offset].decode()) + 1

    def preview(self, line: int) -> str:
        """A line's text as tools show it."""
        return self.lines[line - 1].strip()


@lru_cache(maxsize=2)
def code(inventory: Inventory) -> dict[str, Code]:
    """All files that parse, by name."""
    found = {}
    for name, text in inventory.sources.items():
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError):
            continue
        lines = re.split(r"\r\n|\r|\n", text)
        found[name] = Code(name, lines)
        found[name].symbols = _body(tree.body, found[name], "", "module")
        _Uses(found[name]).visit(tree)
    return found


def in_what_does_not_parse(inventory: Inventory, word: str) -> bool:
    """Whether a file without a tree holds a word, in any case: what trees say of it is not all."""
    unread = [t for n, t in inventory.sources.items() if n not in code(inventory)]
    return any(word.lower() in text.lower() for text in unread)


def _body(body: list[ast.stmt], place: Code, owner: str, scope: str) -> list[Symbol]:
    """Symbols of statements; `scope` is module, class, function or local class."""
    found: list[Symbol] = []
    for node in body:
        if isinstance(node, Defined):
            found.append(_defined(node, place, owner, scope))
            continue
        if scope in ("module", "class"):
            found += [_variable(n, node, place, owner, scope) for n in _targets(node)]
        for inner in _blocks(node):
            found += _body(inner, place, owner, scope)
    return found


def _defined(node: Defined, place: Code, owner: str, scope: str) -> Symbol:
    is_class = isinstance(node, ast.ClassDef)
    line = place.lines[node.lineno - 1]
    word = "class" if is_class else "def"
    head = re.compile(rf"\b{word}\s+({re.escape(node.name)})\b").search(line, 0)
    column = head.start(1) + 1 if head else 0
    kind = "class" if is_class else "method" if "class" in scope else "function"
    kind = "constructor" if kind == "method" and node.name == "__init__" else kind
    qualified = f"{owner}.{node.name}" if owner else node.name
    inner = scope in ("function", "local class")
    symbol = _symbol(node.name, KINDS[kind], place, node, (node.lineno, column), qualified, inner)
    deeper = ("local class" if inner else "class") if is_class else "function"
    symbol.children = _body(node.body, place, qualified, deeper)
    return symbol


def _variable(name: ast.Name, node: ast.stmt, place: Code, owner: str, scope: str) -> Symbol:
    kind = KINDS["field" if scope == "class" else "variable"]
    kind = CONSTANT if all(c.isupper() or c == "_" for c in name.id) else kind
    at = name.lineno, place.column(name.lineno, name.col_offset)
    qualified = f"{owner}.{name.id}" if owner else name.id
    return _symbol(name.id, kind, place, node, at, qualified, False)


def _symbol(
    name: str,
    kind: int,
    place: Code,
    node: ast.stmt,
    at: tuple[int, int],
    qualified: str,
    inside: bool,
) -> Symbol:
    end = node.end_lineno or at[0]
    last = place.column(end, node.end_col_offset or 0)
    return Symbol(name, kind, place.file, *at, end, last, qualified, inside, node)


def _targets(node: ast.stmt) -> list[ast.Name]:
    """Names that a statement binds itself, walrus included, in the order of the text."""
    parts: list[ast.AST] = []
    if isinstance(node, ast.Assign):
        parts = [*node.targets, node.value]
    elif isinstance(node, ast.AnnAssign):
        parts = [node.target, *([node.value] if node.value else [])]
    elif isinstance(node, ast.For | ast.AsyncFor):
        parts = [node.target]
    elif isinstance(node, ast.With | ast.AsyncWith):
        parts = [item.optional_vars for item in node.items if item.optional_vars]
    elif isinstance(node, ast.If | ast.While):
        parts = [node.test]
    elif isinstance(node, ast.Expr | ast.Assert):
        parts = [node]
    names = [
        inner
        for part in parts
        for inner in ast.walk(part)
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store)
    ]
    scoped = [n for part in parts for n in ast.walk(part) if isinstance(n, ast.comprehension)]
    hidden = {id(n) for each in scoped for n in ast.walk(each.target)}
    return sorted((n for n in names if id(n) not in hidden), key=lambda n: (n.lineno, n.col_offset))


def _blocks(node: ast.stmt) -> Iterator[list[ast.stmt]]:
    for name in ("body", "handlers", "orelse", "finalbody", "cases"):
        inner = getattr(node, name, [])
        for each in inner:
            if isinstance(each, ast.ExceptHandler | ast.match_case):
                yield each.body
        if inner and isinstance(inner[0], ast.stmt):
            yield inner


class _Uses(ast.NodeVisitor):
    """Collects uses with the help of a stack of scopes."""

    def __init__(self, place: Code) -> None:
        self.place = place
        self.scopes: list[tuple[str, str, set[str], dict[str, str]]] = []
        """(function or class, qualified name of a class, names bound, `module:name` by the names
        that imports bind) from the outermost."""

    def _add(self, name: str, line: int, offset: int, sort: str, about: str = "") -> None:
        within = next((q for kind, q, *_ in reversed(self.scopes) if kind == "class"), "")
        column = self.place.column(line, offset)
        self.place.uses.append(Use(name, self.place.file, line, column, sort, about, within))

    def visit_Name(self, node: ast.Name) -> None:
        sort, about = "global", ""
        for depth, (kind, owner, names, imports) in enumerate(reversed(self.scopes)):
            if node.id in names and (kind == "function" or not depth):
                sort, about = ("local", "") if kind == "function" else ("class", owner)
                if node.id in imports:
                    sort, about = "inner", imports[node.id]
                break
        if sort == "global" and not isinstance(node.ctx, ast.Load):
            sort = "store"
        self._add(node.id, node.lineno, node.col_offset, sort, about)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.visit(node.value)
        end = (node.end_col_offset or 0) - len(node.attr.encode())
        about = dotted(node.value)
        first = about.partition(".")[0]
        if any(first in imports for *_, imports in self.scopes):
            about = "?"
        elif any(kind == "function" and first in names for kind, _, names, _ in self.scopes):
            about = "self" if about in ("self", "cls") else ""
        self._add(node.attr, node.end_lineno or node.lineno, end, "attribute", about)

    def visit_arg(self, node: ast.arg) -> None:
        self._add(node.arg, node.lineno, node.col_offset, "parameter")
        self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        for each in node.names:
            bound = each.asname or each.name.partition(".")[0]
            whole = each.name if each.asname else bound
            if self.scopes:
                self.scopes[-1][3][bound] = f"{whole}:"
            else:
                self.place.imports.setdefault(bound, []).append((whole, ""))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = absolute(self.place.file, node.module or "", node.level)
        for each in node.names:
            if each.name == "*":
                self.place.stars.append(module)
                continue
            self._add(each.name, each.lineno, each.col_offset, "import", module)
            name = each.asname or each.name
            if name != each.name:
                self.place.aliases.append((name, each.name))
            if self.scopes:
                self.scopes[-1][3][name] = f"{module}:{each.name}"
            else:
                self.place.imports.setdefault(name, []).append((module, each.name))

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for outer in [*node.decorator_list, *node.bases, *node.keywords]:
            self.visit(outer)
        above = next((q for kind, q, *_ in reversed(self.scopes) if kind == "class"), "")
        owner = f"{above}.{node.name}" if above else node.name
        self._inside("class", owner, _bound(node.body), node.body)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for outer in [*node.decorator_list, node.args, *([node.returns] if node.returns else [])]:
            self.visit(outer)
        self._inside("function", "", _bound(node.body) | _arguments(node.args), node.body)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.visit(node.args)
        self._inside("function", "", _arguments(node.args), [node.body])

    def _comprehension(self, node: ast.AST) -> None:
        parts = [n for n in ast.walk(node) if isinstance(n, ast.comprehension)]
        stored = (n for part in parts for n in ast.walk(part.target))
        names = {n.id for n in stored if isinstance(n, ast.Name)}
        self._inside("function", "", names, list(ast.iter_child_nodes(node)))

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension

    def _inside(self, kind: str, owner: str, names: set[str], body: Sequence[ast.AST]) -> None:
        self.scopes.append((kind, owner, names, {}))
        for each in body:
            self.visit(each)
        self.scopes.pop()


def dotted(node: ast.expr) -> str:
    """`a.b` of such an expression; of others an empty text."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


def _arguments(given: ast.arguments) -> set[str]:
    each = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    return {a.arg for a in each if a}


def _bound(body: list[ast.stmt]) -> set[str]:
    """Names that statements bind in their own scope, without those declared global."""
    found: set[str] = set()
    away: set[str] = set()
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, Defined):
            found.add(node.name)
            continue
        if isinstance(node, ast.Global | ast.Nonlocal):
            away |= set(node.names)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(a.asname or a.name).partition(".")[0] for a in node.names}
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            found.add(node.name)
        if not isinstance(
            node, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
        ):
            waiting += ast.iter_child_nodes(node)
    return found - away


def module_name(file: str) -> str:
    """The dotted name under which a file is imported; `src` does not count."""
    stem = re.sub(r"(/__init__)?\.pyi?$", "", file)
    return stem.removeprefix("src/").replace("/", ".")


def absolute(file: str, module: str, level: int) -> str:
    """The dotted name that a `from` of a file means."""
    if not level:
        return module
    parts = module_name(file).split(".")
    if not file.endswith(("/__init__.py", "/__init__.pyi")):
        parts = parts[:-1]
    parts = parts[: len(parts) - level + 1]
    return ".".join([*parts, *([module] if module else [])])
