"""Git asked in its machine formats, and what it answers taken apart.

Output is NUL-separated with explicit fields, and every setting of the user or the repository that
would change it is switched off. Nothing is written, the index is not refreshed. File names are
bytes relative to the repository here; `Repository.shown` makes them workspace paths.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from punie.errors import ToolFailure
from punie.workspace import Completed, Workspace

GIT = (
    *("git", "--no-pager", "--literal-pathspecs", "-c", "core.quotepath=off"),
    *("-c", "core.fsmonitor=false", "-c", "diff.suppressBlankEmpty=false"),
    # `git diff` refreshes the index in spite of GIT_OPTIONAL_LOCKS=0 unless told not to.
    *("-c", "diff.autoRefreshIndex=false", "-c", "log.showRoot=true"),
    *("-c", "diff.orderFile=/dev/null"),
)
ENVIRONMENT: dict[str, str | None] = dict.fromkeys(
    # Set inside git's hooks: they would point at another repository or change formats.
    (
        *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR"),
        *("GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE", "GIT_GLOB_PATHSPECS"),
        *("GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS", "GIT_DIFF_OPTS", "LANGUAGE"),
    )
)
"""Variables that are taken away from git."""

DIFF_FORMAT = (
    *("--raw", "-p", "-z", "--find-renames", "--no-ext-diff", "--no-textconv", "--no-color"),
    *("-U3", "--inter-hunk-context=0", "--no-relative", "--submodule=short"),
    *("--src-prefix=a/", "--dst-prefix=b/", "--indent-heuristic"),
)
"""Options that `parse_diff` relies on."""

LOG_FORMAT = (
    "--format=tformat://%x00%H%x00%an%x00%ae%x00%aI%x00%s%x00%b",
    *("-z", "--name-only", "--diff-merges=first-parent", "--find-renames"),
    *("--encoding=UTF-8", "--no-show-signature", "--no-color", "--no-ext-diff", "--no-relative"),
)
"""Options that `parse_log` relies on."""

BINARY = "Binary files differ"


@dataclass(frozen=True)
class Repository:
    """The repository around a workspace, seen through one path of it."""

    workspace: Workspace
    seconds: float
    """Time limit of each run of git."""
    given: str
    """The path as the caller wrote it."""
    pathspec: str
    """The path relative to the workspace; empty = the whole repository."""
    prefix: bytes = b""
    """The workspace's place in the repository: empty, or a folder with `/` at its end."""

    @classmethod
    async def around(cls, workspace: Workspace, given: str, seconds: float) -> Repository:
        """Find the repository. `ToolFailure` when there is none or git refuses it."""
        target = workspace.path(given)
        if target != workspace.root:
            # Git looks through no linked folder; a link itself is a tracked thing.
            target = target.parent.resolve() / target.name
        pathspec = workspace.relative(target)
        place = cls(workspace, seconds, given, "")
        done = await place.git("rev-parse", "--is-inside-work-tree", "--show-prefix")
        inside, _, prefix = done.stdout.partition(b"\n")
        if inside != b"true":
            raise ToolFailure(f"{str(workspace.root)!r} is no working tree of a git repository")
        prefix = prefix.removesuffix(b"\n")
        whole = target == workspace.root and not prefix
        return cls(workspace, seconds, given, "" if whole else pathspec, prefix)

    async def git(self, verb: str, *options: str, also_ok: int = 0) -> Completed:
        """Run git, limited to the path.

        Raises `ToolFailure` when it ends with another exit status than 0 or `also_ok`.
        """
        if shutil.which("git") is None:
            raise ToolFailure("git is not installed: install it and try again")
        limits = ["--", self.pathspec] if self.pathspec else []
        done = await self.workspace.run(
            [*GIT, verb, *options, *limits], timeout=self.seconds, env=ENVIRONMENT
        )
        if done.timed_out:
            raise ToolFailure(f"git {verb} took longer than its limit of {self.seconds:g} s")
        if done.exit_code not in (0, also_ok):
            raise ToolFailure(self._reason(verb, done.err))
        if done.cut:
            raise ToolFailure(f"git {verb} printed over 32 MB: give a narrower path")
        return done

    def _reason(self, verb: str, error: str) -> str:
        root = str(self.workspace.root)
        if "not a git repository" in error:
            return f"{root!r} is not in a git repository: run `git init` or choose another folder"
        if "dubious ownership" in error:
            allow = f"git config --global --add safe.directory {root}"
            return f"git refuses {root!r} since another user owns it: to trust it run `{allow}`"
        lines = [line.strip() for line in error.splitlines() if line.strip()]
        return f"git {verb} failed: {' '.join(lines[:2]) or 'it gave no reason'}"

    async def has_commits(self) -> bool:
        """Whether HEAD names a commit."""
        done = await self.workspace.run(
            [*GIT, "rev-parse", "--verify", "--quiet", "HEAD"],
            timeout=self.seconds,
            env=ENVIRONMENT,
        )
        return done.exit_code == 0

    async def known(self) -> Repository:
        """This, when its path exists or once did; else the one whose path ends with what was given.

        Raises `ToolFailure` with the candidates or the nearest paths.
        """
        target = self.workspace.path(self.given)
        if target.exists() or target.is_symlink():
            return self
        once = await self.git("log", "--max-count=1", "--format=%H", "HEAD", also_ok=128)
        staged = await self.git("ls-files", "-z")
        if once.stdout or staged.stdout:
            return self
        found = self.workspace.existing(self.given)
        return replace(self, pathspec=self.workspace.relative(found))

    async def commits(self, most: int) -> bytes:
        """The newest commits of the path in `LOG_FORMAT`.

        Listing them and describing them are two steps: git's history of a path leaves out merges
        that did not change it only as long as it is not asked for the merges' files.
        """
        chosen = await self.git("rev-list", f"--max-count={most}", "HEAD")
        hashes = chosen.stdout.decode().split()
        if not hashes:
            return b""
        whole = replace(self, pathspec="")
        return (await whole.git("log", "--no-walk=unsorted", *LOG_FORMAT, *hashes)).stdout

    def inside(self, name: bytes) -> bool:
        """Whether a file of the repository lies in the workspace."""
        return name.startswith(self.prefix)

    def shown(self, name: bytes) -> str:
        """A file of the repository as results name it; bytes outside UTF-8 become U+FFFD."""
        return name.removeprefix(self.prefix).decode("utf-8", "replace")


