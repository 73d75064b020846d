"""The Agent Client Protocol, version 1: Punie in editors, over standard input and output.

Beyond the protocol: a prompt's images and sound are refused; of a mentioned file only the path
reaches the model, which reads it with its tools; the client's MCP servers are not used.
Its file system and terminals are, see `punie.serve.client`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import sys
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import acp
from acp import schema
from acp.agent.connection import AgentSideConnection

from punie import __version__
from punie.errors import PunieError
from punie.models.spec import Model
from punie.serve.client import Abilities
from punie.serve.lines import Lines, standard_streams
from punie.serve.session import MODES, OpenContext, Session
from punie.serve.sessions import Record, Sessions
from punie.settings import Settings

PAGE = 50
"""Sessions that one answer to `session/list` holds."""
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals that end the server as the end of its input does."""

ConfigOptions = list[schema.SessionConfigOptionSelect | schema.SessionConfigOptionBoolean]


class Server:
    """Answers one client. Models are loaded once and shared by its sessions."""

    def __init__(
        self,
        settings_for: Callable[[Path], Settings],
        open_context: OpenContext,
        load_model: Callable[[Settings], Awaitable[Model]],
        models: list[str],
        mode: str = "ask",
        store: Sessions | None = None,
    ) -> None:
        self.settings_for, self.open_context = settings_for, open_context
        self.load_model = load_model
        self.models, self.mode, self.store = models, mode, store or Sessions()
        self.sessions: dict[str, Session] = {}
        self._loaded: dict[str, asyncio.Task[Model]] = {}
        self._abilities = Abilities()
        self._client: acp.Client

    def on_connect(self, conn: acp.Client) -> None:
        """The client is there."""
        self._client = conn

    async def initialize(
        self,
        protocol_version: int,
        client_capabilities: schema.ClientCapabilities | None = None,
        **rest: Any,
    ) -> schema.InitializeResponse:
        """Agree on version 1, the only one there is."""
        self._abilities = Abilities.of(client_capabilities)
        return schema.InitializeResponse(
            protocol_version=acp.PROTOCOL_VERSION,
            agent_info=schema.Implementation(name="punie", title="Punie", version=__version__),
            agent_capabilities=schema.AgentCapabilities(
                load_session=True,
                prompt_capabilities=schema.PromptCapabilities(
                    image=False, audio=False, embedded_context=False
                ),
                mcp_capabilities=schema.McpCapabilities(http=False, sse=False),
                session_capabilities=schema.SessionCapabilities(
                    list=schema.SessionListCapabilities(),
                    resume=schema.SessionResumeCapabilities(),
                    close=schema.SessionCloseCapabilities(),
                ),
            ),
            auth_methods=[],
        )

    async def new_session(self, cwd: str, **rest: Any) -> schema.NewSessionResponse:
        """A conversation about the folder `cwd`."""
        record = Record(str(uuid.uuid4()), cwd, self.mode, self.models[0])
        session = self._opened(record, cwd)
        self._keep(session)  # it may be asked in another process first
        return schema.NewSessionResponse(
            session_id=record.id, modes=_modes(session), config_options=self._options(session)
        )

    async def load_session(
        self, cwd: str, session_id: str, **rest: Any
    ) -> schema.LoadSessionResponse:
        """Take up a session of any process; all that it showed is sent before the answer."""
        session = self._taken_up(cwd, session_id)
        for update in self.store.updates(session_id):
            shown = schema.SessionNotification.model_validate(
                {"sessionId": session_id, "update": update}
            )
            await self._client.session_update(session_id=session_id, update=shown.update)
        return schema.LoadSessionResponse(
            modes=_modes(session), config_options=self._options(session)
        )

    async def resume_session(
        self, session_id: str, cwd: str, **rest: Any
    ) -> schema.ResumeSessionResponse:
        """As `load_session`, without showing anything again."""
        session = self._taken_up(cwd, session_id)
        return schema.ResumeSessionResponse(
            modes=_modes(session), config_options=self._options(session)
        )

    async def list_sessions(
        self, cwd: str | None = None, cursor: str | None = None, **rest: Any
    ) -> schema.ListSessionsResponse:
        """Stored sessions, newest first; of one workspace if `cwd` is given."""
        if cursor is not None and not cursor.isdecimal():
            raise _wrong(f"cursor {cursor!r} is none of ours")
        skip = int(cursor or 0)
        found = self.store.listed(str(Path(cwd).resolve()) if cwd else None, skip, PAGE + 1)
        sessions = [
            schema.SessionInfo(
                session_id=each.id, cwd=each.workspace, title=each.title, updated_at=each.updated
            )
            for each in found[:PAGE]
        ]
        more = str(skip + PAGE) if len(found) > PAGE else None
        return schema.ListSessionsResponse(sessions=sessions, next_cursor=more)

    async def close_session(self, session_id: str, **rest: Any) -> schema.CloseSessionResponse:
        """End a session's children; what is stored of it stays."""
        session = self._session(session_id)
        del self.sessions[session_id]
        await session.close()
        return schema.CloseSessionResponse()

    async def set_session_mode(
        self, mode_id: str, session_id: str, **rest: Any
    ) -> schema.SetSessionModeResponse:
        """Change what is allowed."""
        session = self._session(session_id)
        self._set_mode(session, mode_id)
        update = schema.ConfigOptionUpdate(
            session_update="config_option_update", config_options=self._options(session)
        )
        await self._client.session_update(session_id=session_id, update=update)
        return schema.SetSessionModeResponse()

    async def set_config_option(
        self, config_id: str, session_id: str, value: str | bool, **rest: Any
    ) -> schema.SetSessionConfigOptionResponse:
        """Change the mode or the model; a model is loaded at the next question."""
        session = self._session(session_id)
        if config_id == "mode":
            self._set_mode(session, str(value))
            update = schema.CurrentModeUpdate(
                session_update="current_mode_update", current_mode_id=session.record.mode
            )
            await self._client.session_update(session_id=session_id, update=update)
        elif config_id == "model":
            if value not in self._offered(session):
                raise _wrong(f"model {value!r} is none of {self._offered(session)}")
            session.record.model = str(value)
            self._keep(session)
        else:
            raise _wrong(f"option {config_id!r} is none of ['mode', 'model']")
        return schema.SetSessionConfigOptionResponse(config_options=self._options(session))

    async def prompt(
        self, prompt: list[Any], session_id: str, **rest: Any
    ) -> schema.PromptResponse:
        """Answer a question; `cancelled` when the client cancelled it, never an error then."""
        session = self._session(session_id)
        if session.turn:
            raise _wrong("this session is answering already: wait for it, or cancel it")
        query = question(prompt, Path(session.record.workspace))
        if not query.strip():
            raise _wrong("the question is empty: write what you want to know")
        work = session.ask(query, self._client, self._abilities, self.store)
        session.turn = asyncio.create_task(work)
        try:
            await asyncio.wait([session.turn])
            if session.turn.cancelled():
                return schema.PromptResponse(stop_reason="cancelled")
            session.turn.result()
        except PunieError as error:
            raise acp.RequestError(-32603, str(error)) from None
        finally:
            session.turn.cancel()  # the client has gone, if it still runs
            session.turn = None
        return schema.PromptResponse(stop_reason="end_turn")

    async def cancel(self, session_id: str, **rest: Any) -> None:
        """Cancel the turn that runs; its children end."""
        session = self.sessions.get(session_id)
        if session and session.turn:
            session.turn.cancel()

    async def close(self) -> None:
        """End everything: turns, children, models."""
        sessions, self.sessions = list(self.sessions.values()), {}
        for session in sessions:
            await session.close()
        for task in self._loaded.values():
            with contextlib.suppress(PunieError, asyncio.CancelledError):
                await (await task).engine.close()

    def _opened(self, record: Record, cwd: str) -> Session:
        root = Path(cwd)
        if not root.is_absolute() or not root.is_dir():
            raise _wrong(f"cwd {cwd!r} is no absolute path of a folder")
        record.workspace = str(root.resolve())
        try:
            settings = self.settings_for(root)
        except PunieError as error:
            raise _wrong(str(error)) from None
        session = Session(record, settings, self.open_context, self._model)
        self.sessions[record.id] = session
        return session

    def _taken_up(self, cwd: str, name: str) -> Session:
        if name in self.sessions:
            return self.sessions[name]
        record = self.store.get(name)
        if record is None:
            raise acp.RequestError.resource_not_found(name)
        if record.model not in self.models:
            record.model = self.models[0]  # it was offered by a process of other options
        return self._opened(record, cwd)

    def _session(self, name: str) -> Session:
        if name not in self.sessions:
            raise acp.RequestError.resource_not_found(name)
        return self.sessions[name]

    def _set_mode(self, session: Session, mode: str) -> None:
        if mode not in MODES:
            raise _wrong(f"mode {mode!r} is none of {list(MODES)}")
        session.set_mode(mode)
        self._keep(session)

    def _keep(self, session: Session) -> None:
        """Store what is set, so that it holds in another process, too."""
        if session.settings.traces:
            try:
                self.store.add(session.record, [])
            except (OSError, sqlite3.Error, ValueError) as error:
                print(f"punie: the session was not stored: {error}", file=sys.stderr)

    def _model(self, settings: Settings) -> asyncio.Task[Model]:
        """The model being loaded, or loaded; one that failed is tried again."""
        task = self._loaded.get(settings.model)
        if task is None or (task.done() and (task.cancelled() or task.exception())):
            loading = self.load_model(settings)
            task = self._loaded[settings.model] = asyncio.ensure_future(loading)
        return task

    def _offered(self, session: Session) -> list[str]:
        return list(dict.fromkeys([*self.models, session.record.model]))

    def _options(self, session: Session) -> ConfigOptions:
        """Mode and model as options: clients that know options show no modes."""
        mode = schema.SessionConfigOptionSelect(
            id="mode",
            name="Mode",
            category="mode",
            type="select",
            current_value=session.record.mode,
            options=[
                schema.SessionConfigSelectOption(value=name, name=name, description=text)
                for name, text in MODES.items()
            ],
        )
        model = schema.SessionConfigOptionSelect(
            id="model",
            name="Model",
            category="model",
            type="select",
            current_value=session.record.model,
            options=[
                schema.SessionConfigSelectOption(value=name, name=name)
                for name in self._offered(session)
            ],
        )
        return [mode, model]


