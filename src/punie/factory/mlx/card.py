"""The card of a model folder: written by the factory, read by `punie.engine.folder`."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from punie.engine.folder import CARD, read_json
from punie.errors import ModelUnavailable
from punie.factory.training.records import write_json


def write_card(folder: Path, card: dict[str, Any]) -> None:
    """Say in the folder what its model is called, speaks and was trained on."""
    files = {p.name: p.stat().st_size for p in sorted(folder.glob("*.safetensors"))}
    facts = {key: card.get(key) for key in ("name", "dialect", "tools_hash", "literals")}
    write_json(folder / CARD, facts | {"files": files, "sha256": weights_hash(folder)})


def intact(folder: Path) -> bool:
    """Whether the folder's weights are those that its card names."""
    try:
        return bool(read_json(folder / CARD).get("sha256") == weights_hash(folder))
    except ModelUnavailable:
        return False


def weights_hash(folder: Path) -> str:
    """SHA-256 over names and content of the weights' files, in order."""
    whole = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            whole.update(
                f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode()
            )
    return whole.hexdigest()
