"""A fused model as a Hugging Face folder, for transformers, mlx-lm and the like.

The weights are those of base + adapter in float16, never of a quantized file; q and k are in
transformers' row order; the tokenizer gives llama.cpp's ids; its chat template is the dialect's.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from punie.errors import ModelUnavailable
from punie.models.adapter import Adapter
from punie.models.chat_template import chat_template
from punie.models.fuse import fuse
from punie.models.weights import field, open_gguf, shape_of
from punie.prompt import DIALECTS

WEIGHTS = "model.safetensors"
"""The file that is not written without all the others: the folder appears whole."""


def require() -> None:
    """Raises ModelUnavailable without the extra `train`."""
    try:
        import safetensors.numpy  # noqa: F401

        import punie.factory.training.base  # noqa: F401
    except ImportError as error:
        raise ModelUnavailable(
            f"a Hugging Face folder needs the extra 'train' ({error}): pip install -e '.[train]'"
        ) from None


def export(base: Path, adapter: Adapter, out: Path, facts: Mapping[str, str]) -> None:
    """Write the folder `out`, as a whole or not at all; what was there goes. `facts` are those of
    the model's card. Raises ModelUnavailable without the extra `train`, or when a value is beyond
    float16."""
    require()
    from safetensors.numpy import save_file

    from punie.factory.training.base import TrainingTokenizer, weights

    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="huggingface-", dir=out.parent) as name:
        part = Path(name) / "folder"
        part.mkdir()
        fuse(base, adapter, Path(name) / "model.gguf", "F32")
        reader = open_gguf(Path(name) / "model.gguf")
        state = {
            key: np.ascontiguousarray(values, dtype=np.float16)
            for key, values in weights(reader).items()
        }
        if over := [name for name, values in state.items() if not np.isfinite(values).all()]:
            raise ModelUnavailable(f"values of {', '.join(over[:5])} are beyond float16")
        save_file(state, part / WEIGHTS, {"format": "pt"})
        (part / WEIGHTS).chmod(0o644)  # safetensors lets nobody but its owner read it
        TrainingTokenizer(reader).save(part / "tokenizer.json")
        ends = {"bos_token_id": _number(reader, "bos"), "eos_token_id": _number(reader, "eos")}
        _write(part / "config.json", config(reader, tied="lm_head.weight" not in state) | ends)
        _write(part / "generation_config.json", {"do_sample": False} | ends)
        _write(part / "tokenizer_config.json", _tokenizer(reader, facts, ends))
        _write(part / "punie.json", dict(facts))
        if out.exists():
            shutil.rmtree(out)
        part.rename(out)


def config(reader: gguf.GGUFReader, *, tied: bool) -> dict[str, Any]:
    """What transformers' `LlamaConfig` holds of a model whose output layer is the embedding
    (`tied`) or its own."""
    shape = shape_of(reader)
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": shape.vocab,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.ffn,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "rms_norm_eps": shape.norm_eps,
        "rope_theta": shape.rope_base,
        "max_position_embeddings": int(field(reader, "llama.context_length")),
        "hidden_act": "silu",
        "tie_word_embeddings": tied,
        "torch_dtype": "float16",
    }


def _tokenizer(
    reader: gguf.GGUFReader, facts: Mapping[str, str], ends: Mapping[str, int]
) -> dict[str, Any]:
    tokens: list[str] = field(reader, "tokenizer.ggml.tokens")
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": tokens[ends["bos_token_id"]],
        "eos_token": tokens[ends["eos_token_id"]],
        "pad_token": tokens[ends["eos_token_id"]],
        "model_max_length": int(field(reader, "llama.context_length")),
        "clean_up_tokenization_spaces": False,
        "chat_template": chat_template(DIALECTS[facts["dialect"]]),
    }


def _number(reader: gguf.GGUFReader, name: str) -> int:
    return int(field(reader, f"tokenizer.ggml.{name}_token_id"))


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")
