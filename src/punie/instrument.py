"""Rewrite a program so that the fields it reads off results are measured as it runs.

Every `x.field` whose name is a field of some result becomes `punie_read(x, n).field`; printed and
formatted values pass through `punie_show`, so that printing a result shows its text form. Reading
attributes lazily from the host would need no rewriting, but costs a millisecond each and fails
inside `key=` functions (pydantic-monty 1.4.0). The type checker sees the program as it was
written: narrowing (`if r.parse_error is not None`) would be lost in a rewritten one.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass

PRELUDE = """
_reads = set()
def punie_read(x, n):
    t = getattr(x, '_punie', None)
    if t is not None:
        _reads.add((t[0], t[1], n))
    return x
def punie_show(x):
    t = getattr(x, '_punie', None)
    if t is not None:
        return t[2]
    if isinstance(x, list) and x and getattr(x[0], '_punie', None) is not None:
        return '\\n'.join([punie_show(y) for y in x])
    return x
def punie_show_each(xs):
    return [punie_show(x) for x in xs]
"""
"""Defined in every session before the program: `punie_read` records, `punie_show` gives texts."""


@dataclass(frozen=True)
class Instrumented:
    """A rewritten program."""

    code: str
    fields: Sequence[str]
    """Names by the number that `punie_read` records."""
    lines: dict[int, str]
    """Source line of the original, stripped, by line number of `code`."""

    def source_line(self, number: int) -> str:
        """The original source of a line of `code`, or an empty text."""
        return self.lines.get(number, "")


def instrument(code: str, fields: Sequence[str]) -> Instrumented:
    """Rewrite a program. One that this Python cannot parse or write comes back unchanged.

    The sandbox speaks a newer Python than the host may: such a program runs, unmeasured.
    """
    source = code.splitlines()
    plain = Instrumented(code, fields, {n: s.strip() for n, s in enumerate(source, 1)})
    try:
        tree = ast.parse(code)
        numbers = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.stmt)]
        rewritten = ast.unparse(ast.fix_missing_locations(_Rewriter(fields).visit(tree)))
        again = [n.lineno for n in ast.walk(ast.parse(rewritten)) if isinstance(n, ast.stmt)]
    except (SyntaxError, ValueError, RecursionError):
        return plain
    if len(numbers) != len(again):
        return plain
    lines = {new: source[old - 1].strip() for old, new in zip(numbers, again, strict=True)}
    return Instrumented(rewritten, fields, lines)


class _Rewriter(ast.NodeTransformer):
    def __init__(self, fields: Sequence[str]) -> None:
        self.numbers = {name: n for n, name in enumerate(fields)}

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        number = self.numbers.get(node.attr)
        if number is not None and isinstance(node.ctx, ast.Load):
            node.value = _call("punie_read", node.value, ast.Constant(number))
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id in ("print", "str"):
            node.args = [
                ast.Starred(_call("punie_show_each", a.value), ast.Load())
                if isinstance(a, ast.Starred)
                else _call("punie_show", a)
                for a in node.args
            ]
        return node

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.AST:
        self.generic_visit(node)
        if node.conversion in (-1, ord("s")):
            node.value = _call("punie_show", node.value)
        return node


def _call(name: str, *args: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), list(args), [])
