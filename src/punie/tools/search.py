"""Text and files of the workspace, without what git ignores."""

from __future__ import annotations

import asyncio
import marshal
import os
import re
import stat
import sys
import threading
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from punie import grep
from punie import text as encoded
from punie.errors import ToolFailure, UsageError
from punie.grep import Search
from punie.listing import Glob, Listing, as_shown, listing, matcher, or_itself
from punie.tool import DEFAULT_LIMIT, Doc, Effect, Item, LimitArg, PathArg, Result, cap, tool
from punie.wrap import Context, notes

NAMED = 5
"""Files that were left out which a note names."""
HIDDEN = "taken for binary (a NUL byte) and not searched, though the pattern is in"
"""What a note says of files that only look as if they had no lines."""
WORKER = "import sys; sys.path.insert(0, sys.argv[1]); from punie import grep; grep.main()"


class SearchMatch(Item):
    """A line that matches."""

    file: str = ""
    """File, relative to the workspace."""
    line: int = 0
    """Line, 1-based."""
    text: str = ""
    """The line; of a very long one what stands around the match."""

    def __str__(self) -> str:
        """`file:line: text`."""
        return f"{self.file}:{self.line}: {self.text}"


class SearchResult(Result):
    """Lines that match a pattern."""

    match_count: int = 0
    """Number of lines that match, also of those cut from `matches`."""
    matches: list[SearchMatch] = Field(default_factory=list)
    """Lines that match, by file and line."""


class ListedFile(Item):
    """A file."""

    path: str = ""
    """File, relative to the workspace."""
    size: int = 0
    """Bytes; of a link, those of the path it holds."""
    line_count: int = 0
    """Lines; 0 for a binary file or a link."""

    def __str__(self) -> str:
        """`path  12 lines  345 bytes`."""
        return f"{self.path}  {self.line_count} lines  {self.size} bytes"


class FileListResult(Result):
    """Files that a glob means."""

    file_count: int = 0
    """Number of files, also of those cut from `files`."""
    files: list[ListedFile] = Field(default_factory=list)
    """The files, by path."""


PatternArg = Annotated[str, Doc("Python regular expression for one line, or plain text.")]
GlobArg = Annotated[str, Doc("Glob: `*.py` in any folder, `src/*.py`, `tests/**/test_*.py`.")]


@tool(effect=Effect.READ)
async def search_text(
    context: Context, pattern: PatternArg, path: PathArg = ".", limit: LimitArg = DEFAULT_LIMIT
) -> SearchResult:
    """Lines of the files that git does not ignore that match a pattern.

    A pattern that is no regular expression, or matches no line as one, is searched as plain text.
    Binary files are not searched, nor are links; a folder that git ignores is when `path` names it.
    """
    cap([], limit)
    if not pattern or "\n" in pattern or "\r" in pattern:
        reason = "holds a line end, and lines are searched one by one" if pattern else "is empty"
        raise UsageError(f"pattern {pattern!r} {reason}: give what one line holds")
    deadline = time.monotonic() + context.settings.tool_seconds * 0.9
    target, files = await _files(context, path)
    named = [(name, at.st_size) for name, at in files.items() if stat.S_ISREG(at.st_mode)]
    problem = _problem(pattern)
    plain = not grep.SPECIAL.intersection(pattern)
    search = None
    if not plain and problem is None:
        search = await _search(context, pattern, named, limit, deadline, plain=False)
    if search is None or not search.count:
        literal = await _search(context, pattern, named, limit, deadline, plain=True)
        search = literal if literal.count or search is None else search
    if not search.count:
        _explain(context, pattern, problem, target)
    return SearchResult(
        match_count=search.count,
        matches=[SearchMatch(file=f, line=n, text=t) for f, n, t, _ in search.matches],
        truncated=search.count > limit
        or any(shorter for *_, shorter in search.matches)
        or bool(search.skipped),
        parse_error=notes(
            _note("not searched", search.skipped),
            _note(HIDDEN, [(file, "") for file in search.binary]),
        ),
    )


@tool(effect=Effect.READ)
async def list_files(
    context: Context,
    pattern: GlobArg = "*",
    path: PathArg = ".",
    limit: LimitArg = DEFAULT_LIMIT,
) -> FileListResult:
    """Files that git does not ignore whose path fits a glob, with their sizes.

    The glob is about the path below `path`, or about the whole path. Where no file fits it, it is
    taken for that of a folder and stands for what is in there, else for the end of a path.
    """
    cap([], limit)
    pattern = as_shown(pattern)
    globs = [matcher(glob) for glob in (pattern, f"{pattern}/", f"**/{pattern}")]
    globs[0] = or_itself(globs[0], pattern)
    target, files = await _files(context, path)
    return await asyncio.to_thread(_listed, context, target, files, globs, limit)


