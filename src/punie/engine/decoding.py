"""What engines that decode token by token share: a prompt cut into turns, and the next token."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from punie.engine import Written
from punie.engine.guide import Guide
from punie.errors import ContextError
from punie.prompt import Dialect, Message, Piece, render

End = Literal["ended", "cut", "unsure"]
"""How a reply ended: by itself, at a limit, or because the model knows no answer."""


Told = Callable[[bytes], None]
"""Gets the bytes of a reply so far."""


def relay(written: Written | None) -> Told | None:
    """What a thread that decodes tells of a reply, so that `written` hears it on the event loop
    that runs now. A letter that is not whole yet waits for its last byte."""
    if written is None:
        return None
    loop, tell = asyncio.get_running_loop(), written

    def told(reply: bytes) -> None:
        loop.call_soon_threadsafe(tell, reply.decode("utf-8", "ignore"))

    return told


def turns_of(
    messages: Sequence[Message],
    dialect: Dialect,
    tokenize: Callable[[Piece], list[int]],
    context: int,
) -> list[list[int]]:
    """Token ids by turn; the assistant's opener belongs to the last turn. Raises ContextError
    when a context of that many tokens has no room for a reply."""
    pieces = render(messages, dialect)
    openers = ("<|im_start|>", dialect.output_open)
    turns: list[list[int]] = []
    for place, piece in enumerate(pieces):
        starts = piece.control and piece.text.startswith(openers)
        if not turns or (starts and place < len(pieces) - 1):
            turns.append([])
        turns[-1] += tokenize(piece)
    size = sum(map(len, turns))
    if size >= context:
        raise ContextError(
            f"the prompt has {size} tokens and the model's context {context}: ask a"
            " narrower question, start a new conversation or raise the setting `context`"
        )
    return turns


def reused(turns: Sequence[list[int]], past: Sequence[int]) -> tuple[int, int]:
    """(turns, tokens) of a prompt that the cache holds already: whole turns, never the last."""
    number = kept = 0
    while number < len(turns) - 1 and past[kept:][: len(turns[number])] == turns[number]:
        kept += len(turns[number])
        number += 1
    return number, kept


class Chooser:
    """Writes one reply, token by token: the likeliest that the guide allows, or drawn (Gumbel's
    trick)."""

    def __init__(
        self,
        guide: Guide,
        ends: Callable[[int], bool],
        bytes_of: Callable[[int], bytes],
        temperature: float,
        seed: int,
    ) -> None:
        self._guide, self._ends, self._bytes_of = guide, ends, bytes_of
        self._temperature, self._random = temperature, np.random.default_rng(seed)

    def reply(
        self,
        logits: Callable[[], npt.NDArray[np.float32]],
        feed: Callable[[int], None],
        room: int,
        stops: Sequence[bytes],
        cancelled: threading.Event,
        told: Told | None = None,
    ) -> tuple[str, int, End]:
        """(reply, its tokens, how it ended). `logits` gives those after what was fed last, `feed`
        takes the next token; at most `room` tokens, or up to one of the texts `stops`. `told`
        hears of each token."""
        reply, count = bytearray(), 0
        while count < room and not cancelled.is_set():
            token = self.next(logits(), bytes(reply), count)
            if token is None:
                return "", count, "unsure"
            if isinstance(token, bytes):
                return token.decode(), count, "ended"
            if self._ends(token):
                return reply.decode("utf-8", "replace"), count, "ended"
            reply += self._bytes_of(token)
            count += 1
            for stop in stops:
                if (place := reply.find(stop, -len(stop) - 32)) >= 0:
                    return reply[:place].decode("utf-8", "replace"), count, "ended"
            if told:
                told(bytes(reply))
            if count < room:
                feed(token)
        return reply.decode("utf-8", "replace"), count, "cut"

    def next(self, logits: npt.NDArray[np.float32], reply: bytes, count: int) -> int | bytes | None:
        """The token after `reply`, which has `count` tokens; the whole reply where nothing is left
        to choose. None when the model would rather say what it may not, or nothing may follow."""
        scores: npt.NDArray[np.floating[Any]] = logits
        if self._temperature > 0:
            scores = logits / self._temperature + self._random.gumbel(size=len(logits))
        first = int(scores.argmax())
        if not count:
            self._guide.begin(self._bytes_of(first))
        if (whole := self._guide.whole(reply, count)) is not None:
            return whole
        if self._may_follow(first, reply):
            return first
        for token in np.argsort(-scores):  # up to a second: rare with a tuned model
            if self._guide.unsure(reply, count, float(logits[first] - logits[token])):
                return None
            if self._may_follow(int(token), reply):
                return int(token)
            if self._guide.lost():
                return None
        return None

    def _may_follow(self, token: int, reply: bytes) -> bool:
        if self._ends(token):
            return self._guide.may_end(reply)
        return self._guide.allows(reply + self._bytes_of(token))
