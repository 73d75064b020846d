"""A program is shown as it is written, and nothing of it runs before it is whole."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner

from punie import Punie, demo
from punie.chat import Screen
from punie.engine import Engine, Generation
from punie.engine.http import HttpEngine
from punie.engine.llama import LlamaEngine
from punie.engine.scripted import ScriptedEngine
from punie.errors import ContextError, EngineError
from punie.models import base_file
from punie.prompt import COMPACT, QWEN3_CODER, Message, begun, parse
from punie.terminal import Progress
from punie.wrap import ProgramStarted

QUESTION: list[Message] = [{"role": "user", "content": "Count to five."}]
MADE = "open_file = write_file('made.txt', 'x')\nprint(open_file.created)"


def written(engine: Engine, **options: Any) -> tuple[list[str], Generation]:
    """What an engine tells of a reply, and the reply."""
    told: list[str] = []

    async def run() -> Generation:
        try:
            return await engine.generate(QUESTION, max_tokens=12, written=told.append, **options)
        finally:
            await engine.close()

    return told, asyncio.run(run())


def grows(told: Sequence[str]) -> bool:
    """Whether each text goes on where the one before ended."""
    return all(b.startswith(a) and a != b for a, b in pairwise(told))


def test_the_scripted_engine_writes_word_by_word() -> None:
    told, reply = written(ScriptedEngine(["one two  three"]))
    assert told == ["one ", "one two  ", "one two  three"]
    assert reply.text == "one two  three"


def test_llama_tells_each_token_and_the_reply_is_the_same() -> None:
    told, reply = written(LlamaEngine(base_file(), COMPACT, threads=1))
    assert len(told) == reply.completion_tokens == 12
    assert grows(told)
    assert told[-1] == reply.text

    async def silent() -> str:
        engine = LlamaEngine(base_file(), COMPACT, threads=1)
        try:
            return (await engine.generate(QUESTION, max_tokens=12)).text
        finally:
            await engine.close()

    assert asyncio.run(silent()) == reply.text


def test_mlx_tells_each_token(tmp_path: Path) -> None:
    pytest.importorskip("mlx_lm", reason="needs the extra `mlx`")
    from punie.engine.mlx import MlxEngine
    from tiny_moe import write_moe

    told, reply = written(MlxEngine(write_moe(tmp_path / "model"), QWEN3_CODER))
    assert len(told) <= reply.completion_tokens
    assert told
    assert reply.text.startswith(told[0])


class Stream(BaseHTTPRequestHandler):
    """A server that answers with the events of `server.events`, and keeps what it was asked."""

    def do_POST(self) -> None:
        server: Any = self.server
        server.asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Type", server.kind)
        self.end_headers()
        self.wfile.write(server.events.encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


def streamed(events: str, kind: str = "text/event-stream") -> tuple[list[str], Generation]:
    """What was told of a reply by a server that answers so, and the reply."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Stream) as server:
        found: Any = server
        found.events, found.kind = events, kind
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        try:
            url = f"http://127.0.0.1:{server.server_port}/v1"
            told, reply = written(HttpEngine(url, "m", QWEN3_CODER))
            assert found.asked["stream"] is True
            return told, reply
        finally:
            server.shutdown()


def event(text: str | None, finish: str | None = None, **more: Any) -> str:
    choice = {"delta": {"content": text} if text is not None else {}, "finish_reason": finish}
    return f"data: {json.dumps({'choices': [choice]} | more)}\n\n"


def test_http_streams_and_counts() -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 3}
    last = f"data: {json.dumps({'choices': [], 'usage': usage})}\n\ndata: [DONE]\n\n"
    events = ": hello\n\n" + event("Hé") + event("") + event("llo") + event(None, "length") + last
    told, reply = streamed(events)
    assert told == ["Hé", "Héllo"]
    assert (reply.text, reply.prompt_tokens, reply.completion_tokens) == ("Héllo", 7, 3)
    assert not reply.finished


def test_http_takes_a_whole_answer_of_a_server_that_does_not_stream() -> None:
    whole = '{"choices": [{"message": {"content": "Hi."}, "finish_reason": "stop"}]}'
    told, reply = streamed(whole, "application/json")
    assert (told, reply.text) == ([], "Hi.")


