"""A commit of an invented history."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Commit:
    """One commit to write: its message and the whole new content of each file it touches."""

    kind: str
    topic: str
    files: dict[str, bytes]
    message: str = ""
    parents: list[int] = field(default_factory=list)
    """Marks of the parents."""
    removed: list[str] = field(default_factory=list)
    """Paths that it deletes, by itself or by a rename."""
