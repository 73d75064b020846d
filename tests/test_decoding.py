"""Choosing the next token, whatever engine computed its logits."""

from __future__ import annotations

import numpy as np
import pytest

from punie.engine.copying import Copying
from punie.engine.decoding import Chooser, reused, turns_of
from punie.engine.guide import Guide
from punie.errors import ContextError
from punie.prompt import QWEN3_CODER, Message, Piece

END = 256
ASKED: list[Message] = [{"role": "user", "content": "who calls item_12?"}]


def chooser(temperature: float = 0.0, seed: int = 0) -> Chooser:
    """Over bytes: a program may hold words of the question and "modified"."""
    guide = Guide(QWEN3_CODER.code_open, Copying(ASKED, ("modified",), None), None)
    return Chooser(guide, lambda t: t == END, lambda t: bytes([t]), temperature, seed)


def likes(*tokens: int) -> np.typing.NDArray[np.float32]:
    """Logits that prefer these tokens in this order."""
    logits = np.zeros(257, dtype=np.float32)
    for place, token in enumerate(tokens):
        logits[token] = 20 - place
    return logits


@pytest.mark.parametrize(
    ("begun", "next_byte"), [('f("item_', "1"), ('f("mod', "i"), ("f(item_", "9"), ("", "9")]
)
def test_a_literal_is_copied_in_a_dialect_of_many_tokens(begun: str, next_byte: str) -> None:
    said = QWEN3_CODER.code_open + begun if begun else "I look at 9"
    liked = likes(ord("9"), ord("1"), ord("i"))
    assert chooser().next(liked, said.encode(), 9) == ord(next_byte)


def test_a_draw_follows_its_seed() -> None:
    flat = np.zeros(257, dtype=np.float32)
    drawn = [chooser(1.0, seed).next(flat, b"", 0) for seed in (1, 1, 2, 3)]
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) > 1


def test_the_cache_is_reused_in_whole_turns_but_never_the_last() -> None:
    turns = [[1, 2], [3], [4, 5]]
    assert reused(turns, []) == (0, 0)
    assert reused(turns, [1, 2, 3, 4, 5]) == (2, 3)
    assert reused(turns, [1, 2, 3]) == (2, 3)
    assert reused(turns, [1, 2, 9]) == (1, 2)
    assert reused(turns, [1, 9, 3]) == (0, 0)


def test_a_prompt_needs_room_for_a_reply() -> None:
    def one_by_one(piece: Piece) -> list[int]:
        return list(piece.text.encode())

    turns = turns_of(ASKED, QWEN3_CODER, one_by_one, 100)
    assert b"".join(map(bytes, turns)).endswith(b"<|im_start|>assistant\n")
    assert len(turns) == 1
    size = sum(map(len, turns))
    with pytest.raises(ContextError, match=f"{size} tokens and the model's context {size}"):
        turns_of(ASKED, QWEN3_CODER, one_by_one, size)
