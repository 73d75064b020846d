"""Repairs: a program with a slip that models make, the sandbox's real diagnostic, the right one."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

from punie.prompt import Message

if TYPE_CHECKING:
    from punie.factory.examples.workshop import Workshop

FIELD = re.compile(r"\.([a-z]+_?[a-z]*)\b(?!\()")
SLIPS = {
    "commits": "entries",
    "author": "author_name",
    "message": "subject",
    "references": "refs",
    "locations": "definitions",
    "violations": "issues",
    "errors": "diagnostics",
    "files": "changes",
    "symbols": "items",
    "tests": "results",
    "file": "path",
    "line": "lineno",
    "status": "state",
    "code": "rule",
    "text": "content",
    "name": "title",
    "outcome": "status",
    "error_count": "count",
    "violation_count": "count",
    "reference_count": "count",
    "line_count": "lines",
    "date": "time",
    "preview": "text",
    "docstring": "doc",
    "signature": "type",
}
"""Field → a wrong name that models guess."""


async def make(code: str, workshop: Workshop, rng: random.Random) -> list[Message]:
    """The turns of a failed first try: the wrong program and its diagnostic; [] if none fails.

    The wrong turn is marked `wrong`, so that it is never trained.
    """
    wrong = _slip(code, rng)
    if wrong == code:
        return []
    outcome = await workshop.sandbox.run(wrong, workshop.context)
    if outcome.error is None:
        return []
    return [
        {"role": "assistant", "content": "", "code": wrong, "wrong": True},
        {"role": "tool", "content": outcome.error},
    ]


def _slip(code: str, rng: random.Random) -> str:
    fields = [m for m in FIELD.finditer(code) if m[1] in SLIPS]
    kind = rng.random()
    if fields and kind < 0.7:
        chosen = rng.choice(fields)
        return f"{code[: chosen.start(1)]}{SLIPS[chosen[1]]}{code[chosen.end(1) :]}"
    if "symbol=" in code and kind < 0.8:
        return code.replace("symbol=", rng.choice(["name=", "query=", "sym="]), 1)
    if "count=" in code and kind < 0.9:
        return code.replace("count=", rng.choice(["n=", "limit=", "max_count="]), 1)
    call = re.search(r"(\w+)\.(\w+) in", code) or re.search(r"\.([a-z]+)$", code)
    return code.replace(".commits", '["commits"]', 1) if ".commits" in code and call else code
