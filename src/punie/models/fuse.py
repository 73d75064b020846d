"""Base + adapter → one GGUF. NumPy and gguf only: it runs on users' machines at first use.

Adapted tensors are dequantized, updated and written in a new number format; tensors that the
adapter does not touch (norms, all but a few embedding rows) are copied byte for byte. The base's
own 4-bit grid is never returned to, since a small update rounds away on it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

from punie.errors import ModelUnavailable
from punie.models.adapter import Adapter
from punie.models.chat_template import chat_template
from punie.models.weights import dequantize, open_gguf
from punie.prompt import DIALECTS

Progress = Callable[[int, int, str], None]
"""Called with (bytes of the base done, bytes in all, text)."""

TEMPLATE = "tokenizer.chat_template"
FILE_TYPES = {
    "F32": gguf.LlamaFileType.ALL_F32,
    "F16": gguf.LlamaFileType.MOSTLY_F16,
    "BF16": gguf.LlamaFileType.MOSTLY_BF16,
    "Q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
    "Q5_1": gguf.LlamaFileType.MOSTLY_Q5_1,
    "Q5_0": gguf.LlamaFileType.MOSTLY_Q5_0,
    "Q4_0": gguf.LlamaFileType.MOSTLY_Q4_0,
}
"""Number formats that adapted tensors can be written in. K-quants need widths that are multiples
of 256 and so do not fit SmolLM2's 576."""


def fuse(
    base: Path,
    adapter: Adapter,
    out: Path,
    kind: str = "Q8_0",
    facts: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> None:
    """Write `base` with `adapter` merged into it to `out`, atomically. `facts` become metadata
    `punie.<key>` (`name` also `general.name`). Raises ModelUnavailable for a kind that is not in
    `FILE_TYPES` or an adapter that does not fit the base."""
    if kind not in FILE_TYPES:
        raise ModelUnavailable(f"cannot write {kind!r}; known: {', '.join(FILE_TYPES)}")
    reader = open_gguf(base)
    _check(reader, adapter)
    temporary = out.with_name(f"{out.name}.{os.getpid()}.part")
    writer = gguf.GGUFWriter(temporary, "llama")
    _copy_metadata(reader, writer, FILE_TYPES[kind], dict(facts or {}))
    target = gguf.GGMLQuantizationType[kind]
    for tensor in reader.tensors:
        shape = [int(size) for size in reversed(tensor.shape)]
        adapted = tensor.name in adapter.names
        raw_type = target if adapted else tensor.tensor_type
        raw_shape = gguf.quant_shape_to_byte_shape(shape, raw_type)
        size = int(np.prod(raw_shape)) if adapted else int(tensor.n_bytes)
        if raw_type in (gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.F16):
            size = int(np.prod(shape)) * (4 if raw_type.name == "F32" else 2)
        writer.add_tensor_info(tensor.name, shape, np.dtype(np.float32), size, raw_dtype=raw_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    total = sum(int(tensor.n_bytes) for tensor in reader.tensors)
    done = 0
    for tensor in reader.tensors:
        data: npt.NDArray[Any] = np.asarray(tensor.data)
        if tensor.name in adapter.names:
            data = gguf.quantize(dequantize(tensor) + adapter.update(tensor.name), target)
        elif tensor.name == "token_embd.weight" and adapter.rows:
            data = data.copy()
            for token, row in adapter.rows.items():
                data[token] = gguf.quantize(row[None], tensor.tensor_type)[0]
        writer.write_tensor_data(np.ascontiguousarray(data))
        done += int(tensor.n_bytes)
        if progress:
            progress(done, total, "preparing the model (once)")
    writer.close()
    temporary.replace(out)


def _check(reader: gguf.GGUFReader, adapter: Adapter) -> None:
    """Raises ModelUnavailable that names every adapted tensor which the base lacks or which has
    another shape there."""
    there = {t.name: tuple(int(n) for n in reversed(t.shape)) for t in reader.tensors}
    wrong = [
        f"  {name}: adapter {adapter.shape(name)}, base {there.get(name)}"
        for name in sorted(adapter.names)
        if there.get(name) != adapter.shape(name)
    ]
    if wrong:
        raise ModelUnavailable("the adapter does not fit the base:\n" + "\n".join(wrong[:10]))


def _copy_metadata(
    reader: gguf.GGUFReader,
    writer: gguf.GGUFWriter,
    file_type: gguf.LlamaFileType,
    facts: dict[str, str],
) -> None:
    """Copy all metadata but what the writer makes itself, and add `facts`; the chat template is
    the dialect's, if they name one."""
    own = {"general.architecture", "general.file_type", "general.name"}
    if dialect := DIALECTS.get(facts.get("dialect", "")):
        own.add(TEMPLATE)
        writer.add_chat_template(chat_template(dialect))
    for key, entry in reader.fields.items():
        if key.startswith("GGUF.") or key in own:
            continue
        inner = entry.types[-1] if entry.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(key, entry.contents(), entry.types[0], inner)
    writer.add_file_type(file_type)
    writer.add_name(facts.get("name", "punie"))
    for key, value in facts.items():
        writer.add_string(f"punie.{key}", value)


def retention(base: Path, adapter: Adapter, fused: Path) -> dict[str, tuple[float, float]]:
    """For each adapted tensor, what became of its update U: (share of U that is in the fused
    file, error of the fused weights relative to the size of U). 1.0 and 0.0 are ideal; an error
    near or above 1 means that rounding drowns the update."""
    before = {tensor.name: tensor for tensor in open_gguf(base).tensors}
    found: dict[str, tuple[float, float]] = {}
    for tensor in open_gguf(fused).tensors:
        if tensor.name not in adapter.names:
            continue
        update = adapter.update(tensor.name)
        change = dequantize(tensor) - dequantize(before[tensor.name])
        size = float(np.vdot(update, update)) or 1.0
        error = change - update
        kept = float(np.vdot(change, update)) / size
        found[tensor.name] = (kept, float(np.vdot(error, error) / size) ** 0.5)
    return found
