"""The public fake: an engine that answers from a list or from a function."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Sequence

from punie.engine import Generation, Written
from punie.errors import EngineError
from punie.mentioned import Mentioned
from punie.prompt import Message


class ScriptedEngine:
    """Replies, in order, with the given texts; or with what a function of the messages returns.

    A reply is raw text as a model would give it, markers of the dialect included. Token counts
    are words, milliseconds are 0: nothing is measured. `asked` keeps the messages of every call.
    """

    kind = "scripted"
    sha256 = ""

    def __init__(
        self,
        replies: Iterable[str] | Callable[[Sequence[Message]], str],
        name: str = "scripted",
        pause: float = 0.0,
    ) -> None:
        """`pause` is in seconds, before each word of a reply that somebody reads as it grows."""
        self.name, self.pause = name, pause
        self.asked: list[list[Message]] = []
        self._reply = replies if callable(replies) else None
        self._rest = iter(()) if callable(replies) else iter(list(replies))

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
        """The next reply, whole (`max_tokens` cuts nothing), written word by word. Raises
        EngineError after the last."""
        self.asked.append(list(messages))
        text = self._reply(messages) if self._reply else next(self._rest, None)
        if text is None:
            raise EngineError(f"the script has no reply for call {len(self.asked)}")
        if written:
            for word in re.finditer(r"\S+\s*", text):
                if self.pause:
                    await asyncio.sleep(self.pause)
                written(text[: word.end()])
        words = sum(len(message["content"].split()) for message in messages)
        return Generation(text, words, len(text.split()), 0.0)

    async def close(self) -> None:
        """Nothing to give back."""
