"""Git: what changed, how, and who changed it when.

Files are relative to the workspace; of a repository around it, only what is inside is shown, and
what moved into the workspace or the given path from outside counts as added.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from punie.errors import ToolFailure
from punie.git.porcelain import (
    BINARY,
    DIFF_FORMAT,
    STATUS_FORMAT,
    Change,
    Header,
    parse_diff,
    parse_log,
    parse_status,
)
from punie.git.repository import Repository
from punie.tool import DEFAULT_LIMIT, Doc, Effect, Item, PathArg, Result, cap, tool
from punie.wrap import Context, middle_cut, notes

WORDS = {
    "M": "modified",
    "A": "added",
    "D": "deleted",
    "R": "renamed",
    "C": "copied",
    "T": "type_changed",
    "U": "conflicted",
    "?": "untracked",
}
"""Git's status letters in words."""

NAMED = 3
"""Commits with too many files to list that a note names."""
LETTERS = {word: letter for letter, word in WORDS.items()}


class GitFileStatus(Item):
    """A changed file."""

    file: str = ""
    """File, relative to the workspace."""
    status: str = ""
    """modified, added, deleted, renamed, copied, untracked, conflicted or type_changed."""
    staged: bool = False
    """Whether this change is in the index."""
    old_file: str = ""
    """Former name of a renamed or copied file, else empty."""

    def __str__(self) -> str:
        """`M  staged  src/a.py`."""
        where = self.status if self.status in ("untracked", "conflicted") else "unstaged"
        old = f"{self.old_file} -> " if self.old_file else ""
        letter = LETTERS.get(self.status, " ")
        return f"{letter}  {'staged' if self.staged else where}  {old}{self.file}"


class GitStatusResult(Result):
    """What differs from the last commit."""

    clean: bool = False
    """True when nothing changed and nothing is untracked."""
    file_count: int = 0
    """Distinct files that changed."""
    files: list[GitFileStatus] = Field(default_factory=list)
    """Changes; a file changed in the index and again in the tree has two."""

    def __str__(self) -> str:
        """`clean`, or the changes."""
        return "clean" if self.success and self.clean else super().__str__()


class GitFileDiff(Item):
    """How one file changed."""

    file: str = ""
    """File, relative to the workspace."""
    status: str = ""
    """modified, added, deleted, renamed, copied, conflicted or type_changed."""
    old_file: str = ""
    """Former name of a renamed or copied file, else empty."""
    additions: int = 0
    """Lines added."""
    deletions: int = 0
    """Lines deleted."""
    hunks: list[str] = Field(default_factory=list)
    """Texts of the changed parts, each from its `@@` line on."""

    def __str__(self) -> str:
        """The file's part of a unified diff."""
        old = self.old_file or self.file
        lines = [f"diff --git a/{old} b/{self.file}"]
        if self.hunks and self.hunks != [BINARY]:
            lines.append("--- /dev/null" if self.status == "added" else f"--- a/{old}")
            lines.append("+++ /dev/null" if self.status == "deleted" else f"+++ b/{self.file}")
        elif not self.hunks:
            lines.append(f"{self.status}, no lines changed")
        return "\n".join([*lines, *self.hunks])


class GitDiffResult(Result):
    """Changed lines."""

    file_count: int = 0
    """Changed files."""
    additions: int = 0
    """Lines added, in all files."""
    deletions: int = 0
    """Lines deleted, in all files."""
    files: list[GitFileDiff] = Field(default_factory=list)
    """The changed files."""

    def __str__(self) -> str:
        """The unified diff."""
        if not self.success:
            return super().__str__()
        lines = [str(file) for file in self.files] or ["no changes"]
        return "\n".join([*lines, *self._ending()])


class GitCommit(Item):
    """A commit."""

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
    files: list[str] = Field(default_factory=list)
    """Files it changed; of a merge, against its first parent."""

    def __str__(self) -> str:
        """`abc1234 2024-05-01 Ada Lovelace  Subject`."""
        return f"{self.hash[:7]} {self.date[:10]} {self.author}  {self.message}"


class GitLogResult(Result):
    """Commits, newest first."""

    commits: list[GitCommit] = Field(default_factory=list)
    """The commits."""
    commit_count: int = 0
    """Commits found (at most `count`)."""

    def __str__(self) -> str:
        """A line for each commit."""
        if not self.success:
            return super().__str__()
        lines = [str(commit) for commit in self.commits] or ["no commits"]
        return "\n".join([*lines, *self._ending()])


CountArg = Annotated[int, Doc("Most commits to list; 0 = all, up to 200.")]
StagedArg = Annotated[bool, Doc("True: index against last commit; False: tree against index.")]


