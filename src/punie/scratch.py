"""Folders for a while: they go when they are done with, and those of killed processes later.

A folder is locked by the process that made it. What is not locked was left by one that was killed,
and goes when the next folder of that kind is made.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

YOUNG = 60.0
"""Seconds after which a folder without a lock counts as left: one is locked after it is made."""


@contextmanager
def scratch(kind: str) -> Iterator[Path]:
    """A new empty folder `punie-KIND-…` in the system's folder for such. Raises `OSError`."""
    prefix = f"punie-{kind}-"
    sweep(prefix)
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as name:
        lock = os.open(name, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield Path(name)
        finally:
            os.close(lock)


@cache
def sweep(prefix: str) -> None:
    """Remove, once in this process, what processes that were killed have left of our own."""
    for left in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        with contextlib.suppress(OSError):
            status = left.lstat()
            if status.st_uid == os.getuid() and time.time() - status.st_mtime > YOUNG:
                _remove(left)


def _remove(left: Path) -> None:
    """Remove a folder that nobody holds. Raises `OSError` when somebody does."""
    lock = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(left, ignore_errors=True)
    finally:
        os.close(lock)
