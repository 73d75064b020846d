"""A random Qwen3-MoE of a few layers and experts in an MLX folder, with a tokenizer made here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
MARKERS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
"""Added tokens that are not special, as in Qwen's own vocabulary."""
TEXT = (
    "You are Punie. Answer questions about this Python repository, by program or in words.",
    "who calls item_12? r = find_references('item_7')\nprint(r.reference_count)\n",
    "<function=execute_code>\n<parameter=code>\nprint(typecheck())\n</parameter>\n</function>\n",
    "and its types? Nobody, as far as I know. system user assistant",
)
SHAPE: dict[str, Any] = {
    "model_type": "qwen3_moe",
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 64,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "max_position_embeddings": 2048,
    "norm_topk_prob": True,
}


def write_tokenizer(folder: Path) -> int:
    """Write `tokenizer.json` and its configuration; gives the size of the vocabulary."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(TEXT, trainer)
    tokenizer.add_special_tokens([AddedToken(t, normalized=False) for t in SPECIAL])
    tokenizer.add_tokens([AddedToken(t, normalized=False) for t in MARKERS])
    tokenizer.save(str(folder / "tokenizer.json"))
    facts = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(facts), "utf-8")
    return int(tokenizer.get_vocab_size())


def write_moe(folder: Path, bits: int | None = 4, seed: int = 0) -> Path:
    """Write the model to `folder`, quantized to `bits` as mlx-community's are, or in bfloat16."""
    import mlx.core as mx
    from mlx.utils import tree_map
    from mlx_lm.models.qwen3_moe import Model, ModelArgs
    from mlx_lm.utils import quantize_model, save_config, save_model

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = write_tokenizer(folder)
    mx.random.seed(seed)
    end = json.loads((folder / "tokenizer.json").read_text("utf-8"))["added_tokens"]
    config = SHAPE | {
        "vocab_size": -(-vocabulary // 64) * 64,
        "eos_token_id": next(t["id"] for t in end if t["content"] == "<|im_end|>"),
    }
    model = Model(ModelArgs.from_dict(config))
    model.update(tree_map(lambda array: array.astype(mx.bfloat16), model.parameters()))
    if bits:
        model, config = quantize_model(model, config, 64, bits)
    save_model(folder, model)
    save_config(config, folder / "config.json")
    return folder
