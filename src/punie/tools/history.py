"""Git's history up close: who wrote a line, what one commit changed, and where branches stand."""

from __future__ import annotations

import asyncio
import contextlib
import re
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

from pydantic import Field

from punie.errors import ToolFailure
from punie.git.porcelain import (
    BLAME_FORMAT,
    BRANCH_FORMAT,
    SHOW_FORMAT,
    parse_blame,
    parse_branches,
    parse_log,
    parse_show,
)
from punie.git.repository import Repository
from punie.tool import DEFAULT_LIMIT, Doc, Effect, Item, LineArg, Result, cap, tool
from punie.tools.git import GitFileDiff, asked, file_diffs, fit_hunks
from punie.workspace import Completed
from punie.wrap import Context, middle_cut, notes

LONGEST_LINE = 1000
"""Characters of a blamed line beyond which it is cut in the middle."""


class GitBlameLine(Item):
    """A line and where it comes from."""

    line: int = 0
    """Line, 1-based."""
    hash: str = ""
    """Full hash of the commit that wrote it; zeros when it is not committed."""
    author: str = ""
    """Author's name; `Not Committed Yet` when it is not committed."""
    date: str = ""
    """Author's date, ISO 8601; now when it is not committed."""
    text: str = ""
    """The line, without its end."""

    def __str__(self) -> str:
        """`abc1234 2024-05-01 Ada Lovelace  12  text`."""
        return f"{self.hash[:7]} {self.date[:10]} {self.author}  {self.line}  {self.text}"


class GitBlameResult(Result):
    """Who last changed each line of a file."""

    lines: list[GitBlameLine] = Field(default_factory=list)
    """The lines, at most 200: give a range to see others."""

    def __str__(self) -> str:
        """A line for each line, and how to go on where it was cut."""
        if not self.success or not self.truncated or not self.lines:
            return super().__str__() or "no lines"
        rest = f"(cut: go on with start_line={self.lines[-1].line + 1})"
        return "\n".join([*map(str, self.lines), *filter(None, [self.parse_error]), rest])


class GitShowResult(Result):
    """One commit and what it changed; of a merge, against its first parent."""

    hash: str = ""
    """Full hash."""
    message: str = ""
    """Subject line."""
    body: str = ""
    """Message below the subject."""
    author: str = ""
    """Author's name."""
    email: str = ""
    """Author's address."""
    date: str = ""
    """Author's date, ISO 8601."""
    additions: int = 0
    """Lines added, in all files."""
    deletions: int = 0
    """Lines deleted, in all files."""
    files: list[GitFileDiff] = Field(default_factory=list)
    """The changed files."""

    def __str__(self) -> str:
        """Hash, author, date, message, then the unified diff."""
        if not self.success:
            return super().__str__()
        who = f"{self.hash}\n{self.author} <{self.email}>  {self.date}"
        message = [self.message, *(["", self.body] if self.body else [])]
        lines = [str(file) for file in self.files] or ["no files changed"]
        return "\n".join([who, *message, "", *lines, *self._ending()])


class GitBranch(Item):
    """A local branch."""

    name: str = ""
    """Name, without `refs/heads/`."""
    current: bool = False
    """Whether it is checked out here."""
    upstream: str = ""
    """Branch that it follows, such as `origin/main`; empty when there is none or it is gone."""
    ahead: int = 0
    """Commits that the upstream lacks; 0 without an upstream."""
    behind: int = 0
    """Commits that only the upstream has; 0 without an upstream."""
    hash: str = ""
    """Full hash of its last commit."""
    message: str = ""
    """Subject line of its last commit."""
    date: str = ""
    """Author's date of its last commit, ISO 8601."""

    def __str__(self) -> str:
        """`* main  abc1234 2024-05-01  Subject  [origin/main: ahead 1, behind 2]`."""
        mark = "*" if self.current else " "
        there = f"  [{self.upstream}: ahead {self.ahead}, behind {self.behind}]"
        track = there if self.upstream else ""
        return f"{mark} {self.name}  {self.hash[:7]} {self.date[:10]}  {self.message}{track}"