@dataclass
class Change:
    """One file of a status or diff. `old` differs from `name` after a rename or copy."""

    letter: str
    """Git's status letter: M A D R C T, U = conflicted, ? = untracked."""
    name: bytes
    old: bytes
    staged: bool = False
    hunks: list[str] = field(default_factory=list)
    """Texts from their `@@` line on; `BINARY` alone for a binary file."""


def parse_status(output: bytes) -> Iterator[Change]:
    """The changes of `git status --porcelain=v2 -z`; staged and unstaged ones apart."""
    separators = {b"1": 8, b"2": 9, b"u": 10, b"?": 1}  # spaces before the name
    records = iter(output.split(b"\0"))
    for record in records:
        kind = record[:1]
        if kind not in separators:
            continue
        parts = record.split(b" ", separators[kind])
        name = parts[-1]
        old = next(records) if kind == b"2" else name
        if kind in b"u?":
            yield Change(kind.decode().upper(), name, name)
            continue
        states = parts[1].decode()
        for letter, staged in ((states[0], True), (states[1], False)):
            if letter != ".":
                yield Change(letter, name, old if letter in "RC" else name, staged)


def parse_log(output: bytes) -> Iterator[tuple[list[str], list[bytes]]]:
    """Fields and file names of each commit of `git log` in `LOG_FORMAT`.

    The fields are hash, author, address, date, subject, body. The mark before each commit is
    `//`, which no file name can hold.
    """
    tokens = output.split(b"\0")
    start = 0
    while start + 7 <= len(tokens):
        fields = [field.decode("utf-8", "replace") for field in tokens[start + 1 : start + 7]]
        end = start + 7
        while end < len(tokens) and tokens[end] != b"//":
            end += 1
        names = tokens[start + 7 : end]
        if names:
            names[0] = names[0].removeprefix(b"\n")
        yield fields, [name for name in names if name]
        start = end


def parse_diff(output: bytes) -> list[Change]:
    """The files of a diff in `DIFF_FORMAT`: raw records, a NUL, then the patch.

    A patch names files ambiguously, so each record looks for the header that it must have. One
    without has a new time stamp only (the index was not refreshed) and is left out.
    """
    records, patch = _raw_records(output)
    patches = list(reversed(_patches(patch)))
    found: dict[bytes, Change] = {}
    for letter, old, name in records:
        header = b"diff --git %s %s" % (_quoted(b"a/" + old), _quoted(b"b/" + name))
        hunks: list[str] = []
        matched = letter == "U"
        while patches and patches[-1][0] == header:
            hunks += patches.pop()[1]
            matched = True
        if matched:  # a conflict has a record of its own before that of the lines
            found.setdefault(name, Change(letter, name, old)).hunks += hunks
    if patches:
        raise ToolFailure(f"git's diff cannot be read: {patches[-1][0]!r} has no record")
    return list(found.values())


def _raw_records(output: bytes) -> tuple[list[tuple[str, bytes, bytes]], bytes]:
    """Letter, old name and new name of each raw record, and the patch after them."""
    raw, _, patch = output.partition(b"\0\0")
    tokens = iter(raw.split(b"\0"))
    records = []
    for meta in tokens:
        if meta.startswith(b":"):
            letter, name = meta.rsplit(b" ", 1)[1][:1].decode(), next(tokens)
            records.append((letter, name, next(tokens) if letter in "RC" else name))
    return records, patch


def _patches(patch: bytes) -> list[tuple[bytes, list[str]]]:
    """Header line and hunks of each file of a patch."""
    patches: list[tuple[bytes, list[list[bytes]]]] = []
    in_hunk = False
    for line in patch.split(b"\n"):
        if line.startswith(b"diff --git "):
            patches.append((line, []))
            in_hunk = False
        elif patches and line.startswith(b"@@ "):
            patches[-1][1].append([line])
            in_hunk = True
        elif in_hunk and line[:1] in (b" ", b"+", b"-", b"\\"):
            patches[-1][1][-1].append(line)
        else:
            in_hunk = False
            if patches and line.startswith(b"Binary files ") and line.endswith(b" differ"):
                patches[-1][1].append([BINARY.encode()])
    return [
        (header, [b"\n".join(hunk).decode("utf-8", "replace") for hunk in hunks])
        for header, hunks in patches
    ]


def _quoted(name: bytes) -> bytes:
    """A name as the headers of a patch write it with `core.quotepath=off`."""
    short = dict(zip(b'\a\b\t\n\v\f\r"\\', b'abtnvfr"\\', strict=True))
    text = b"".join(
        b"\\%c" % short[c] if c in short else b"\\%03o" % c if c < 32 or c == 127 else b"%c" % c
        for c in name
    )
    return b'"%s"' % text if text != name else name
