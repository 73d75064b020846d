"""Records of a training run that both backends keep: which run a folder belongs to, its log."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from punie.errors import UsageError

WAY_OUT = "delete that file to train from the start, or choose another folder"


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write `content` to `path` atomically."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    temporary.replace(path)


def done_before(meta: Path, inputs: dict[str, Any], options: dict[str, Any]) -> bool:
    """Whether `meta` tells of a run of these inputs and options that came to its end."""
    try:
        done = json.loads(meta.read_text("utf-8"))
        return bool((done["inputs"], done["options"]) == (inputs, options))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def put_in_place(part: Path, out: Path) -> None:
    """Make the finished folder `part` the folder `out`; what was there goes."""
    if out.exists():
        shutil.rmtree(out)
    part.rename(out)


def require(out: Path, mark: dict[str, Any], defaults: Mapping[str, Any] | None = None) -> None:
    """Raises UsageError when the finished folder `out` belongs to another run."""
    try:
        done = json.loads((out / "meta.json").read_text("utf-8"))
        if not isinstance(done, dict):
            raise ValueError(f"{type(done).__name__} where an object should be")
    except (OSError, ValueError) as error:
        raise UsageError(f"{out / 'meta.json'} is damaged ({error}): {WAY_OUT}") from None
    same_run(out, {key: done.get(key) for key in mark}, mark, defaults)


def cut_log(log: Path, lines: int) -> None:
    """Keep the first `lines` lines of a log: the steps after them are run again."""
    if log.exists():
        kept = log.read_text("utf-8").splitlines(keepends=True)[:lines]
        log.write_text("".join(kept), "utf-8")


def same_run(
    out: Path,
    found: dict[str, Any],
    wanted: dict[str, Any],
    defaults: Mapping[str, Any] | None = None,
) -> None:
    """Raises UsageError that names every difference between two fingerprints. An option that was
    not there yet had its default."""
    found = found | {"options": {**(defaults or {}), **found["options"]}}
    differences = [
        f"  {part}.{key}: there {found[part].get(key)!r}, now {wanted[part].get(key)!r}"
        for part in ("options", "inputs")
        for key in sorted({*found[part], *wanted[part]})
        if found[part].get(key) != wanted[part].get(key)
    ]
    if differences:
        listed = "\n".join(differences)
        raise UsageError(f"{out} belongs to another run; choose another folder:\n{listed}")
