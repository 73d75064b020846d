"""What turns messages into a reply: the `Engine` protocol.

`llama` runs a GGUF in process, `scripted` is the public fake. Import them by their module; this
one stays light.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from punie.mentioned import Mentioned
from punie.prompt import Message


@dataclass(frozen=True)
class Generation:
    """One reply as text, control tokens visible and the end token left off (`prompt.parse` takes
    it apart), and what it cost."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    ms: float
    """Milliseconds from call to reply, waiting for an earlier call included."""
    finished: bool = True
    """False when the reply was cut at `max_tokens` or at the end of the context."""
    sure: bool = True
    """False when the model knows no answer: the reply is empty."""


Written = Callable[[str], None]
"""Gets a reply as far as it is written, each time it grows, on the event loop. It may end in part
of a marker, and the reply that is returned is what counts."""


class Engine(Protocol):
    """A model that answers. One call at a time; further calls wait."""

    name: str
    """Name of the model."""
    kind: str
    """Family of engine: "llama.cpp", "http", "scripted" …"""
    sha256: str
    """SHA-256 of the weights in hex, "" if there are none or they are not known."""

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
        """The reply to `messages`; greedy at temperature 0. An engine that can guide a model lets
        its programs name only paths and symbols of `mentioned`. `written` is told of the reply as
        it grows. Cancelling stops the work. Raises ContextError when the prompt does not fit,
        EngineError for other failures."""

    async def close(self) -> None:
        """Give back what the engine holds. Further calls are an error."""
