"""The store of trajectories: every question, program, call and answer, on this machine only."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from punie.agent import Answer
from punie.settings import data_folder

SCHEMA = """
CREATE TABLE IF NOT EXISTS trajectories (
    id INTEGER PRIMARY KEY,
    asked TEXT NOT NULL,
    workspace TEXT NOT NULL,
    model TEXT NOT NULL,
    query TEXT NOT NULL,
    ok INTEGER NOT NULL,
    record TEXT NOT NULL
)
"""


class Store:
    """Trajectories in SQLite, readable by their owner only. Opened at the first use."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or data_folder() / "traces.sqlite"

    def add(self, answer: Answer, workspace: Path) -> int:
        """Store an answer with all that the model saw; returns its id.

        Raises `OSError` or `sqlite3.Error` when the store cannot be written.
        """
        record = answer.as_json() | {"messages": answer.messages}
        row = (
            datetime.now(UTC).isoformat(timespec="milliseconds"),
            str(workspace),
            answer.model.get("name", ""),
            answer.query,
            int(answer.ok),
            json.dumps(record),
        )
        with contextlib.closing(self._open()) as database, database:
            cursor = database.execute(
                "INSERT INTO trajectories (asked, workspace, model, query, ok, record)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                row,
            )
            return int(cursor.lastrowid or 0)

    def last(self, count: int = 10) -> list[dict[str, Any]]:
        """The newest records, newest first, as stored."""
        with contextlib.closing(self._open()) as database:
            rows = database.execute(
                "SELECT id, asked, workspace, record FROM trajectories ORDER BY id DESC LIMIT ?",
                (count,),
            ).fetchall()
        return [
            {"id": number, "asked": asked, "workspace": place} | json.loads(record)
            for number, asked, place, record in rows
        ]

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self.path.exists():
            self.path.touch(mode=0o600)
        database = sqlite3.connect(self.path, timeout=5.0)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute(SCHEMA)
        return database
