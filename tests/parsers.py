"""Every parser of text that comes from outside, as a function of bytes that may raise nothing.

A target returns what it read, or None where the parser refused with the error that it documents.
Every other error is a crash. `test_fuzz.py` and `benchmarks/fuzz.py` feed them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from punie.engine.copying import literals
from punie.errors import PunieError
from punie.git import gitconfig
from punie.git.porcelain import (
    parse_blame,
    parse_branches,
    parse_diff,
    parse_log,
    parse_show,
    parse_status,
)
from punie.navigation.answers import SHAPES, misfit
from punie.navigation.jsonrpc import receive
from punie.navigation.lsp import hover_parts
from punie.navigation.pysource import Source
from punie.prompt import DIALECTS, parse
from punie.testrun import read_report
from punie.tools.quality import read_lint, read_types
from punie.workspace import Workspace

Target = Callable[[bytes], Any]
CASES = Path(__file__).parent / "data/fuzz"
"""Inputs that once crashed a parser, in a folder for each target."""


def _refusing(
    parser: Callable[..., Any], *more: Any, error: type[Exception] = PunieError
) -> Target:
    def target(data: bytes) -> Any:
        try:
            found = parser(data, *more)
            return list(found) if hasattr(found, "__next__") else found
        except error:
            return None

    return target


def _framed(data: bytes) -> list[dict[str, Any]]:
    """The messages of a stream up to its end or the first that is none, as `Connection` reads."""

    async def read() -> list[dict[str, Any]]:
        stream = asyncio.StreamReader()
        stream.feed_data(data)
        stream.feed_eof()
        found: list[dict[str, Any]] = []
        try:
            while True:
                found.append(await receive(stream))
        except (ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return found

    found = asyncio.run(read())
    for message in found:
        for method in SHAPES:
            misfit(method, message.get("result"))
    return found


def _prompt(data: bytes) -> list[Any]:
    text = data.decode("utf-8", "replace")
    return [parse(text, d, fences=fences) for d in DIALECTS.values() for fences in (False, True)]


def _python(data: bytes) -> list[str]:
    source = Source(data)
    names = list(source.names())
    for name in names:
        assert source.text.startswith(name.text, name.offset)
        assert source.place(source.offset(name.line, name.column)) == (name.line, name.column)
        source.import_at(name.offset)
        source.alias_at(name.offset)
    for name in names[:20]:
        assert name.text in {each.text for each in source.on_line(name.line)}
        source.word_at(name.line, name.column)
    for text in {name.text for name in names[:20]}:
        list(source.mentions(text))
        source.assigned(text)
        source.binds(text)
    for line in range(min(source.line_count, 50) + 1):
        source.docstring(line)
        source.signature(line)
    return [name.text for name in names]


def _answer(data: bytes) -> list[str]:
    """The shapes of whatever answer a server may give."""
    try:
        given = json.loads(data)
    except (ValueError, RecursionError):
        given = data.decode("utf-8", "replace")
    return [misfit(method, given) for method in SHAPES]


def _hover(data: bytes) -> tuple[str, str]:
    return hover_parts(data.decode("utf-8", "replace"))


_HERE = Workspace(Path(__file__).parent)
TARGETS: dict[str, Target] = {
    "status": _refusing(parse_status),
    "diff": _refusing(parse_diff),
    "log": _refusing(parse_log),
    "show": _refusing(parse_show),
    "blame": _refusing(parse_blame),
    "branches": _refusing(parse_branches),
    "lint": _refusing(read_lint, _HERE, error=ValueError),
    "types": _refusing(read_types, _HERE, error=ValueError),
    "report": read_report,
    "settings": gitconfig.read,
    "answer": _answer,
    "hover": _hover,
    "framing": _framed,
    "literals": literals,
    "prompt": _prompt,
    "python": _python,
}
"""By name."""
