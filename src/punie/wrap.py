"""What is true of every call, as wrappers around a tool: approve, limit, fail honestly, cut."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, cast

from punie.approvals import Rule
from punie.errors import ApprovalRefused, ToolFailure, UsageError
from punie.remembered import Remembered, Scope, Subject, subject_of
from punie.settings import Settings
from punie.threads import in_thread
from punie.tool import DEFAULT_LIMIT, Effect, Item, Result, Tool, short
from punie.workspace import Completed, Workspace

if TYPE_CHECKING:
    from punie.navigation.lsp import LanguageServer

LOG = logging.getLogger("punie")
T = TypeVar("T")
MOST_JSON = 2_000_000
"""Characters of text that a result may have; lists of a larger one lose their last items."""
MOST_ITEM = 4000
"""Bytes of one text of an item in a list."""
ROOM = 1000
"""Bytes of a program's output that a text leaves free, so that it can be printed with a word."""
PATHS = frozenset({"path", "file_path"})
"""Parameters that name a path of the workspace."""
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
    arguments: dict[str, Any] = field(default_factory=dict)
    """Arguments of the call, as they were given."""
    covers: str = ""
    """What an answer that lasts would cover, in words; empty where none can last."""


class Approver(Protocol):
    """Decides about effects."""

    async def approve(self, request: Request) -> bool | Scope:
        """Whether the effect may happen, True for this once, or how long the answer holds;
        raises `ApprovalRefused` to say why not."""
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


class Editor(Protocol):
    """The program in which the user works, where that does some things itself."""

    async def write(self, path: Path, text: str) -> bool:
        """Write a text file; False when it leaves that to Punie. Raises `ToolFailure`."""

    async def run(self, command: str, seconds: float) -> Completed | None:
        """Run a shell command for at most so long; None when it leaves that to Punie. Raises
        `ToolFailure`."""


@dataclass(frozen=True)
class ProgramStarted:
    """A program is about to run."""

    code: str


@dataclass(frozen=True)
class ProgramEnded:
    """A program has run, or was stopped."""

    told: str
    """What the run tells: its output, or why it failed."""
    ok: bool


@dataclass(frozen=True)
class CallStarted:
    """A tool was called; its approval, if it needs one, comes next."""

    tool: Tool
    arguments: dict[str, Any]


@dataclass(frozen=True)
class CallEnded:
    """A call has ended or was refused. A cancelled call ends without this."""

    call: Call
    result: Result


Event = ProgramStarted | ProgramEnded | CallStarted | CallEnded
Watcher = Callable[[Event], Awaitable[None]]
"""Is told what a question does while it happens; what it raises ends the question."""


async def unwatched(event: Event) -> None:
    """Nobody looks on."""


async def no_objection(request: Request) -> None:
    """Nothing stands against it."""


def unheard(text: str) -> None:
    """Nobody reads along."""


@dataclass
class Context:
    """The collaborators that a tool gets as its first argument."""

    workspace: Workspace
    settings: Settings
    language_server: LanguageServer
    approver: Approver = field(default_factory=Refuse)
    trusted: bool = False
    """Whether the user trusts the workspace's own code."""
    remembered: Remembered = field(default_factory=Remembered)
    """What the user allowed for longer than one call; asked at each, since it may be revoked."""
    recalled: Callable[[Request], Awaitable[None]] = no_objection
    """Told of an effect that happens by an earlier answer; raises `ApprovalRefused` where
    something stands against it now."""
    approved: object = None
    """What the tool's preview made and the user approved, for the tool to carry out."""
    watcher: Watcher = unwatched
    """Told of programs and calls as they start and end."""
    writing: Callable[[str], None] | None = None
    """Gets a program as far as the model has written it, "" when it begins: to be shown. It is
    neither checked nor run before it is whole, and may be dropped."""
    editor: Editor | None = None
    """What writes files and runs commands instead of Punie, after approval."""
    printed: Callable[[str], None] = unheard
    """Gets what a program prints as it comes, in whole lines: together its `stdout`."""


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
    shown = {p.name: p.default for p in tool.parameters if not p.required} | arguments
    shown = {name: value for name, value in shown.items() if value is not None}
    await context.watcher(CallStarted(tool, arguments))
    try:
        await _limited(tool, context, in_thread(_reach, context, arguments))
        context = replace(context, approved=await _approve(tool, context, arguments))
        result = await _limited(tool, context, tool.function(context, **arguments))
    except (ToolFailure, UsageError) as error:
        result = tool.result(success=False, parse_error=str(error))
    except ApprovalRefused as error:
        result = tool.result(success=False, parse_error=str(error))
        await context.watcher(CallEnded(Call(tool.name, shown, False, str(error), 0.0), result))
        raise
    except Exception as error:  # a defect of a tool must not take the question with it
        reason = f"{tool.name} failed: {type(error).__name__}: {error}"
        result = tool.result(success=False, parse_error=reason)
    cut(result, context.settings.output_kb * 1000, arguments.get("limit", DEFAULT_LIMIT))
    ms = round((time.perf_counter() - start) * 1000, 3)
    done = Call(tool.name, shown, result.success, result.parse_error, ms)
    await context.watcher(CallEnded(done, result))
    return result, done


