"""What the user allowed for longer than one call: one memory for the terminal, editors and agents.

"Always" answers stand in `approvals.json` in the user's own data folder and hold for one workspace
in every front end until they are revoked; the file is read at each call, so a revocation ends them
also where Punie runs. Answers for a session stay in the memory of the process that asked. The
owner's refusals (`read_only`, `refuse`) come before either.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import json
import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from punie.approvals import shell_adds
from punie.errors import UsageError
from punie.settings import data_folder
from punie.tool import Effect, Tool
from punie.workspace import Workspace

Kind = Literal["tests", "write", "command"]
Scope = Literal["once", "session", "always"]
"""How long an answer holds: this call; until the session ends; until it is revoked."""
KINDS: dict[Effect, Kind] = {Effect.TEST: "tests", Effect.WRITE: "write", Effect.RUN: "command"}
WILD = re.compile(r"\[([*?[])\]")
"""A letter that a pattern means as it stands."""


@dataclass(frozen=True)
class Subject:
    """What a call would do, as far as an approval that lasts is concerned."""

    kind: Kind
    tool: str
    value: str
    """The path in the workspace, links followed; the command line; else all arguments."""

    def __str__(self) -> str:
        """In words, for the one who is asked."""
        if self.kind == "tests":
            return "this workspace's tests"
        return f"{self.tool} {self.value}"


class Approval(BaseModel):
    """An entry of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind
    workspace: str
    """Root of the workspace that it holds for."""
    tool: str = ""
    """The tool that it holds for; empty = any of that kind."""
    pattern: str = "*"
    """Pattern of the path or of the whole command line; `*` also meets `/`."""
    scope: Literal["always"] = "always"
    date: str = ""
    """When it was given, ISO 8601."""

    def __str__(self) -> str:
        """The entry on one line."""
        about = "" if self.kind == "tests" else "  " + WILD.sub(r"\1", self.pattern)
        return f"{self.kind:<8} {self.workspace}{about}  ({self.scope}, {self.date[:10]})"

    def covers(self, root: Path, subject: Subject) -> bool:
        """Whether it allows that. A pattern of commands allows none that a shell would read as
        more than words; a command that was approved as it stands may hold anything."""
        if (self.workspace, self.kind) != (str(root), subject.kind):
            return False
        if self.tool not in ("", subject.tool):
            return False
        if self.pattern == glob.escape(subject.value):
            return True
        plain = subject.kind != "command" or not shell_adds(subject.value)
        return plain and fnmatchcase(subject.value, self.pattern)


_ENTRIES = TypeAdapter(list[Approval])


class Remembered:
    """What was allowed for one workspace: for this session here, for good in the file."""

    def __init__(self, root: Path | None = None) -> None:
        """Without `root` nothing is read or stored: "always" then holds for the session."""
        self.root = root
        self._session: set[Subject] = set()

    def covers(self, subject: Subject) -> bool:
        """Whether the user need not be asked. A file that cannot be read allows nothing."""
        if subject in self._session:
            return True
        if self.root is None:
            return False
        try:
            return any(entry.covers(self.root, subject) for entry in entries())
        except UsageError:
            return False

    def keep(self, subject: Subject, scope: Scope) -> None:
        """Remember an answer. Raises `UsageError` when the file is broken, `OSError` when it
        cannot be written."""
        if scope == "once":
            return
        if scope == "session" or self.root is None:
            self._session.add(subject)
            return
        entry = Approval(
            kind=subject.kind,
            workspace=str(self.root),
            tool="" if subject.kind == "tests" else subject.tool,
            pattern="*" if subject.kind == "tests" else glob.escape(subject.value),
            date=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        with _locked():
            found = _read()
            if not any(each.covers(self.root, subject) for each in found):
                _write([*found, entry])


def subject_of(tool: Tool, workspace: Workspace, arguments: dict[str, Any]) -> Subject | None:
    """What an approval of a call that has an effect would cover.

    None where a name cannot be told from others, since its bytes are no text: such a call is
    asked about each time. Raises `ToolFailure` for a path that leads outside the workspace.
    """
    kind = KINDS[tool.effect]
    if kind == "tests":
        return Subject(kind, "", "*")
    if kind == "write" and arguments.keys() <= {"path", "content"} and "path" in arguments:
        path = workspace.path(str(arguments["path"])).resolve()
        shown = workspace.relative(path)
        return None if "\ufffd" in shown else Subject(kind, tool.name, shown)
    if kind == "command" and arguments.keys() == {"command"}:
        return Subject(kind, tool.name, str(arguments["command"]))
    return Subject(kind, tool.name, json.dumps(arguments, sort_keys=True, default=str))


def entries() -> list[Approval]:
    """All that is remembered for good, oldest first. Raises `UsageError` for a broken file."""
    if _trusted().exists():
        with _locked(), contextlib.suppress(OSError):
            _migrate()
    return _read()


def revoke(numbers: Collection[int] | None = None) -> list[Approval]:
    """Forget entries by number, counted from 1 as `entries` has them; all of them without.

    Returns what was forgotten. Raises `UsageError` that lists the numbers there are, and forgets
    nothing, when one does not exist.
    """
    entries()  # what an earlier Punie stored is among them
    with _locked():
        found = _read()
        wanted = set(range(1, len(found) + 1) if numbers is None else numbers)
        if strange := sorted(wanted - set(range(1, len(found) + 1))):
            there = f"1 to {len(found)}" if found else "none"
            said = ", ".join(map(str, strange))
            raise UsageError(f"no remembered approval {said}; numbers are: {there}")
        if wanted:
            _write([each for number, each in enumerate(found, 1) if number not in wanted])
        return [each for number, each in enumerate(found, 1) if number in wanted]


def _file() -> Path:
    return data_folder() / "approvals.json"


def _trusted() -> Path:
    """The list of trusted workspaces that stood for approvals of tests before."""
    return data_folder() / "trusted.json"


def _read() -> list[Approval]:
    try:
        return _ENTRIES.validate_json(_file().read_bytes())
    except FileNotFoundError:
        return []
    except (OSError, ValidationError) as error:
        raise UsageError(
            f"{str(_file())!r} cannot be read, so nothing in it is allowed: mend or delete it"
            f" ({str(error).splitlines()[0]})"
        ) from None


def _migrate() -> None:
    """Take over the trusted workspaces of an earlier Punie; a list of another shape is left."""
    try:
        roots = TypeAdapter(list[str]).validate_json(_trusted().read_bytes())
    except (OSError, ValidationError):
        return
    found, today = _read(), datetime.now(UTC).isoformat(timespec="seconds")
    known = {each.workspace for each in found if each.kind == "tests"}
    new = [Approval(kind="tests", workspace=r, date=today) for r in roots if r not in known]
    _write([*found, *new])
    _trusted().unlink()


def _write(found: list[Approval]) -> None:
    """Put the file in place whole, for its owner only."""
    aside = _file().with_suffix(".new")
    with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(_ENTRIES.dump_json(found, indent=1))
        file.flush()
        os.fsync(file.fileno())
    aside.replace(_file())


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    """One process at a time reads and writes."""
    data_folder().mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(os.open(_file().with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600), "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
