"""From the part of an address that a caller gave to a verified position in the workspace.

A language server answers a wrong position with nothing, which reads like "no references". So every
position that leaves this module is that of a name which stands there now, and whatever cannot be
told apart is a `ToolFailure` that lists the candidates.
"""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from punie.errors import ToolFailure, UsageError
from punie.navigation.declaration import CLASS, MODULE, Declaration, Spot, group
from punie.navigation.outline import Outline
from punie.navigation.pysource import Name
from punie.navigation.stubs import joined
from punie.navigation.sweep import PYTHON
from punie.navigation.unread import unread
from punie.text import is_utf16
from punie.workspace import shared_path

LISTED = 12
"""Candidates that a message lists."""
TRIED = 40
"""Uses, or files with uses, that are resolved before giving up."""


@dataclass(frozen=True)
class Target:
    """What a caller means: one thing and the verified places of its name."""

    symbol: str
    spots: tuple[Spot, ...]
    """Places to ask the server about: of all declarations, or of one use."""
    declarations: tuple[Declaration, ...] = ()
    """Empty when only a use is known."""
    note: str = ""
    """What the caller should know about how this was found."""


class Lookup(Outline):
    """Finds targets, for one tool call."""

    async def locate(
        self,
        file_path: str | None = None,
        line: int | None = None,
        column: int | None = None,
        symbol: str | None = None,
    ) -> Target:
        """The one thing that an address means. Raises `ToolFailure` or `UsageError`."""
        symbol = _bare(symbol) if symbol is not None else None
        if symbol and "::" in symbol:
            file, _, rest = symbol.partition("::")
            file_path, symbol = file_path or file, rest.replace("::", ".")
        if symbol is not None and not all(p.isidentifier() for p in symbol.split(".")):
            raise UsageError(
                f"symbol {symbol!r} is no Python name such as `func` or `Class.method`"
            )
        if file_path is None:
            if symbol is None or line is not None or column is not None:
                raise UsageError("address is incomplete: give symbol, or file_path with line")
            return await self._anywhere(symbol)
        path = self.python_file(file_path)
        if line is None:
            if symbol is None or column is not None:
                raise UsageError("address is incomplete: with file_path give symbol or line")
            return await self._in_file(path, symbol)
        self._check(path, line, column)
        if column is not None:
            return self._at(path, line, column, symbol)
        return await self._on_line(path, line, symbol)

    def python_file(self, given: str) -> Path:
        """The path of a Python file of the workspace, or `ToolFailure`."""
        path = self.workspace.existing(given)
        if path.is_dir():
            raise ToolFailure(f"{given!r} is a folder: give a Python file")
        if path.suffix not in PYTHON:
            raise ToolFailure(f"{given!r} is no Python file (.py, .pyi or .pyw)")
        if is_utf16(self.workspace.read_text(path)[:64].encode()):
            raise ToolFailure(f"{given!r} is UTF-16, which Python does not read: make it UTF-8")
        path = self.places.real(shared_path(str(path)))
        self.within_package = not self.places.ours(path)
        return path

    # --- file and line

    def _check(self, path: Path, line: int, column: int | None) -> None:
        source, shown = self.source(path), self.workspace.relative(path)
        if not 1 <= line <= source.line_count:
            raise ToolFailure(f"{shown} has no line {line}: its lines are 1 to {source.line_count}")
        width = len(source.lines[line - 1])
        if column is not None and not 1 <= column <= width + 1:
            raise ToolFailure(
                f"{shown}:{line} has no column {column}: its columns are 1 to {width}"
            )

    def _at(self, path: Path, line: int, column: int, symbol: str | None) -> Target:
        source, place = self.source(path), f"{self.workspace.relative(path)}:{line}:{column}"
        word = source.word_at(line, column)
        wanted = symbol.split(".")[-1] if symbol else None
        if word is None or (wanted and word.text != wanted):
            there = f"is {word.text!r}, not {wanted!r}" if word else "is no name"
            names = ", ".join(f"{n.text} (column {n.column})" for n in source.on_line(line))
            raise ToolFailure(f"at {place} {there}; names on that line: {names or 'none'}")
        return Target(symbol or word.text, (_spot(path, word),))

    async def _on_line(self, path: Path, line: int, symbol: str | None) -> Target:
        """The one thing of that name, or of any name, that is declared or used on a line."""
        wanted = symbol.split(".")[-1] if symbol else None
        declared = [
            d
            for d in await self.declarations(path)
            if d.start[0] <= line <= d.spot.line and wanted in (None, d.name)
        ]
        if len(groups := group(declared)) == 1:
            return _target(symbol, groups[0])
        source, shown = self.source(path), f"{self.workspace.relative(path)}:{line}"
        names = [n for n in source.on_line(line) if wanted in (None, n.text)]
        if not names and wanted:
            word = re.search(rf"(?<!\w){wanted}(?!\w)", source.lines[line - 1])
            if word:  # in a string, such as a quoted annotation
                return self._at(path, line, word.start() + 1, symbol)
        if not names:
            where = sorted({n.line for n in source.names(wanted)}) if wanted else []
            hint = f"; it stands on line {_enumerate(where)}" if where else ""
            raise ToolFailure(f"{shown} holds no name{f' {wanted!r}' if wanted else ''}{hint}")
        if wanted and len({await self._meaning(_spot(path, n)) for n in names}) == 1:
            names = names[:1]
        if len(names) > 1:
            listed = ", ".join(f"{n.text} (column {n.column})" for n in names)
            way = "column" if wanted else "symbol or column"
            raise ToolFailure(f"{shown} holds several names: {listed}; give {way}")
        return Target(symbol or names[0].text, (_spot(path, names[0]),))

    async def _meaning(self, spot: Spot) -> frozenset[Spot]:
        return frozenset(d.spot for d in await self.definitions(spot)) or frozenset({spot})

    # --- file and symbol

    async def _in_file(self, path: Path, symbol: str) -> Target:
        """What a file declares under a name, else what its first use means."""
        parts, shown = symbol.split("."), self.workspace.relative(path)
        groups = group(d for d in await self.declarations(path) if d.answers(parts))
        groups += await self._also_set(parts, [path], groups)
        if groups:
            return await self._only(symbol, groups)
        source = self.source(path)
        uses = [_spot(path, n) for n in source.names(parts[-1])]
        if uses:
            return await self._first_use(path, symbol, uses)
        if (module := self.module(path)).answers(parts):
            return _target(symbol, [module])
        if inherited := await self._inherited(symbol):
            return inherited
        if elsewhere := group(await self.declared(parts)):
            hint = f"; it is declared at {self._list(elsewhere)}"
        else:
            near = difflib.get_close_matches(parts[-1], {n.text for n in source.names()}, 3, 0.7)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise ToolFailure(f"{shown} neither declares nor uses {symbol!r}{hint}")

    async def _first_use(self, path: Path, symbol: str, uses: list[Spot]) -> Target:
        """The first use that is no local variable, else the one local variable there is."""
        shown, dotted = self.workspace.relative(path), "." in symbol
        local: dict[frozenset[Spot], Spot] = {}
        for use in uses[:TRIED]:
            found = await self.definitions(use)
            if dotted and not self._is_member(use, found, symbol):
                continue
            if not dotted and found and all(self._is_local(path, d) for d in found):
                local.setdefault(frozenset(d.spot for d in found), use)
                continue
            return Target(symbol, (use,))
        if len(local) == 1:
            return Target(symbol, tuple(local.values()))
        if local:
            lines = _enumerate([use.line for use in local.values()])
            raise ToolFailure(
                f"{symbol!r} is a local variable in several places of {shown}: give line ({lines})"
            )
        if inherited := await self._inherited(symbol):
            return inherited
        name, lines = symbol.split(".")[-1], _enumerate(sorted({use.line for use in uses}))
        raise ToolFailure(f"{shown} uses a {name!r} on line {lines}, but none is {symbol!r}")

    def _is_local(self, path: Path, found: Declaration) -> bool:
        """Whether a definition is a parameter or variable of a function of that file."""
        if found.kind or found.spot.path != path or not found.name:
            return False
        source = self.source(path)
        at = source.offset(found.spot.line, found.spot.column)
        return source.import_at(at) is None and source.text[at - 1 : at] != "."

    def _is_member(self, use: Spot, found: list[Declaration], symbol: str) -> bool:
        """Whether a use of `c` is that of `a.b.c`: by its definition or as it is written."""
        parts = symbol.split(".")
        if any(d.answers(parts) for d in found):
            return True
        source = self.source(use.path)
        at = source.offset(use.line, use.column)
        before = source.text[max(0, at - 400) : at]
        imported = re.search(r"from\s+([\w.]+)\s+import[\s\w,()]*$", before)
        module = imported[1].split(".")[-1] if imported else None
        return module == parts[-2] or before.endswith(f"{parts[-2]}.")

    # --- symbol alone

    async def _anywhere(self, symbol: str) -> Target:
        parts = symbol.split(".")
        groups = group(await self.declared(parts))
        groups += await self._also_set(parts, await self.files_with(parts[-1]), groups)
        ends = (f"{parts[-1]}.py", f"{parts[-1]}.pyi", "__init__.py")
        named = [self.module(path) for path in await self.texts() if path.name in ends]
        modules = group(m for m in named if m.answers(parts))
        outer = [g for g in groups if not g[0].inside_function] or (modules if not groups else [])
        if outer:
            # What a function declares for itself is out of others' sight, and rarely meant.
            inner = [g for g in groups if g[0].inside_function]
            note = f"also declared inside functions: {self._list(inner)}" if inner else ""
            apart = [m for m in modules if not any(_holds(m[0], g[0]) for g in outer)]
            return replace(await self._only(symbol, outer + apart), note=note)
        if groups:
            return await self._only(symbol, groups)
        return await self._inherited(symbol) or await self._used(symbol)

    async def _also_set(
        self, parts: list[str], files: list[Path], known: list[list[Declaration]]
    ) -> list[list[Declaration]]:
        """Attributes of that name that the server does not list; beside known declarations, those
        that methods set on `self` where no class declares them.
        """
        if not known:
            return group(await self.attributes(parts, files))
        texts = await self.texts()
        setting = re.compile(rf"\bself\.{parts[-1]}[ \t]*(?::[^=\n]+)?=(?!=)".encode())
        files = [path for path in files if setting.search(texts.get(path, b""))]
        found = []
        for each in await self.attributes(parts, files):
            owners = [each.container, *await self.bases(each.container)] if each.container else []
            if not any(c.name == each.name for owner in owners for c in owner.children):
                found.append(each)
        return group(found)

    async def _inherited(self, symbol: str) -> Target | None:
        """`Child.method` that a base class declares: the nearest base's."""
        *head, name = symbol.split(".")
        owners = group(d for d in await self.declared(head) if d.kind == CLASS) if head else []
        if len(owners) > 1:
            raise self._ambiguous(".".join(head), owners)
        if not owners:
            owners = await self._imported_as(head) if head else []
            if mine := [c for o in owners for d in o for c in d.children if c.name == name]:
                return Target(symbol, tuple(c.spot for c in mine), tuple(mine))
        if not owners:
            return None
        for base in await self.bases(owners[0][0]):
            members = [c for c in base.children if c.name == name]
            if not members:
                found = await self.attributes([base.name, name], [base.spot.path])
                members = [d for d in found if d.container == base]
            if members:
                note = f"{symbol} is inherited: {members[0].qualified} declares it"
                return Target(symbol, tuple(m.spot for m in members), tuple(members), note)
        owner = owners[0][0]
        source = self.source(owner.spot.path)
        own = {c.name for c in owner.children} | source.set_on_self(owner.start[0], owner.end[0])
        near = difflib.get_close_matches(name, own, 3, 0.5) or sorted(own)[:LISTED]
        place, there = self._list(owners[:1]), ", ".join(near) or "no members"
        odd = f"; {source.unparsed}, so some may be unseen" if source.unparsed else ""
        raise ToolFailure(f"{place} declares no {name!r}; it declares {there}{odd}")

    async def _imported_as(self, head: list[str]) -> list[list[Declaration]]:
        """The class of the workspace that is imported under another name, if there is one."""
        with contextlib.suppress(ToolFailure):
            use = await self._used(".".join(head))
            found = [d for d in await self.definitions(use.spots[0]) if d.kind == CLASS]
            inside = [d for d in found if self.workspace.root in d.spot.path.parents]
            return group(inside)[:1]
        return []

    async def _used(self, symbol: str) -> Target:
        """What the workspace uses under a name without declaring it, such as `json.dumps`."""
        parts = symbol.split(".")
        meanings: dict[frozenset[Spot], tuple[Spot, list[Declaration]]] = {}
        local: list[Spot] = []
        for path in (await self.files_with(parts[-1]))[:TRIED]:
            source = self.source(path)
            names = sorted(
                source.names(parts[-1]), key=lambda n: source.import_at(n.offset) is None
            )
            for name in names[:TRIED]:
                use = _spot(path, name)
                found = await self.definitions(use)
                if len(parts) > 1 and not self._is_member(use, found, symbol):
                    continue
                if found and all(self._is_local(path, d) for d in found):
                    local.append(use)
                    continue
                meanings.setdefault(frozenset(d.spot for d in found), (use, found))
                break
        known = {key: value for key, value in meanings.items() if key} or meanings
        if len(known) == 1:
            return Target(symbol, (next(iter(known.values()))[0],))
        if not known and local:
            raise ToolFailure(
                f"{symbol!r} is only a local name, as at {self.show(local[0])}; "
                "give symbol, file_path and line"
            )
        if not known:
            members = {d.qualified for d in await self.declared(parts[-1:])}
            modules = {self.module(path).qualified for path in await self.texts()}
            near = difflib.get_close_matches(symbol, sorted(members or modules), 3, 0.6)
            if len(parts) == 1 or not near:
                near = list(dict.fromkeys([*await self.nearest(parts[-1]), *near]))[:3]
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            hint += f"; {odd}" if (odd := await unread(self, parts[-1])) else ""
            raise ToolFailure(f"no symbol {symbol!r} in the workspace{hint}")
        lines = "; ".join(
            f"{self.show(found[0].spot)} (used at {self.show(use)})"
            for use, found in list(known.values())[:LISTED]
        )
        raise ToolFailure(
            f"{symbol!r} is not declared in the workspace and is used for several things: "
            f"{lines}; give symbol and file_path"
        )

    # --- several candidates

    async def _only(self, symbol: str, groups: list[list[Declaration]]) -> Target:
        groups = await joined(self, groups)
        if len(groups) > 1:
            raise self._ambiguous(symbol, groups)
        return _target(symbol, groups[0])

    def _ambiguous(self, symbol: str, groups: list[list[Declaration]]) -> ToolFailure:
        """Names ways to ask that are themselves not ambiguous."""
        firsts = [g[0] for g in groups]
        files = [d.spot.path for d in firsts]
        names = [
            d.qualified
            for d in firsts
            if sum(other.answers(d.qualified.split(".")) for other in firsts) == 1
        ]
        single = [self.workspace.relative(f) for f in files if files.count(f) == 1]
        ways = [f"symbol={name!r}" for name in names[:1]]
        ways += [f"file_path={file!r}" for file in single[:1]]
        if len(names) < len(firsts) and len(single) < len(firsts):
            ways.append("file_path and line")
        return ToolFailure(
            f"{symbol!r} is ambiguous, it is declared {len(groups)} times: {self._list(groups)}; "
            f"give for example {' or '.join(ways)}"
        )

    def _list(self, groups: list[list[Declaration]]) -> str:
        names = [f"{'module ' * (g[0].kind == MODULE)}{g[0].qualified}" for g in groups[:LISTED]]
        shown = [f"{n} ({self.show(g[0].spot)})" for n, g in zip(names, groups, strict=False)]
        more = f", and {len(groups) - LISTED} more" if len(groups) > LISTED else ""
        return ", ".join(shown) + more


def _bare(symbol: str) -> str:
    """A name as people write it, `class Order` or `find_user()`, without what stands around it."""
    words = symbol.strip().strip("`'\"").split()
    if len(words) == 2 and words[0].lower() in ("class", "def", "function", "method", "variable"):
        words = words[1:]
    return " ".join(words).strip("`'\"").removesuffix("()")


def _holds(module: Declaration, other: Declaration) -> bool:
    """Whether a module or package is or holds the one that declares something: `app` of `app.app`
    is hardly meant where `app` itself is declared.
    """
    path, inside = module.spot.path, other.spot.path
    return path == inside or (path.stem == "__init__" and path.parent in inside.parents)


def _target(symbol: str | None, things: Iterable[Declaration]) -> Target:
    found = tuple(things)
    return Target(symbol or found[0].qualified, tuple(d.spot for d in found), found)


def _spot(path: Path, name: Name) -> Spot:
    return Spot(path, name.line, name.column)


def _enumerate(lines: Sequence[int]) -> str:
    shown = ", ".join(map(str, lines[:LISTED]))
    return f"{shown} …" if len(lines) > LISTED else shown
