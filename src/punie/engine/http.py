"""Any OpenAI-compatible chat server: llama-server, Ollama, LM Studio, vLLM, mlx_lm.server."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from typing import Any

import httpx

from punie.engine import Generation, Written
from punie.errors import ContextError, EngineError, ModelUnavailable, UsageError
from punie.mentioned import Mentioned
from punie.prompt import Dialect, Message, chat_messages

TIMEOUT = httpx.Timeout(300.0, connect=5.0)
"""Seconds: a large model on a small machine takes its time; connecting does not."""


class HttpEngine:
    """A model behind `<base_url>/chat/completions`.

    The server applies its own chat template with special tokens on, so foreign text is
    neutralised (`prompt.chat_messages`). `PUNIE_API_KEY` is sent as a bearer token if set.
    """

    kind = "http"
    sha256 = ""

    def __init__(self, base_url: str, name: str, dialect: Dialect) -> None:
        self.base_url, self.name, self.dialect = base_url.rstrip("/"), name, dialect
        key = os.environ.get("PUNIE_API_KEY")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        # `trust_env` off: a proxy of the environment must not see what goes to this machine.
        self._client = httpx.AsyncClient(timeout=TIMEOUT, headers=headers, trust_env=False)

    @classmethod
    async def connect(cls, base_url: str, name: str, dialect: Dialect) -> HttpEngine:
        """An engine for a server that answers. With an empty `name`, its first model is taken.

        A name that the server does not list is sent as it is: some list only what is loaded.
        Raises `ModelUnavailable` when nothing answers.
        """
        engine = cls(base_url, name, dialect)
        try:
            models = await engine._models()
        except (ModelUnavailable, UsageError):
            await engine.close()
            raise
        if not engine.name:
            if not models:
                await engine.close()
                raise ModelUnavailable(f"{base_url} offers no model: load one into the server")
            engine.name = models[0]
        return engine

    async def _models(self) -> list[str]:
        try:
            response = await self._client.get(f"{self.base_url}/models")
            response.raise_for_status()
            return [str(m["id"]) for m in response.json()["data"]]
        except httpx.InvalidURL as error:
            raise UsageError(f"{self.base_url!r} is no address of a server: {error}") from None
        except httpx.HTTPStatusError as error:
            raise ModelUnavailable(
                f"{self.base_url}/models answers {error.response.status_code}: is the address "
                "that of an OpenAI-compatible server, ending in /v1?"
            ) from None
        except httpx.HTTPError as error:
            raise ModelUnavailable(
                f"no model server answers at {self.base_url} ({error}): start it, or choose "
                "another model with --model"
            ) from None
        except (ValueError, KeyError, TypeError):
            raise ModelUnavailable(f"{self.base_url}/models is no list of models") from None

    async def generate(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int = 0,
        mentioned: Mentioned | None = None,
        written: Written | None = None,
    ) -> Generation:
        """One chat completion, as a stream where somebody reads along."""
        start = time.perf_counter()
        body: dict[str, Any] = {
            "model": self.name,
            "messages": chat_messages(messages, self.dialect),
            "max_tokens": max_tokens,
            "temperature": temperature,
            "seed": seed,
        }
        if written:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        url, answer = f"{self.base_url}/chat/completions", None
        try:
            async with self._client.stream("POST", url, json=body) as response:
                if written and not response.is_error and _streams(response):
                    answer = await _streamed(response, written)
                else:
                    await response.aread()
        except httpx.TimeoutException:
            raise EngineError(f"{self.base_url} did not answer in {TIMEOUT.read:g} s") from None
        except httpx.HTTPError as error:
            raise EngineError(f"{self.base_url} failed: {error or type(error).__name__}") from None
        if response.is_error:
            text = response.text[:300]
            kind = ContextError if "context" in text.lower() else EngineError
            raise kind(f"{self.base_url} answers {response.status_code}: {text}")
        try:
            return _generation(response.json() if answer is None else answer, start)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            raise EngineError(f"{self.base_url} sent no chat completion") from None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _streams(response: httpx.Response) -> bool:
    """Whether an answer comes as events; a server may give it whole all the same."""
    kind: str = response.headers.get("content-type", "")
    return kind.startswith("text/event-stream")


async def _streamed(response: httpx.Response, written: Written) -> dict[str, Any]:
    """The events of a completion, put together as if it had come whole. Raises `EngineError` for
    an error among them or an end before the end."""
    text, finish = "", None
    usage: dict[str, Any] = {}
    async for line in response.aiter_lines():
        field, _, data = line.partition(":")
        if field != "data" or data.strip() == "[DONE]":
            continue
        try:
            event = json.loads(data)
            if event.get("error"):
                said = str(event["error"])[:300]
                kind = ContextError if "context" in said.lower() else EngineError
                raise kind(f"{response.url} answers: {said}")
            usage = event.get("usage") or usage
            for choice in event["choices"][:1]:
                finish = choice.get("finish_reason") or finish
                if more := (choice.get("delta") or {}).get("content"):
                    text += more
                    written(text)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise EngineError(f"{response.url} sent no chat completion") from None
    if finish is None:
        raise EngineError(f"{response.url} ended in the middle of a reply")
    return {"choices": [{"message": {"content": text}, "finish_reason": finish}], "usage": usage}


def _generation(answer: dict[str, Any], start: float) -> Generation:
    choice, usage = answer["choices"][0], answer.get("usage") or {}
    return Generation(
        text=choice["message"].get("content") or "",
        prompt_tokens=int(usage.get("prompt_tokens", 0)),
        completion_tokens=int(usage.get("completion_tokens", 0)),
        ms=(time.perf_counter() - start) * 1000,
        finished=choice.get("finish_reason") != "length",
    )