async def _approve(tool: Tool, context: Context, arguments: dict[str, Any]) -> object:
    """What the user was shown and approved; None where nobody had to be asked."""
    if tool.effect is Effect.READ:
        return None
    shown = ", ".join(f"{k}={short(v)}" for k, v in arguments.items())
    if context.settings.read_only:
        raise ApprovalRefused(
            f"{tool.name}({shown}) was refused: --read-only allows no {tool.effect}"
        )
    decided = await _limited(tool, context, in_thread(_decided, tool, context, arguments))
    if decided and decided[0] == "refuse":
        raise ApprovalRefused(f"{tool.name}({shown}) was refused by your rule: {decided[1]}")
    if decided or context.settings.yes or (tool.effect is Effect.TEST and context.trusted):
        return None
    subject = subject_of(tool, context.workspace, arguments)
    title, covers = f"{tool.name} {shown}", str(subject or "")
    if subject and context.remembered.covers(subject):
        await context.recalled(Request(tool.name, tool.effect, title, "", arguments, covers))
        return None
    preview: object = ""
    if tool.preview:
        making = in_thread(tool.preview, context, **arguments)
        preview = await _limited(tool, context, making)
    request = Request(tool.name, tool.effect, title, str(preview), arguments, covers)
    answer = await context.approver.approve(request)
    if not answer:
        way_out = "approve it in a terminal, or give --yes"
        raise ApprovalRefused(f"{tool.name}({shown}) was refused: {way_out}")
    if subject and answer in ("session", "always"):
        _remember(context, subject, cast(Scope, answer))
    return preview


def _remember(context: Context, subject: Subject, scope: Scope) -> None:
    """Keep an answer; where that fails it holds this once, and a note says so."""
    try:
        context.remembered.keep(subject, scope)
    except (OSError, ValueError, UsageError) as error:
        LOG.warning("the approval holds this once, since it was not stored: %s", error)


def _decided(
    tool: Tool, context: Context, arguments: dict[str, Any]
) -> tuple[Literal["allow", "refuse"], Rule] | None:
    """What the owner's rules say of a call. A path is the place that it leads to."""
    path, command = arguments.get("path"), arguments.get("command")
    if path is not None:
        path = context.workspace.relative(context.workspace.path(path).resolve())
    return context.settings.approve.decide(tool.effect.value, tool.name, path, command)


def _reach(context: Context, arguments: dict[str, Any]) -> None:
    """Look at the paths of a call, so that one on a file system that hangs is met here, in a
    thread, and not in the event loop, where no time limit could end it.
    """
    for name in PATHS & arguments.keys():
        with contextlib.suppress(OSError, ValueError, TypeError):
            (context.workspace.root / arguments[name]).stat()


async def _limited(tool: Tool, context: Context, running: Awaitable[T]) -> T:
    slow = tool.effect in (Effect.TEST, Effect.RUN)
    seconds = context.settings.test_seconds if slow else context.settings.tool_seconds
    try:
        # Tools that keep partial results end by themselves a little earlier.
        async with asyncio.timeout(seconds + (2.0 if slow else 0.0)):
            return await running
    except TimeoutError:
        raise ToolFailure(f"{tool.name} took longer than its limit of {seconds:g} s") from None


def cut(result: Result, most: int, limit: int = DEFAULT_LIMIT) -> None:
    """Bound a result in place and say so in `truncated`; counts stay those of the whole.

    Its own texts are cut in the middle at `most` bytes less `ROOM`, those of its items at
    `MOST_ITEM` characters, every list at `limit` items, the longest list until all texts together
    hold `MOST_JSON` characters. What reaches a model is what a program prints of it, within
    `most` bytes in all: the sandbox sees to that.
    """
    room = most - min(ROOM, most // 8)
    was_cut, bulk = _cut_fields(result, room, room, limit)
    if was_cut:
        result.truncated = True
    # Writing it all is slow, and ten characters for one are the most that it takes.
    size = len(repr(result)) if bulk > MOST_JSON // 10 else 0
    while size > MOST_JSON and (longest := _longest_list(result)):
        keep = int(len(longest) * MOST_JSON / size * 0.9)
        del longest[min(keep, len(longest) - 1) :]
        result.truncated = True
        size = len(repr(result))


def _cut_fields(item: Item, most: int, room: int, limit: int) -> tuple[bool, int]:
    """Whether a text or list of an item, or of one in its lists, was too long; its characters.

    `most` is for its own texts, `room` for those in lists, such as hunks.
    """
    found, bulk = False, 0
    for name, value in vars(item).items():
        bulk += len(name)
        if isinstance(value, str):
            bulk += len(value)
            if (shorter := middle_cut(value, most)) is not value and shorter != value:
                setattr(item, name, shorter)
                found = True
        elif isinstance(value, list):
            found = found or len(value) > limit
            del value[limit:]
            for number, each in enumerate(value):
                if isinstance(each, Item):
                    inner, more = _cut_fields(each, min(room, MOST_ITEM), room, limit)
                    found, bulk = found or inner, bulk + more
                elif isinstance(each, str):
                    bulk += len(each)
                    if (shorter := middle_cut(each, room)) != each:
                        value[number] = shorter
                        found = True
    return found, bulk


def _longest_list(item: Item) -> list[Any] | None:
    lists = [v for n in type(item).model_fields if isinstance(v := getattr(item, n), list) and v]
    return max(lists, key=len, default=None)


def notes(*told: str) -> str | None:
    """What a successful result has to say besides its fields, as its `parse_error`; None = nothing.

    Empty texts are left out.
    """
    return "; ".join(filter(None, told)) or None


def middle_cut(text: str, most: int) -> str:
    """At most `most` bytes of UTF-8 of a text: its start, a note of what was cut, its end."""
    if len(text) * 4 <= most:
        return text
    data = text.encode("utf-8", "surrogatepass")
    if len(data) <= most:
        return text
    half = max(most - len(CUT_NOTE.format(n=len(text)).encode()), 0) // 2
    start = data[:half].decode("utf-8", "ignore")
    end = data[len(data) - half :].decode("utf-8", "ignore")
    return start + CUT_NOTE.format(n=len(text) - len(start) - len(end)) + end
