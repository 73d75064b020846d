"""A conversation about one workspace, kept in the user's own data folder so that it can go on.

Each is a JSON file, readable by its owner only, without the secrets that `redact` knows.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from punie.agent import Answer
from punie.errors import UsageError
from punie.prompt import Message
from punie.redact import redact_all
from punie.settings import data_folder


@dataclass
class Turn:
    """A question, the program that answered it, if any, and the answer."""

    query: str
    code: str
    answer: str
    error: str | None = None
    messages: list[Message] = field(default_factory=list)
    """What the model saw and said in this turn."""


@dataclass
class Conversation:
    """Turns in order; `name` names its file."""

    root: Path
    name: str = ""
    turns: list[Turn] = field(default_factory=list)

    def add(self, answer: Answer) -> None:
        """Take an answer as the next turn."""
        asked = max((n for n, m in enumerate(answer.messages) if m["role"] == "user"), default=0)
        code = next((step.code for step in reversed(answer.steps) if step.code), "")
        error = answer.error if answer.error and answer.error not in answer.answer else None
        self.turns.append(Turn(answer.query, code, answer.answer, error, answer.messages[asked:]))

    @property
    def history(self) -> list[Message]:
        """The messages of all turns, for the next question."""
        return [message for turn in self.turns for message in turn.messages]

    def save(self) -> None:
        """Write it, whole or not at all. Raises `OSError`."""
        folder = _folder(self.root)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self.name:
            self.name = _new_name(folder)
        value = {"workspace": str(self.root), "turns": [asdict(turn) for turn in self.turns]}
        aside = folder / f".{self.name}.{os.getpid()}"
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump(redact_all(value), file)
        aside.replace(folder / f"{self.name}.json")

    def markdown(self) -> str:
        """The conversation as a document: questions, programs, answers."""
        parts = [f"# Conversation about {self.root.name}"]
        for turn in self.turns:
            parts.append(f"## {' '.join(turn.query.split())}")
            if turn.code:
                parts += [_fenced(turn.code, "python"), _fenced(turn.answer, "text")]
            elif turn.answer:
                parts.append(turn.answer)
            if turn.error:
                parts.append(f"Failed: {turn.error}")
        return "\n\n".join(parts) + "\n"


def resume(root: Path, name: str = "") -> Conversation:
    """The conversation of that name about a workspace; without a name, the last one.

    Raises `UsageError` that lists what there is.
    """
    files = sorted(_folder(root).glob("*.json"), key=lambda f: (f.stat().st_mtime_ns, f.name))
    chosen = [f for f in files if f.stem == name] if name else files[-1:]
    if not chosen:
        known = ", ".join(file.stem for file in files[-10:])
        wanted = f"no conversation {name!r}" if name else "no conversation"
        raise UsageError(f"{wanted} about {str(root)!r}; there are: {known or 'none'}")
    try:
        value: dict[str, Any] = json.loads(chosen[0].read_text("utf-8"))
        turns = [Turn(**turn) for turn in value["turns"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{str(chosen[0])!r} cannot be read: {error!r}") from None
    return Conversation(root, chosen[0].stem, turns)


def prune(days: float) -> int:
    """Delete conversations that ended more than `days` ago, 0 for all, and then also the lines
    that were typed; returns how many conversations there were."""
    folder, gone = data_folder() / "chats", 0
    for file in folder.glob("*/*.json"):
        if not days or time.time() - file.stat().st_mtime > days * 86400:
            file.unlink()
            gone += 1
    if not days:
        lines_file().unlink(missing_ok=True)
    return gone


def lines_file() -> Path:
    """Where the lines that were typed are kept."""
    return data_folder() / "chats" / "lines"


def _folder(root: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]
    return data_folder() / "chats" / digest


def _new_name(folder: Path) -> str:
    """The moment, and a number where that is taken: 2026-11-22-1530."""
    start = datetime.now(UTC).strftime("%Y-%m-%d-%H%M")
    taken = {file.stem for file in folder.glob("*.json")}
    names = [start, *(f"{start}-{number}" for number in range(2, len(taken) + 3))]
    return next(name for name in names if name not in taken)


def _fenced(text: str, language: str) -> str:
    """A block whose fence is longer than any in the text."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"
