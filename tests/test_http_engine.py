"""The HTTP engine: against a real llama.cpp server with the base model, and against odd ones."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from punie.engine.http import HttpEngine
from punie.errors import ContextError, EngineError, ModelUnavailable
from punie.factory.watched import missing, served
from punie.models import base_file
from punie.prompt import COMPACT, QWEN3_CODER, Message

T = TypeVar("T")
CONTEXT = 512
QUESTION: list[Message] = [{"role": "user", "content": "Say hello."}]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if lacking := missing():
        pytest.skip(f"not installed: {', '.join(lacking)} (pip install 'punie[dev]')")
    log = tmp_path_factory.mktemp("server") / "log.txt"
    # More than one thread would fight with whatever else runs.
    with served(base_file(), log, name="smol", context=CONTEXT, threads=1) as (found, _, _):
        yield found


def using(
    address: str, use: Callable[[HttpEngine], Awaitable[T]], name: str = "smol", **options: Any
) -> T:
    """What `use` makes of an engine that is connected to `address`."""

    async def main() -> T:
        engine = await HttpEngine.connect(address, name, options.get("dialect", QWEN3_CODER))
        try:
            return await use(engine)
        finally:
            await engine.close()

    return asyncio.run(main())


def counted(address: str, content: str) -> int:
    """Tokens that the server counts for a message which we send as it is."""
    body = {"messages": [{"role": "user", "content": content}], "max_tokens": 1}
    answer = httpx.post(f"{address}/chat/completions", json=body, timeout=60, trust_env=False)
    return int(answer.json()["usage"]["prompt_tokens"])


# --- a real server


@pytest.mark.model
def test_a_reply_comes_with_its_tokens_and_is_greedy(address: str) -> None:
    async def twice(engine: HttpEngine) -> None:
        first = await engine.generate(QUESTION, max_tokens=40)
        second = await engine.generate(QUESTION, max_tokens=40)
        assert first.text.strip()
        assert "<|im_end|>" not in first.text
        assert first.text == second.text
        assert first.prompt_tokens == counted(address, "Say hello.")
        assert 0 < first.completion_tokens <= 40
        assert first.finished == (first.completion_tokens < 40)
        assert 0 < first.ms < 60_000

    using(address, twice)


@pytest.mark.model
def test_a_reply_that_is_cut_says_so(address: str) -> None:
    question: list[Message] = [{"role": "user", "content": "Tell a long story."}]
    cut = using(address, lambda engine: engine.generate(question, max_tokens=5))
    assert (cut.completion_tokens, cut.finished) == (5, False)


@pytest.mark.model
def test_without_a_name_the_server_s_first_model_is_taken(address: str) -> None:
    async def identity(engine: HttpEngine) -> tuple[str, str, str]:
        return engine.name, engine.kind, engine.sha256

    assert using(address, identity, name="") == ("smol", "http", "")
    assert using(address + "/", identity, name="") == ("smol", "http", "")


@pytest.mark.model
def test_an_address_with_a_wrong_path_is_explained(address: str) -> None:
    wrong = address.removesuffix("/v1") + "/v2"
    with pytest.raises(ModelUnavailable) as error:
        using(wrong, lambda engine: engine.generate(QUESTION, max_tokens=1))
    assert str(error.value) == (
        f"{wrong}/models answers 404: is the address that of an OpenAI-compatible server, "
        "ending in /v1?"
    )


@pytest.mark.model
def test_a_prompt_that_is_too_long_is_a_context_error(address: str) -> None:
    long: list[Message] = [{"role": "user", "content": "word " * 2 * CONTEXT}]
    with pytest.raises(ContextError, match=f"answers 400: .*{CONTEXT} tokens"):
        using(address, lambda engine: engine.generate(long, max_tokens=8))


@pytest.mark.model
@pytest.mark.parametrize("token", ["<|im_end|>", "<|im_start|>", "<|endoftext|>"])
def test_text_that_looks_like_a_control_token_is_none(address: str, token: str) -> None:
    """The server reads special tokens in whatever it is sent: what a user writes must not be."""
    text = f"a{token}b"
    obeyed, shown = counted(address, text), counted(address, text.replace("<", "< "))
    assert obeyed < shown
    asked: list[Message] = [{"role": "user", "content": text}]
    reply = using(address, lambda engine: engine.generate(asked, max_tokens=1))
    assert reply.prompt_tokens == shown


@pytest.mark.model
def test_a_server_that_ends_is_an_engine_error(tmp_path: Path, address: str) -> None:
    with served(base_file(), tmp_path / "log.txt", threads=1) as (other, process, _):

        async def ask_the_dead(engine: HttpEngine) -> None:
            process.kill()
            process.wait()
            with pytest.raises(EngineError, match=f"{other} failed: "):
                await engine.generate(QUESTION, max_tokens=1)

        using(other, ask_the_dead)


# --- servers that are none


class Odd(BaseHTTPRequestHandler):
    """Answers with `server.answers[path]`, and keeps what it was asked."""

    server: OddServer

    def do_GET(self) -> None:
        self.answer(b"")

    def do_POST(self) -> None:
        self.answer(self.rfile.read(int(self.headers["Content-Length"])))

    def answer(self, body: bytes) -> None:
        self.server.asked.append((self.path, self.headers.get("Authorization"), body))
        status, text = self.server.answers[self.path]
        self.send_response(status)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


class OddServer(ThreadingHTTPServer):
    """A server of our own on a free loopback port."""

    def __init__(self, models: str, chat: tuple[int, str] = (200, "")) -> None:
        super().__init__(("127.0.0.1", 0), Odd)
        self.answers = {"/v1/models": (200, models), "/v1/chat/completions": chat}
        self.asked: list[tuple[str, str | None, bytes]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


@contextmanager
def odd(models: str, chat: tuple[int, str] = (200, "")) -> Iterator[OddServer]:
    with OddServer(models, chat) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        try:
            yield server
        finally:
            server.shutdown()


MODELS = '{"data": [{"id": "one"}, {"id": "two"}]}'
REPLY = '{"choices": [{"message": {"content": "Hi."}, "finish_reason": "stop"}]}'


def test_nothing_at_the_address_says_what_to_do() -> None:
    address = f"http://127.0.0.1:{free_port()}/v1"
    with pytest.raises(ModelUnavailable) as error:
        using(address, lambda engine: engine.generate(QUESTION, max_tokens=1))
    assert str(error.value).startswith(f"no model server answers at {address} (")
    assert str(error.value).endswith("): start it, or choose another model with --model")


@pytest.mark.parametrize("models", ["<html>", "[]", '{"data": [1]}', '{"data": null}', ""])
def test_a_server_of_something_else_is_no_model(models: str) -> None:
    with odd(models) as server, pytest.raises(ModelUnavailable, match="is no list of models"):
        using(server.address, lambda engine: engine.generate(QUESTION, max_tokens=1))


@pytest.mark.parametrize("reply", ["<html>", "{}", '{"choices": []}', '{"choices": [{}]}', "[]"])
def test_an_answer_that_is_no_completion_is_an_engine_error(reply: str) -> None:
    with odd(MODELS, (200, reply)) as server, pytest.raises(EngineError) as error:
        using(server.address, lambda engine: engine.generate(QUESTION, max_tokens=1))
    assert str(error.value) == f"{server.address} sent no chat completion"


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (500, "out of memory", EngineError),
        (404, "no model 'x'", EngineError),
        (400, '{"error": "exceeds the Context size"}', ContextError),
    ],
)
def test_an_error_of_the_server_is_told_in_its_words(
    status: int, text: str, kind: type[EngineError]
) -> None:
    with odd(MODELS, (status, text)) as server, pytest.raises(EngineError) as error:
        using(server.address, lambda engine: engine.generate(QUESTION, max_tokens=1))
    assert type(error.value) is kind
    assert str(error.value) == f"{server.address} answers {status}: {text}"


def test_a_reply_without_counts_counts_nothing() -> None:
    with odd(MODELS, (200, REPLY)) as server:
        reply = using(server.address, lambda engine: engine.generate(QUESTION, max_tokens=1))
    assert (reply.text, reply.prompt_tokens, reply.completion_tokens) == ("Hi.", 0, 0)
    assert reply.finished


@pytest.mark.parametrize("key", [None, "secret"])
def test_a_conversation_goes_out_as_plain_turns_with_the_key(
    monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    monkeypatch.delenv("PUNIE_API_KEY", raising=False)
    if key:
        monkeypatch.setenv("PUNIE_API_KEY", key)
    messages: list[Message] = [
        {"role": "system", "content": "You are Punie."},
        {"role": "user", "content": "how <|im_end|> many?"},
        {"role": "assistant", "content": "", "code": "print(4)"},
        {"role": "tool", "content": "4 <|im_start|>"},
        {"role": "user", "content": "and now?"},
    ]
    with odd(MODELS, (200, REPLY)) as server:
        using(
            server.address,
            lambda engine: engine.generate(messages, max_tokens=9, temperature=0.5, seed=3),
            name="two",
            dialect=COMPACT,
        )
    (_, first, _), (path, second, body) = server.asked
    assert first == second == (f"Bearer {key}" if key else None)
    assert path == "/v1/chat/completions"
    sent = json.loads(body)
    assert {name: sent[name] for name in ("model", "max_tokens", "temperature", "seed")} == {
        "model": "two",
        "max_tokens": 9,
        "temperature": 0.5,
        "seed": 3,
    }
    assert [turn["role"] for turn in sent["messages"]] == [
        "system",
        "user",
        "assistant",
        "user",
        "user",
    ]
    assert sent["messages"][1]["content"] == "how < |im_end|> many?"
    assert sent["messages"][2]["content"] == "<jupyter_code>print(4)"
    assert "4 < |im_start|>" in sent["messages"][3]["content"]


def test_a_proxy_of_the_environment_sees_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with odd(MODELS, (200, REPLY)) as server, odd("{}") as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.address.removesuffix("/v1"))
        for name in [n for n in os.environ if n.lower() == "no_proxy"]:
            monkeypatch.delenv(name)
        reply = using(server.address, lambda engine: engine.generate(QUESTION, max_tokens=1))
    assert (reply.text, proxy.asked) == ("Hi.", [])
