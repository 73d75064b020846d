"""What a declaration is: a named thing, where its name stands, and what holds it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

MODULE = 2
CLASS = 5
FIELD = 8
METHODS = frozenset({6, 7, 9})
"""LSP kinds method, property and constructor."""
FUNCTIONS = METHODS | {12}


@dataclass(frozen=True)
class Spot:
    """Where a name starts, 1-based."""

    path: Path
    line: int
    column: int

    def __hash__(self) -> int:
        """Without the path, whose own takes longer than all else."""
        return hash((self.line, self.column))


@dataclass(frozen=True)
class Declaration:
    """A class, function, variable or attribute where it is declared."""

    name: str
    kind: int
    """LSP symbol kind; 0 = unknown, as of a local variable."""
    spot: Spot
    """Where its name stands."""
    qualified: str
    """Name with its containers: `Class.method`."""
    start: tuple[int, int]
    """Line and column where the whole begins: its first decorator, `def`, `class` or name."""
    end: tuple[int, int]
    """Line and column behind the whole."""
    container: Declaration | None = None
    children: list[Declaration] = field(default_factory=list, compare=False, repr=False)

    @property
    def inside_function(self) -> bool:
        """Whether a function or method holds it, at any depth."""
        outer = self.container
        return outer is not None and (outer.kind in FUNCTIONS or outer.inside_function)

    @property
    def member(self) -> bool:
        """Whether a class holds it directly."""
        return self.container is not None and self.container.kind == CLASS

    def answers(self, parts: Sequence[str]) -> bool:
        """Whether a dotted name means this: containers and modules may be left out in front.

        Modules may also be left out between, as re-exports do: `pkg.func` for `pkg.core.func`.
        """
        own = self.qualified.split(".")
        if len(parts) <= len(own):
            return own[len(own) - len(parts) :] == list(parts)
        modules = iter(self.spot.path.with_suffix("").parts)
        ahead = len(parts) - len(own)
        return list(parts[ahead:]) == own and all(part in modules for part in parts[:ahead])


def group(declarations: Iterable[Declaration]) -> list[list[Declaration]]:
    """Declarations by the thing that they declare.

    The same name in the same scope is one thing: overloads, a property's getter and setter,
    branches of an `if`, and a `.pyi` beside its `.py`.
    """
    things: dict[tuple[Path, str], list[Declaration]] = {}
    for each in declarations:
        path = each.spot.path
        path = path.with_suffix(".py") if path.suffix == ".pyi" else path
        things.setdefault((path, each.qualified), []).append(each)
    return list(things.values())


SCATTERED = 4
"""Rank of a name that holds the query's letters in order, but not together."""


def rank(name: str, query: str) -> tuple[int, int, str]:
    """Equal before equal but for case, prefix, substring, the rest; shorter names first."""
    lower, wanted = name.lower(), query.lower()
    tests = [name == query, lower == wanted, lower.startswith(wanted), wanted in lower]
    place = tests.index(True) if True in tests else len(tests)
    return place, len(name), name
