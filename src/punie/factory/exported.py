"""Where exported rows go: a file, or a folder that `punie audit` looks at without anything else.

Both are written at the end and appear whole: what cannot be written leaves nothing behind.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from punie.errors import UsageError
from punie.factory.examples.account import second_ways
from punie.tool import load_tools, tools_hash

RECIPE = """\
# Questions of use have the shares that they have: nothing is held against them but what makes a
# row wrong. `punie audit` reads this file when it looks at the folder.

[audit]
direct = [0.0, 1.0]
tools = {}
several_tools = 0.0
combinations = 0
coverage = false
empty = 1.0
registers = 0.0
own_repositories = false
"""


def check_file(path: Path) -> None:
    """Raises `UsageError` when a file cannot be made there, before the work that it is for."""
    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(f"{str(path)!r} cannot be written: its folder must exist, and it be none")


def check_folder(path: Path) -> None:
    """Raises `UsageError` when a folder cannot be made there."""
    if path.exists() or not path.parent.is_dir():
        raise UsageError(f"{str(path)!r} must be a new folder in one that exists")


def write_file(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write rows as JSON, one a line. Raises `UsageError` when it fails."""
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(lines(rows))
        Path(beside).chmod(0o644)
        Path(beside).replace(path)
    except OSError as error:
        raise UsageError(f"{str(path)!r} could not be written: {error}") from None
    finally:
        Path(beside).unlink(missing_ok=True)


def write_folder(path: Path, rows: list[dict[str, Any]], rejects: dict[str, int]) -> None:
    """Write rows as a data folder of `punie generate`, with the norms that they are audited by.
    Raises `UsageError` when it fails."""
    beside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-"))
    try:
        (beside / "train.jsonl").write_text(lines(rows), "utf-8")
        (beside / "validation.jsonl").write_text("", "utf-8")
        (beside / "recipe.toml").write_text(RECIPE, "utf-8")
        meta = _report(rows) | {"rejects": rejects}
        (beside / "meta.json").write_text(json.dumps(meta, indent=2, sort_keys=True), "utf-8")
        beside.chmod(0o755)
        beside.rename(path)
    except OSError as error:
        raise UsageError(f"{str(path)!r} could not be written: {error}") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _report(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What `generate` notes of its data, as far as rows of use have it."""
    used = Counter(tool for row in rows for tool in row["tools"])
    return {
        "tools": tools_hash(load_tools().values()),
        "train": {"examples": len(rows), "tools": dict(used.most_common())},
        "validation": {"examples": 0, "tools": {}},
        "second ways": second_ways(rows),
    }


def lines(rows: Iterable[dict[str, Any]]) -> str:
    """Rows as JSON, one a line."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
