"""Repairs: a program that went wrong as models go wrong, what its run told, and what is right then.

Three kinds: a field or parameter that does not exist (the type check tells), a word of the
question taken for the thing it asks about (the tool tells), and a question about a name that does
not exist or stands for several things, where the first program was right and nothing can be
repaired.
"""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Any

from punie.agent import shown
from punie.engine.copying import literals
from punie.factory.examples import wording
from punie.prompt import Message
from punie.sandbox import Outcome
from punie.tool import Effect, load_tools

if TYPE_CHECKING:
    from punie.factory.examples.inventory import Inventory
    from punie.factory.examples.workshop import Workshop

NOT_THERE = "That is not there."
"""What the model says when a program failed for a good reason. The failed program stays the
answer, so these words are never shown."""
SEVERAL = "That name stands for several things; I need to know which one."
"""What the model says when a name is ambiguous: what was told lists the candidates."""
ENDINGS = (NOT_THERE, SEVERAL)
MISREAD = 0.6
"""Share of repairs whose slip is a wrong word, where there is one."""
MISTAKABLE = (
    "symbol",
    "function",
    "method",
    "class_",
    "top_symbol",
    "documented",
    "named_test",
    "failing_named_test",
) + (
    ("python_file", "text_file", "blamed_file", "test_path", "file_name", "test_id", "folder")
    + ("python_folder", "python_path", "small_python_file", "failing_test_path", "test_place")
)
"""Kinds of slot whose value may be misspelt; a commit is made up."""
NAMED = ("symbol", "function", "class_", "top_symbol", "documented")
"""Kinds of slot whose value may be a name that is declared several times."""
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


async def make(code: str, asked: str, workshop: Workshop, rng: random.Random) -> list[Message]:
    """The turns of a failed first try: the wrong program and what it told; [] if none fails.

    The wrong turn is marked `wrong`, so that it is never trained.
    """
    wrong = _misread(code, asked, rng) if rng.random() < MISREAD else code
    told = await _failure(wrong, workshop) if wrong != code else ""
    if not told:
        wrong = _slip(code, rng)
        told = await _failure(wrong, workshop) if wrong != code else ""
    if not told:
        return []
    return [
        {"role": "assistant", "content": "", "code": wrong, "wrong": True},
        {"role": "tool", "content": told},
    ]


async def _failure(code: str, workshop: Workshop) -> str:
    """What the agent tells the model about a program that failed; "" when it did not."""
    outcome = await workshop.sandbox.run(code, workshop.context)
    return shown(outcome) if outcome.error or outcome.unread else ""


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


def _misread(code: str, asked: str, rng: random.Random) -> str:
    """The program with another word of the question in place of the one that it copies."""
    if any(
        t.effect in (Effect.WRITE, Effect.RUN) and t.name in code for t in load_tools().values()
    ):
        return code
    copied = [v for v, *_ in literals(code.encode()) if v.decode() in asked]
    words = {word.strip("`'\"?.,:;!()") for word in asked.split()}
    others = sorted(w for w in words if len(w) > 2 and w.encode() not in copied)
    if not copied or not others:
        return code
    return code.replace(wording.literal(copied[0].decode()), wording.literal(rng.choice(others)), 1)


def misspelt(values: dict[str, Any], kinds: dict[str, str], rng: random.Random) -> dict[str, Any]:
    """The slots' values with a slip in one name, or a commit that is none; {} where there is
    nothing to misspell."""
    for slot, kind in kinds.items():
        name = values[slot]
        if kind == "hash":
            return values | {slot: "".join(rng.choice("0123456789abcdef") for _ in range(7))}
        letters = [m.start() for m in re.finditer(r"[a-z](?=[a-z])", str(name))]
        if kind in MISTAKABLE and len(letters) > 3:
            at = rng.choice(letters[1:])
            slip = rng.choice([name[at + 1] + name[at], name[at], name[at] * 2 + name[at + 1]])
            return values | {slot: name[:at] + slip + name[at + 2 :]}
    return {}


def ambiguous(
    values: dict[str, Any], kinds: dict[str, str], inventory: Inventory, rng: random.Random
) -> dict[str, Any]:
    """The values with a name that several places declare, where a name is all that is said; else
    {}."""
    names = sorted(
        name
        for name, places in inventory.names.items()
        if places > 1 and not name.startswith("_") and len(name) > 2
    )
    if len(kinds) != 1 or not set(kinds.values()) <= set(NAMED) or not names:
        return {}
    return dict.fromkeys(values, rng.choice(names))


async def unanswerable(code: str, workshop: Workshop) -> tuple[Outcome, list[Message]]:
    """The turns after a program that rests on a misspelt or ambiguous name; [] if it does not
    fail, or only fails by the way."""
    outcome = await workshop.sandbox.run(code, workshop.context)
    told = shown(outcome) if outcome.error or outcome.unread else ""
    if not told or not outcome.calls:
        return outcome, []
    ending = SEVERAL if "ambiguous" in told else NOT_THERE
    return outcome, [
        {"role": "tool", "content": told},
        {"role": "assistant", "content": ending},
    ]