class GitBranchResult(Result):
    """The local branches."""

    current: str = ""
    """Branch that is checked out; empty when HEAD is detached."""
    branches: list[GitBranch] = Field(default_factory=list)
    """Local branches by name, at most 200, the current one always among them."""

    def __str__(self) -> str:
        """A line for each branch."""
        if not self.success:
            return super().__str__()
        lines = [str(branch) for branch in self.branches] or ["no commits yet"]
        if not self.current:
            lines.insert(0, "HEAD is detached: no branch is checked out")
        return "\n".join([*lines, *self._ending()])


BlamedArg = Annotated[str, Doc("File, relative to the workspace.")]
LastLineArg = Annotated[int | None, Doc("Last line, 1-based; beyond the end = to the end.")]
CommitArg = Annotated[str, Doc("Hash, branch, tag, or an expression such as `HEAD~2`.")]


@tool(effect=Effect.READ)
async def git_blame(
    context: Context, path: BlamedArg, start_line: LineArg = None, end_line: LastLineArg = None
) -> GitBlameResult:
    """Who last changed each line of a file, and when; changes not committed included."""
    start = 1 if start_line is None else start_line
    if start < 1 or (end_line is not None and end_line < start):
        given = f"start_line={start_line!r}, end_line={end_line!r}"
        raise ToolFailure(f"{given}: give 1-based lines, the first one not after the last")
    place = await asked(context, path)
    target = place.folder / place.pathspec
    if target.is_dir() and not target.is_symlink():
        raise ToolFailure(f"{path!r} is a folder: give a file")
    last = start + DEFAULT_LIMIT  # one more than is shown, to know whether there are more
    span = f"-L{start},{last if end_line is None else min(last, end_line)}"
    repository = await place.configured()
    try:
        done = await repository.git("blame", *BLAME_FORMAT, span)
    except ToolFailure as error:
        if re.search(r"has only 0 lines", str(error)) and start == 1:
            return GitBlameResult()  # an empty file
        unknown = await place.unknown() if "no such path" in str(error) else ""
        raise ToolFailure(_unblamed(str(error), path, start, unknown)) from None
    found, few = cap(list(parse_blame(done.stdout)), DEFAULT_LIMIT)
    total = await asyncio.to_thread(_line_count, target) if few else 0
    lines = [
        GitBlameLine(
            line=each.line,
            hash=each.hash,
            author=each.author,
            date=each.date,
            text=middle_cut(each.text, LONGEST_LINE),
        )
        for each in found
    ]
    return GitBlameResult(
        parse_error=notes(f"{path!r} has {total} lines: the list is cut" if few else ""),
        lines=lines,
        truncated=few or any(len(each.text) > LONGEST_LINE for each in found),
    )


def _line_count(file: Path) -> int:
    """Lines of a file as git counts them: each ends at LF. 0 where it cannot be read."""
    with contextlib.suppress(OSError), file.open("rb") as stream:
        return sum(1 for _ in stream)
    return 0


def _unblamed(reason: str, path: str, start: int, unknown: str) -> str:
    """Why git blames nothing, in words that say what to do."""
    if only := re.search(r"has only (\d+) lines?", reason):
        return f"start_line={start!r}: {path!r} has {only[1]} lines"
    if "Cannot lstat" in reason:
        return f"{path!r} is deleted in the working tree: git_log shows its commits"
    if "no such ref: HEAD" in reason:
        return "no commits yet: the repository has no history to show"
    if "no such path" in reason:
        return f"{path!r} is {unknown or 'not tracked by git'}: its lines have no history"
    return reason


