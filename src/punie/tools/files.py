"""Reading and writing files of the workspace."""

from __future__ import annotations

import asyncio
import re
import stat
import unicodedata
from collections import Counter
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple, TypeVar

from pydantic import Field

from punie import text as encoded
from punie import undo
from punie.diff import unified_diff
from punie.ends import split_lines, with_ends_of
from punie.errors import ToolFailure
from punie.threads import in_thread, settled
from punie.tool import Doc, Effect, LineArg, Result, tool
from punie.tools.quality import RuffViolation, TypeDiagnostic, check_lint, check_types, is_python
from punie.workspace import Workspace
from punie.wrap import Context, Editor, notes

LARGEST = 32 * 2**20
"""Bytes of the largest file that is read."""

Finding = TypeVar("Finding", TypeDiagnostic, RuffViolation)


class Checks(NamedTuple):
    """What the checkers found in a file."""

    types: list[TypeDiagnostic]
    lint: list[RuffViolation]
    missing: Sequence[str] = ()
    """What could not be checked, and why."""


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
        return "\n".join([f"{what}: {self.path}", *problems, *self._ending()])


TextFileArg = Annotated[str, Doc("File, relative to the workspace.")]
LastLineArg = Annotated[int | None, Doc("Last line, 1-based; beyond the end = to the end.")]
ContentArg = Annotated[str, Doc("The whole new text of the file.")]


@tool(effect=Effect.READ)
async def read_file(
    context: Context, path: TextFileArg, start_line: LineArg = None, end_line: LastLineArg = None
) -> ReadFileResult:
    """Text of a file, or of some of its lines.

    Python files are read in the encoding that they declare, others as UTF-8, else as Latin-1.
    """
    return await in_thread(_lines_of, context, path, start_line, end_line)


def _lines_of(
    context: Context, path: str, start_line: int | None, end_line: int | None
) -> ReadFileResult:
    target = context.workspace.existing(path)
    if target.exists() and not (target.is_file() or target.is_dir()):
        raise ToolFailure(f"{path!r} is no regular file")
    lines = split_lines(_load(context.workspace, target)[1].text)
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


def _load(workspace: Workspace, path: Path) -> tuple[bytes, encoded.Text]:
    """A file's bytes and its text. `ToolFailure` when it has none or is too large."""
    shown = workspace.relative(path)
    try:
        if path.stat().st_size > LARGEST:
            raise ToolFailure(f"{shown!r} has over {LARGEST // 2**20} MB: it is too large")
        data = path.read_bytes()
        return data, encoded.decode(data, path.name)
    except IsADirectoryError:
        raise ToolFailure(f"{shown!r} is a folder: give a file") from None
    except ValueError as error:
        raise ToolFailure(f"{shown!r} cannot be shown: {error}") from None
    except OSError as error:
        link = f", it leads to {str(path.readlink())!r}" if path.is_symlink() else ""
        raise ToolFailure(f"{shown!r} cannot be read{link}: {error.strerror}") from None


