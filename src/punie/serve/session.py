"""A session: a workspace, a conversation, a mode and a model. Its collaborators open at first use.

Modes: `read-only` refuses tests, writes and commands; `ask` asks the client; `yes` allows all.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

from acp import interfaces, schema

from punie.agent import Agent, Answer
from punie.models.spec import Model
from punie.remembered import Scope
from punie.sandbox import Sandbox
from punie.serve.client import Abilities
from punie.serve.sessions import MOST_TITLE, Record, Sessions
from punie.serve.turn import Turn
from punie.settings import Settings
from punie.terminal import visible
from punie.tool import load_tools, tools_hash
from punie.trace import keep
from punie.wrap import Approver, Context, Request, no_objection, unwatched

MODES = {
    "read-only": "Refuse tests, writes and commands.",
    "ask": "Ask before tests, writes and commands.",
    "yes": "Allow tests, writes and commands without asking.",
}

OpenContext = Callable[[Path, Settings, Approver], AbstractAsyncContextManager[Context]]
OpenModel = Callable[[Settings], "asyncio.Task[Model]"]


class Session:
    """One conversation about one workspace. `turn` is the task that answers now, if any."""

    def __init__(
        self, record: Record, settings: Settings, open_context: OpenContext, open_model: OpenModel
    ) -> None:
        self.record, self.settings = record, settings
        self.turn: asyncio.Task[None] | None = None
        self._open_context, self._open_model = open_context, open_model
        self._stack = AsyncExitStack()
        self._asking: Turn | None = None
        self._context: Context | None = None
        self._sandbox: Sandbox | None = None

    async def approve(self, request: Request) -> bool | Scope:
        """The context's approver: the turn that runs asks its client."""
        return self._asking is not None and await self._asking.approve(request)

    async def ask(
        self, query: str, client: interfaces.Client, abilities: Abilities, store: Sessions
    ) -> None:
        """Answer a question and show all that happens; cancelled, close what is open.

        Raises `PunieError` when there is no usable model. The turn is stored in any case.
        """
        context, sandbox = await self._collaborators()
        turn = Turn(self.record.id, client, context, abilities)
        block = schema.TextContentBlock(type="text", text=query)
        said = schema.UserMessageChunk(session_update="user_message_chunk", content=block)
        turn.updates.append(said.model_dump(mode="json", by_alias=True, exclude_none=True))
        if not self.record.title:
            self.record.title = " ".join(query[:500].split())[:MOST_TITLE]
            await turn.show(
                schema.SessionInfoUpdate(
                    session_update="session_info_update",
                    title=visible(self.record.title),
                    updated_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
                )
            )
        try:
            model = await asyncio.shield(self._open_model(self._now()))
            self._asking, context.watcher = turn, turn.watch
            context.editor, context.recalled = turn.client_side(), turn.recalled
            context.writing = turn.draft.write
            agent = _agent(model, sandbox, context)
            agent.interrupted = self._trace
            answer = await agent.ask(query, self.record.messages)
            self.record.messages = answer.messages
            await turn.say(_told(answer))
            self._trace(answer)
        finally:
            self._asking, context.watcher, context.editor = None, unwatched, None
            context.recalled, context.writing = no_objection, None
            try:
                await turn.close()
            finally:
                self._store(turn, store)

    def set_mode(self, mode: str) -> None:
        """Change the mode, also of a turn that runs."""
        self.record.mode = mode
        if self._context:
            self._context.settings = self._now()

    async def close(self) -> None:
        """Cancel the turn that runs and end the children."""
        if turn := self.turn:
            turn.cancel()
            await asyncio.wait([turn])
        await self._stack.aclose()

    def _now(self) -> Settings:
        mode = self.record.mode
        return self.settings.model_copy(
            update={
                "read_only": mode == "read-only",
                "yes": mode == "yes",
                "model": self.record.model,
            }
        )

    async def _collaborators(self) -> tuple[Context, Sandbox]:
        if self._context is None or self._sandbox is None:
            opened = self._open_context(Path(self.record.workspace), self._now(), self)
            self._context = await self._stack.enter_async_context(opened)
            sandbox = Sandbox(load_tools().values(), self.settings)
            self._sandbox = await self._stack.enter_async_context(sandbox)
        self._context.settings = self._now()
        return self._context, self._sandbox

    def _trace(self, answer: Answer) -> None:
        if note := keep(answer, Path(self.record.workspace), self.settings):
            print(f"punie: {note}", file=sys.stderr)

    def _store(self, turn: Turn, store: Sessions) -> None:
        """A store that cannot be written costs a note, not the answer."""
        if self.settings.traces:
            try:
                store.add(self.record, turn.updates)
            except (OSError, sqlite3.Error, ValueError) as error:
                print(f"punie: the session was not stored: {error}", file=sys.stderr)


def _agent(model: Model, sandbox: Sandbox, context: Context) -> Agent:
    named = {
        "name": model.engine.name,
        "engine": model.engine.kind,
        "sha256": model.engine.sha256,
        "tools": tools_hash(sandbox.tools.values()),
    }
    return Agent(
        model.engine, sandbox, context, dialect=model.dialect, profile=model.profile, model=named
    )


def _told(answer: Answer) -> str:
    """The answer, and what went wrong unless it says so itself."""
    parts = [answer.answer] if answer.answer else []
    if not answer.ok and answer.error and answer.error not in answer.answer:
        parts.append(answer.error)
    return "\n\n".join(parts) or "There is no answer."
