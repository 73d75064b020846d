"""What the MCP server offers: every tool and `execute_code`, as the protocol describes tools."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from mcp import types
from pydantic import Field

from punie.sandbox import Outcome
from punie.terminal import CONTROLS
from punie.tool import Effect, Item, Result, Tool, stubs

EXECUTE = "execute_code"
"""Name of the tool that runs a program over the others."""
HINTS: dict[Effect, tuple[bool, bool, bool, bool]] = {
    Effect.READ: (True, False, True, False),
    Effect.TEST: (False, False, True, True),
    Effect.WRITE: (False, True, True, False),
    Effect.RUN: (False, True, False, True),
}
"""Effect → read-only, destructive, idempotent, open world. Tests run the repository's own code,
which may reach anything; they leave nothing in the workspace."""
MOST = 64_000
"""Bytes of JSON of one result: what a model may be given at once."""
HOW = """\
Run a Python program over the tools below, in a sandbox. What it prints is the answer.

No imports of packages, no files, network or environment: only the tools, as functions. It is
type-checked before anything runs. Check `success` of a result before you rely on it.

```python
{stubs}```"""


class ProgramCall(Item):
    """A tool call that a program made."""

    tool: str = ""
    """Name of the tool."""
    args: dict[str, Any] = Field(default_factory=dict)
    """Arguments by name."""
    ok: bool = True
    """Whether the call succeeded."""
    error: str | None = None
    """Why it failed, or None."""
    ms: float = 0.0
    """Wall time in milliseconds."""
    fields: list[str] = Field(default_factory=list)
    """Fields that the program read, as `Class.field`."""


class ProgramResult(Item):
    """What running a program gave: the object that `punie exec --json` prints."""

    ok: bool = True
    """False when the program, or a call whose `success` it did not read, failed."""
    stdout: str = ""
    """What it printed."""
    error: str | None = None
    """What went wrong, or None."""
    calls: list[ProgramCall] = Field(default_factory=list)
    """The tool calls that it made."""


def offered(
    tools: Iterable[Tool], *, choice: dict[str, Any] | None = None, read_only: bool = False
) -> list[types.Tool]:
    """All tools as MCP describes them. `choice` is the schema of a `workspace` argument."""
    chosen = list(tools)
    described = [
        _describe(t.name, t.doc, t.input_schema, t.output_schema, HINTS[t.effect], choice)
        for t in chosen
    ]
    schema = {
        "type": "object",
        "properties": {"code": {"type": "string", "description": "The program."}},
        "required": ["code"],
        "additionalProperties": False,
    }
    hints = HINTS[Effect.READ if read_only else Effect.RUN]
    how = HOW.format(stubs=stubs(chosen))
    output = ProgramResult.model_json_schema(mode="serialization")
    return [*described, _describe(EXECUTE, how, schema, output, hints, choice)]


def _describe(
    name: str,
    doc: str,
    given: dict[str, Any],
    output: dict[str, Any],
    hints: tuple[bool, bool, bool, bool],
    choice: dict[str, Any] | None,
) -> types.Tool:
    schema = given
    if choice is not None:
        schema = given | {"properties": given["properties"] | {"workspace": choice}}
    reads, destroys, repeats, outside = hints
    return types.Tool(
        name=name,
        title=name.replace("_", " ").capitalize(),
        description=doc,
        input_schema=schema,
        output_schema=output,
        annotations=types.ToolAnnotations(
            title=name.replace("_", " ").capitalize(),
            read_only_hint=reads,
            destructive_hint=destroys,
            idempotent_hint=repeats,
            open_world_hint=outside,
        ),
    )


def answer(result: Item, *, failed: bool) -> types.CallToolResult:
    """A result as structured content, and the same as JSON text, within `MOST`."""
    content = fitted(result.model_dump(mode="json"))
    text = json.dumps(content, ensure_ascii=False).encode("utf-8", "replace").decode()
    text = CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)  # for clients that print it
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=text)],
        structured_content=content,
        is_error=failed,
    )


def fitted(content: dict[str, Any], most: int = MOST) -> dict[str, Any]:
    """A result's content within so many bytes of JSON, as far as shorter lists make it so: the
    longest list, at any depth, gives way first, and `truncated` says so. Counts stay."""
    while (size := len(json.dumps(content, ensure_ascii=False).encode("utf-8", "replace"))) > most:
        longest = max(_lists(content), key=len, default=[])
        if not longest:
            break
        del longest[min(int(len(longest) * most / size * 0.9), len(longest) - 1) :]
        if "truncated" in content:
            content["truncated"] = True
    return content


def _lists(value: Any) -> Iterator[list[Any]]:
    """All lists in JSON, at any depth."""
    if isinstance(value, list):
        yield value
    for each in value.values() if isinstance(value, dict) else value:
        if isinstance(each, dict | list):
            yield from _lists(each)


def failure(name: str, tool: Tool | None, reason: str) -> types.CallToolResult:
    """A call that came to nothing, with the reason where the tool's results have it."""
    if tool is None:
        return answer(ProgramResult(ok=False, error=reason), failed=True)
    result: Result = tool.result(success=False, parse_error=reason)
    return answer(result, failed=True)


def program_result(outcome: Outcome) -> ProgramResult:
    """What a program gave."""
    reason = outcome.error or "\n".join(outcome.unread) or None
    calls = [ProgramCall(**asdict(call)) for call in outcome.calls]
    return ProgramResult(ok=reason is None, stdout=outcome.stdout, error=reason, calls=calls)
