"""The stages of a recipe with `backend = "mlx"`: from its tables to options, and to the work.

Light to import; what needs MLX is imported when a stage runs.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from punie.engine.mlx import require
from punie.errors import UsageError
from punie.factory import recipes
from punie.factory.mlx.options import MlxFuseOptions, MlxQuantizeOptions, MlxTrainOptions


def chosen(recipe: Path) -> bool:
    """Whether a recipe trains with MLX. Raises UsageError for a recipe that cannot be read or a
    backend that there is none of."""
    backend = recipes.table(recipe, "train").get("backend", "torch")
    if backend not in ("torch", "mlx"):
        raise UsageError(f"{recipe}: no backend {backend!r}; known: torch, mlx")
    return bool(backend == "mlx")


def train(recipe: Path, data: Path | None = None, out: Path | None = None) -> Path:
    """Train the adapter of a recipe on its data; an interrupted training is resumed."""
    require("mlx.core")
    from punie.factory.mlx.train import run

    folder = recipes.folder(recipe)
    data = data or folder / "data"
    try:
        report = json.loads((data / "meta.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"no data of {recipe}: {error}; run `punie generate` first") from None
    given = {
        "data": data / "train.jsonl",
        "validation": data / "validation.jsonl",
        "out": out or folder / "adapter",
        "tools_hash": report["tools"],
    }
    return run(recipes.options(MlxTrainOptions, recipe, "train", given), _show)


def fuse(recipe: Path, adapter: Path | None = None, out: Path | None = None) -> Path:
    """Fuse the adapter of a recipe into its dequantized base: a float MLX folder."""
    require("mlx.core")
    from punie.factory.mlx.fuse import run

    folder = recipes.folder(recipe)
    given = {"adapter": adapter or folder / "adapter", "out": out or folder / "model"}
    return run(recipes.options(MlxFuseOptions, recipe, "fuse", given))


def quantize(
    recipe: Path, fused: Path | None = None, out: Path | None = None, bits: int | None = None
) -> Path:
    """Quantize the fused model of a recipe: an MLX folder that `--model` takes."""
    require("mlx.core")
    from punie.factory.mlx.quantize import run

    folder = recipes.folder(recipe)
    given: dict[str, Any] = {"fused": fused or folder / "model", "out": out or folder / "quantized"}
    given |= {"bits": bits} if bits else {}
    return run(recipes.options(MlxQuantizeOptions, recipe, "quantize", given))


def _show(done: int, total: int, text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{text:<100}", end="\n" if done == total else "", file=sys.stderr, flush=True)
    else:
        print(text, file=sys.stderr, flush=True)
