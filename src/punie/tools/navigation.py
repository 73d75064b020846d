"""Where names are declared, used and described, as the language server knows it."""

from __future__ import annotations

import asyncio
from typing import Annotated

from pydantic import Field

from punie.errors import ToolFailure, UsageError
from punie.navigation.addressing import Lookup, Target
from punie.navigation.declaration import MODULE, SCATTERED, Declaration, Spot, rank
from punie.navigation.lsp import hover_parts
from punie.navigation.overlooked import unlisted
from punie.navigation.references import everywhere
from punie.navigation.unread import unread
from punie.tool import (
    DEFAULT_LIMIT,
    ColumnArg,
    Doc,
    Effect,
    FileArg,
    Item,
    LimitArg,
    LineArg,
    Result,
    SymbolArg,
    cap,
    tool,
)
from punie.wrap import Context, notes


class HoverResult(Result):
    """What a name is."""

    symbol: str = ""
    """The name that was asked about."""
    content: str = ""
    """Signature or type, then the docstring, as plain text."""
    language: str = ""
    """Language of the signature."""
    signature: str = ""
    """Signature or type."""
    docstring: str = ""
    """Documentation; empty if there is none."""

    def __str__(self) -> str:
        return self.content if self.success else super().__str__()


class SymbolLocation(Item):
    """A place where a name is declared."""

    file: str = ""
    """File, relative to the workspace; absolute when outside."""
    line: int = 0
    """Line of the name, 1-based."""
    column: int = 0
    """Column of the name, 1-based."""
    end_line: int = 0
    """Last line of the declaration with its body."""
    end_column: int = 0
    """Column behind the declaration, 1-based."""
    preview: str = ""
    """The line's text."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}  {self.preview}"


class GotoDefinitionResult(Result):
    """Where a name is declared."""

    symbol: str = ""
    """The name that was asked about."""
    locations: list[SymbolLocation] = Field(default_factory=list)
    """Its declarations; several for overloads and properties."""


class SymbolReference(Item):
    """A use of a name."""

    file: str = ""
    """File, relative to the workspace."""
    line: int = 0
    """Line, 1-based."""
    column: int = 0
    """Column, 1-based."""
    preview: str = ""
    """The line's text."""
    is_import: bool = False
    """Whether it is an import of the name."""
    is_override: bool = False
    """Whether it uses a method that overrides the one asked about."""

    def __str__(self) -> str:
        marks = "  (import)" * self.is_import + "  (override)" * self.is_override
        return f"{self.file}:{self.line}  {self.preview}{marks}"


class FindReferencesResult(Result):
    """Uses of a name; its declaration is not among them."""

    symbol: str = ""
    """The name that was asked about."""
    reference_count: int = 0
    """Number of uses, imports included."""
    references: list[SymbolReference] = Field(default_factory=list)
    """Uses by file and line."""
    note: str = ""
    """Other places of the name that matter before a deletion, such as strings."""


class DocumentSymbol(Item):
    """A class, function, variable or attribute of a file."""

    name: str = ""
    """Its name."""
    kind: int = 0
    """LSP symbol kind: 5 class, 6 method, 12 function, 13 variable, 14 constant, 8 field."""
    line: int = 0
    """Line of the name, 1-based."""
    end_line: int = 0
    """Last line."""
    preview: str = ""
    """The line's text."""
    children: list[DocumentSymbol] = Field(default_factory=list)
    """What it contains, such as the methods of a class."""

    def __str__(self) -> str:
        inner = [f"  {line}" for child in self.children for line in str(child).splitlines()]
        return "\n".join([f"{self.line}  {self.preview}", *inner])


class DocumentSymbolsResult(Result):
    """What a file declares."""

    file_path: str = ""
    """File, relative to the workspace."""
    symbols: list[DocumentSymbol] = Field(default_factory=list)
    """Top-level symbols; what they contain is in `children`."""
    symbol_count: int = 0
    """Number of symbols, children included."""


