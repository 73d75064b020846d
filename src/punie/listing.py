"""The files of a workspace that git does not ignore, and the globs that choose among them."""

from __future__ import annotations

import asyncio
import fnmatch
import itertools
import os
import re
import shutil
import stat
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from punie.errors import ToolFailure, UsageError
from punie.git.repository import ENVIRONMENT, GIT, is_whole
from punie.workspace import SKIPPED, Workspace

Listing = dict[bytes, os.stat_result]
"""Files and links by name, relative to the workspace's root, sorted."""
MOST_CHOICES = 1000
"""Globs that the braces of one may stand for."""


async def listing(workspace: Workspace, target: Path, seconds: float) -> Listing:
    """What git tracks or would add below a folder, as it is on disk, nested repositories too.

    Without git all files but those in `SKIPPED` folders. A folder that is itself ignored was
    asked for: then git's rules are left aside. A file stands for itself.
    Raises `ToolFailure` with git's words when git cannot tell.
    """
    target = target.resolve()
    found: Listing = {}
    pending = [target] if target.is_dir() else []
    stopped = threading.Event()  # a thread cannot be cancelled, but it can be told
    try:
        if not pending:
            _add(workspace.root, target, [b""], found, stopped)
        while pending:
            folder = pending.pop()
            names = await _listed_by_git(workspace, folder, seconds, nested=folder != target)
            if names is None:
                names = await asyncio.to_thread(_walked, workspace, folder, stopped)
            pending += await asyncio.to_thread(_add, workspace.root, folder, names, found, stopped)
    finally:
        stopped.set()
    return dict(sorted(found.items()))


def _add(
    root: Path, folder: Path, names: Iterable[bytes], found: Listing, stopped: threading.Event
) -> list[Path]:
    """Add the files and links that are there; returns the repositories among the folders."""
    base = os.fsencode(folder).rstrip(b"/")
    inside = os.fsencode(folder.relative_to(root))
    prefix = b"" if inside == b"." else inside + b"/"
    nested = []
    for name in names:
        if stopped.is_set():
            break
        path = base + b"/" + name if name else base
        try:
            facts = os.lstat(path)
        except OSError:
            continue  # deleted, or in a folder that may not be entered
        if stat.S_ISREG(facts.st_mode) or stat.S_ISLNK(facts.st_mode):
            found[prefix + name if name else inside] = facts
        elif stat.S_ISDIR(facts.st_mode):
            place = Path(os.fsdecode(path))
            if (place / ".git").exists():
                nested.append(place)
    return nested


