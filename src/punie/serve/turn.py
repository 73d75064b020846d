"""One turn of a session as the client sees it: told of calls, asked for approval, shown the answer.

A call stands as pending, in progress, completed or failed; whatever is still open when the turn
ends, also by cancelling, is closed as failed.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from acp import interfaces, schema

from punie.errors import ApprovalRefused
from punie.remembered import Scope
from punie.serve import looks
from punie.serve.client import Abilities, ClientSide
from punie.serve.draft import Draft
from punie.terminal import visible
from punie.tool import Effect, Tool, load_tools
from punie.wrap import (
    CallEnded,
    CallStarted,
    Context,
    Event,
    ProgramEnded,
    ProgramStarted,
    Request,
)

Update: TypeAlias = (
    schema.UserMessageChunk
    | schema.AgentMessageChunk
    | schema.ToolCallStart
    | schema.ToolCallProgress
    | schema.CurrentModeUpdate
    | schema.ConfigOptionUpdate
    | schema.SessionInfoUpdate
)


SCOPES: dict[str, Scope] = {
    "allow_once": "once",
    "allow_session": "session",
    "allow_always": "always",
}
"""How long the answer of an option holds."""


@dataclass
class _Open:
    """A call that has not ended."""

    id: str
    tool: Tool
    arguments: dict[str, Any]
    terminal: list[schema.TerminalToolCallContent] = field(default_factory=list)
    """The client's terminal that shows what a command prints."""


@dataclass
class Turn:
    """One question on its way. `watch` and `approve` are what its context calls."""

    session: str
    client: interfaces.Client
    context: Context
    abilities: Abilities
    updates: list[dict[str, Any]] = field(default_factory=list)
    """What was shown, as it was sent."""
    _program: str = ""
    _printed: str = ""
    """What the last program told."""
    _call: _Open | None = None

    def __post_init__(self) -> None:
        self.draft = Draft(self._send)

    async def show(self, update: Update) -> None:
        """Send an update and keep it."""
        self._keep(update)
        await self._send(update)

    def _keep(self, update: Update) -> None:
        self.updates.append(update.model_dump(mode="json", by_alias=True, exclude_none=True))

    async def _send(self, update: Update) -> None:
        with contextlib.suppress(ConnectionError):  # who has gone may load it later
            await self.client.session_update(session_id=self.session, update=update)

    async def say(self, text: str) -> None:
        """The answer: what a program printed as it stands there, words as the Markdown they are."""
        text = visible(text)
        if self._printed and text.startswith(visible(self._printed)):
            text = looks.as_printed(text)
        block = schema.TextContentBlock(type="text", text=text)
        await self.show(
            schema.AgentMessageChunk(session_update="agent_message_chunk", content=block)
        )

    async def watch(self, event: Event) -> None:
        """Show what happens: the context's watcher."""
        match event:
            case ProgramStarted(code):
                drawn = await self.draft.settle()
                self._program = drawn or looks.new_call()
                title, content = looks.headline(code), [looks.fenced(code, "python")]
                given: dict[str, Any] = {"content": content, "raw_input": {"code": code}}
                start = _start(self._program, title, "execute", **given)
                if drawn:  # the client knows the call, and a session loaded again does not
                    self._keep(start)
                    more = _update(drawn, title=title, status="in_progress", **given)
                    await self._send(more)
                else:
                    await self.show(start)
            case ProgramEnded(told, ok):
                await self._close_call()
                shown = self._program_content(told)
                await self._update(self._program, status=_status(ok), content=shown)
                self._program, self._printed = "", told
            case CallStarted(tool, arguments):
                await self._call_started(tool, arguments)
            case CallEnded(call, result):
                assert self._call is not None
                done, self._call = self._call, None
                workspace = self.context.workspace
                options: dict[str, Any] = {}
                if done.tool.effect is not Effect.WRITE:  # a write shows its diff
                    options["content"] = [*done.terminal, looks.fenced(str(result))]
                elif not call.ok:
                    options["content"] = [looks.text(f"{call.error}")]
                if found := looks.places(workspace, done.arguments, result):
                    options["locations"] = found
                await self._update(done.id, status=_status(call.ok), **options)

    async def approve(self, request: Request) -> Scope:
        """Ask the client; how long its answer holds.

        Raises `ApprovalRefused`, whose text stands in the answer.
        """
        tool = load_tools()[request.tool]
        await self._refuse_unsaved(tool, request)
        assert self._call is not None
        plan = looks.planned(self.context, tool, request.arguments)
        update = schema.ToolCallUpdate(
            tool_call_id=self._call.id,
            title=looks.title(tool, request.arguments),
            kind=looks.KINDS[tool.effect],
            status="pending",
            content=[looks.difference(plan) if plan else looks.fenced(request.detail)],
            locations=looks.places(self.context.workspace, request.arguments) or None,
            raw_input=looks.raw(request.arguments),
        )
        response = await self.client.request_permission(
            session_id=self.session, tool_call=update, options=_options(tool, request.covers)
        )
        chosen = getattr(response.outcome, "option_id", "")
        if chosen not in SCOPES:
            raise ApprovalRefused(f"{looks.title(tool, request.arguments)} was refused")
        await self._update(self._call.id, status="in_progress")
        return SCOPES[chosen]

    async def recalled(self, request: Request) -> None:
        """What happens by an earlier answer; raises `ApprovalRefused` as `approve` does."""
        await self._refuse_unsaved(load_tools()[request.tool], request)

    def client_side(self) -> ClientSide:
        """The client as the tools of this turn use it."""
        context = self.context

        async def embed(terminal: schema.TerminalToolCallContent) -> None:
            if self._call:
                self._call.terminal = [terminal]
                await self._update(self._call.id, status="in_progress", content=[terminal])

        most = int(context.settings.output_kb * 1024)
        root = context.workspace.root
        return ClientSide(self.session, self.client, self.abilities, root, most, embed)

    async def close(self) -> None:
        """Close as failed whatever is still open."""
        if drawn := await self.draft.settle():
            await self._send(_update(drawn, status="failed"))
        await self._close_call()
        if self._program:
            program, self._program = self._program, ""
            await self._update(program, status="failed")

    async def _call_started(self, tool: Tool, arguments: dict[str, Any]) -> None:
        await self._close_call()
        self._call = _Open(looks.new_call(), tool, arguments)
        plan = looks.planned(self.context, tool, arguments)
        found = looks.places(self.context.workspace, arguments)
        if plan:
            found = [schema.ToolCallLocation(path=str(plan.target))]
        await self.show(
            _start(
                self._call.id,
                looks.title(tool, arguments),
                looks.KINDS[tool.effect],
                content=[looks.difference(plan)] if plan else None,
                locations=found or None,
                raw_input=looks.raw(arguments),
            )
        )

    async def _refuse_unsaved(self, tool: Tool, request: Request) -> None:
        """A file with changes that only the editor has is not written: they would be lost.

        Raises `ApprovalRefused`. A client that cannot read the file has nothing unsaved in it.
        """
        plan = looks.planned(self.context, tool, request.arguments)
        if not self.abilities.reads or plan is None or plan.before is None:
            return
        try:
            read = await self.client.read_text_file(session_id=self.session, path=str(plan.target))
        except Exception:  # whatever the client's reason, the file on disk is what there is
            return
        if _same(read.content) != _same(plan.before):
            raise ApprovalRefused(
                f"{plan.shown!r} has unsaved changes in the editor: save it, then ask again"
            )

    async def _close_call(self) -> None:
        if self._call:
            call, self._call = self._call, None
            await self._update(call.id, status="failed")

    def _program_content(self, told: str) -> list[Any]:
        code = next(
            (u["rawInput"]["code"] for u in self.updates if u.get("toolCallId") == self._program),
            "",
        )
        return [looks.fenced(code, "python"), looks.fenced(told)]

    async def _update(self, name: str, **options: Any) -> None:
        await self.show(_update(name, **options))


