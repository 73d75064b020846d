"""Which rows each step sees, and rows as the arrays that the network reads."""

from __future__ import annotations

import random
from collections.abc import Sequence

import mlx.core as mx
import numpy as np

from punie.factory.training.rows import Row

PADDED = 32
"""Lengths are rounded up to a multiple of this, so that few shapes are compiled."""


def order(rows: int, batch: int, iterations: int, seed: int) -> list[list[int]]:
    """Row numbers of each step: each epoch is a new shuffle. A pure function of its arguments, so
    the position in the data is the step's number."""
    numbers: list[int] = []
    epoch = 0
    while len(numbers) < batch * iterations:
        shuffled = list(range(rows))
        random.Random(f"{seed}/{epoch}").shuffle(shuffled)
        numbers += shuffled
        epoch += 1
    return [numbers[batch * step : batch * (step + 1)] for step in range(iterations)]


def batch_of(rows: Sequence[Row]) -> tuple[mx.array, mx.array]:
    """(token ids, whether each is trained), both (rows, length); the padding is not trained."""
    longest = max(len(row.ids) for row in rows)
    # One more than a multiple: the last token is only ever predicted.
    length = PADDED * -(-(longest - 1) // PADDED) + 1
    ids = np.zeros((len(rows), length), dtype=np.int32)
    trained = np.zeros((len(rows), length), dtype=np.float32)
    for place, row in enumerate(rows):
        ids[place, : len(row.ids)] = row.ids
        trained[place, : len(row.ids)] = row.trained
    return mx.array(ids), mx.array(trained)
