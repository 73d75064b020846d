"""A model in MLX with its LoRA pairs, by mlx-lm: loading, counting, saving."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from punie.engine.mlx import require
from punie.errors import ModelUnavailable

ADAPTER, CONFIG = "adapters.safetensors", "adapter_config.json"
"""mlx-lm's own names: `mlx_lm.generate --adapter-path` reads the folder as it is."""


def folder_of(base: str) -> Path:
    """The folder of a base model, downloaded by mlx-lm when it is no folder here. Raises
    ModelUnavailable that says what to do."""
    utils = require("mlx_lm.utils")
    if Path(base).expanduser().is_dir():
        return Path(base).expanduser()
    try:
        return Path(utils._download(base))
    except Exception as error:  # the hub's client has a dozen kinds
        raise ModelUnavailable(
            f"no model {base!r}: it is no folder here and cannot be downloaded"
            f" ({str(error).splitlines()[0] if str(error) else type(error).__name__}); fetch it"
            " where there is a network and give its folder as `base`"
        ) from None


def adapt(model: Any, config: dict[str, Any]) -> None:
    """Freeze `model` and add LoRA pairs as an mlx-lm `adapter_config.json` says."""
    model.freeze()
    layers = config["num_layers"]
    require("mlx_lm.tuner.utils").linear_to_lora_layers(
        model, len(model.layers) if layers < 0 else layers, config["lora_parameters"]
    )


def trainable(model: Any) -> dict[str, Any]:
    """The trainable arrays by name."""
    found: dict[str, Any] = dict(require("mlx.utils").tree_flatten(model.trainable_parameters()))
    return found


def counts(model: Any) -> dict[str, Any]:
    """Trainable and total parameters, and the adapted modules of a layer."""
    arrays = trainable(model)
    total = int(require("mlx_lm.utils").get_total_parameters(model))
    values = sum(int(array.size) for array in arrays.values())
    modules = {name.split(".layers.", 1)[-1].partition(".")[2] for name in arrays}
    return {
        "trainable_parameters": values,
        "parameters": total,
        "trainable_share": round(values / total, 5),
        "adapted_modules": sorted({name.rpartition(".")[0] for name in modules}),
        "adapted_layers": len({name.split(".layers.", 1)[-1].split(".")[0] for name in arrays}),
    }


def save_arrays(path: Path, arrays: dict[str, Any], metadata: dict[str, str] | None = None) -> None:
    """Write safetensors to `path`, whole or not at all."""
    temporary = path.with_name(f"part.{path.name}")  # mlx adds an ending that is not its own
    require("mlx.core").save_safetensors(str(temporary), arrays, metadata or {})
    temporary.replace(path)


def read_config(folder: Path) -> dict[str, Any]:
    """The `adapter_config.json` of an adapter's folder. Raises ModelUnavailable."""
    try:
        found: dict[str, Any] = json.loads((folder / CONFIG).read_text("utf-8"))
        layers, lora = found["num_layers"], found["lora_parameters"]
        if not isinstance(layers, int) or not isinstance(lora, dict):
            raise ValueError(f"{CONFIG}: num_layers {layers!r}, lora_parameters {lora!r}")
        return {"num_layers": layers, "lora_parameters": lora}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelUnavailable(f"no MLX adapter in {str(folder)!r}: {error!r}") from None


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """What mlx-lm prints goes to standard error: standard output is for results."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def copy_tokenizer(source: Path, target: Path) -> None:
    """Copy what tokenizes and prompts, byte for byte: what was trained is what is served."""
    for pattern in ("tokenizer*", "*.jinja", "vocab*", "merges*", "*tokens*.json"):
        for path in source.glob(pattern):
            shutil.copy2(path, target / path.name)
    if (source / "generation_config.json").is_file():
        shutil.copy2(source / "generation_config.json", target)
