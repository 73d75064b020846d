"""Where the embeddings of control tokens start from that the base never saw."""

from __future__ import annotations

import re

import torch.nn.functional as F
from torch import Tensor

from punie.factory.training.base import TrainingTokenizer
from punie.factory.training.rows import Rows
from punie.prompt import Piece


def marker_rows(rows: Rows, tokenizer: TrainingTokenizer, embedding: Tensor) -> dict[int, Tensor]:
    """The control tokens that `rows` use, with the embeddings to start them from: the base's, or,
    where it is a copy of another control token's because the base never saw the token, the mean
    of the words in its name ("<jupyter_code>": jupyter, code) at the same length."""
    unit = F.normalize(embedding[list(tokenizer.controls.values())], dim=-1)
    likeness = (unit @ unit.t()).fill_diagonal_(0).amax(dim=-1)
    used = {token for row in rows.rows for token in row.ids}
    found: dict[int, Tensor] = {}
    for (text, token), like in zip(tokenizer.controls.items(), likeness, strict=True):
        if token not in used:
            continue
        found[token] = embedding[token].clone()
        if like > 0.9995:
            words = re.sub(r"[^a-z]+", " ", text).strip()
            ids, _ = tokenizer.encode([Piece(words, control=False, trained=False)])
            mean = embedding[ids].mean(dim=0)
            found[token] = mean * (embedding[token].norm() / mean.norm())
    return found
