"""A journal of written files, so that every write can be undone, the last one first.

It lives in the user's own data folder, a folder for each workspace; each write is a `.json` with
the facts and, where the file existed, an `.old` with its bytes. The last 200 writes are kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from punie.errors import ToolFailure
from punie.settings import data_folder
from punie.workspace import Workspace

KEPT = 200


@dataclass(frozen=True)
class Undone:
    """A write that was taken back."""

    path: Path
    created: bool
    """The write had created the file, so it is removed; else its old content is back."""

    def __str__(self) -> str:
        """What happened, for the user."""
        if self.created:
            return f"removed {self.path} (it had been created)"
        return f"restored {self.path}"


def record(root: Path, path: Path, old: bytes | None, new: bytes) -> Path:
    """Note that `path`, with `old` content (None: no such file), is about to become `new`.

    Returns the entry, for `forget`. Raises `OSError` when the journal cannot be written.
    """
    folder = _folder(root)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    last = max((int(e.stem) for e in _entries(root)), default=0)
    entry = folder / f"{max(time.time_ns(), last + 1):020d}.json"  # clocks may go back
    missing = [str(p) for p in path.parents if not p.exists()]
    facts = {"path": str(path), "new": _digest(new), "created": old is None, "folders": missing}
    if old is not None:
        _write_private(entry.with_suffix(".old"), old)
    _write_private(entry, json.dumps(facts).encode())
    for ancient in _entries(root)[:-KEPT]:
        forget(ancient)
    return entry


def forget(entry: Path) -> None:
    """Drop an entry of the journal."""
    entry.unlink(missing_ok=True)
    entry.with_suffix(".old").unlink(missing_ok=True)


def undo(root: Path) -> Undone:
    """Undo the last write in the workspace at `root`; returns what was taken back.

    A file that was created is removed, with the folders made for it. Raises `ToolFailure` when
    there is nothing to undo, or when the file changed since: then that write is passed over, so
    that the next undo takes the one before, and its old content stays in the journal.
    """
    workspace = Workspace(root)
    for entry in reversed(_entries(root)):
        facts = json.loads(entry.read_bytes())
        path, kept = Path(facts["path"]), entry.with_suffix(".old")
        if path.resolve() != path:
            entry.unlink()
            shown = workspace.relative(path)
            raise ToolFailure(f"{shown!r} now leads through a link: it is left as it is")
        old = None if facts["created"] else kept.read_bytes()
        now = path.read_bytes() if path.is_file() else None
        if now == old:  # the write never came about, or is undone by hand
            forget(entry)
            continue
        if now is None or _digest(now) != facts["new"]:
            entry.unlink()
            where = f"; its earlier content is in {str(kept)!r}" if old is not None else ""
            shown = workspace.relative(path)
            raise ToolFailure(f"{shown!r} changed after Punie wrote it, so it is left{where}")
        if old is None:
            path.unlink()
            for made in facts["folders"]:
                with contextlib.suppress(OSError):  # no longer empty
                    Path(made).rmdir()
        else:
            workspace.write_atomic(path, old)
        forget(entry)
        return Undone(path, old is None)
    raise ToolFailure(f"nothing to undo in {str(root)!r}")


def _folder(root: Path) -> Path:
    return data_folder() / "undo" / _digest(os.fsencode(root.resolve()))[:16]


def _entries(root: Path) -> list[Path]:
    return sorted(_folder(root).glob("*.json"))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _write_private(path: Path, data: bytes) -> None:
    """Write a file for the user's eyes only, whole or not at all."""
    aside = path.with_suffix(f".{os.getpid()}")
    with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
    aside.replace(path)
