"""The names of one Python file: in which scope each stands, and what each scope binds."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field

FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef
Bindings = dict[str, list[ast.AST]]


@dataclass(frozen=True, order=True)
class Place:
    """Where a name starts: a file relative to the repository, line and column 1-based."""

    file: str
    line: int
    column: int


@dataclass(frozen=True)
class Meaning:
    """The thing that a name means."""

    file: str
    qualified: str
    """Name with its containers; empty for the module itself."""


@dataclass(frozen=True)
class Declared:
    """A declaration that the repository holds."""

    name: str
    qualified: str
    kind: str
    place: Place


@dataclass
class Scope:
    """A module, class, function, lambda or comprehension with what it binds."""

    node: ast.AST
    outer: Scope | None
    qualified: str
    bound: Bindings = field(default_factory=dict)
    free: dict[str, str] = field(default_factory=dict)
    """`global` and `nonlocal` names."""
    stars: list[ast.ImportFrom] = field(default_factory=list)


class Module:
    """One file: its scopes, and the node and scope of every name in it."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.lines = text.split("\n")
        self.tree = ast.parse(text)
        self.top = Scope(self.tree, None, "")
        self.scopes: dict[ast.AST, Scope] = {self.tree: self.top}
        self.at: dict[tuple[int, int], tuple[ast.AST, Scope]] = {}
        self.declared: list[Declared] = []
        self.exports: set[int] = set()
        """Lines of `__all__`."""
        for node in self.tree.body:
            self._visit(node, self.top)

    def column(self, line: int, offset: int) -> int:
        """1-based column in characters of an offset in UTF-8 bytes."""
        return len(self.lines[line - 1].encode()[:offset].decode()) + 1

    def _put(self, node: ast.AST, scope: Scope, line: int, column: int) -> None:
        self.at[line, column] = (node, scope)

    def _bind(self, scope: Scope, name: str, node: ast.AST) -> None:
        scope.bound.setdefault(name, []).append(node)

    def _visit(self, node: ast.AST, scope: Scope) -> None:
        if isinstance(node, FUNCTION | ast.ClassDef):
            self._define(node, scope)
        elif isinstance(node, ast.Lambda):
            inner = self._open(node, scope, "<lambda>")
            self._arguments(node.args, inner, scope)
            self._visit(node.body, inner)
        elif isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            inner = self._open(node, scope, "<comprehension>")
            self._visit(node.generators[0].iter, scope)
            for number, part in enumerate(node.generators):
                self._visit(part.target, inner)
                for each in [*([part.iter] if number else []), *part.ifs]:
                    self._visit(each, inner)
            whole = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
            for each in whole:
                self._visit(each, inner)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            self._import(node, scope)
        else:
            self._simple(node, scope)
            for child in ast.iter_child_nodes(node):
                self._visit(child, scope)

    def _simple(self, node: ast.AST, scope: Scope) -> None:
        if isinstance(node, ast.Assign | ast.AugAssign) and "__all__" in ast.unparse(node)[:8]:
            self.exports |= {*range(node.lineno, (node.end_lineno or node.lineno) + 1)}
        if isinstance(node, ast.Name):
            self._put(node, scope, node.lineno, self.column(node.lineno, node.col_offset))
            if isinstance(node.ctx, ast.Store | ast.Del):
                self._bind(scope, node.id, node)
                self._declare(node, scope)
        elif isinstance(node, ast.Attribute):
            line, end = node.end_lineno or 0, node.end_col_offset or 0
            self._put(node, scope, line, self.column(line, end) - len(node.attr))
        elif isinstance(node, ast.keyword) and node.arg:
            self._put(node, scope, node.lineno, self.column(node.lineno, node.col_offset))
        elif isinstance(node, ast.Global | ast.Nonlocal):
            kind = type(node).__name__
            scope.free |= dict.fromkeys(node.names, kind)
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            self._bind(scope, node.name, node)

    def _declare(self, node: ast.Name, scope: Scope) -> None:
        kinds = {ast.Module: "variable", ast.ClassDef: "attribute"}
        if kind := kinds.get(type(scope.node)):
            place = Place(self.file, node.lineno, self.column(node.lineno, node.col_offset))
            name = ".".join(filter(None, [scope.qualified, node.id]))
            self.declared.append(Declared(node.id, name, kind, place))

    def _open(self, node: ast.AST, scope: Scope, name: str) -> Scope:
        qualified = ".".join(filter(None, [scope.qualified, name]))
        self.scopes[node] = inner = Scope(node, scope, qualified)
        return inner

    def _define(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, scope: Scope
    ) -> None:
        self._bind(scope, node.name, node)
        inner = self._open(node, scope, node.name)
        place = Place(self.file, *self.name_place(node))
        self._put(node, scope, place.line, place.column)
        for decorator in node.decorator_list:
            self._visit(decorator, scope)
        if isinstance(node, ast.ClassDef):
            kind = "class"
            for each in [*node.bases, *node.keywords]:
                self._visit(each, scope)
        else:
            kind = {ast.ClassDef: "method", ast.Module: "function"}.get(type(scope.node), "nested")
            self._arguments(node.args, inner, scope)
            if node.returns:
                self._visit(node.returns, scope)
        self.declared.append(Declared(node.name, inner.qualified, kind, place))
        for each in node.body:
            self._visit(each, inner)

    def name_place(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    ) -> tuple[int, int]:
        """Line and column of the name after `def` or `class`."""
        line = self.lines[node.lineno - 1]
        start = self.column(node.lineno, node.col_offset) - 1
        found = re.compile(r"(?:async\s+)?(?:def|class)\s+").match(line, start)
        return node.lineno, (found.end() if found else start) + 1

    def _arguments(self, args: ast.arguments, inner: Scope, outer: Scope) -> None:
        named = [*args.posonlyargs, *args.args, *args.kwonlyargs]
        for arg in [*named, *filter(None, [args.vararg, args.kwarg])]:
            self._bind(inner, arg.arg, arg)
            self._put(arg, inner, arg.lineno, self.column(arg.lineno, arg.col_offset))
            if arg.annotation:
                self._visit(arg.annotation, outer)
        for default in [*args.defaults, *filter(None, args.kw_defaults)]:
            self._visit(default, outer)

    def _import(self, node: ast.Import | ast.ImportFrom, scope: Scope) -> None:
        if isinstance(node, ast.ImportFrom):
            line = self.lines[node.lineno - 1]
            start = self.column(node.lineno, node.col_offset) - 1
            written = re.compile(r"from\s+[.\s]*").match(line, start)
            if node.module and written:
                self._dotted(node, scope, node.module, node.lineno, written.end() + 1)
        for alias in node.names:
            column = self.column(alias.lineno, alias.col_offset)
            if alias.name == "*":
                scope.stars += [node] if isinstance(node, ast.ImportFrom) else []
                continue
            if isinstance(node, ast.Import):
                self._dotted(node, scope, alias.name, alias.lineno, column)
            else:
                self._put(alias, scope, alias.lineno, column)
            bound = alias.asname or alias.name.split(".")[0]
            self._bind(scope, bound, Imported(node, alias))
            if alias.asname:
                end = self.column(alias.end_lineno or 0, alias.end_col_offset or 0)
                place = (alias.end_lineno or 0, end - len(alias.asname))
                self.at.setdefault(place, (Imported(node, alias), scope))

    def _dotted(
        self, node: ast.Import | ast.ImportFrom, scope: Scope, name: str, line: int, column: int
    ) -> None:
        parts = name.split(".")
        for number, part in enumerate(parts, 1):
            level = node.level if isinstance(node, ast.ImportFrom) else 0
            self._put(Dotted(".".join(parts[:number]), level), scope, line, column)
            column += len(part) + 1


class Imported(ast.AST):
    """A name that an import statement binds."""

    def __init__(self, node: ast.Import | ast.ImportFrom, alias: ast.alias) -> None:
        self.node, self.alias = node, alias


class Dotted(ast.AST):
    """A module named in an import statement, up to one of its dots."""

    def __init__(self, name: str, level: int) -> None:
        self.name, self.level = name, level