@tool(effect=Effect.READ)
async def git_show(context: Context, commit: CommitArg) -> GitShowResult:
    """One commit: message, author, date, and the lines that it changed."""
    sought = commit.startswith(":/")  # a text of a message: all behind it is the text
    if (".." in commit and not sought) or commit.startswith("^"):
        raise ToolFailure(f"commit {commit!r} is a range: give one commit, or use git_log")
    place = await (await asked(context, ".")).configured()
    which = ("--end-of-options", commit if sought else f"{commit}^{{commit}}", "--")
    done = await place.plain("show", place.renames, *SHOW_FORMAT, *which, also_ok=128)
    if done.exit_code:
        raise ToolFailure(await _unshown(place, commit, done))
    header, changes = parse_show(done.stdout)
    found = file_diffs(changes, place)
    files, few = cap(found, DEFAULT_LIMIT)
    cut = fit_hunks(files, context) or few
    both = f"refname '{commit}' is ambiguous" in done.err
    says = f"{commit!r} names several things and git takes the tag before the branch: "
    return GitShowResult(
        parse_error=notes(
            f"{says}give refs/heads/{commit} for the branch" if both else "",
            f"the commit changed {len(found)} files: the list is cut" if few else "",
        ),
        hash=header.hash,
        message=header.subject,
        body=header.body,
        author=header.author,
        email=header.email,
        date=header.date,
        additions=sum(file.additions for file in found),
        deletions=sum(file.deletions for file in found),
        files=files,
        truncated=cut,
    )


async def _unshown(place: Repository, commit: str, done: Completed) -> str:
    """Why there is no such commit, with the nearest names."""
    if "is ambiguous" in done.err:
        found = re.findall(r"hint:\s+(\w+) commit \S+ - (.*)", done.err)
        shown = ", ".join(f"{sha} ({subject})" for sha, subject in found[:10])
        return f"commit {commit!r} may be any of {shown}: give more of the hash"
    if "bad revision" not in done.err:
        return place.reason("show", done)
    if commit.startswith(":/"):
        return f"no commit {commit!r}: no message holds {commit[2:]!r}"
    if ":" in commit and "^{/" not in commit:
        return f"no commit {commit!r}: it names a file of one, give the commit alone"
    listed = await place.plain("for-each-ref", "--format=%(refname:short)")
    names = listed.out.splitlines()
    if not names:
        return f"no commit {commit!r}: the repository has no commits yet"
    near = " or ".join(map(repr, get_close_matches(commit, [*names, "HEAD"])))
    forms = "give a hash, a branch, a tag or an expression such as 'HEAD~2'"
    return f"no commit {commit!r}: {f'did you mean {near}?' if near else forms}"


@tool(effect=Effect.READ)
async def git_branch(context: Context) -> GitBranchResult:
    """Local branches: which is checked out, what each follows, how far apart, its last commit."""
    place = await asked(context, ".")
    listed = await place.plain("for-each-ref", BRANCH_FORMAT, "refs/heads")
    if broken := re.search(r"ignoring broken ref \S+", listed.err):
        raise ToolFailure(f"git is {broken[0]}: restore or delete it, then ask again")
    branches = list(parse_branches(listed.stdout))
    current = next((branch.name for branch in branches if branch.current), "")
    if not current:  # detached, or a branch without commits
        head = await place.plain("symbolic-ref", "--quiet", "HEAD", also_ok=1)
        current = head.out.removesuffix("\n").removeprefix("refs/heads/")
    found, cut = cap(branches, DEFAULT_LIMIT)
    if cut and not any(branch.current for branch in found):
        found[-1:] = [branch for branch in branches if branch.current] or found[-1:]
    encoded = [branch.hash for branch in found if branch.is_encoded]
    log = parse_log(await place.described(encoded)) if encoded else []
    subjects = {header.hash: header.subject for header, _ in log}
    return GitBranchResult(
        parse_error=notes(f"{len(branches)} branches in all: the list is cut" if cut else ""),
        current=current,
        branches=[
            GitBranch(
                name=each.name,
                current=each.current,
                upstream=each.upstream,
                ahead=each.ahead,
                behind=each.behind,
                hash=each.hash,
                message=subjects.get(each.hash, each.subject),
                date=each.date,
            )
            for each in found
        ],
        truncated=cut,
    )