def _start(name: str, title: str, kind: schema.ToolKind, **options: Any) -> schema.ToolCallStart:
    return schema.ToolCallStart(
        session_update="tool_call",
        tool_call_id=name,
        title=title,
        kind=kind,
        status="pending" if kind == "edit" else "in_progress",
        **options,
    )


def _update(name: str, **options: Any) -> schema.ToolCallProgress:
    return schema.ToolCallProgress(session_update="tool_call_update", tool_call_id=name, **options)


def _options(tool: Tool, covers: str) -> list[schema.PermissionOption]:
    """What may be answered; each name says how long the answer holds."""
    short = visible(" ".join(covers.removeprefix(f"{tool.name} ").split()))
    short = short if len(short) <= 60 else short[:59] + "…"
    names: dict[str, tuple[schema.PermissionOptionKind, str]] = {
        "allow_once": ("allow_once", "Allow once"),
        "allow_session": ("allow_always", f"Allow {tool.effect} of {short} in this session"),
        "allow_always": (
            "allow_always",
            f"Always allow {tool.effect} of {short} here, until revoked",
        ),
        "reject": ("reject_once", "Reject once"),
    }
    return [
        schema.PermissionOption(option_id=each, kind=kind, name=name)
        for each, (kind, name) in names.items()
        if covers or each not in ("allow_session", "allow_always")
    ]


def _same(text: str) -> str:
    """Text for comparison: clients may give line ends as they like."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")


def _status(ok: bool) -> schema.ToolCallStatus:
    return "completed" if ok else "failed"
