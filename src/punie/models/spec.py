"""From a model's SPEC (`--model`) to a loaded engine."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from punie.agent import Profile
from punie.engine import Engine
from punie.errors import ModelUnavailable, UsageError
from punie.prompt import DIALECTS, Dialect
from punie.settings import Settings

if TYPE_CHECKING:
    from punie.terminal import Progress


@dataclass(frozen=True)
class Model:
    """An engine that is ready, and how to talk to it."""

    engine: Engine
    dialect: Dialect
    profile: Profile
    tools: str
    """Hash of the tool set that it was trained on, or empty."""


async def open_model(settings: Settings, progress: Progress) -> Model:
    """Load what `settings.model` names.

    Raises `UsageError` for a SPEC that cannot be read, `ModelUnavailable` when it cannot be had.
    """
    spec = settings.model
    if spec.startswith(("http://", "https://")):
        return await _http(spec, settings)
    if spec.startswith("scripted:"):
        return _scripted(Path(spec.removeprefix("scripted:")), settings)
    if spec == "default" or spec.startswith("release:"):
        return await _released(spec, settings, progress)
    path = Path(spec).expanduser()
    if path.is_dir():
        return await _folder(path, settings)
    if path.suffix != ".gguf":
        raise UsageError(
            f"model {spec!r} is none of: default, release:NAME, FILE.gguf, MLX folder, "
            "http://host:port/v1#name, scripted:FILE"
        )
    return await _file(path, settings)


async def _released(spec: str, settings: Settings, progress: Progress) -> Model:
    """The release in use, or the one that is named."""
    from punie.engine.llama import LlamaEngine
    from punie.models import default_model, releases

    def show(done: int, total: int, text: str) -> None:
        progress.now(f"{text} {100 * done // max(total, 1)} %")

    name = releases.active() if spec == "default" else spec.removeprefix("release:")
    make = default_model if name == releases.SHIPPED else releases.find(name).files
    files = await asyncio.to_thread(make, show)
    if files.dialect not in DIALECTS:
        raise ModelUnavailable(
            f"{name} speaks the dialect {files.dialect!r}; known: {', '.join(DIALECTS)}"
        )
    progress("loading the model")
    dialect = DIALECTS[files.dialect]
    engine = await asyncio.to_thread(
        lambda: LlamaEngine(
            files.path,
            dialect,
            name=files.name,
            sha256=files.sha256,
            context=settings.context,
            literals=files.literals,
            answers=files.answers,
        )
    )
    progress("")
    return Model(engine, dialect, "tuned", files.tools_hash)


async def _file(path: Path, settings: Settings) -> Model:
    """A GGUF: one that our factory wrote says its dialect and tools, others are `general`."""
    from punie.engine.llama import LlamaEngine
    from punie.models import describe_gguf

    if not path.is_file():
        raise ModelUnavailable(f"there is no model file {str(path)!r}: check the path")
    known = await asyncio.to_thread(describe_gguf, path)
    dialect = _dialect(settings.dialect or known.dialect or "qwen3_coder", path)
    profile: Profile = settings.profile or ("tuned" if known.dialect else "general")
    engine = await asyncio.to_thread(
        lambda: LlamaEngine(
            path,
            dialect,
            name=known.name or path.stem,
            sha256=known.sha256,
            context=settings.context if profile == "tuned" else max(settings.context, 8192),
            literals=known.literals,
            answers=known.answers,
        )
    )
    return Model(engine, dialect, profile, known.tools_hash)


async def _folder(path: Path, settings: Settings) -> Model:
    """An MLX folder: one that our factory wrote says its dialect and tools, others are
    `general`."""
    from punie.engine.folder import is_model_folder, read_card
    from punie.engine.mlx import MlxEngine

    if not is_model_folder(path):
        raise ModelUnavailable(
            f"{str(path)!r} holds no model: an MLX folder has config.json and *.safetensors"
        )
    card = await asyncio.to_thread(read_card, path)
    dialect = _dialect(settings.dialect or card.dialect or "qwen3_coder", path)
    profile: Profile = settings.profile or ("tuned" if card.dialect else "general")
    engine = await asyncio.to_thread(
        lambda: MlxEngine(
            path,
            dialect,
            name=card.name,
            sha256=card.sha256,
            context=settings.context if profile == "tuned" else max(settings.context, 8192),
            literals=card.literals,
        )
    )
    return Model(engine, dialect, profile, card.tools_hash)


def _dialect(name: str, path: Path) -> Dialect:
    if name not in DIALECTS:
        raise ModelUnavailable(f"{path.name} speaks the dialect {name!r}; known: {[*DIALECTS]}")
    return DIALECTS[name]


async def _http(spec: str, settings: Settings) -> Model:
    from punie.engine.http import HttpEngine

    address, _, name = spec.partition("#")
    dialect = DIALECTS[settings.dialect or "qwen3_coder"]
    engine = await HttpEngine.connect(address, name, dialect)
    return Model(engine, dialect, settings.profile or "general", "")


def _scripted(path: Path, settings: Settings) -> Model:
    """Replies from a JSON list of strings, one for each call; for tests and demonstrations."""
    from punie.engine.scripted import ScriptedEngine

    try:
        replies = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelUnavailable(f"scripted model {str(path)!r} cannot be read: {error}") from None
    if not (isinstance(replies, list) and all(isinstance(r, str) for r in replies)):
        raise ModelUnavailable(f"scripted model {str(path)!r} is not a JSON list of strings")
    engine = ScriptedEngine(replies, name=path.stem)
    return Model(engine, DIALECTS[settings.dialect or "compact"], settings.profile or "tuned", "")
