"""What the workspace declares and where, as the language server and the files' text say it."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import re
from collections.abc import Container, Iterable, Sequence
from pathlib import Path
from typing import Any

from punie.navigation.declaration import CLASS, FIELD, MODULE, Declaration, Spot
from punie.navigation.places import Places, uri_of
from punie.navigation.places import path_of as path_of
from punie.navigation.pysource import Name, Source, source
from punie.text import both_ways, decodes, is_utf16
from punie.wrap import Context

_DEFINED = re.compile(
    rb"^[ \t]*(?:async[ \t]+)?(?:def|class)[ \t]+(\w+)|^[ \t]*(\w+)[ \t]*(?::[^=\r\n]+)?=(?!=)",
    re.MULTILINE,
)


PLACES = 5
"""Places that a note lists."""
MOST_KEPT = 4096
"""Files whose declarations are kept between tool calls."""
_kept: dict[Path, tuple[Any, list[Declaration]]] = {}
"""By file: the server's answer and what it declares."""


class Outline:
    """Declarations and texts for one tool call; reads each file once."""

    def __init__(self, context: Context) -> None:
        self.workspace = context.workspace
        self._server = context.language_server
        self._fresh = True
        self._sources: dict[Path, Source] = {}
        self._files: dict[Path, bytes] | None = None
        self._declared: dict[Path, list[Declaration]] = {}
        self._held: dict[str, tuple[list[Path], list[Path]]] = {}
        self.places = Places(self.workspace.root)
        self.within_package = False
        """Whether the question is about a file of an installed package, and so are answers."""
        self.away: dict[tuple[Path, int], None] = {}
        """Files outside the workspace, and lines, with uses that answers left out."""

    async def _ask(self, method: str, params: dict[str, Any]) -> Any:
        return await self._server.request(method, params, fresh=self._first())

    def _first(self) -> bool:
        """Whether this is the first request of the tool call: one look at the disk is enough."""
        first, self._fresh = self._fresh, False
        return first

    async def ask(self, method: str, spot: Spot, **more: Any) -> Any:
        """The server's answer to `textDocument/<method>` about a place."""
        marked = spot.line == 1 and self.source(spot.path).marked
        position = {"line": spot.line - 1, "character": spot.column - 1 + marked}
        document = {"uri": uri_of(spot.path)}
        params = {"textDocument": document, "position": position} | more
        answer = await self._ask(f"textDocument/{method}", params)
        if method == "references":
            answer, away = self.places.sorted_out(answer, self.within_package)
            self.away |= dict.fromkeys(away)
        return answer

    async def declarations(self, path: Path) -> list[Declaration]:
        """The declarations of a file, each before its children."""
        if path not in self._declared:
            params = {"textDocument": {"uri": uri_of(path)}}
            tree = await self._ask("textDocument/documentSymbol", params)
            known, declared = _kept.get(path, (None, []))
            if known is None or known != tree:
                if len(_kept) >= MOST_KEPT:
                    _kept.clear()
                declared = list(self._flatten(tree or [], path, None))
                _kept[path] = tree, declared
            self._declared[path] = declared
        return self._declared[path]

    def _flatten(
        self, tree: list[dict[str, Any]], path: Path, container: Declaration | None
    ) -> Iterable[Declaration]:
        for symbol in tree:
            name = symbol["name"]
            declared = Declaration(
                name,
                symbol["kind"],
                Spot(path, *self.place(path, symbol["selectionRange"]["start"])),
                f"{container.qualified}.{name}" if container else name,
                self.place(path, symbol["range"]["start"]),
                self.place(path, symbol["range"]["end"]),
                container,
            )
            if container:
                container.children.append(declared)
            yield declared
            yield from self._flatten(symbol.get("children") or [], path, declared)

    def place(self, path: Path, position: dict[str, int]) -> tuple[int, int]:
        """Line and column, 1-based, of an LSP position; the server counts a byte order mark."""
        line, column = position["line"], position["character"]
        marked = line == 0 < column and self.source(path).marked
        return line + 1, column + 1 - marked

    async def symbols(self, query: str) -> list[tuple[Path, dict[str, Any]]]:
        """The workspace's symbols that the server finds for a query, with their files' real paths.

        Not those of files outside, be it that links of the workspace lead there.
        """
        answer = await self._ask("workspace/symbol", {"query": query}) or []
        paths = {uri: self.places.of(uri) for uri in {s["location"]["uri"] for s in answer}}
        ours = {uri for uri, path in paths.items() if self.places.ours(path)}
        if len(ours) == len(set(paths.values())):  # no file twice
            return [(paths[u], s) for s in answer if (u := s["location"]["uri"]) in ours]
        found: dict[tuple[Path, str, int, int], dict[str, Any]] = {}
        for symbol in answer:
            uri, start = symbol["location"]["uri"], symbol["location"]["range"]["start"]
            if uri in ours:
                key = (paths[uri], symbol["name"], start["line"], start["character"])
                found.setdefault(key, symbol)
        return [(key[0], symbol) for key, symbol in found.items()]

    async def declared(self, parts: Sequence[str]) -> list[Declaration]:
        """The workspace's declarations that a dotted name may mean."""
        found = await self.symbols(parts[-1])
        paths = sorted({path for path, s in found if s["name"] == parts[-1]})
        lists = await asyncio.gather(*(self.declarations(p) for p in paths))
        return [d for each in lists for d in each if d.answers(parts)]

    async def definitions(self, spot: Spot) -> list[Declaration]:
        """What the name at a place means, in the workspace or outside of it.

        Local variables and parameters are here, too, with kind 0. What is called through a
        variable is left out: there the server names the callable beside the variable.
        """
        links = await self.ask("definition", spot) or []
        if path := await self._submodule(spot, links):
            return [self.module(path)]
        found = await self._linked(links, spot)
        word = self.source(spot.path).word_at(spot.line, spot.column)
        found = [d for d in found if word and d.name == word.text] or found
        if not self.dotted(spot):
            found = [d for d in found if not d.member] or found
        return found

    async def meanings(self, spots: Iterable[Spot]) -> list[set[Spot]]:
        """As `definitions` of many places, but only where each is; a module is at line 0."""
        asked = list(spots)
        answers = await asyncio.gather(*(self.ask("definition", spot) for spot in asked))
        found = []
        for spot, links in zip(asked, answers, strict=True):
            path = await self._submodule(spot, links or [])
            targets = {Spot(path, 0, 0)} if path else {self._target(link) for link in links or []}
            found.append(targets)
        return found

    async def _submodule(self, spot: Spot, links: list[dict[str, Any]]) -> Path | None:
        """The module that `b` of `a.b` in code is.

        Of it the server says nothing, or points at an import of it in the package's own file.
        """
        targets = [self._target(link) for link in links]
        if not self.dotted(spot) or not all(t.line and self.imported(t) for t in targets):
            return None
        source = self.source(spot.path)
        at = source.offset(spot.line, spot.column)
        written = re.search(r"(?<![\w.])((?:[^\W\d]\w*\.)+)$", source.text[max(0, at - 200) : at])
        word = source.word_at(spot.line, spot.column)
        if written is None or word is None:
            return None
        parts = [*written[1].split(".")[:-1], word.text]
        for root in (self.workspace.root, self.workspace.root / "src"):
            stem = root.joinpath(*parts)
            for path in (stem.with_suffix(".py"), stem / "__init__.py"):
                if path.is_file():
                    first = Spot(spot.path, *source.place(at - len(written[1])))
                    links = await self.ask("definition", first) or []
                    return path if any(_whole_file(link) for link in links) else None
        return None

    def _target(self, link: dict[str, Any]) -> Spot:
        path = self.places.of(link["targetUri"])
        if _whole_file(link):
            return Spot(path, 0, 0)
        return Spot(path, *self.place(path, link["targetSelectionRange"]["start"]))

    def imported(self, spot: Spot) -> bool:
        """Whether a place is in an import statement."""
        source = self.source(spot.path)
        return source.import_at(source.offset(spot.line, spot.column)) is not None

    def dotted(self, spot: Spot) -> bool:
        """Whether a dot stands right before a place."""
        source = self.source(spot.path)
        at = source.offset(spot.line, spot.column)
        return source.text[at - 1 : at] == "."

    def module(self, path: Path) -> Declaration:
        """A file as the module that it is; its qualified name begins at its outermost package."""
        parts = [] if path.stem == "__init__" else [path.stem]
        folder = path.parent
        while (folder / "__init__.py").is_file() and folder != self.workspace.root:
            parts.insert(0, folder.name)
            folder = folder.parent
        parts = parts or [folder.name]
        return Declaration(parts[-1], MODULE, Spot(path, 1, 1), ".".join(parts), (1, 1), (1, 1))

    async def whole(self, found: list[Declaration]) -> list[Declaration]:
        """All declarations of the things that are declared here: every overload, the setter."""
        known = {d.spot.path: await self.declarations(d.spot.path) for d in found if d.kind}
        same = [
            k for d in found if d.kind for k in known[d.spot.path] if k.qualified == d.qualified
        ]
        return list(dict.fromkeys(same)) or found

    async def implementations(self, spot: Spot) -> list[Declaration]:
        """The method at a place and those that override it."""
        return await self._linked(await self.ask("implementation", spot), spot)

    async def _linked(self, links: Any, asked: Spot) -> list[Declaration]:
        found = []
        for link in links or []:
            target, whole = self._target(link), link["targetRange"]
            path = target.path
            if not target.line:
                found.append(self.module(path))
                continue
            match = [d for d in await self.declarations(path) if d.spot == target]
            if not match:
                name = self._name_in(target, asked)
                spot = Spot(path, name.line, name.column)
                start, end = self.place(path, whole["start"]), self.place(path, whole["end"])
                match = [Declaration(name.text, 0, spot, name.text, start, end)]
            found.append(match[0])
        return found

    def _name_in(self, target: Spot, asked: Spot) -> Name:
        """The name that a definition is about: for `self.x = 1` the server points at `self`."""
        source = self.source(target.path)
        here = source.word_at(target.line, target.column)
        word = self.source(asked.path).word_at(asked.line, asked.column)
        if word and here and here.text != word.text:
            for name in source.on_line(target.line):
                if name.text == word.text and name.column > target.column:
                    return name
        return here or Name("", target.line, target.column, 0)

    async def bases(self, owner: Declaration) -> list[Declaration]:
        """The classes that a class inherits from, nearest first; not `object`."""
        found: list[Declaration] = []
        level = await self.ask("prepareTypeHierarchy", owner.spot) or []
        while level:
            asked = [self._ask("typeHierarchy/supertypes", {"item": item}) for item in level]
            answers = await asyncio.gather(*asked)
            level = [i for answer in answers for i in answer or [] if i["name"] != "object"]
            for item in level:
                path = self.places.of(item["uri"])
                spot = Spot(path, *self.place(path, item["selectionRange"]["start"]))
                same = [d for d in await self.declarations(path) if d.spot == spot]
                found += [d for d in same if d not in found]
        return found

    async def attributes(self, parts: Sequence[str], paths: list[Path]) -> list[Declaration]:
        """Attributes that the server does not list: those that methods set on `self`, and those of
        classes inside functions.
        """
        found: list[Declaration] = []
        name = parts[-1]
        for path in paths:
            hits = self.source(path).assigned(name)
            classes = [d for d in await self.declarations(path) if d.kind == CLASS] if hits else []
            for hit in hits:
                owners = [c for c in classes if c.start <= hit < c.end]
                if not owners:
                    continue
                owner, end = owners[-1], (hit[0], hit[1] + len(name))
                if any(d.container == owner for d in found):
                    continue
                qualified = f"{owner.qualified}.{name}"
                found.append(Declaration(name, FIELD, Spot(path, *hit), qualified, hit, end, owner))
        return [d for d in found if d.answers(parts)]

    def source(self, path: Path) -> Source:
        """A file's text; read once. What is gone, or behind a link out of here, is empty."""
        if path not in self._sources:
            data = (self._files or {}).get(path, b"")
            if not data and not self.places.leads_out(path):
                with contextlib.suppress(OSError):
                    data = path.read_bytes()
            self._sources[path] = source(data)
        return self._sources[path]

    async def files_with(self, word: str, *, odd: bool = False) -> list[Path]:
        """The workspace's Python files that hold a word or a text that begins and ends so.

        With `odd`, of the files that are not UTF-8, which the server cannot read right.
        """
        if word not in self._held:
            needle = word.encode()
            pattern = re.compile(rb"(?<!\w)" + re.escape(needle) + rb"(?!\w)")
            files = await self.texts()

            wide = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)")

            def holds(data: bytes) -> bool:
                if needle in data:
                    return bool(pattern.search(data))
                return is_utf16(data) and any(map(wide.search, both_ways(data)))

            def search() -> tuple[list[Path], list[Path]]:
                held = [path for path, data in files.items() if holds(data)]
                even = {p: decodes(files[p]) for p in held}
                return [p for p in held if even[p]], [p for p in held if not even[p]]

            self._held[word] = await asyncio.to_thread(search)
        return self._held[word][odd]

    async def files_declaring(self, part: str, known: Container[Path]) -> list[Path]:
        """Other files than the known ones that seem to declare a name which holds `part`."""
        needle = part.lower().encode()
        files = await self.texts()

        def search() -> list[Path]:
            held = [p for p, d in files.items() if p not in known and needle in d.lower()]
            return [
                path
                for path in held
                if any(needle in (a or b).lower() for a, b in _DEFINED.findall(files[path]))
            ]

        return await asyncio.to_thread(search)

    async def texts(self) -> dict[Path, bytes]:
        """The workspace's Python files with their bytes."""
        if self._files is None:
            self._files = await self._server.texts(fresh=self._first())
        return self._files

    async def nearest(self, name: str) -> list[str]:
        """Names that the workspace declares and that look like `name`."""

        files = await self.texts()

        def search() -> list[str]:
            names = {
                (a or b).decode("utf-8", "replace")
                for data in files.values()
                for a, b in _DEFINED.findall(data)
                if abs(len(a or b) - len(name)) <= 4
            }
            same = sorted(n for n in names if n.lower() == name.lower())
            return same or difflib.get_close_matches(name, names, 3, 0.6)

        return await asyncio.to_thread(search)

    def elsewhere(self, word: str, paths: Iterable[Path], known: Iterable[Spot]) -> list[Path]:
        """Those files that hold a word at other places than the known ones."""
        offsets: dict[Path, set[int]] = {}
        for spot in known:
            at = self.source(spot.path).offset(spot.line, spot.column)
            offsets.setdefault(spot.path, set()).add(at)
        return [
            path
            for path in paths
            if any(at not in offsets.get(path, ()) for at in self.source(path).standing(word))
        ]

    def outside(self) -> str:
        """Where there are uses outside the workspace, in words."""
        places = [self.show(Spot(path, line, 1)) for path, line in sorted(self.away)]
        listed = enumerated(places)
        return f"uses outside the workspace are not counted ({listed})" if places else ""

    def show(self, spot: Spot) -> str:
        """`path:line`."""
        return f"{self.workspace.relative(spot.path)}:{spot.line}"


def _whole_file(link: dict[str, Any]) -> bool:
    """Whether a definition is a module: the server then points at nothing, at the file's start."""
    nothing = {"line": 0, "character": 0}
    return bool(link["targetRange"] == {"start": nothing, "end": nothing})


def enumerated(places: Sequence[str]) -> str:
    """The first places, and how many more there are."""
    more = f" and {len(places) - PLACES} more" if len(places) > PLACES else ""
    return ", ".join(places[:PLACES]) + more