async def _listed_by_git(
    workspace: Workspace, folder: Path, seconds: float, *, nested: bool
) -> list[bytes] | None:
    """Names relative to the folder; None when git does not decide here."""
    inside = folder.relative_to(workspace.root).parts
    if shutil.which("git") is None or SKIPPED.intersection(inside):
        return None
    command = [*GIT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = await workspace.run(command, timeout=seconds, env=ENVIRONMENT, cwd=folder)
    if done.timed_out:
        raise ToolFailure(f"git ls-files took longer than its limit of {seconds:g} s")
    if done.exit_code < 0:
        raise ToolFailure(f"git ls-files was ended by signal {-done.exit_code}: ask again")
    if done.exit_code or done.cut:
        if nested or "not a git repository" in done.err or "in a work tree" in done.err:
            return None
        words = " ".join(done.err.split()) or "it listed over 32 MB of names"
        raise ToolFailure(f"git cannot list the files: {words}")
    if not await is_whole(workspace, folder, seconds, command, done):
        raise ToolFailure("git ls-files was cut off: its output is not whole; ask again")
    if not done.stdout:
        # Without `GIT`, since it knows no literal pathspecs.
        command = ["git", "-c", "core.fsmonitor=false", "check-ignore", "--quiet", "."]
        ignored = await workspace.run(command, timeout=seconds, env=ENVIRONMENT, cwd=folder)
        if ignored.exit_code == 0:
            return None
        if ignored.exit_code != 1:  # neither yes nor no
            status = ignored.exit_code
            raise ToolFailure(f"git check-ignore failed (exit status {status}): ask again")
    return done.stdout.split(b"\0")[:-1]


def _walked(workspace: Workspace, folder: Path, stopped: threading.Event) -> list[bytes]:
    """All files below a folder, but those of `SKIPPED` folders unless it lies in one itself."""
    asked = folder != workspace.root
    skipped = {".git"} if asked and _aside(workspace, folder) else SKIPPED
    base = os.fsencode(folder)
    walk = itertools.takewhile(lambda path: not stopped.is_set(), workspace.walk(folder, skipped))
    return [os.path.relpath(os.fsencode(path), base) for path in walk]


def _aside(workspace: Workspace, folder: Path) -> bool:
    return bool(SKIPPED.intersection(folder.relative_to(workspace.root).parts))


# --- globs


Glob = Callable[[str], bool]
"""Whether a path is one that a glob means."""


def matcher(glob: str) -> Glob:
    """The test of a path, relative and with `/`.

    `*`, `?` and `[…]` stay within a name, `**` stands for any folders, `{a,b}` for either. A glob
    without `/` is about names in any folder; one that ends in `/` about all below that folder.
    Raises `UsageError` for an empty glob or one of too many choices.
    """
    if not glob.strip("/. "):
        if glob not in (".", "./"):
            raise UsageError(f"pattern {glob!r} is empty: give a glob such as '*.py'")
        glob = "**"
    tests = [_segments(choice) for choice in _choices(glob)]
    if len(tests) == 1 and len(tests[0]) == 2 and (last := tests[0][1]) and not tests[0][0]:
        return lambda path: last(path.rpartition("/")[2]) is not None  # about the name alone
    return lambda path: any(_fits(test, path.split("/")) for test in tests)


def or_itself(fits: Glob, pattern: str) -> Glob:
    """A glob that also means the file whose name has its very characters, such as `a[1].py`."""
    if not set("[{") & set(pattern):
        return fits
    plain = pattern.removeprefix("./")

    def found(path: str) -> bool:
        return fits(path) or plain == (path if "/" in plain else path.rpartition("/")[2])

    return found


def as_shown(given: str) -> str:
    """A name or glob as results show names: bytes outside UTF-8 are U+FFFD."""
    return re.sub("[\ud800-\udfff]", "\ufffd", given)


Segment = Callable[[str], object] | None
"""Test of a name; None = any folders."""


def _segments(glob: str) -> list[Segment]:
    parts = [part for part in glob.split("/") if part not in ("", ".")]
    if len(parts) == 1 and not glob.startswith(("/", "./")):
        parts.insert(0, "**")
    if glob.endswith("/"):
        parts.append("**")
    if parts[-1] == "**":
        parts.append("*")  # what it stands for is files, at least one name
    return [None if part == "**" else re.compile(fnmatch.translate(part)).match for part in parts]


def _fits(segments: list[Segment], names: list[str]) -> bool:
    """Wildcard matching by names; only the last `**` met needs to be tried again."""
    at = place = mark = 0
    last = -1
    while place < len(names):
        test = segments[at] if at < len(segments) else _nothing
        if test is None:
            last, mark, at = at, place, at + 1
        elif test(names[place]):
            at, place = at + 1, place + 1
        elif last >= 0:
            mark += 1
            at, place = last + 1, mark
        else:
            return False
    return all(test is None for test in segments[at:])


def _nothing(name: str) -> bool:
    return False


def _choices(glob: str) -> list[str]:
    """What a glob with braces stands for; braces without a comma are plain characters."""
    done, pending = [], [glob]
    while pending:
        each = pending.pop()
        match = re.search(r"\{([^{}]*,[^{}]*)\}", each)
        if not match:
            done.append(each)
            continue
        pending += [each[: match.start()] + c + each[match.end() :] for c in match[1].split(",")]
        if len(done) + len(pending) > MOST_CHOICES:
            raise UsageError(f"pattern {glob[:200]!r} stands for over {MOST_CHOICES} globs")
    return done
