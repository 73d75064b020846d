"""Stage `fuse` on the MLX path: adapter + dequantized base → a float MLX folder that stands alone.

The update is never put back onto the base's 4-bit grid, where it would round away: the base is
dequantized first. The outputs folder is loaded again and held against base + adapter: logits, and
the tokens that each would write. `meta.json` is written last.
"""

from __future__ import annotations

import json
import platform
import shutil
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
from mlx.utils import tree_map, tree_unflatten
from mlx_lm import utils

from punie.engine.folder import FolderTokenizer
from punie.engine.mlx import load
from punie.errors import ModelUnavailable
from punie.factory.mlx import model as models
from punie.factory.mlx.card import intact, write_card
from punie.factory.mlx.options import MlxFuseOptions
from punie.factory.mlx.probes import answer, probes
from punie.factory.probes import TOLERATED, divergence
from punie.factory.training.records import done_before, put_in_place, write_json
from punie.models import sha256_of
from punie.prompt import DIALECTS


def run(options: MlxFuseOptions) -> Path:
    """Fuse and return the outputs folder. Raises ModelUnavailable when base and adapter do not
    fit, or when the fused model does not answer as base + adapter do."""
    began = time.monotonic()
    card = _card(options.adapter)
    base = models.folder_of(options.base or card["base"])
    inputs = {"adapter": sha256_of(options.adapter / models.ADAPTER)}
    inputs["base"] = sha256_of(base / "config.json")
    given = json.loads(options.model_dump_json(include={"dtype"}))
    meta = options.out / "meta.json"
    if done_before(meta, inputs, given) and intact(options.out):
        return options.out
    part = options.out.with_name(f"{options.out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.parent.mkdir(parents=True, exist_ok=True)
    model, config = _adapted(base, options.adapter)
    asked = probes(FolderTokenizer(base), card["dialect"])
    wanted = [answer(model, probe) for probe in asked]
    pairs = [name for name, module in model.named_modules() if hasattr(module, "fuse")]
    _fuse(model)
    grid = config.pop("quantization", None)
    config.pop("quantization_config", None)
    _save(model, config, base, part, options.dtype)
    del model
    again, _ = load(part)
    found = [answer(again, probe) for probe in asked]
    apart = [divergence(ours, theirs) for (ours, _), (theirs, _) in zip(wanted, found, strict=True)]
    alike = sum(ours == theirs for (_, ours), (_, theirs) in zip(wanted, found, strict=True))
    content = {
        "stage": "fuse",
        "options": given,
        "inputs": inputs,
        "card": {key: card[key] for key in ("name", "dialect", "tools_hash")},
        "base": {"folder": str(base), "quantization": grid},
        "fused_modules": len(pairs),
        "divergence": round(float(np.mean(apart)), 6),
        "probes_written_alike": [alike, len(asked)],
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in ("mlx", "mlx-lm")},
        "seconds": round(time.monotonic() - began, 1),
    }
    if not content["divergence"] <= TOLERATED:  # also where it is no number
        raise ModelUnavailable(
            f"the fused model differs from base + adapter by {content['divergence']} nats a token"
            f" (at most {TOLERATED}): it is left in {str(part)!r}"
        )
    write_card(part, card)
    write_json(part / "meta.json", content)
    put_in_place(part, options.out)
    return options.out


def _card(adapter: Path) -> dict[str, Any]:
    """The card of an adapter. Raises ModelUnavailable when it is missing or not of its weights."""
    try:
        card: dict[str, Any] = json.loads((adapter / "adapter.json").read_text("utf-8"))
        stated, real = card["sha256"], sha256_of(adapter / models.ADAPTER)
        lacking = {"base", "name", "dialect", "tools_hash"} - card.keys()
        if lacking or card["dialect"] not in DIALECTS:
            raise ValueError(f"adapter.json: no {sorted(lacking) or 'such dialect'}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelUnavailable(
            f"no finished MLX adapter in {str(adapter)!r} ({error!r}): train one first"
        ) from None
    if stated != real:
        raise ModelUnavailable(f"{str(adapter)!r}: the adapter is not the one that its card names")
    return card


def _adapted(base: Path, adapter: Path) -> tuple[Any, dict[str, Any]]:
    """Base + adapter, every tensor of the adapter in its place."""
    model, config = load(base, lazy=True)
    try:
        models.adapt(model, models.read_config(adapter))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelUnavailable(
            f"{models.CONFIG} in {str(adapter)!r} does not fit the base: {error!r}"
        ) from None
    places = models.trainable(model)
    try:
        arrays = mx.load(str(adapter / models.ADAPTER))
    except (RuntimeError, OSError) as error:
        raise ModelUnavailable(f"cannot read the adapter in {str(adapter)!r}: {error}") from None
    wrong = sorted(places.keys() ^ arrays.keys())
    wrong += [n for n in places.keys() & arrays.keys() if places[n].shape != arrays[n].shape]
    if wrong:
        raise ModelUnavailable("the adapter does not fit the base:\n  " + "\n  ".join(wrong[:10]))
    model.load_weights(list(arrays.items()), strict=False)
    model.eval()
    return model, config


def _fuse(model: Any) -> None:
    """Merge every LoRA pair into its dequantized layer, experts too, and dequantize the rest."""
    fused = [
        (name, module.fuse(dequantize=True))
        for name, module in model.named_modules()
        if hasattr(module, "fuse")
    ]
    model.update_modules(tree_unflatten(fused))
    utils.dequantize_model(model)
    left = [n for n, m in model.named_modules() if hasattr(m, "fuse") or hasattr(m, "bits")]
    if left:
        raise ModelUnavailable(f"layers that mlx-lm can neither fuse nor dequantize: {left[:10]}")


def _save(model: Any, config: dict[str, Any], base: Path, out: Path, kind: str) -> None:
    dtype = getattr(mx, kind)
    model.update(
        tree_map(
            lambda a: a.astype(dtype) if mx.issubdtype(a.dtype, mx.floating) else a,
            model.parameters(),
        )
    )
    utils.save_model(out, model)
    utils.save_config(config | {"torch_dtype": kind}, out / "config.json")
    models.copy_tokenizer(base, out)