@pytest.mark.parametrize(
    ("events", "kind", "said"),
    [
        (event("half"), EngineError, "ended in the middle"),
        (event("a") + "data: {broken\n\n", EngineError, "no chat completion"),
        (event("a") + "data: []\n\n", EngineError, "no chat completion"),
        ('data: {"error": {"message": "out of luck"}}\n\n', EngineError, "out of luck"),
        ('data: {"error": {"message": "context is full"}}\n\n', ContextError, "context is full"),
    ],
)
def test_a_stream_that_breaks_is_an_error(events: str, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        streamed(events)


@pytest.mark.parametrize(
    ("dialect", "reply"),
    [
        (COMPACT, "<jupyter_code>for n in (1, 2):\n    print(n < 2, 'é')<|im_end|>"),
        (
            QWEN3_CODER,
            f"I'll look.\n\n{QWEN3_CODER.code_open}for n in (1, 2):\n    print(n < 2)"
            f"{QWEN3_CODER.code_close}<|im_end|>",
        ),
    ],
)
def test_what_stands_of_a_program_only_grows(dialect: Any, reply: str) -> None:
    whole = parse(reply, dialect).code
    told = [begun(reply[:length], dialect) for length in range(len(reply) + 1)]
    assert all(whole.startswith(text.rstrip("\n ")) for text in told), told
    assert told[-1] == whole
    assert len(set(told)) > 20
    assert begun("In words: print(1)", dialect) == ""


def test_nothing_runs_before_it_is_whole(tmp_path: Path) -> None:
    """The engine dies when all but the end is written, and each time the file is not there."""
    shop = demo.create(tmp_path / "shop")
    seen: list[tuple[str, bool]] = []

    class Dies(ScriptedEngine):
        async def generate(self, *args: Any, **kwargs: Any) -> Generation:
            await super().generate(*args, **kwargs)
            raise EngineError("the power is gone")

    async def run() -> Any:
        engine = Dies([f"<jupyter_code>{MADE}"])
        async with Punie(shop, model=engine, yes=True, traces=False) as p:
            p._opened().writing = lambda code: seen.append((code, (shop / "made.txt").exists()))
            return await p.ask("make it")

    answer = asyncio.run(run())
    assert seen[-1] == (MADE, False)
    assert answer.error == "the power is gone"
    assert not answer.steps
    assert not (shop / "made.txt").exists()


def shown(act: Callable[[Screen], None]) -> str:
    import click

    @click.command()
    def command() -> None:
        act(Screen(Progress()))

    return CliRunner().invoke(command, color=True).output


def test_a_terminal_shows_each_letter_once() -> None:
    def whole(screen: Screen) -> None:
        for code in ("", "pri", "print(1)", "print(1)\nprint"):
            screen.writing(code)
        asyncio.run(screen.watch(ProgramStarted("print(1)\nprint(2)")))

    def dropped(screen: Screen) -> None:
        screen.writing("print(1)")
        screen.writing("")
        screen.writing("x\x1b[2J")
        screen.pause()
        screen.pause()

    assert shown(whole) == "\x1b[2mprint(1)\nprint(2)\x1b[0m\n"
    assert shown(dropped) == "\x1b[2mprint(1)\x1b[0m\n\x1b[2mx\\x1b[2J\x1b[0m\n"


def test_an_editor_sees_a_call_that_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("acp", reason="needs the extra `acp`")
    from acp_desk import desk

    monkeypatch.setenv("PUNIE_DATA", str(tmp_path / "data"))
    root = tmp_path / "work"
    root.mkdir()

    async def run() -> None:
        engine = ScriptedEngine([f"<jupyter_code>{MADE}"], pause=0.25)
        async with desk(root, [], mode="yes", engine=engine) as found:
            session = await found.open(root)
            assert await found.ask(session, "make it") == "end_turn"
            updates = found.editor.shown[session]
            call = next(u["toolCallId"] for u in updates if "toolCallId" in u)
            program = [u for u in updates if u.get("toolCallId") == call]
            assert [u["sessionUpdate"] for u in program[:2]] == ["tool_call", "tool_call_update"]
            texts = [u["content"][0]["content"]["text"] for u in program]
            assert len(set(texts)) >= 3
            assert MADE not in texts[0]
            assert program[0]["status"] == "pending"
            first = next(n for n, u in enumerate(updates) if u.get("status") == "in_progress")
            assert updates[first]["rawInput"] == {"code": MADE}
            assert updates[first]["toolCallId"] == call
            assert program[-1]["status"] == "completed"
            found.editor.shown.clear()
            await found.agent.load_session(cwd=str(root), session_id=session, mcp_servers=[])
            again = [u for u in found.editor.shown[session] if u.get("toolCallId") == call]
            assert [u["sessionUpdate"] for u in again] == ["tool_call", "tool_call_update"]
            assert again[0]["rawInput"] == {"code": MADE}

    asyncio.run(run())
