"""A Llama-family GGUF as training material: float weights under transformers' names, and a
tokenizer that gives llama.cpp's own ids."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import gguf
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

from punie.errors import ModelUnavailable
from punie.models.weights import Array, dequantize, field, rotary_heads, shape_of, unpermute
from punie.prompt import Piece

LINEARS = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
"""GGUF name of each linear layer of a block → its name in transformers."""
NORMS = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}


def weights(reader: gguf.GGUFReader) -> dict[str, Array]:
    """All weights in float32 under transformers' names, q and k in transformers' order.

    Embeddings that double as the output layer (tied) appear once, as `model.embed_tokens.weight`.
    """
    shape = shape_of(reader)
    blocks = LINEARS | NORMS
    named = {
        "token_embd.weight": "model.embed_tokens.weight",
        "output_norm.weight": "model.norm.weight",
        "output.weight": "lm_head.weight",
    }
    state: dict[str, Array] = {}
    for tensor in reader.tensors:
        values = dequantize(tensor)
        if heads := rotary_heads(tensor.name, shape):
            values = unpermute(values, heads)
        if tensor.name in named:
            state[named[tensor.name]] = values
            continue
        _, number, part, _ = tensor.name.split(".")
        state[f"model.layers.{number}.{blocks[part]}.weight"] = values
    return state


class TrainingTokenizer:
    """The GGUF's own vocabulary and merges in the `tokenizers` library.

    Gives exactly llama.cpp's ids for byte-level BPE of the pre-tokenizers `smollm` (digits one
    by one) and `gpt-2`. Other pre-tokenizers are refused rather than guessed.
    """

    def __init__(self, reader: gguf.GGUFReader) -> None:
        kind, pre = field(reader, "tokenizer.ggml.model"), field(reader, "tokenizer.ggml.pre")
        if kind != "gpt2" or pre not in ("smollm", "gpt-2"):
            raise ModelUnavailable(f"no exact tokenizer for vocabulary {kind!r}, {pre!r}")
        tokens: list[str] = field(reader, "tokenizer.ggml.tokens")
        types: list[int] = field(reader, "tokenizer.ggml.token_type")
        merges = [tuple(m.split(" ")) for m in field(reader, "tokenizer.ggml.merges")]
        self.controls = {t: i for i, t in enumerate(tokens) if types[i] == gguf.TokenType.CONTROL}
        """Control tokens and their ids."""
        vocabulary = {token: number for number, token in enumerate(tokens)}
        self._text = _byte_level(vocabulary, merges, digits=pre == "smollm")
        self._control = _byte_level(vocabulary, merges, digits=pre == "smollm")
        self._control.add_special_tokens([AddedToken(t, normalized=False) for t in self.controls])

    def encode(self, pieces: Iterable[Piece]) -> tuple[list[int], list[bool]]:
        """Token ids of a rendered prompt and, for each, whether it is trained."""
        ids: list[int] = []
        trained: list[bool] = []
        for piece in pieces:
            tokenizer = self._control if piece.control else self._text
            found = tokenizer.encode(piece.text, add_special_tokens=False).ids
            ids += found
            trained += [piece.trained] * len(found)
        return ids, trained

    def save(self, path: Path) -> None:
        """Write it as a `tokenizer.json`; there control tokens in a text count as such."""
        self._control.save(str(path))

    def decode(self, ids: list[int]) -> str:
        """The text of `ids`, control tokens visible."""
        return str(self._control.decode(ids, skip_special_tokens=False))


def _byte_level(vocabulary: dict[str, int], merges: list[Any], *, digits: bool) -> Tokenizer:
    """A byte-level BPE tokenizer without special tokens."""
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, fuse_unk=False))
    words = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    single = pre_tokenizers.Split(Regex(r"\p{N}"), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([single, words]) if digits else words
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer
