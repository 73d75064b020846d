"""Reading and writing files of the workspace."""

from __future__ import annotations

import asyncio
import difflib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import Field

from punie import undo
from punie.errors import ToolFailure
from punie.tool import Doc, Effect, LineArg, Result, tool
from punie.tools.quality import RuffViolation, TypeDiagnostic, check_lint, check_types
from punie.wrap import Context

LARGEST = 32 * 2**20
"""Bytes of the largest file that is read."""

Finding = TypeVar("Finding", TypeDiagnostic, RuffViolation)
Checks = tuple[list[TypeDiagnostic], list[RuffViolation]]


class ReadFileResult(Result):
    """Text of a file."""

    path: str = ""
    """File, relative to the workspace."""
    text: str = ""
    """The chosen lines, with their line ends."""
    start_line: int = 1
    """Number of the first line in `text`, 1-based."""
    line_count: int = 0
    """Lines of the whole file."""

    def __str__(self) -> str:
        """The text."""
        return self.text.removesuffix("\n") if self.success else super().__str__()


class WriteResult(Result):
    """What a write changed."""

    path: str = ""
    """File, relative to the workspace."""
    created: bool = False
    """Whether the file is new."""
    diff: str = ""
    """Unified diff; empty when the content was the same."""
    errors: list[TypeDiagnostic] = Field(default_factory=list)
    """Type errors of this file that the new text brought."""
    violations: list[RuffViolation] = Field(default_factory=list)
    """Lint violations of this file that the new text brought."""

    def __str__(self) -> str:
        """One line, then the new problems."""
        if not self.success:
            return super().__str__()
        what = "created" if self.created else "changed" if self.diff else "unchanged"
        problems = [str(item) for item in [*self.errors, *self.violations]]
        note = [self.parse_error] if self.parse_error else []
        return "\n".join([f"{what}: {self.path}", *problems, *note])


TextFileArg = Annotated[str, Doc("File, relative to the workspace.")]
LastLineArg = Annotated[int | None, Doc("Last line, 1-based; beyond the end = to the end.")]
ContentArg = Annotated[str, Doc("The whole new text of the file.")]


def split_lines(text: str) -> list[str]:
    """Lines with their ends; a line ends at LF, CRLF or CR only, as in Python's grammar."""
    return re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", text)


@tool(effect=Effect.READ)
async def read_file(
    context: Context, path: TextFileArg, start_line: LineArg = None, end_line: LastLineArg = None
) -> ReadFileResult:
    """Text of a file, or of some of its lines."""
    target = context.workspace.existing(path)
    if target.exists() and not (target.is_file() or target.is_dir()):
        raise ToolFailure(f"{path!r} is no regular file")
    if target.stat().st_size > LARGEST:
        raise ToolFailure(f"{path!r} has over {LARGEST // 2**20} MB: it is too large to be read")
    lines = split_lines(context.workspace.read_text(target))
    start, end = start_line or 1, len(lines) if end_line is None else end_line
    if (start_line is not None and start_line < 1) or (end_line is not None and end < start):
        given = f"start_line={start_line!r}, end_line={end_line!r}"
        raise ToolFailure(f"{given}: give 1-based lines, the first one not after the last")
    if start > max(len(lines), 1):
        raise ToolFailure(f"start_line={start_line!r}: {path!r} has {len(lines)} lines")
    return ReadFileResult(
        path=context.workspace.relative(target),
        text="".join(lines[start - 1 : end]),
        start_line=start,
        line_count=len(lines),
    )


def _preview(context: Context, path: str, content: str) -> str:
    plan = _Plan(context, path, content)
    return plan.diff or f"{plan.shown} already holds this text"


@tool(effect=Effect.WRITE, preview=_preview)
async def write_file(context: Context, path: TextFileArg, content: ContentArg) -> WriteResult:
    """Create or replace a file, and check what the new text brings.

    The line ends, byte order mark and mode of an existing file are kept; the write can be undone.
    """
    plan = _Plan(context, path, content)
    result = WriteResult(path=plan.shown, created=plan.old is None, diff=plan.diff)
    if plan.old == plan.new:
        return result
    python = plan.target.suffix in (".py", ".pyi")
    before = await _check(context, plan) if python and plan.old is not None else ([], [])
    plan.write()
    after = await _check(context, plan) if python else ([], [])
    if before is None or after is None:
        result.parse_error = "written, but its types and style could not be checked"
    else:
        result.errors = _new(before[0], after[0])
        result.violations = _new(before[1], after[1])
    return result


class _Plan:
    """A write that may be done: the file, its old bytes (None: new file) and its new ones."""

    def __init__(self, context: Context, path: str, content: str) -> None:
        """Raise `ToolFailure` when the write must not or cannot be done."""
        self.workspace = context.workspace
        # A link is written through, so that it stays one; it leads to a place inside.
        self.target = self.workspace.path(path).resolve()
        self.shown = self.workspace.relative(self.workspace.path(path))
        self._refuse(path)
        old_text = None
        if self.target.exists():
            old_text = self.workspace.read_text(self.target)
            content = _with_ends_of(old_text, content)
        self.old = self.target.read_bytes() if old_text is not None else None
        mark = b"\xef\xbb\xbf" if (self.old or b"").startswith(b"\xef\xbb\xbf") else b""
        try:
            self.new = mark + content.removeprefix("\ufeff" if mark else "").encode()
        except UnicodeEncodeError as error:
            raise ToolFailure(f"content of {path!r} cannot be written as UTF-8: {error}") from None
        self.diff = unified_diff(self.shown, old_text, content)

    def _refuse(self, given: str) -> None:
        names = [*Path(self.shown).parts, *self.target.relative_to(self.workspace.root).parts]
        if ".git" in (name.lower() for name in names):
            raise ToolFailure(f"{given!r} belongs to git itself: it is not written")
        if self.target.is_dir() or given.endswith("/"):
            raise ToolFailure(f"{given!r} is a folder: give a file")
        if self.target.exists() and not self.target.is_file():
            raise ToolFailure(f"{given!r} is no regular file: it is not written")
        parent = next(p for p in self.target.parents if p.exists())
        if not parent.is_dir():
            shown = self.workspace.relative(parent)
            raise ToolFailure(f"{given!r} cannot be written: {shown!r} is a file, no folder")

    def write(self) -> None:
        """Journal the old content, then write. `ToolFailure` when either cannot be done."""
        entry = None
        try:
            entry = undo.record(self.workspace.root, self.target, self.old, self.new)
            self.workspace.write_atomic(self.target, self.new)
        except OSError as error:
            if entry is not None:
                undo.forget(entry)
            raise ToolFailure(f"{self.shown!r} cannot be written: {error}") from None


def unified_diff(shown: str, old: str | None, new: str) -> str:
    """The unified diff from one text of a file to another; `old` None = a new file."""
    lines = difflib.unified_diff(
        _diff_lines(old or ""),
        _diff_lines(new),
        "/dev/null" if old is None else f"a/{shown}",
        f"b/{shown}",
    )
    text = "".join(lines)
    if not text and old is None:
        return f"--- /dev/null\n+++ b/{shown}\n"
    return text


def _diff_lines(text: str) -> list[str]:
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n\\ No newline at end of file\n"
    return lines


def _with_ends_of(old: str, new: str) -> str:
    """The new text with the line ends of the old one, if that has one kind only."""
    crlf, lf = old.count("\r\n"), old.count("\n")
    if not lf or 0 < crlf < lf:
        return new
    new = new.replace("\r\n", "\n")
    return new.replace("\n", "\r\n") if crlf else new


async def _check(context: Context, plan: _Plan) -> Checks | None:
    """Type errors and violations of the file as it is now; None when they cannot be had.

    A write must not fail for want of a checker, nor run into its own time limit after the deed.
    """
    shown = plan.workspace.relative(plan.target)
    try:
        async with asyncio.timeout(context.settings.tool_seconds / 3):
            types, lint = await asyncio.gather(
                check_types(context, shown), check_lint(context, shown)
            )
    except (ToolFailure, TimeoutError):
        return None
    return types, lint


def _new(before: Sequence[Finding], after: Sequence[Finding]) -> list[Finding]:
    """Findings that were not there before, compared without their places."""

    def key(finding: Finding) -> tuple[str, str]:
        return finding.code, re.sub(r"\bline \d+", "line", finding.message)

    known = Counter(map(key, before))
    found = []
    for finding in after:
        if known[key(finding)]:
            known[key(finding)] -= 1
        else:
            found.append(finding)
    return found
