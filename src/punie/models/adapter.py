"""What a training changed, on disk: a LoRA adapter in llama.cpp's format, plus embedding rows.

The rows are those of the dialect's control tokens: SmolLM2 never saw most of them, so that their
embeddings are all but equal and no LoRA could tell them apart (llama.cpp's own `--lora` does not
know such rows: fuse first). A full fine-tuning has whole updates instead of pairs, in a file as
large as the model, which only `punie fuse` reads. q and k are in llama.cpp's row order. Facts about
the adapter (dialect, base, tool set, training) stand in `adapter.json` beside it. NumPy and gguf
only.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from dataclasses import field as attribute
from pathlib import Path

import gguf
import numpy as np

from punie.errors import ModelUnavailable
from punie.models.weights import Array, dequantize, field, open_gguf

ROWS, ROW_IDS, WHOLE = "token_embd.rows", "punie.token_ids", ".update"
SIZE_LIMIT = 25_000_000
"""Bytes that a shipped adapter may have: above it float16 gives way to Q8_0."""


@dataclass(frozen=True)
class Adapter:
    """`pairs`: name of the adapted GGUF tensor → (A (rank, in), B (out, rank)); `rows`: token id
    → its new embedding (hidden,), which replaces the base's; `whole`: name of a tensor that was
    trained in full → its update (out, in)."""

    rank: int
    alpha: float
    pairs: dict[str, tuple[Array, Array]]
    rows: dict[int, Array]
    whole: dict[str, Array] = attribute(default_factory=dict)

    @property
    def names(self) -> set[str]:
        """The tensors that it changes, beside embedding rows."""
        return {*self.pairs, *self.whole}

    def shape(self, name: str) -> tuple[int, ...]:
        """(out, in) of a tensor that it changes."""
        if name in self.whole:
            return self.whole[name].shape
        a, b = self.pairs[name]
        return b.shape[0], a.shape[1]

    def update(self, name: str) -> Array:
        """What is added to one tensor, alpha / rank · B·A of a pair; shape (out, in)."""
        if name in self.whole:
            return self.whole[name]
        a, b = self.pairs[name]
        product: Array = b @ a
        return product * np.float32(self.alpha / self.rank)

    @property
    def parameters(self) -> int:
        """Number of trained values."""
        matrices = sum(a.size + b.size for a, b in self.pairs.values())
        matrices += sum(update.size for update in self.whole.values())
        return matrices + sum(row.size for row in self.rows.values())


def write_adapter(adapter: Adapter, path: Path, kind: str = "auto") -> str:
    """Write `adapter` to `path`, atomically, and return the kind used: "F32", "F16", "Q8_0" or,
    for "auto", F16 if that stays below `SIZE_LIMIT`, else Q8_0."""
    if kind == "auto":
        kind = "F16" if 2 * adapter.parameters < SIZE_LIMIT else "Q8_0"
    quantization = gguf.GGMLQuantizationType[kind]
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    writer = gguf.GGUFWriter(temporary, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", adapter.alpha)
    for name, (a, b) in adapter.pairs.items():
        for suffix, values in (("lora_a", a), ("lora_b", b)):
            rows = np.ascontiguousarray(values, dtype=np.float32)
            # Rows that do not divide into blocks of 32 (ranks below 32) stay float16.
            fits = kind != "Q8_0" or rows.shape[1] % 32 == 0
            used = quantization if fits else gguf.GGMLQuantizationType.F16
            data = gguf.quantize(rows, used)
            writer.add_tensor(f"{name}.{suffix}", data, raw_dtype=used)
    for name, update in adapter.whole.items():
        data = gguf.quantize(np.ascontiguousarray(update, dtype=np.float32), quantization)
        writer.add_tensor(f"{name}{WHOLE}", data, raw_dtype=quantization)
    if adapter.rows:
        writer.add_array(ROW_IDS, list(adapter.rows))
        writer.add_tensor(ROWS, np.stack(list(adapter.rows.values())).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    temporary.replace(path)
    return kind


def read_adapter(path: Path) -> Adapter:
    """Read an adapter of any kind. Raises ModelUnavailable when it is missing or unreadable."""
    reader = open_gguf(path)
    try:
        alpha = float(field(reader, "adapter.lora.alpha"))
        found = {tensor.name: dequantize(tensor) for tensor in reader.tensors}
        pairs = {
            name.removesuffix(".lora_a"): (a, found[name.removesuffix("lora_a") + "lora_b"])
            for name, a in found.items()
            if name.endswith(".lora_a")
        }
        rows = dict(zip(field(reader, ROW_IDS), found[ROWS], strict=True)) if ROWS in found else {}
        whole = {n.removesuffix(WHOLE): u for n, u in found.items() if n.endswith(WHOLE)}
        rank = 0 if whole else next(iter(pairs.values()))[0].shape[0]
    except (StopIteration, KeyError, ValueError, TypeError) as error:
        raise ModelUnavailable(f"{str(path)!r} is no adapter of Punie's: {error!r}") from None
    return Adapter(rank, alpha, pairs, rows, whole)
