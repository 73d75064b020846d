"""Where a body begins and what its docstring is, in a text that has no syntax tree.

The text may be broken, or newer than the Python that reads it. `behind` gives the end of the
comment or string that an offset is in, else None.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable

_HEAD = re.compile(r"[ \t]*(?:async[ \t]+)?(?:def|class)\b")
_SPACE = re.compile(r"\s*(?:#[^\r\n]*)?")
LONGEST = 10_000
"""Characters that the head of a function or class may have."""


def body(text: str, at: int, behind: Callable[[int], int | None]) -> int | None:
    """Offset behind the colon of the `def` or `class` on the line that begins at an offset."""
    head, depth = _HEAD.match(text, at), 0
    stop, at = min(len(text), at + LONGEST), head.end() if head else len(text)
    while at < stop:
        if end := behind(at):
            at = end
            continue
        depth += (text[at] in "([{") - (text[at] in ")]}")
        at += 1
        if not depth and text[at - 1] == ":":
            return at
    return None


def string(text: str, at: int, behind: Callable[[int], int | None]) -> str:
    """The value of the string that comes next, as a docstring's; empty when other code does."""
    while (match := _SPACE.match(text, at)) and match.end() > at:
        at = match.end()
    try:
        value = ast.literal_eval(text[at : behind(at) or at])
    except (SyntaxError, ValueError):
        return ""
    return inspect.cleandoc(value) if isinstance(value, str) else ""
