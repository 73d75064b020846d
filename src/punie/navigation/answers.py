"""The shapes that a language server's answers must have, as far as tools read them.

A server can be replaced, and a wrong one must be named as the cause, not end in an error of ours.
"""

from __future__ import annotations

from functools import cache
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict


class Position(TypedDict):
    """0-based."""

    line: int
    character: int


class Range(TypedDict):
    """From its start to before its end."""

    start: Position
    end: Position


class Location(TypedDict):
    """A place in a file."""

    uri: str
    range: Range


class Link(TypedDict):
    """A declaration that a name leads to."""

    targetUri: str
    targetRange: Range
    targetSelectionRange: Range


class Named(TypedDict):
    """A symbol of the workspace."""

    name: str
    kind: int
    location: Location


class Class(TypedDict):
    """A class in a hierarchy of types."""

    name: str
    uri: str
    selectionRange: Range


class Declared(TypedDict):
    """The part of a file's symbol that is the same at every depth."""

    name: str
    kind: int
    range: Range
    selectionRange: Range


class Symbol(Declared, total=False):
    """A symbol of a file with those inside it."""

    children: list[Symbol] | None


class Markdown(TypedDict):
    """Marked text."""

    value: str


class Hover(TypedDict):
    """What a name is."""

    contents: Markdown


SHAPES: dict[str, Any] = {
    "workspace/symbol": list[Named] | None,
    "textDocument/documentSymbol": list[Symbol] | None,
    "textDocument/hover": Hover | None,
    "textDocument/definition": list[Link] | None,
    "textDocument/implementation": list[Link] | None,
    "textDocument/references": list[Location] | None,
    "textDocument/prepareTypeHierarchy": list[Class] | None,
    "typeHierarchy/supertypes": list[Class] | None,
}
"""By method; of other methods any answer will do."""


@cache
def _adapter(method: str) -> TypeAdapter[Any] | None:
    return TypeAdapter(SHAPES[method]) if method in SHAPES else None


def misfit(method: str, answer: Any) -> str:
    """What is wrong with an answer's shape, in words; empty when nothing is."""
    adapter = _adapter(method)
    if adapter is None or answer is None or answer == []:
        return ""
    try:
        adapter.validate_python(answer, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"][:8]))
        return f"{first['msg']}{f' at {place}' if place else ''}"
    return ""


def outside(answer: Any, root: str) -> list[str]:
    """Files named by an answer that lie outside the workspace with the URI `root`, or in its
    installed packages; not those that the server brings itself.
    """
    if not isinstance(answer, list):
        return []
    items = [item for item in answer if isinstance(item, dict)]
    named = {item.get("targetUri") or item.get("uri") for item in items}
    return [
        unquote(urlsplit(uri).path)
        for uri in named
        if isinstance(uri, str)
        and (not uri.startswith(root) or "/site-packages/" in uri)
        and "/vendored/typeshed/" not in uri
    ]