class WorkspaceSymbol(Item):
    """A class, function, variable or attribute of the workspace."""

    name: str = ""
    """Its name."""
    kind: int = 0
    """LSP symbol kind: 5 class, 6 method, 12 function, 13 variable, 14 constant, 8 field."""
    file: str = ""
    """File, relative to the workspace."""
    line: int = 0
    """Line of the name, 1-based."""
    container_name: str = ""
    """Class or function that contains it; empty at the top level."""
    preview: str = ""
    """The line's text."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}  {self.preview}"


class WorkspaceSymbolsResult(Result):
    """Symbols of the workspace whose names match a query."""

    query: str = ""
    """What was searched for."""
    symbols: list[WorkspaceSymbol] = Field(default_factory=list)
    """Matches: equal names first, then by prefix, then the rest."""
    symbol_count: int = 0
    """Number of matches."""


@tool(effect=Effect.READ)
async def hover(
    context: Context,
    file_path: FileArg = None,
    line: LineArg = None,
    column: ColumnArg = None,
    symbol: SymbolArg = None,
) -> HoverResult:
    """Signature, type and docstring of a name."""
    lookup = Lookup(context)
    target = await lookup.locate(file_path, line, column, symbol)
    best = ("", "")
    module = [d for d in target.declarations if d.kind == MODULE]
    if module:  # at its place the server would speak of its first name
        best = (f"module {module[0].qualified}", "")
    for spot in () if module else target.spots:
        answer = await lookup.ask("hover", spot)
        if answer:
            best = max(best, hover_parts(answer["contents"]["value"]), key=lambda d: len(d[0]))
    signature, docstring = best
    if not signature and not docstring:
        raise ToolFailure(
            f"the language server knows nothing about {target.symbol!r} at "
            f"{lookup.show(target.spots[0])}"
        )
    signature, docstring = await _from_source(lookup, target, signature, docstring)
    content = "\n\n".join(part for part in (signature, docstring) if part)
    result = HoverResult(symbol=target.symbol, content=content, language="python")
    result.signature, result.docstring = signature, docstring
    return result


@tool(effect=Effect.READ)
async def goto_definition(
    context: Context,
    file_path: FileArg = None,
    line: LineArg = None,
    column: ColumnArg = None,
    symbol: SymbolArg = None,
) -> GotoDefinitionResult:
    """Where a name is declared."""
    lookup = Lookup(context)
    target = await lookup.locate(file_path, line, column, symbol)
    found = list(target.declarations) or await lookup.definitions(target.spots[0])
    if not found:
        raise ToolFailure(
            f"the language server finds no definition of {target.symbol!r} at "
            f"{lookup.show(target.spots[0])}"
        )
    locations = [
        SymbolLocation(
            file=lookup.workspace.relative(d.spot.path),
            line=d.spot.line,
            column=d.spot.column,
            end_line=d.end[0],
            end_column=d.end[1],
            preview=lookup.source(d.spot.path).line(d.spot.line),
        )
        for d in dict.fromkeys(found)
    ]
    return GotoDefinitionResult(symbol=target.symbol, locations=locations)


@tool(effect=Effect.READ)
async def find_references(
    context: Context,
    file_path: FileArg = None,
    line: LineArg = None,
    column: ColumnArg = None,
    symbol: SymbolArg = None,
    limit: LimitArg = DEFAULT_LIMIT,
) -> FindReferencesResult:
    """Uses of a name across the workspace, imports included, its declaration not."""
    lookup = Lookup(context)
    cap([], limit)
    target = await lookup.locate(file_path, line, column, symbol)
    declarations = list(target.declarations)
    if not declarations:  # a use: asked about is what it means, under all its names
        declarations = await lookup.whole(await lookup.definitions(target.spots[0]))
    found = await everywhere(lookup, target.spots, declarations)
    references = [
        _reference(lookup, spot, spot not in found.direct) for spot in found.direct | found.override
    ]
    references.sort(key=lambda r: (r.file, r.line, r.column))
    shown, cut = cap(references, limit)
    return FindReferencesResult(
        symbol=target.symbol,
        reference_count=len(references),
        references=shown,
        note="; ".join(note for note in (target.note, found.note, lookup.outside()) if note),
        truncated=cut,
    )


@tool(effect=Effect.READ)
async def document_symbols(
    context: Context,
    file_path: Annotated[str, Doc("File, relative to the workspace.")],
) -> DocumentSymbolsResult:
    """Classes, functions and variables that a file declares."""
    lookup = Lookup(context)
    path = lookup.python_file(file_path)
    source = lookup.source(path)
    declared = await lookup.declarations(path)

    def item(declaration: Declaration) -> DocumentSymbol:
        return DocumentSymbol(
            name=declaration.name,
            kind=declaration.kind,
            line=declaration.spot.line,
            end_line=declaration.end[0],
            preview=source.line(declaration.spot.line),
            children=[item(child) for child in declaration.children],
        )

    return DocumentSymbolsResult(
        file_path=lookup.workspace.relative(path),
        symbols=[item(d) for d in declared if d.container is None],
        symbol_count=len(declared),
    )


@tool(effect=Effect.READ)
async def workspace_symbols(
    context: Context,
    query: Annotated[str, Doc("Name or part of a name.")],
    limit: LimitArg = DEFAULT_LIMIT,
) -> WorkspaceSymbolsResult:
    """Classes, functions and variables of the workspace whose names match a query."""
    lookup = Lookup(context)
    cap([], limit)
    parts = query.strip().split(".")
    if not parts[-1]:
        raise UsageError(f"query {query!r} is empty: give a name or part of one")
    found = [
        (path, lookup.place(path, symbol["location"]["range"]["start"]), symbol)
        for path, symbol in await lookup.symbols(parts[-1])
    ]
    others = await unlisted(lookup, parts[-1], {f[0] for f in found})
    set_on_self: list[Declaration] = []
    if not found and not others:
        set_on_self = await lookup.attributes(parts, await lookup.files_with(parts[-1]))
    for other in [*others, *set_on_self]:
        found.append((other.spot.path, other.start, {"name": other.name, "kind": other.kind}))
    if len(parts) > 1:
        lists = await asyncio.gather(*(lookup.declarations(p) for p in {f[0] for f in found}))
        inside = [d for d in sum(lists, set_on_self) if d.answers([*parts[:-1], d.name])]
        fitting = {(d.spot.path, d.start) for d in inside}
        found = [f for f in found if f[:2] in fitting]
    ranked = [(rank(f[2]["name"], parts[-1]), f) for f in found]
    if any(rank[0] < SCATTERED for rank, _ in ranked):
        # Names that merely hold the letters in order are a help only when nothing else is there.
        ranked = [each for each in ranked if each[0][0] < SCATTERED]
    found = [f for _, f in sorted(ranked, key=lambda each: (each[0], each[1][:2]))]
    chosen, cut = cap(found, limit)
    paths = list(dict.fromkeys(f[0] for f in chosen))
    lists = await asyncio.gather(*(lookup.declarations(p) for p in paths))
    known = {(d.spot.path, d.start, d.name): d for d in sum(lists, set_on_self)}
    shown = {path: lookup.workspace.relative(path) for path in paths}
    symbols = []
    for path, start, symbol in chosen:
        declared = known.get((path, start, symbol["name"]))
        line = declared.spot.line if declared else start[0]
        owner = declared.container if declared else None
        symbols.append(
            WorkspaceSymbol(
                name=symbol["name"],
                kind=symbol["kind"],
                file=shown[path],
                line=line,
                container_name=owner.qualified if owner else "",
                preview=lookup.source(path).line(line),
            )
        )
    near = [] if symbols else await lookup.nearest(parts[-1])
    hint = f"no such name; did you mean {', '.join(near)}?" if near else ""
    return WorkspaceSymbolsResult(
        parse_error=notes(hint, await unread(lookup, parts[-1])),
        query=query,
        symbols=symbols,
        symbol_count=len(found),
        truncated=cut,
    )


# --- hover


async def _from_source(
    lookup: Lookup, target: Target, signature: str, docstring: str
) -> tuple[str, str]:
    """The docstring as it stands in the source; the signature where the server knows no more
    than `property` or `Unknown`, as of a function with an untyped decorator.

    The server's markdown has docstrings reformatted.
    """
    found = list(target.declarations) or await lookup.definitions(target.spots[0])
    for each in found:
        source = lookup.source(each.spot.path)
        line = each.spot.line if each.kind != MODULE else 0
        if signature == "property":
            signature = f"@property\n{source.signature(line)}".rstrip()
        elif signature == "Unknown":
            signature = source.signature(line) or signature
        if original := source.docstring(line):
            return signature, original
    return signature, docstring


def _reference(lookup: Lookup, spot: Spot, is_override: bool) -> SymbolReference:
    source = lookup.source(spot.path)
    return SymbolReference(
        file=lookup.workspace.relative(spot.path),
        line=spot.line,
        column=spot.column,
        preview=source.line(spot.line),
        is_import=source.import_at(source.offset(spot.line, spot.column)) is not None,
        is_override=is_override,
    )
