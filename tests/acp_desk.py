"""A client of the Agent Client Protocol, and a server with a scripted model at the other end."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import acp
import pytest
from acp import schema

from punie import cli
from punie.engine import Engine
from punie.models.spec import Model, open_model
from punie.prompt import DIALECTS
from punie.serve.acp import Server, attend
from punie.serve.sessions import Sessions
from punie.settings import Settings
from punie.terminal import Progress

Updates = list[dict[str, Any]]


class Editor:
    """A client that keeps what it is shown and answers permissions as it was told to."""

    def __init__(self, answers: list[str], unsaved: dict[str, str]) -> None:
        self.answers, self.unsaved = answers, unsaved
        self.shown: dict[str, Updates] = {}
        self.asked: list[schema.ToolCallUpdate] = []
        self.options: list[schema.PermissionOption] = []
        self.seen = asyncio.Event()
        """Set at every update."""

    def on_connect(self, conn: acp.Agent) -> None: ...

    async def session_update(self, session_id: str, update: Any, **rest: Any) -> None:
        told = update.model_dump(mode="json", by_alias=True, exclude_none=True)
        self.shown.setdefault(session_id, []).append(told)
        self.seen.set()

    async def request_permission(
        self, options: list[Any], session_id: str, tool_call: Any, **rest: Any
    ) -> schema.RequestPermissionResponse:
        self.asked.append(tool_call)
        self.options = options
        chosen = self.answers.pop(0)
        return schema.RequestPermissionResponse(
            outcome=schema.AllowedOutcome(outcome="selected", option_id=chosen)
        )

    async def read_text_file(self, path: str, **rest: Any) -> schema.ReadTextFileResponse:
        text = self.unsaved.get(Path(path).name, Path(path).read_text("utf-8"))
        return schema.ReadTextFileResponse(content=text)


class Desk:
    """An editor, the connection to a server, and the end of the pipe for raw lines."""

    def __init__(self, editor: Editor, agent: Any, writer: asyncio.StreamWriter) -> None:
        self.editor, self.agent, self.writer = editor, agent, writer

    async def open(self, root: Path) -> str:
        return str((await self.agent.new_session(cwd=str(root), mcp_servers=[])).session_id)

    async def ask(self, session: str, text: str) -> str:
        done = await self.agent.prompt(session_id=session, prompt=[acp.text_block(text)])
        return str(done.stop_reason)

    def said(self, session: str) -> list[str]:
        return [
            update["content"]["text"]
            for update in self.editor.shown.get(session, [])
            if update["sessionUpdate"] == "agent_message_chunk"
        ]

    def calls(self, session: str) -> dict[str, str]:
        """Title and last status of every call."""
        found: dict[str, tuple[str, str]] = {}
        for update in self.editor.shown.get(session, []):
            if update["sessionUpdate"] == "tool_call":
                found[update["toolCallId"]] = (update["title"], update["status"])
            elif update["sessionUpdate"] == "tool_call_update" and "status" in update:
                title, _ = found[update["toolCallId"]]
                found[update["toolCallId"]] = (title, update["status"])
        return dict(found.values())


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PUNIE_DATA", str(tmp_path / "data"))
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "notes.txt").write_text("old\n", "utf-8")
    return tmp_path / "work"


async def streams(source: int, sink: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Both ends of a client over two file descriptors."""
    loop = asyncio.get_running_loop()
    reader, unused = asyncio.StreamReader(limit=2**26), asyncio.StreamReader()
    await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(source, "rb")
    )
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.StreamReaderProtocol(unused), os.fdopen(sink, "wb")
    )
    return reader, asyncio.StreamWriter(transport, protocol, None, loop)


@asynccontextmanager
async def desk(
    root: Path,
    replies: list[str],
    *,
    answers: tuple[str, ...] = (),
    unsaved: dict[str, str] | None = None,
    mode: str = "ask",
    editor: Any = None,
    capabilities: schema.ClientCapabilities | None = None,
    settings: Settings | None = None,
    engine: Engine | None = None,
) -> AsyncIterator[Desk]:
    """A server with a scripted model, and a client that has said hello."""
    script = root.parent / "replies.json"
    script.write_text(json.dumps([f"<jupyter_code>{code}" for code in replies]), "utf-8")

    async def load_model(settings: Settings) -> Model:
        if engine:
            return Model(engine, DIALECTS["compact"], "tuned", "")
        return await open_model(settings, Progress())

    server = Server(
        lambda root: settings or Settings(),
        lambda root, settings, approver: cli.open_context(root, settings, None, approver),
        load_model,
        [f"scripted:{script}", "default"],
        mode,
        Sessions(root.parent / "sessions.sqlite"),
    )
    (inward, to_server), (from_server, outward) = os.pipe(), os.pipe()
    running = asyncio.create_task(attend(server, inward, outward))
    reader, writer = await streams(from_server, to_server)
    editor = editor or Editor(list(answers), unsaved or {})
    agent = acp.connect_to_agent(editor, writer, reader, use_unstable_protocol=True)
    files = schema.FileSystemCapabilities(read_text_file=unsaved is not None)
    capabilities = capabilities or schema.ClientCapabilities(fs=files)
    hello = await agent.initialize(protocol_version=1, client_capabilities=capabilities)
    assert hello.protocol_version == 1
    try:
        yield Desk(editor, agent, writer)
    finally:
        writer.close()  # the editor goes
        await asyncio.wait_for(running, 60)
        await agent.close()


def runs(number: int) -> bool:
    """Whether a process runs; one that has ended may still wait to be collected."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
