"""What is read out of a Llama-family GGUF: its sizes, its metadata, its weights in float32.

llama.cpp keeps the rows of q and k in the order of its rotary layout (pairs side by side);
transformers keeps them by halves. `unpermute` and `permute` go between the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

from punie.errors import ModelUnavailable

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Shape:
    """The sizes of a Llama model."""

    layers: int
    hidden: int
    ffn: int
    heads: int
    kv_heads: int
    vocab: int
    rope_base: float
    norm_eps: float

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.hidden // self.heads


def open_gguf(path: Path) -> gguf.GGUFReader:
    """A reader on `path`. Raises ModelUnavailable when the file is missing or no GGUF."""
    try:
        return gguf.GGUFReader(str(path))
    except (OSError, ValueError, IndexError, KeyError, TypeError, OverflowError) as error:
        raise ModelUnavailable(f"cannot read {str(path)!r} as GGUF: {error}") from error


def field(reader: gguf.GGUFReader, key: str) -> Any:
    """The value of a metadata key. Raises ModelUnavailable when it is missing."""
    found = reader.get_field(key)
    if found is None:
        raise ModelUnavailable(f"the GGUF file has no metadata key {key!r}")
    return found.contents()


def shape_of(reader: gguf.GGUFReader) -> Shape:
    """The sizes that the file's metadata states. Raises ModelUnavailable for other families."""
    architecture = field(reader, "general.architecture")
    if architecture != "llama":
        raise ModelUnavailable(f"only Llama models can be trained here, not {architecture!r}")
    return Shape(
        layers=int(field(reader, "llama.block_count")),
        hidden=int(field(reader, "llama.embedding_length")),
        ffn=int(field(reader, "llama.feed_forward_length")),
        heads=int(field(reader, "llama.attention.head_count")),
        kv_heads=int(field(reader, "llama.attention.head_count_kv")),
        vocab=len(reader.fields["tokenizer.ggml.tokens"].data),
        rope_base=float(field(reader, "llama.rope.freq_base")),
        norm_eps=float(field(reader, "llama.attention.layer_norm_rms_epsilon")),
    )


def unpermute(rows: npt.NDArray[Any], heads: int) -> npt.NDArray[Any]:
    """Rows of q or k from llama.cpp's order to transformers' order; shape (out, …) is kept."""
    out = rows.shape[0]
    return rows.reshape(heads, out // heads // 2, 2, -1).swapaxes(1, 2).reshape(rows.shape)


def permute(rows: npt.NDArray[Any], heads: int) -> npt.NDArray[Any]:
    """The inverse of `unpermute`."""
    out = rows.shape[0]
    return rows.reshape(heads, 2, out // heads // 2, -1).swapaxes(1, 2).reshape(rows.shape)


def rotary_heads(name: str, shape: Shape) -> int:
    """Heads by which the rows of the GGUF tensor `name` are permuted; 0 if they are not."""
    if "attn_q." in name:
        return shape.heads
    return shape.kv_heads if "attn_k." in name else 0


def dequantize(tensor: gguf.ReaderTensor) -> Array:
    """A tensor's values in float32, shape (out, in) or (n,), rows as the file has them."""
    values: Array = gguf.dequantize(tensor.data, tensor.tensor_type)
    return values.astype(np.float32, copy=False)
