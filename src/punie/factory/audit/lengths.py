"""Lengths in tokens, as the trainer counts them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from punie.factory.audit.data import Example
from punie.factory.audit.findings import Finding, gathered
from punie.models import base_file
from punie.models.weights import open_gguf
from punie.prompt import DIALECTS, Piece, render

Encode = Callable[[Iterable[Piece]], tuple[list[int], list[bool]]]
"""Token ids of a rendered prompt and, for each, whether it is trained."""


class Length(NamedTuple):
    """Tokens of one example."""

    tokens: int
    trained: int
    """Those of them that count in the loss."""


def tokenizer(base: Path | None = None) -> Encode | None:
    """The trainer's tokenizer of a base model; None without the extra `train`."""
    try:
        from punie.factory.training.base import TrainingTokenizer
    except ImportError:
        return None
    return TrainingTokenizer(open_gguf(base or base_file())).encode


def measure(examples: Sequence[Example], encode: Encode, dialect: str) -> tuple[Length, ...]:
    """Tokens of each example; 0 where it cannot be rendered."""
    return tuple(_length(example, encode, dialect) for example in examples)


def _length(example: Example, encode: Encode, dialect: str) -> Length:
    try:
        ids, trained = encode(render(example.messages, DIALECTS[dialect]))
    except ValueError:
        return Length(0, 0)
    return Length(len(ids), sum(trained))


def check(examples: Sequence[Example], lengths: Sequence[Length], longest: int) -> list[Finding]:
    """Rows that the trainer would leave out: too long, or with nothing to train."""
    if examples and not lengths:
        text = "tokens were not counted: install the extra `train`"
        return [Finding("tokens not counted", "remark", text)]
    pairs = list(zip(examples, lengths, strict=True))
    long = [(e.id, f"{n.tokens} tokens") for e, n in pairs if n.tokens > longest]
    untrained = [(e.id, e.asked) for e, n in pairs if not n.trained]
    return [
        *gathered("over-long row", long, f"rows are over {longest} tokens"),
        *gathered("nothing to train", untrained, "rows hold no trained token"),
    ]
