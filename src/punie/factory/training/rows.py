"""Training rows: reading, tokenizing, and the order in which they are seen."""

from __future__ import annotations

import json
import random
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from punie.engine.copying import Copying, literals
from punie.errors import UsageError
from punie.factory.intents import load
from punie.prompt import Dialect, Message, Piece, render


class Encoder(Protocol):
    """A tokenizer of rendered prompts."""

    def encode(self, pieces: Iterable[Piece]) -> tuple[list[int], list[bool]]:
        """Token ids and, for each, whether it is trained."""


@dataclass(frozen=True)
class Row:
    """One conversation as token ids, and for each id whether it is trained."""

    id: str
    ids: list[int]
    trained: list[bool]


@dataclass(frozen=True)
class Rows:
    """The usable rows of a file, and how many were left out and why."""

    rows: list[Row]
    too_long: int
    """Rows longer than the limit; they are left out, never cut."""
    without_answer: int
    """Rows without a trained token."""

    @property
    def lengths(self) -> list[int]:
        """Tokens of each row."""
        return [len(row.ids) for row in self.rows]


def read_rows(path: Path, tokenizer: Encoder, dialect: Dialect, longest: int) -> Rows:
    """Read JSON Lines of `{"id": …, "messages": […]}`, rendered in `dialect`; other keys are
    ignored. Raises UsageError that lists every row that is not of this form."""
    rows: list[Row] = []
    wrong: list[str] = []
    too_long = without_answer = 0
    for number, line in enumerate(path.read_text("utf-8").split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            ids, trained = tokenizer.encode(render(record["messages"], dialect))
            row = Row(str(record.get("id", number)), ids, trained)
        except (ValueError, KeyError, TypeError) as error:
            wrong.append(f"  line {number}: {type(error).__name__}: {error}")
            continue
        if len(ids) > longest:
            too_long += 1
        elif not any(trained):
            without_answer += 1
        else:
            rows.append(row)
    if wrong or not rows:
        reasons = "\n".join(wrong[:20]) or "  no row is usable"
        raise UsageError(f"{path} cannot be trained on ({len(wrong)} bad rows):\n{reasons}")
    return Rows(rows, too_long, without_answer)


def fixed_literals(path: Path) -> list[str]:
    """The plain string literals that trained programs hold and no one said before them, sorted:
    what a reply may hold beside words of its conversation (`punie.engine.copying`)."""
    found: set[bytes] = set()
    for line in path.read_text("utf-8").split("\n"):
        messages: list[Message] = json.loads(line)["messages"] if line.strip() else []
        for place, message in enumerate(messages):
            if "code" in message and not message.get("wrong"):
                copying = Copying(messages[:place], ())
                values = [literal.value for literal in literals(message["code"].encode())]
                found.update(value for value in values if not copying.said(value))
    return sorted(value.decode() for value in found)


def fixed_answers(path: Path, earlier: Collection[str] = ()) -> dict[str, list[str]]:
    """The texts with which trained rows answer a question in words, sorted: all that the model
    may answer so (`punie.engine.guide`). Each with its questions, those of the rows and the other
    wordings that there are of them. `earlier` are those of the legs before; they count as long as
    they are still an answer to something."""
    _, direct = load()
    known = {entry.answer: entry.questions for entry in direct}
    found = {text: dict.fromkeys(known[text]) for text in earlier if text in known}
    for line in path.read_text("utf-8").split("\n"):
        messages: list[Message] = json.loads(line)["messages"] if line.strip() else []
        for asked, reply in pairwise(messages):
            if asked["role"] == "user" and reply["role"] == "assistant" and "code" not in reply:
                text = reply["content"]
                questions = found.setdefault(text, dict.fromkeys(known.get(text, ())))
                if text not in known:
                    questions[asked["content"]] = None
    return {text: list(found[text]) for text in sorted(found)}


def steps_of(lengths: Sequence[int], tokens: int, epochs: int, seed: int) -> list[list[int]]:
    """Row numbers of each optimizer step: each epoch is a new shuffle, cut into steps of about
    `tokens` tokens. A pure function of its arguments, so the data position is the step number."""
    steps: list[list[int]] = []
    for epoch in range(epochs):
        order = list(range(len(lengths)))
        random.Random(f"{seed}/{epoch}").shuffle(order)
        share = max(1, round(sum(lengths) / tokens))
        cut: list[list[int]] = [[] for _ in range(share)]
        before = 0
        for number in order:
            cut[before * share // sum(lengths)].append(number)
            before += lengths[number]
        steps += [members for members in cut if members]
    return steps


def balanced(numbers: Sequence[int], lengths: Sequence[int], parts: int) -> list[list[int]]:
    """Split rows into at most `parts` micro-batches of nearly equal token counts."""
    bins: list[list[int]] = [[] for _ in range(parts)]
    sizes = [0] * parts
    for number in sorted(numbers, key=lambda n: (-lengths[n], n)):
        place = sizes.index(min(sizes))
        bins[place].append(number)
        sizes[place] += lengths[number]
    return [members for members in bins if members]


def chunks(rows: list[Row], tokens: int) -> Iterator[list[Row]]:
    """Rows in order, in groups of at most `tokens` tokens (or one row)."""
    group: list[Row] = []
    for row in rows:
        if group and sum(len(member.ids) for member in group) + len(row.ids) > tokens:
            yield group
            group = []
        group.append(row)
    if group:
        yield group
