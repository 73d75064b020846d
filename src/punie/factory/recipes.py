"""Recipes: TOML files with one table for each stage, and the errors that name what is wrong."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from punie.errors import UsageError

Options = TypeVar("Options", bound=BaseModel)


def tables(recipe: Path) -> dict[str, Any]:
    """All tables of a recipe. Raises UsageError for a file that is missing or is no TOML."""
    try:
        return tomllib.loads(recipe.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"recipe {str(recipe)!r} cannot be read: {error}") from None


def table(recipe: Path, name: str) -> dict[str, Any]:
    """One table, empty where there is none. Raises UsageError, also where it is no table."""
    found = tables(recipe).get(name, {})
    if not isinstance(found, dict):
        raise UsageError(f"{recipe}: {name} = {found!r} must be a table")
    return found


def folder(recipe: Path) -> Path:
    """Where the stages of a recipe leave their outputs, unless another folder is given."""
    return Path("out") / recipe.stem


def files(root: Path, stage: str) -> dict[str, Path]:
    """The files that `train`, `fuse` or `quantize` work on below `root`, by option: the same for
    its own command and for `punie pipeline`."""
    data, adapter = root / "data", root / "adapter"
    known = {
        "train": {"data": data / "train.jsonl", "validation": data / "validation.jsonl"}
        | {"out": adapter},
        "fuse": {"adapter": adapter, "out": root / "model"},
        "quantize": {
            "model": root / "model" / "model.gguf",
            "adapter": adapter,
            "rows": data / "validation.jsonl",
            "out": root / "quantized",
        },
    }
    return known[stage]


def stated(tables: Mapping[str, Any], stage: str) -> dict[str, Any]:
    """The table of a stage, over what it takes from others: `fuse` and `quantize` work on the
    base of `[train]`, and what is quantized later is fused to F16."""
    trained, own = tables.get("train", {}), dict(tables.get(stage, {}))
    if stage not in ("fuse", "quantize") or trained.get("backend") == "mlx":
        return own  # an MLX adapter names its own base
    base = {"base": trained["base"]} if "base" in trained else {}
    exact = {"kind": "F16"} if stage == "fuse" and "quantize" in tables else {}
    return base | exact | own


def options(
    kind: type[Options], recipe: Path, name: str, given: Mapping[str, Any] | None = None
) -> Options:
    """The options of a stage, `given` ones over those of the table. Raises UsageError that names
    every mistake."""
    read = {each: table(recipe, each) for each in tables(recipe)}
    return checked(kind, stated(read, name) | dict(given or {}), f"{recipe}: [{name}]")


def checked(kind: type[Options], content: Mapping[str, Any], where: str) -> Options:
    """`content` as `kind`. Raises UsageError that begins with `where` and names every mistake."""
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise UsageError("\n  ".join([f"{where} cannot be used:", *lines])) from None
