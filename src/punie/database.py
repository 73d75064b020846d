"""A SQLite file of the user's own: readable by its owner only, made with its folder when opened."""

from __future__ import annotations

import sqlite3
from pathlib import Path


def connect(path: Path, schema: str) -> sqlite3.Connection:
    """Open the file with the tables of `schema`, which are made where they are missing.

    Others may write at the same time; waits up to 5 s for them. Raises `OSError` or
    `sqlite3.Error` when it cannot be opened.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        path.touch(mode=0o600)
    database = sqlite3.connect(path, timeout=5.0)
    database.execute("PRAGMA journal_mode=WAL")
    database.executescript(schema)
    return database
