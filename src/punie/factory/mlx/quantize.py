"""Stage `quantize` on the MLX path: a float folder → 4, 5, 6 or 8 bits, by mlx-lm.

`meta.json` states what the file really holds (tensors by bits and group size, bits a weight), what
is left of the update in each adapted layer, and how far the model moved on task prompts. A level
that is the base's own grid is refused: a small update rounds away on it.
"""

from __future__ import annotations

import json
import platform
import shutil
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
from mlx_lm.convert import convert
from mlx_lm.utils import compute_bits_per_weight

from punie.engine.folder import CARD, FolderTokenizer, read_json
from punie.engine.mlx import load
from punie.errors import ModelUnavailable, UsageError
from punie.factory.mlx import model as models
from punie.factory.mlx.card import intact, weights_hash, write_card
from punie.factory.mlx.options import MlxQuantizeOptions
from punie.factory.mlx.probes import answer, probes
from punie.factory.probes import divergence
from punie.factory.training.records import done_before, put_in_place, write_json
from punie.prompt import DIALECTS


def run(options: MlxQuantizeOptions) -> Path:
    """Quantize and return the outputs folder. Raises ModelUnavailable without a fused model,
    UsageError for the base's own grid."""
    began = time.monotonic()
    card, fused = _fused(options.fused)
    grid = fused["base"]["quantization"]
    if grid and (grid["bits"], grid["group_size"]) == (options.bits, options.group_size):
        raise UsageError(
            f"{options.bits} bits in groups of {options.group_size} are the base's own grid, on"
            " which the update rounds away: choose more bits"
        )
    given = json.loads(options.model_dump_json(include={"bits", "group_size"}))
    inputs = {"fused": weights_hash(options.fused)}
    meta = options.out / "meta.json"
    if done_before(meta, inputs, given) and intact(options.out):
        return options.out
    part = options.out.with_name(f"{options.out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        with models.quietly():
            convert(
                str(options.fused),
                str(part),
                quantize=True,
                q_bits=options.bits,
                q_group_size=options.group_size,
            )
    except Exception as error:  # mlx-lm's and the tokenizers' are of a dozen kinds
        raise ModelUnavailable(
            f"mlx-lm cannot quantize {str(options.fused)!r} ({type(error).__name__}: {error}):"
            " delete the folder, `punie fuse` makes it anew"
        ) from error
    models.copy_tokenizer(options.fused, part)
    before, _ = load(options.fused, lazy=True)
    after, config = load(part, lazy=True)
    asked = probes(FolderTokenizer(part), card["dialect"])
    pairs = [(answer(before, probe), answer(after, probe)) for probe in asked]
    moved = [divergence(ours, theirs) for (ours, _), (theirs, _) in pairs]
    if not np.isfinite(moved).all():
        raise ModelUnavailable(
            f"the quantized model gives no numbers: {moved}; it is left in {str(part)!r}"
        )
    equal = sum(ours == theirs for (_, ours), (_, theirs) in pairs)
    kept = retention(Path(fused["base"]["folder"]), before, after)
    content = {
        "stage": "quantize",
        "options": given,
        "inputs": inputs,
        "card": fused["card"],
        "tensors": tensor_types(after, config),
        "bits_per_weight": round(float(compute_bits_per_weight(after)), 3),
        "bytes": sum(p.stat().st_size for p in part.glob("*.safetensors")),
        "divergence": round(float(np.mean(moved)), 6),
        "probes_written_alike": [equal, len(asked)],
        "update_kept": summary(kept),
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in ("mlx", "mlx-lm")},
        "seconds": round(time.monotonic() - began, 1),
    }
    write_card(part, card)
    write_json(part / "meta.json", content)
    put_in_place(part, options.out)
    return options.out


def _fused(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Card and report of a fused model. Raises ModelUnavailable when there is none, or when its
    weights are not those that it was made with."""
    card, report = read_json(folder / CARD), read_json(folder / "meta.json")
    try:
        fits = "quantization" in report["base"] and "folder" in report["base"]
        fits = fits and card["dialect"] in DIALECTS and "card" in report
    except (KeyError, TypeError):
        fits = False
    if not fits:
        raise ModelUnavailable(f"no fused model in {str(folder)!r}: `punie fuse` makes it")
    if not intact(folder):
        raise ModelUnavailable(
            f"{str(folder)!r}: the weights are not those that its card names; `punie fuse` makes"
            " them anew"
        )
    return card, report


def tensor_types(model: Any, config: dict[str, Any]) -> dict[str, int]:
    """How many layers the model holds in each number format, by what the layers say themselves."""
    found: Counter[str] = Counter()
    for _, module in model.named_modules():
        weight = module.get("weight")
        if hasattr(module, "bits"):
            found[f"{module.bits} bits, groups of {module.group_size}"] += 1
        elif weight is not None:
            found[str(weight.dtype).removeprefix("mlx.core.")] += 1
    if not any("bits" in kind for kind in found):
        raise ModelUnavailable(f"nothing was quantized, whatever {config.get('model_type')} says")
    return dict(found.most_common())


def retention(base: Path, fused: Any, quantized: Any) -> dict[str, tuple[float, float]]:
    """For each layer that fusing changed, what became of its update U: (share of U that is left,
    error relative to the size of U); 1.0 and 0.0 are ideal. Empty when the base is gone."""
    if not base.is_dir():
        return {}
    first, _ = load(base, lazy=True)
    layers = {name: module for name, module in first.named_modules() if "weight" in module}
    others = dict(quantized.named_modules())
    found: dict[str, tuple[float, float]] = {}
    for name, module in fused.named_modules():
        if name not in layers or "weight" not in module:
            continue
        start = _values(layers[name])
        update = module.weight.astype(mx.float32) - start
        size = mx.square(update).sum().item()
        if size <= 1e-4 * mx.square(start).sum().item() * 1e-4:
            continue  # only the rounding of the number format
        change = _values(others[name]) - start
        kept = (change * update).sum().item() / size
        found[name] = (kept, (mx.square(change - update).sum().item() / size) ** 0.5)
    return found


def _values(module: Any) -> mx.array:
    """A layer's weights in float32."""
    if not hasattr(module, "bits"):
        return module.weight.astype(mx.float32)
    values = mx.dequantize(
        module.weight,
        module.scales,
        module.biases,
        group_size=module.group_size,
        bits=module.bits,
        mode=module.mode,
    )
    return values.astype(mx.float32)


def summary(kept: dict[str, tuple[float, float]]) -> dict[str, Any]:
    """What is left of the update, over all layers and in the worst."""
    if not kept:
        return {}
    worst = min(kept, key=lambda name: kept[name][0])
    return {
        "layers": len(kept),
        "mean": round(sum(share for share, _ in kept.values()) / len(kept), 4),
        "worst": round(kept[worst][0], 4),
        "worst_layer": worst,
        "mean_error": round(sum(error for _, error in kept.values()) / len(kept), 4),
    }
