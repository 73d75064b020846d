"""Sessions on disk: which workspace, the conversation so far, and what the client was shown.

They lie beside the traces in the user's own data folder. What was shown is kept as it was sent,
so that a loaded session looks as it did.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from punie.database import connect
from punie.prompt import Message
from punie.redact import redact, redact_all
from punie.settings import data_folder

SCHEMA = """
CREATE TABLE IF NOT EXISTS sessions (
    id TEXT PRIMARY KEY,
    workspace TEXT NOT NULL,
    title TEXT NOT NULL,
    updated TEXT NOT NULL,
    mode TEXT NOT NULL,
    model TEXT NOT NULL,
    messages TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS turns (
    session TEXT NOT NULL REFERENCES sessions (id),
    number INTEGER NOT NULL,
    updates TEXT NOT NULL,
    PRIMARY KEY (session, number)
);
"""
MOST_TITLE = 80
"""Characters of a session's title."""


@dataclass
class Record:
    """What is kept of a session."""

    id: str
    workspace: str
    mode: str
    model: str
    title: str = ""
    """Start of the first question."""
    updated: str = ""
    """ISO 8601 time of the last turn, in UTC."""
    messages: list[Message] = field(default_factory=list)
    """The history that the next question is asked with."""


class Sessions:
    """Sessions in SQLite, readable by their owner only. Opened at the first use."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or data_folder() / "sessions.sqlite"

    def add(self, record: Record, updates: list[dict[str, Any]]) -> None:
        """Store a session, and what a turn showed (nothing: there was none).

        Both are redacted. Raises `OSError` or `sqlite3.Error` when the store cannot be written.
        """
        record.updated = datetime.now(UTC).isoformat(timespec="milliseconds")
        row = (
            *(record.id, record.workspace, redact(record.title), record.updated),
            *(record.mode, record.model, json.dumps(redact_all(record.messages))),
        )
        with contextlib.closing(self._open()) as database, database:
            database.execute("REPLACE INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            if updates:
                database.execute(
                    "INSERT INTO turns SELECT ?, COALESCE(MAX(number), 0) + 1, ? FROM turns"
                    " WHERE session = ?",
                    (record.id, json.dumps(redact_all(updates)), record.id),
                )

    def get(self, name: str) -> Record | None:
        """The session of that id, or None."""
        found = self._records("WHERE id = ?", (name,))
        return found[0] if found else None

    def listed(self, workspace: str | None, skip: int, most: int) -> list[Record]:
        """Sessions of a workspace (None: of all), newest first, without those where nothing has
        been asked."""
        where = (
            "WHERE title != '' AND (workspace = ? OR ? IS NULL)"
            " ORDER BY updated DESC, id LIMIT ? OFFSET ?"
        )
        return self._records(where, (workspace, workspace, most, skip))

    def updates(self, name: str) -> list[dict[str, Any]]:
        """All that a session has shown, in order."""
        with contextlib.closing(self._open()) as database:
            rows = database.execute(
                "SELECT updates FROM turns WHERE session = ? ORDER BY number", (name,)
            ).fetchall()
        return [update for (text,) in rows for update in json.loads(text)]

    def prune(self, days: float) -> int:
        """Delete sessions whose last turn is older than `days`, 0 for all, so that their bytes are
        gone, too; returns how many there were."""
        if not self.path.exists():
            return 0
        before = (datetime.now(UTC) - timedelta(days=days)).isoformat() if days else "9"
        with contextlib.closing(self._open()) as database:
            database.execute("PRAGMA secure_delete=ON")
            with database:
                gone = database.execute("DELETE FROM sessions WHERE updated < ?", (before,))
                database.execute("DELETE FROM turns WHERE session NOT IN (SELECT id FROM sessions)")
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            database.execute("VACUUM")
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return gone.rowcount

    def _records(self, where: str, values: tuple[Any, ...]) -> list[Record]:
        if not self.path.exists():
            return []
        with contextlib.closing(self._open()) as database:
            rows = database.execute(
                "SELECT id, workspace, mode, model, title, updated, messages FROM sessions "
                + where,
                values,
            ).fetchall()
        return [
            Record(name, place, mode, model, title, updated, json.loads(messages))
            for name, place, mode, model, title, updated, messages in rows
        ]

    def _open(self) -> sqlite3.Connection:
        return connect(self.path, SCHEMA)
