"""How a call looks in an editor: title, kind, places and content, all from its declaration.

Escapes are spelled out: some clients are terminals. Only a diff holds its texts as they are.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from acp import schema

from punie.errors import PunieError
from punie.terminal import visible
from punie.tool import Effect, Item, Result, Tool
from punie.tools.files import Plan
from punie.workspace import Workspace
from punie.wrap import Context, middle_cut

KINDS: dict[Effect, schema.ToolKind] = {
    Effect.READ: "read",
    Effect.TEST: "execute",
    Effect.WRITE: "edit",
    Effect.RUN: "execute",
}
MOST_TITLE = 200
"""Characters of a title: a command may be a script."""
MOST_TEXT = 16_000
"""Bytes of a call's text that are shown."""
MOST_PLACES = 50
"""Places of a result that a client may follow."""
MARKDOWN = re.compile(r"[\n\\`*_~#<>&|$\[\]]|^\s|^[-+=]|^\d+[.)]|  |https?:|www\.")
"""What Markdown may show otherwise than it stands there."""
TOLD_FIRST = ("path", "command", "symbol", "query", "pattern", "file_path", "commit")
"""Parameters that say what a call is about; most clients show nothing but the title."""


def title(tool: Tool, arguments: dict[str, Any]) -> str:
    """`write_file src/a.py`, `run_command make test`: the tool and what it is about."""
    about = [str(arguments[name]) for name in TOLD_FIRST if arguments.get(name) is not None]
    lines = [str(arguments[n]) for n in ("line", "start_line", "end_line") if arguments.get(n)]
    text = " ".join([tool.name, *about, *(["lines " + "–".join(lines)] if lines else [])])
    text = visible(" ".join(text.split()))
    return text if len(text) <= MOST_TITLE else text[: MOST_TITLE - 1] + "…"


def headline(code: str) -> str:
    """A program's title: its first line that is not blank."""
    first = next((line for line in code.splitlines() if line.strip()), "program")
    return first.strip()[:MOST_TITLE]


def new_call() -> str:
    """The id of a call."""
    return f"call-{uuid.uuid4().hex[:12]}"


def raw(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments as raw input, long texts cut, escapes spelled out."""
    return {
        n: visible(middle_cut(v, 2000)) if isinstance(v, str) else v for n, v in arguments.items()
    }


def text(shown: str) -> schema.ContentToolCallContent:
    """Text as content of a call."""
    block = schema.TextContentBlock(type="text", text=middle_cut(visible(shown), MOST_TEXT))
    return schema.ContentToolCallContent(type="content", content=block)


def fenced(shown: str, language: str = "") -> schema.ContentToolCallContent:
    """Code or output as content of a call, so that no client reads it as Markdown."""
    return text(between_fences(middle_cut(shown, MOST_TEXT), language))


def between_fences(shown: str, language: str = "") -> str:
    """Text as Markdown shows it letter by letter: between fences that it cannot end."""
    fence = "```"
    while fence in shown:
        fence += "`"
    return f"{fence}{language}\n{shown}\n{fence}"


def as_printed(shown: str) -> str:
    """Output as a message, which clients show as Markdown: unchanged where that shows the same,
    else between fences. Lines would become one paragraph, `__init__.py` a bold `init.py`."""
    return between_fences(shown) if MARKDOWN.search(shown) else shown


def planned(context: Context, tool: Tool, arguments: dict[str, Any]) -> Plan | None:
    """The write that a call plans; None for other calls and for writes that cannot be done."""
    if tool.effect is not Effect.WRITE or tool.preview is None:
        return None
    try:
        plan = tool.preview(context, **arguments)
    except PunieError:
        return None
    return plan if isinstance(plan, Plan) else None


def difference(plan: Plan) -> schema.FileEditToolCallContent:
    """The real old text and the new one."""
    return schema.FileEditToolCallContent(
        type="diff", path=str(plan.target), old_text=plan.before, new_text=plan.after
    )


def places(
    workspace: Workspace, arguments: dict[str, Any], result: Result | None = None
) -> list[schema.ToolCallLocation]:
    """Files and lines that a call names and, once it has one, those of its result."""
    found: dict[tuple[str, int | None], None] = {}
    line = arguments.get("line") or arguments.get("start_line")
    for name in ("path", "file_path"):
        if isinstance(given := arguments.get(name), str) and given != ".":
            _add(found, workspace, given, line)
    for item in _items(result) if result else ():
        file = getattr(item, "file", None) or getattr(item, "path", None)
        if isinstance(file, str) and file:
            _add(found, workspace, file, getattr(item, "line", None) or None)
        if len(found) >= MOST_PLACES:
            break
    return [schema.ToolCallLocation(path=path, line=number) for path, number in found]


def _items(item: Item) -> Iterator[Item]:
    """The items in a result's lists."""
    for name in type(item).model_fields:
        value = getattr(item, name)
        for each in value if isinstance(value, list) else ():
            if isinstance(each, Item):
                yield each


def _add(
    found: dict[tuple[str, int | None], None], workspace: Workspace, given: str, line: int | None
) -> None:
    try:
        path = workspace.path(given.partition("::")[0])
    except PunieError:
        return
    if Path(path).is_file():
        found[str(path), line] = None
