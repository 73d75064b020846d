"""What is true of every call, as wrappers around a tool: approve, limit, fail honestly, cut."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from punie.errors import ApprovalRefused, ToolFailure, UsageError
from punie.settings import Settings
from punie.tool import Effect, Item, Result, Tool
from punie.workspace import Workspace

if TYPE_CHECKING:
    from punie.lsp import LanguageServer

MOST_JSON = 2_000_000
"""Characters of text that a result may have; lists of a larger one lose their last items."""
CUT_NOTE = "\n… [{n} characters cut] …\n"


@dataclass(frozen=True)
class Request:
    """An effect that needs the user's approval."""

    tool: str
    effect: Effect
    title: str
    """The path or command, on one line."""
    detail: str
    """The diff or the whole command; may be empty."""


class Approver(Protocol):
    """Decides about effects."""

    async def approve(self, request: Request) -> bool:
        """Whether the effect may happen."""
        ...


class Refuse:
    """Refuses everything: for runs without a terminal."""

    async def approve(self, request: Request) -> bool:
        """Always False."""
        return False


class Allow:
    """Approves everything, and keeps what it approved; the public fake."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    async def approve(self, request: Request) -> bool:
        """Always True."""
        self.requests.append(request)
        return True


@dataclass
class Context:
    """The collaborators that a tool gets as its first argument."""

    workspace: Workspace
    settings: Settings
    language_server: LanguageServer
    approver: Approver = field(default_factory=Refuse)
    trusted: bool = False
    """Whether the user trusts the workspace's own code."""
    on_trust: Callable[[], None] = lambda: None
    """Called when the user has trusted the workspace by approving a test run."""


@dataclass
class Call:
    """The record of one call, as traces and answers show it."""

    tool: str
    args: dict[str, Any]
    """Arguments by name, defaults included, those that are None left out."""
    ok: bool
    error: str | None
    ms: float
    """Wall time of the call in milliseconds."""
    fields: list[str] = field(default_factory=list)
    """Fields that the program read, as `Class.field`, sorted."""


Progress = Callable[[str], None]


async def call(tool: Tool, context: Context, arguments: dict[str, Any]) -> tuple[Result, Call]:
    """Call a tool as every caller does; a failure is a result with `success` false.

    Raises `ApprovalRefused` only. Arguments come from `Tool.bind` or `Tool.parse`.
    """
    start = time.perf_counter()
    try:
        await _approve(tool, context, arguments)
        result = await _limited(tool, context, tool.function(context, **arguments))
    except (ToolFailure, UsageError) as error:
        result = tool.result(success=False, parse_error=str(error))
    except ApprovalRefused:
        raise
    except Exception as error:  # a defect of a tool must not take the question with it
        reason = f"{tool.name} failed: {type(error).__name__}: {error}"
        result = tool.result(success=False, parse_error=reason)
    cut(result, context.settings.output_kb * 1000)
    ms = round((time.perf_counter() - start) * 1000, 3)
    shown = {p.name: p.default for p in tool.parameters if not p.required} | arguments
    shown = {name: value for name, value in shown.items() if value is not None}
    return result, Call(tool.name, shown, result.success, result.parse_error, ms)


async def _approve(tool: Tool, context: Context, arguments: dict[str, Any]) -> None:
    if tool.effect is Effect.READ:
        return
    shown = ", ".join(f"{k}={_short(v)}" for k, v in arguments.items())
    if context.settings.read_only:
        raise ApprovalRefused(
            f"{tool.name}({shown}) was refused: --read-only allows no {tool.effect}"
        )
    if context.settings.yes or (tool.effect is Effect.TEST and context.trusted):
        return
    detail = tool.preview(context, **arguments) if tool.preview else ""
    title = f"{tool.name} {shown}"
    if not await context.approver.approve(Request(tool.name, tool.effect, title, detail)):
        way_out = "approve it in a terminal, or give --yes"
        raise ApprovalRefused(f"{tool.name}({shown}) was refused: {way_out}")
    if tool.effect is Effect.TEST:
        context.trusted = True
        context.on_trust()


async def _limited(tool: Tool, context: Context, running: Awaitable[Result]) -> Result:
    slow = tool.effect in (Effect.TEST, Effect.RUN)
    seconds = context.settings.test_seconds if slow else context.settings.tool_seconds
    try:
        # Tools that keep partial results end by themselves a little earlier.
        async with asyncio.timeout(seconds + (2.0 if slow else 0.0)):
            return await running
    except TimeoutError:
        raise ToolFailure(f"{tool.name} took longer than its limit of {seconds:g} s") from None


def cut(item: Item, most: int) -> None:
    """Cut a result in place: texts over `most` characters in the middle, lists over `MOST_JSON`.

    What reaches a model is what a program prints, which has a limit of its own.
    """
    for name in type(item).model_fields:
        value = getattr(item, name)
        if isinstance(value, str) and len(value) > most:
            setattr(item, name, middle_cut(value, most))
            if isinstance(item, Result):
                item.truncated = True
    size = len(repr(item))
    while size > MOST_JSON and isinstance(item, Result) and (longest := _longest_list(item)):
        keep = int(len(longest) * MOST_JSON / size * 0.9)
        del longest[min(keep, len(longest) - 1) :]
        item.truncated = True
        size = len(repr(item))


def _longest_list(item: Item) -> list[Any] | None:
    lists = [v for n in type(item).model_fields if isinstance(v := getattr(item, n), list) and v]
    return max(lists, key=len, default=None)


def middle_cut(text: str, most: int) -> str:
    """At most about `most` characters of a text: its start, a note of what was cut, its end."""
    if len(text) <= most:
        return text
    half = most // 2
    return text[:half] + CUT_NOTE.format(n=len(text) - 2 * half) + text[-half:]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