@tool(effect=Effect.READ)
async def git_status(context: Context, path: PathArg = ".") -> GitStatusResult:
    """Files that changed since the last commit: staged, unstaged and untracked."""
    repository = await (await asked(context, path)).configured(tree=True)
    done = await repository.git("status", *STATUS_FORMAT)
    if not done.stdout:
        raise ToolFailure("git status was cut off: it says nothing at all; ask again")
    found = list(parse_status(done.stdout, repository.prefix))
    shown, cut = cap(found, DEFAULT_LIMIT)
    unknown = "" if found else await repository.unknown()
    return GitStatusResult(
        parse_error=notes(
            f"{path!r} is {unknown}: git tells none of its changes" if unknown else ""
        ),
        clean=not found,
        file_count=len({change.name for change in found}),
        files=[
            GitFileStatus(
                file=repository.shown(change.name),
                status=WORDS[change.letter],
                staged=change.staged,
                old_file=_old_file(repository, change),
            )
            for change in shown
        ],
        truncated=cut,
    )


@tool(effect=Effect.READ)
async def git_diff(
    context: Context, path: PathArg = ".", staged: StagedArg = False
) -> GitDiffResult:
    """Changed lines that are not committed. Untracked files are not in it."""
    repository = await (await asked(context, path)).configured(tree=not staged)
    which = "--cached" if staged else "--ours"
    done = await repository.git("diff", which, repository.renames, *DIFF_FORMAT)
    found = file_diffs(parse_diff(done.stdout), repository)
    files, cut = cap(found, DEFAULT_LIMIT)
    cut = fit_hunks(files, context) or cut
    unknown = "" if found else await repository.unknown()
    return GitDiffResult(
        parse_error=notes(f"{path!r} is {unknown}: git compares nothing of it" if unknown else ""),
        file_count=len(found),
        additions=sum(file.additions for file in found),
        deletions=sum(file.deletions for file in found),
        files=files,
        truncated=cut,
    )


@tool(effect=Effect.READ)
async def git_log(context: Context, path: PathArg = ".", count: CountArg = 10) -> GitLogResult:
    """Commits that touched a path, newest first, with author, date and all their files."""
    if count < 0:
        raise ToolFailure(f"count {count!r} cannot be used: give 0 for all, or a positive number")
    repository = await asked(context, path)
    most = min(count or DEFAULT_LIMIT, DEFAULT_LIMIT)
    output = await repository.commits(most + 1)  # one more, to know whether there are more
    found = [_commit(repository, *parts) for parts in parse_log(output)]
    commits, total, told = found[:most], len(found[:most]), []
    if len(found) > most != count:  # the cap stopped it, not the caller: count them all
        everything = int((await repository.git("rev-list", "--count", "HEAD")).stdout)
        total = min(everything, count or everything)
    wide = []
    for commit in commits:
        if len(commit.files) > DEFAULT_LIMIT:
            wide.append(f"{commit.hash[:7]} has {len(commit.files)} files")
            commit.files = commit.files[:DEFAULT_LIMIT]
    if wide:
        more = f" (and {len(wide) - NAMED} more such commits)" if len(wide) > NAMED else ""
        told.append(f"files cut to {DEFAULT_LIMIT}: {', '.join(wide[:NAMED])}{more}")
    if not commits and (unknown := await repository.unknown()):
        told.append(f"{path!r} is {unknown}: it has no history")
    cut = total > len(commits) or bool(wide)
    note = notes(*told)
    return GitLogResult(commits=commits, commit_count=total, truncated=cut, parse_error=note)


async def asked(context: Context, path: str) -> Repository:
    """The repository that a tool's path is about."""
    return await Repository.around(context.workspace, path, context.settings.tool_seconds)


def file_diffs(changes: list[Change], repository: Repository) -> list[GitFileDiff]:
    """The files of a diff, hunks uncut."""
    found = []
    for change in changes:
        lines = [line for hunk in change.hunks for line in hunk.split("\n")[1:]]
        found.append(
            GitFileDiff(
                file=repository.shown(change.name),
                status=WORDS[change.letter],
                old_file=_old_file(repository, change),
                additions=sum(line.startswith("+") for line in lines),
                deletions=sum(line.startswith("-") for line in lines),
                hunks=change.hunks,
            )
        )
    return found


def fit_hunks(files: list[GitFileDiff], context: Context) -> bool:
    """Cut hunks, in place, so that together they fit the output limit; True if it cut."""
    most = int(context.settings.output_kb * 700)
    cut = False
    for file in files:
        kept = []
        for hunk in file.hunks:
            if most > 0:
                kept.append(middle_cut(hunk, most))
            cut = cut or len(hunk) > most
            most -= len(hunk)
        file.hunks = kept
    return cut


def _old_file(repository: Repository, change: Change) -> str:
    return repository.shown(change.old) if change.old != change.name else ""


def _commit(repository: Repository, header: Header, names: list[bytes]) -> GitCommit:
    return GitCommit(
        hash=header.hash,
        message=header.subject,
        body=header.body,
        author=header.author,
        email=header.email,
        date=header.date,
        files=[repository.shown(name) for name in names],
    )