class Plan:
    """A write that may be done: the file, its old bytes (None: new file) and its new ones.

    The plan whose text was approved is the one that is carried out.
    """

    def __init__(self, context: Context, path: str, content: str) -> None:
        """Raise `ToolFailure` when the write must not or cannot be done."""
        self.workspace, self.given = context.workspace, path
        self.target = self._target()
        self.shown = self.workspace.relative(self.workspace.path(path))
        self.old: bytes | None = None
        self.ends = ""
        """What is to be said of the line ends."""
        old = None
        if self.target.exists():
            self.old, old = _load(self.workspace, self.target)
            content, self.ends = with_ends_of(old.text, content)
        self.new = self._encoded(content, old)
        self.before, self.after = old.text if old else None, content
        self.diff = unified_diff(self.shown, old.text if old else None, content)

    def __str__(self) -> str:
        """What is shown for approval: the diff, and where a link leads."""
        real = self.workspace.relative(self.target)
        link = f"{self.shown} leads to {real}\n" if real != self.shown else ""
        return link + (self.diff or f"{self.shown} already holds this text")

    def _target(self) -> Path:
        """The file, links resolved: a link is written through, so that it stays one."""
        given = self.given
        target = self.workspace.path(given).resolve()
        shown = self.workspace.relative(self.workspace.path(given))
        inside = target.relative_to(self.workspace.root).parts
        above = [p for p in target.parents if self.workspace.root in (p, *p.parents)]
        if any(map(_is_git, [*Path(shown).parts, *inside])) or any(map(_holds_git, above)):
            raise ToolFailure(f"{given!r} belongs to git itself: it is not written")
        if target.is_dir() or given.endswith("/"):
            raise ToolFailure(f"{given!r} is a folder: give a file")
        if target.exists():
            mode = target.stat().st_mode
            if not stat.S_ISREG(mode):
                raise ToolFailure(f"{given!r} is no regular file: it is not written")
            if not mode & 0o222:
                raise ToolFailure(f"{given!r} is write-protected: `chmod u+w` it first")
        parent = next(p for p in target.parents if p.exists())
        if not parent.is_dir():
            shown = self.workspace.relative(parent)
            raise ToolFailure(f"{given!r} cannot be written: {shown!r} is a file, no folder")
        return target

    def _encoded(self, content: str, old: encoded.Text | None) -> bytes:
        """The new bytes: in the old encoding, but Python in the one that the new text declares."""
        mark = old.mark if old else b""
        encoding = old.encoding if old else "utf-8"
        content = content.removeprefix("\ufeff" if mark else "")
        try:
            if not mark and self.target.suffix in encoded.PYTHON:
                encoding = encoded.declared(content.encode("utf-8", "replace")) or "utf-8"
            data = encoded.encode(content, encoding, mark)
            seen = encoded.decode(data, self.target.name).text
        except ValueError as error:
            raise ToolFailure(f"content of {self.given!r} cannot be written: {error}") from None
        if seen != content.removeprefix("\ufeff"):
            raise ToolFailure(f"content of {self.given!r} would not be read back as it is")
        return data

    def _plain(self) -> bool:
        """Whether an editor that knows texts only would write the same bytes."""
        return self.after.encode() == self.new and self.target.parent.is_dir()

    def _otherwise(self, now: bytes | None) -> ToolFailure:
        """What to say of an editor that wrote something else; that, too, can be undone."""
        if now == self.old:
            return ToolFailure(f"the editor has not written {self.given!r}: nothing changed")
        undo.record(self.workspace.root, self.target, self.old, now or b"")
        return ToolFailure(
            f"the editor wrote {self.given!r} otherwise than approved (it may format files when it "
            "saves them): look at it, or take it back with `punie undo`"
        )

    def _now(self) -> bytes | None:
        try:
            return self.target.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ToolFailure(f"{self.shown!r} cannot be read: {error.strerror}") from None

    async def write(self, editor: Editor | None = None) -> None:
        """Journal the old content, then write, or have the editor write what it can: UTF-8 in a
        folder that is there. `ToolFailure` when either cannot be done.

        What changed since the plan was made is not overwritten: nobody has seen that diff.
        """
        changed = ToolFailure(
            f"{self.given!r} changed after its diff was made: nothing is written; "
            "look at it again and repeat the write"
        )
        if not await settled(lambda: self._target() == self.target and self._now() == self.old):
            raise changed
        entry, root, new = None, self.workspace.root, self.old is None
        try:
            entry = await settled(undo.record, root, self.target, self.old, self.new)
            plain = editor is not None and await in_thread(self._plain)
            if not (editor and plain and await editor.write(self.target, self.after)):
                await settled(self.workspace.write_atomic, self.target, self.new, new=new)
            elif (now := await in_thread(self._now)) != self.new:
                undo.forget(entry)
                raise self._otherwise(now)
        except ToolFailure:
            if entry is not None and await in_thread(self._now) == self.old:
                undo.forget(entry)
            raise
        except OSError as error:
            if entry is not None:
                undo.forget(entry)
            if isinstance(error, FileExistsError):
                raise changed from None
            raise ToolFailure(f"{self.given!r} cannot be written: {error}") from None


@tool(effect=Effect.WRITE, preview=Plan)
async def write_file(context: Context, path: TextFileArg, content: ContentArg) -> WriteResult:
    """Create or replace a file, and check what the new text brings.

    The line ends, encoding, byte order mark and mode of an existing file are kept; what changed
    since its diff was approved is not overwritten; the write can be undone.
    """
    approved = context.approved
    plan = approved if isinstance(approved, Plan) else await in_thread(Plan, context, path, content)
    result = WriteResult(path=plan.shown, created=plan.old is None, diff=plan.diff)
    if plan.old == plan.new:
        return result
    nothing = Checks([], [])
    was = plan.old is not None and is_python(plan.target)
    before = await _check(context, plan) if was else nothing
    seconds = context.settings.tool_seconds
    try:
        async with asyncio.timeout(seconds / 3):
            await plan.write(context.editor)
    except TimeoutError:
        raise ToolFailure(
            f"write_file took longer than its limit of {seconds:g} s: {path!r} may be written yet, "
            "look at it; `punie undo` takes it back"
        ) from None
    after = await _check(context, plan) if is_python(plan.target) else nothing
    result.errors = _new(before.types, after.types)
    result.violations = _new(before.lint, after.lint)
    missing = [*dict.fromkeys([*before.missing, *after.missing])]
    result.parse_error = notes(
        f"written, but not checked: {'; '.join(missing)}" if missing else "", plan.ends
    )
    return result


def _is_git(name: str) -> bool:
    """Whether a file system may take the name for `.git`: other case, unseen characters …"""
    seen = "".join(c for c in name if unicodedata.category(c) != "Cf")
    return seen.partition(":")[0].rstrip(". ").casefold() in (".git", "git~1")


def _holds_git(folder: Path) -> bool:
    """Whether a folder is a repository without a tree: bare, a submodule's or a worktree's."""
    return (folder / "HEAD").is_file() and (
        (folder / "objects").is_dir() or (folder / "commondir").is_file()
    )


async def _check(context: Context, plan: Plan) -> Checks:
    """Type errors and violations of the file as it is now, and what of both cannot be had.

    A write must not fail for want of a checker, nor run into its own time limit after the deed.
    """
    shown, missing = plan.workspace.relative(plan.target), list[str]()

    async def asked(what: str, checking: Awaitable[list[Finding]]) -> list[Finding]:
        try:
            async with asyncio.timeout(context.settings.tool_seconds / 3):
                return await checking
        except ToolFailure as error:
            missing.append(f"its {what}: {error}")
        except TimeoutError:
            missing.append(f"its {what}, in time")
        return []

    types, lint = await asyncio.gather(
        asked("types", check_types(context, shown)), asked("style", check_lint(context, shown))
    )
    return Checks(types, lint, missing)


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
