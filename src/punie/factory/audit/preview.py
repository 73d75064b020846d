"""A row as the trainer sees it: its decoded tokens, and which of them are trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

from punie.factory.audit.data import Example
from punie.prompt import DIALECTS, Piece, render


class Tokens(Protocol):
    """What is needed of a tokenizer."""

    def encode(self, pieces: list[Piece]) -> tuple[list[int], list[bool]]:
        """Ids, and for each whether it is trained."""

    def decode(self, ids: list[int]) -> str:
        """Their text, control tokens visible."""


@dataclass(frozen=True)
class Stretch:
    """Neighbouring tokens that are all trained, or all not."""

    ids: tuple[int, ...]
    text: str
    trained: bool


def stretches(example: Example, tokens: Tokens, dialect: str) -> list[Stretch]:
    """The example's tokens, decoded, cut where training begins and ends."""
    ids, trained = tokens.encode(render(example.messages, DIALECTS[dialect]))
    found = []
    for flag, group in groupby(zip(ids, trained, strict=True), key=lambda pair: pair[1]):
        chosen = [number for number, _ in group]
        found.append(Stretch(tuple(chosen), tokens.decode(chosen), flag))
    return found


def single(stretch: Stretch, tokens: Tokens) -> list[str]:
    """The text of each token of a stretch."""
    return [tokens.decode([number]) for number in stretch.ids]


def choose(examples: Sequence[Example], identifier: str | None) -> list[Example]:
    """The rows of that id or of ids that begin so; without one, the first of each kind."""
    if identifier is not None:
        exact = [e for e in examples if e.id == identifier]
        return exact or [e for e in examples if e.id.startswith(identifier)]
    first: dict[str, Example] = {}
    for example in examples:
        first.setdefault(example.kind, example)
    return list(first.values())
