"""Number formats: a fused GGUF written again in fewer bits by llama.cpp's own quantizer.

llama.cpp takes another format for a tensor whose rows do not divide into blocks (k-quants need
multiples of 256, SmolLM2's width is 576), so a level is labelled by what stands in its file.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import gguf

from punie.engine.llama import last_errors, library
from punie.errors import ModelUnavailable, UsageError
from punie.models.adapter import Adapter
from punie.models.fuse import retention
from punie.models.weights import open_gguf

LEVELS = {
    "Q4_0": 4,
    "Q4_1": 4,
    "IQ4_NL": 4,
    "Q4_K_M": 4,
    "Q5_0": 5,
    "Q5_1": 5,
    "Q5_K_M": 5,
    "Q6_K": 6,
    "Q8_0": 8,
}
"""llama.cpp's name of a level → the bits that it stands for."""
PLAIN = ("F32", "F16", "BF16")
"""Formats that a level can be made from."""


@dataclass(frozen=True)
class Written:
    """What stands in a model file."""

    kinds: dict[str, int]
    """Number format → linear layers that have it, the most frequent first."""
    bits: float
    """Bits a weight over the linear layers, scales included."""
    size: int
    """Bytes of the file."""

    @property
    def label(self) -> str:
        """The true formats: `Q5_0`, or `Q8_0 180 + Q6_K 30` where they differ by tensor."""
        if len(self.kinds) == 1:
            return next(iter(self.kinds))
        return " + ".join(f"{kind} {count}" for kind, count in self.kinds.items())


def check_levels(levels: Iterable[str]) -> None:
    """Raises UsageError that names every level that there is not."""
    if unknown := [level for level in levels if level not in LEVELS]:
        raise UsageError(f"unknown levels {unknown}; known: {', '.join(LEVELS)}")


def quantize(source: Path, out: Path, level: str) -> None:
    """Write `source` to `out` at `level`, atomically. Tensors that the fused file has in fewer
    bits already (the embedding, copied from the base) stay as they are. Raises UsageError when
    the linear layers of `source` are quantized, ModelUnavailable when llama.cpp fails."""
    check_levels([level])
    llama, reader = library(), open_gguf(source)
    if odd := sorted({kind for kind in _kinds(reader) if kind not in PLAIN}):
        raise UsageError(
            f"{str(source)!r} is quantized already ({', '.join(odd)}): fuse to F16 first"
            " (punie fuse RECIPE --kind F16)"
        )
    params = llama.llama_model_quantize_default_params()
    params.ftype = getattr(llama, f"LLAMA_FTYPE_MOSTLY_{level}")
    types = {tensor.name: tensor.tensor_type for tensor in reader.tensors}
    kept = types.get("output.weight", types["token_embd.weight"])
    if kept.name not in PLAIN:
        params.output_tensor_type = kept.value
    if types["token_embd.weight"].name not in PLAIN:
        params.token_embedding_type = types["token_embd.weight"].value
    temporary = out.with_name(f"{out.name}.{os.getpid()}.part")
    status = llama.llama_model_quantize(
        os.fsencode(source), os.fsencode(temporary), ctypes.byref(params)
    )
    if status:
        temporary.unlink(missing_ok=True)
        raise ModelUnavailable(
            f"llama.cpp cannot write {source.name} as {level} (status {status}): {last_errors()}"
        )
    _state_true_type(temporary)
    temporary.replace(out)


def written(path: Path) -> Written:
    """What a model file holds in truth."""
    reader = open_gguf(path)
    linear = [tensor for tensor in reader.tensors if _linear(tensor.name)]
    values = sum(int(tensor.n_elements) for tensor in linear)
    bits = 8 * sum(int(tensor.n_bytes) for tensor in linear) / max(values, 1)
    return Written(dict(_kinds(reader).most_common()), round(bits, 2), path.stat().st_size)


def on_the_grid_of(base: Path, adapter: Adapter, path: Path) -> list[str]:
    """Adapted tensors of `path` in the very format that they have in a quantized base: rounding
    may lay them back on its grid, where a small update is gone."""
    before = {tensor.name: tensor.tensor_type for tensor in open_gguf(base).tensors}
    return [
        tensor.name
        for tensor in open_gguf(path).tensors
        if tensor.name in adapter.names
        and tensor.tensor_type == before[tensor.name]
        and tensor.tensor_type.name not in PLAIN
    ]


def by_layer(base: Path, adapter: Adapter, path: Path) -> list[tuple[float, float]]:
    """For each block of the model, (share of its update that is in `path`, rounding error beside
    the update), both means over its adapted tensors; see `punie.models.fuse.retention`."""
    layers: dict[int, list[tuple[float, float]]] = {}
    for name, found in retention(base, adapter, path).items():
        block = re.search(r"blk\.(\d+)\.", name)
        layers.setdefault(int(block[1]) if block else -1, []).append(found)
    return [
        (sum(k for k, _ in found) / len(found), sum(e for _, e in found) / len(found))
        for _, found in sorted(layers.items())
    ]


def _linear(name: str) -> bool:
    return name.startswith("blk.") and "norm" not in name and name.endswith(".weight")


def _kinds(reader: gguf.GGUFReader) -> Counter[str]:
    return Counter(t.tensor_type.name for t in reader.tensors if _linear(t.name))


def _state_true_type(path: Path) -> None:
    """Make the file's own statement name the format that most of its linear layers have."""
    reader = gguf.GGUFReader(str(path), "r+")
    most = _kinds(reader).most_common(1)[0][0]
    stated = gguf.LlamaFileType.__members__.get(f"MOSTLY_{most}")
    entry = reader.get_field("general.file_type")
    if stated is not None and entry is not None:
        entry.parts[entry.data[0]][0] = stated.value
        reader.data.flush()
