"""The store of trajectories: every question, program, call and answer, on this machine only.

What is stored has gone through `redact` first: tokens, keys and passwords are never on disk here.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from punie import telemetry
from punie.agent import Answer
from punie.database import connect
from punie.errors import UsageError
from punie.redact import redact, redact_all
from punie.settings import Settings, data_folder

SCHEMA = """
CREATE TABLE IF NOT EXISTS trajectories (
    id INTEGER PRIMARY KEY,
    asked TEXT NOT NULL,
    workspace TEXT NOT NULL,
    model TEXT NOT NULL,
    query TEXT NOT NULL,
    ok INTEGER NOT NULL,
    record TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS validations (
    id INTEGER PRIMARY KEY,
    done TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    report TEXT NOT NULL
);
"""


def keep(answer: Answer, workspace: Path, settings: Settings) -> str:
    """Store an answer unless the setting `traces` is off, and export it if `telemetry` is on;
    returns why it could not, or "".

    A store that cannot be written costs a note, not the answer.
    """
    notes = []
    if settings.traces:
        try:
            Store().add(answer, workspace)
        except (OSError, sqlite3.Error, ValueError) as error:
            notes.append(f"the trace was not stored: {error}")
    if settings.telemetry:
        try:
            telemetry.export(answer)
        except UsageError as error:
            notes.append(str(error))
    return "; ".join(notes)


class Store:
    """Trajectories in SQLite, readable by their owner only. Opened at the first use."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or data_folder() / "traces.sqlite"

    def add(self, answer: Answer, workspace: Path) -> int:
        """Store an answer with all that the model saw, redacted; returns its id.

        Raises `OSError` or `sqlite3.Error` when the store cannot be written.
        """
        record = redact_all(
            answer.as_json() | {"messages": answer.messages, "outcome": answer.outcome}
        )
        row = (
            _moment(),
            redact(str(workspace)),
            record["model"].get("name", ""),
            record["query"],
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
        return list(self.records(count=count))

    def records(
        self,
        *,
        count: int = -1,
        since: datetime | None = None,
        model: str | None = None,
        workspace: Path | None = None,
        failed: bool = False,
    ) -> Iterator[dict[str, Any]]:
        """Records, newest first: at most `count`, those that all conditions hold for.

        A store that does not exist has none and is not made.
        """
        where: list[str] = ["1"]
        values: list[Any] = []
        for column, value in (
            ("asked >= ?", _moment(since) if since else None),
            ("model = ?", model),
            ("workspace = ?", redact(str(workspace)) if workspace else None),
            ("ok = ?", 0 if failed else None),
        ):
            if value is not None:
                where.append(column)
                values.append(value)
        if failed:  # what the user interrupted did not fail
            where.append("coalesce(json_extract(record, '$.outcome'), '') != 'cancelled'")
        if not self.path.exists():
            return
        with contextlib.closing(self._open()) as database:
            rows = database.execute(
                "SELECT id, asked, workspace, record FROM trajectories"
                f" WHERE {' AND '.join(where)} ORDER BY id DESC LIMIT ?",
                (*values, count),
            )
            for number, asked, place, record in rows:
                yield {"id": number, "asked": asked, "workspace": place} | json.loads(record)

    def get(self, number: int) -> dict[str, Any]:
        """One record. Raises `UsageError` when there is none of that number."""
        if self.path.exists():
            with contextlib.closing(self._open()) as database:
                row = database.execute(
                    "SELECT id, asked, workspace, record FROM trajectories WHERE id = ?", (number,)
                ).fetchone()
            if row:
                record: dict[str, Any] = json.loads(row[3])
                return {"id": row[0], "asked": row[1], "workspace": row[2]} | record
        raise UsageError(f"no trace {number}: `punie traces list` shows what there is")

    def prune(self, days: float) -> int:
        """Delete what is older than `days`, 0 for everything; returns how many there were.

        The bytes are overwritten and the file shrinks.
        """
        if not self.path.exists():
            return 0
        before = _moment(datetime.now(UTC) - timedelta(days=days)) if days else "9"
        with contextlib.closing(self._open()) as database:
            database.execute("PRAGMA secure_delete=ON")
            with database:
                gone = database.execute("DELETE FROM trajectories WHERE asked < ?", (before,))
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            database.execute("VACUUM")
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return gone.rowcount

    def add_validation(self, report: dict[str, Any]) -> None:
        """Remember how a model did on a suite: the object of `punie validate --json`."""
        row = (_moment(), identity(report["model"]), json.dumps(report))
        with contextlib.closing(self._open()) as database, database:
            database.execute("INSERT INTO validations (done, sha256, report) VALUES (?, ?, ?)", row)

    def validation(self, model: Mapping[str, Any]) -> dict[str, Any] | None:
        """The last report on a model as an answer names it, with `done`; None if there is none."""
        if not (name := identity(model)) or not self.path.exists():
            return None
        with contextlib.closing(self._open()) as database:
            row = database.execute(
                "SELECT done, report FROM validations WHERE sha256 = ? ORDER BY id DESC", (name,)
            ).fetchone()
        return {"done": row[0]} | json.loads(row[1]) if row else None

    def _open(self) -> sqlite3.Connection:
        return connect(self.path, SCHEMA)


def identity(model: Mapping[str, Any]) -> str:
    """What tells a model from others: the SHA-256 of its weights; of one whose weights are not at
    hand, as behind a server, its engine and name; empty when it has neither."""
    if model.get("sha256"):
        return str(model["sha256"])
    return f"{model.get('engine', '')}: {model['name']}" if model.get("name") else ""


def _moment(moment: datetime | None = None) -> str:
    return (moment or datetime.now(UTC)).isoformat(timespec="milliseconds")