def _listed(
    context: Context, target: Path, files: Listing, globs: Sequence[Glob], limit: int
) -> FileListResult:
    workspace = context.workspace
    below = workspace.relative(target) if target.is_dir() else workspace.relative(target.parent)
    prefix = "" if below == "." else f"{below}/"
    named = [(name, name.decode("utf-8", "replace"), facts) for name, facts in files.items()]
    chosen: list[tuple[bytes, str, os.stat_result]] = []
    for fits in globs:
        chosen = chosen or [
            (name, shown, facts)
            for name, shown, facts in named
            if fits(shown.removeprefix(prefix)) or (prefix and fits(shown))
        ]
    found, unread = [], []
    root = os.fsencode(workspace.root).rstrip(b"/") + b"/"
    for name, shown, facts in chosen[:limit]:
        count = 0
        if stat.S_ISREG(facts.st_mode):
            try:
                count = grep.count_lines(root + name, facts.st_size)
            except OSError as error:
                unread.append((shown, error.strerror or str(error)))
        found.append(ListedFile(path=shown, size=facts.st_size, line_count=count))
    return FileListResult(
        file_count=len(chosen),
        files=found,
        truncated=len(chosen) > limit,
        parse_error=notes(_note("lines not counted", unread)),
    )


async def _files(context: Context, path: str) -> tuple[Path, Listing]:
    """The path, links resolved, and the files below it or the file itself."""
    target = context.workspace.existing(path).resolve()
    if not (target.is_dir() or target.is_file()):
        raise ToolFailure(f"{path!r} is no regular file and no folder")
    return target, await listing(context.workspace, target, context.settings.tool_seconds)


async def _search(
    context: Context,
    pattern: str,
    named: list[tuple[bytes, int]],
    limit: int,
    deadline: float,
    *,
    plain: bool,
) -> Search:
    """Search the files, where it may take for ever in a process that can be killed."""
    search = Search(pattern, plain=plain, limit=limit)
    root = os.fsencode(context.workspace.root)
    seconds = context.settings.tool_seconds
    late = ToolFailure(
        f"search_text took longer than its limit of {seconds:g} s with pattern {pattern!r}: "
        "give a simpler pattern or a narrower path"
    )
    if width := grep.LARGEST if plain else grep.safe_width(pattern):
        stopped = threading.Event()

        def is_late() -> bool:
            return stopped.is_set() or time.monotonic() > deadline

        try:
            await asyncio.to_thread(search.run, root, named, is_late, width)
            return search
        except grep.TooWide:
            pass
        except TimeoutError:
            raise late from None
        finally:
            stopped.set()
    done = await context.workspace.run(
        [sys.executable, "-I", "-S", "-B", "-c", WORKER, str(Path(grep.__file__).parents[1])],
        timeout=deadline - time.monotonic(),
        stdin=marshal.dumps((pattern, limit, root, named)),
    )
    if done.timed_out:
        raise late
    if done.exit_code or done.cut:
        words = done.err.strip().splitlines()[-1:] or [f"exit status {done.exit_code}"]
        raise ToolFailure(f"the search for {pattern!r} failed: {words[0]}")
    search.count, search.matches, search.skipped, search.binary = marshal.loads(done.stdout)
    return search


def _problem(pattern: str) -> str | None:
    """Why a pattern is no regular expression; None when it is one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return str(error)
    return None


def _explain(context: Context, pattern: str, problem: str | None, target: Path) -> None:
    """Raise `ToolFailure` where "no line" would say less than is known."""
    if problem:
        raise ToolFailure(
            f"pattern {pattern!r} is no regular expression ({problem}), and no line holds it as "
            "plain text"
        )
    if re.search(r"(?<!\\)(?:\\\\)*\\[nr]", pattern):
        raise ToolFailure(
            f"pattern {pattern!r} asks for a line end, and lines are searched one by one: "
            "give what one line holds"
        )
    if target.is_file() and encoded.is_binary(target.read_bytes()[:8000]):
        shown = context.workspace.relative(target)
        raise ToolFailure(f"{shown!r} is a binary file: it has no lines to search")


def _note(what: str, files: list[tuple[str, str]]) -> str:
    """A note on files that were left out, and why; empty for none."""
    if not files:
        return ""
    named = ", ".join(f"{file!r}" + (f" ({why})" if why else "") for file, why in files[:NAMED])
    more = f" and {len(files) - NAMED} more" if len(files) > NAMED else ""
    return f"{what}: {named}{more}"
