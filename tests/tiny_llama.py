"""A two-block random Llama with SmolLM2's first 1,024 tokens: all formats real, seconds fast."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from punie.models import base_file
from punie.models.adapter import Adapter
from punie.models.weights import field, open_gguf

VOCABULARY = 1024
"""Tokens kept: 17 control tokens, 256 bytes, and the results of the first merges."""


@cache
def _tokenizer() -> dict[str, Any]:
    reader = open_gguf(base_file())
    tokens = field(reader, "tokenizer.ggml.tokens")[:VOCABULARY]
    known = set(tokens)
    merges = [
        merge
        for merge in field(reader, "tokenizer.ggml.merges")[:VOCABULARY]
        if merge.replace(" ", "") in known
    ]
    types = field(reader, "tokenizer.ggml.token_type")[:VOCABULARY]
    return {"tokens": tokens, "types": types, "merges": merges}


LINEARS = (
    ("attn_q", 64, 64),
    ("attn_k", 64, 32),
    ("attn_v", 64, 32),
    ("attn_output", 64, 64),
    ("ffn_gate", 64, 128),
    ("ffn_up", 64, 128),
    ("ffn_down", 128, 64),
)
"""Name, width and height of each linear layer of the tiny model."""


def tiny_adapter(seed: int = 1) -> Adapter:
    """An adapter of rank 4 of all its linear layers."""
    random = np.random.default_rng(seed)
    pairs = {
        f"blk.{block}.{name}.weight": (
            random.normal(size=(4, width)).astype(np.float32),
            0.02 * random.normal(size=(out, 4)).astype(np.float32),
        )
        for block in range(2)
        for name, width, out in LINEARS
    }
    return Adapter(4, 4.0, pairs, {})


def write_tiny(path: Path, seed: int = 0) -> Path:
    """Write the model to `path`: Q4_1 linear layers and a Q8_0 embedding, as in the real base."""
    hidden, ffn, heads, kv_heads, blocks = 64, 128, 4, 2, 2
    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(blocks)
    writer.add_context_length(512)
    writer.add_embedding_length(hidden)
    writer.add_feed_forward_length(ffn)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_freq_base(10_000.0)
    writer.add_rope_dimension_count(hidden // heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(VOCABULARY)
    words = _tokenizer()
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(words["tokens"])
    writer.add_token_types(words["types"])
    writer.add_token_merges(words["merges"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)

    def tensor(name: str, out: int, width: int, kind: gguf.GGMLQuantizationType) -> None:
        values = random.normal(size=(out, width), scale=width**-0.5).astype(np.float32)
        writer.add_tensor(name, gguf.quantize(values, kind), raw_dtype=kind)

    tensor("token_embd.weight", VOCABULARY, hidden, gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("output_norm.weight", np.ones(hidden, dtype=np.float32))
    kv_width = kv_heads * hidden // heads
    for block in range(blocks):
        for name, out, width in (
            ("attn_q", hidden, hidden),
            ("attn_k", kv_width, hidden),
            ("attn_v", kv_width, hidden),
            ("attn_output", hidden, hidden),
            ("ffn_gate", ffn, hidden),
            ("ffn_up", ffn, hidden),
            ("ffn_down", hidden, ffn),
        ):
            tensor(f"blk.{block}.{name}.weight", out, width, gguf.GGMLQuantizationType.Q4_1)
        for name in ("attn_norm", "ffn_norm"):
            scale = random.uniform(0.5, 1.5, size=hidden).astype(np.float32)
            writer.add_tensor(f"blk.{block}.{name}.weight", scale)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_rows(path: Path, count: int, seed: int = 0) -> Path:
    """Write `count` training rows: programs, a direct answer now and then, some follow-ups."""
    random = np.random.default_rng(seed)
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            name = f"item_{random.integers(1000)}"
            messages: list[dict[str, str]] = [
                {"role": "system", "content": "Be Punie."},
                {"role": "user", "content": f"who calls {name}?"},
            ]
            program = f"r = find_references({name!r})\nprint(r.reference_count)"
            if number % 4:
                messages.append({"role": "assistant", "content": "", "code": program})
            else:
                messages.append({"role": "assistant", "content": "Nobody, as far as I know."})
            if number % 3 == 1:
                messages.append({"role": "tool", "content": str(random.integers(9))})
                messages.append({"role": "user", "content": "and its types?"})
                messages.append({"role": "assistant", "content": "", "code": "print(typecheck())"})
            file.write(json.dumps({"id": f"row-{number}", "messages": messages, "x": 1}) + "\n")
    return path