def question(prompt: list[Any], root: Path) -> str:
    """A prompt's text; a mentioned file stands as its path. Raises on images and sound."""
    parts = []
    for block in prompt:
        if block.type == "text":
            parts.append(block.text)
        elif block.type in ("resource_link", "resource"):
            uri = block.uri if block.type == "resource_link" else block.resource.uri
            parts.append(_mentioned(str(uri), root))
        else:
            raise _wrong(f"a prompt may hold text and files, no {block.type}")
    return "".join(parts)


def _mentioned(uri: str, root: Path) -> str:
    address = urlsplit(uri)
    if address.scheme != "file":
        return uri
    path = Path(unquote(address.path))
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _modes(session: Session) -> schema.SessionModeState:
    modes = [
        schema.SessionMode(id=name, name=name, description=text) for name, text in MODES.items()
    ]
    return schema.SessionModeState(available_modes=modes, current_mode_id=session.record.mode)


def _wrong(text: str) -> acp.RequestError:
    return acp.RequestError(-32602, text)


async def serve(server: Server) -> None:
    """Serve on standard input and output until the input closes or a signal comes."""
    source, sink = standard_streams()
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None
    for number in ENDING:
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await attend(server, source, sink, _deaf)


def _deaf() -> None:
    """From here on the end is near, and a client that is in a hurry does not disturb it."""
    for number in ENDING:
        asyncio.get_running_loop().remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)


async def attend(
    server: Server, source: int, sink: int, ending: Callable[[], None] = lambda: None
) -> None:
    """Serve on two file descriptors until the input ends; then nothing is left running.

    `ending` is called before the children are ended.
    """
    lines = Lines(source, sink)
    agent: Any = server  # it lacks what the protocol leaves optional
    # The switch is the package's word for session/close and session/resume, stable since.
    connection = AgentSideConnection(agent, lines, listening=False, use_unstable_protocol=True)
    try:
        await connection.listen()
    finally:
        ending()
        for session in list(server.sessions.values()):
            await session.close()
        await lines.answered()
        await server.close()
        with contextlib.suppress(ConnectionError):
            await connection.close()
        os.close(sink)
