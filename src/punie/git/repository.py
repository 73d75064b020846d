"""Git asked about one path of a workspace, so that it answers whatever the user's settings say.

Each setting that would change the form of an answer is switched off. Nothing is written, the index
is not refreshed, nothing is fetched, and no program of any configuration is started: where git
needs a filter to compare a file, the question fails and says so.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from punie.errors import ToolFailure
from punie.git import gitconfig
from punie.git.porcelain import LOG_FORMAT
from punie.workspace import Completed, Workspace

GIT = (
    *("git", "--no-pager", "--literal-pathspecs", "-c", "core.quotepath=off"),
    *("-c", "core.fsmonitor=false", "-c", "diff.suppressBlankEmpty=false"),
    # `git diff` refreshes the index in spite of GIT_OPTIONAL_LOCKS=0 unless told not to.
    *("-c", "diff.autoRefreshIndex=false", "-c", "log.showRoot=true"),
    *("-c", "diff.orderFile=/dev/null", "-c", "log.follow=false"),
)
ENVIRONMENT: dict[str, str | None] = {
    # Set inside git's hooks: they would point at another repository or change formats.
    **dict.fromkeys(
        (
            *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR"),
            *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE"),
            *("GIT_GRAFT_FILE", "GIT_SHALLOW_FILE", "GIT_REPLACE_REF_BASE", "GIT_ATTR_SOURCE"),
            *("GIT_IMPLICIT_WORK_TREE", "GIT_NO_REPLACE_OBJECTS", "GIT_GLOB_PATHSPECS"),
            *("GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS", "GIT_DIFF_OPTS", "LANGUAGE"),
            "GIT_CONFIG",  # only `git config` heeds it: it would show other settings than count
        )
    ),
    # A partial clone would fetch what it lacks, with whatever program is configured for it.
    **{"GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": ""},
    **{"NOTHING": "", "TRUE": "true"},  # values for `--config-env`
}
"""Variables that git gets, or is deprived of where the value is None."""

GITLINK = b"\0\0\xe0\0"
"""The mode of a submodule, octal 160000, as the index holds it."""


@dataclass(frozen=True)
class Repository:
    """The repository around a workspace or inside it, seen through one path of the workspace."""

    workspace: Workspace
    seconds: float
    """Time limit of each run of git."""
    folder: Path
    """Where git runs: the workspace's root, or a repository inside it."""
    pathspec: str = ""
    """The path relative to `folder`; empty = the whole repository."""
    prefix: bytes = b""
    """Place of `folder` in its repository, empty or with `/` at its end; from `configured`."""
    guards: tuple[str, ...] = ()
    """Options that keep git from starting filters; from `configured`."""
    renames: str = "--find-renames"
    """Option that finds renames, and copies where the user has set git so; from `configured`."""

    @classmethod
    async def around(cls, workspace: Workspace, given: str, seconds: float) -> Repository:
        """The repository that knows `given`, which exists or once did.

        A path inside another repository of the workspace, such as a submodule, is that one's. The
        end of just one path will do. Raises `ToolFailure` with the candidates or nearest paths.
        """
        target = workspace.path(given)
        if target != workspace.root:
            # Git looks through no linked folder; a link itself is a tracked thing.
            target = target.parent.resolve() / target.name
        place = await cls(workspace, seconds, workspace.root)._nearest(target)
        if os.path.lexists(target):
            return place
        once = await place.git("log", "--max-count=1", "--format=%H", also_ok=128)
        if once.stdout or (await place.git("ls-files", "-z")).stdout:
            return place
        if "\ufffd" in given and (name := await place._undecodable(given)):
            return replace(place, pathspec=name)
        found = workspace.relative(workspace.existing(given))
        return await cls.around(workspace, found, seconds)

    async def _nearest(self, target: Path) -> Repository:
        """The innermost repository around `target`; for a submodule itself, the one around it."""
        root = self.workspace.root
        below = [folder for folder in (target, *target.parents) if root in folder.parents]
        tops = [*filter(_is_top, below), root]
        if tops[0] == target != root:
            outer = self._at(target, tops[1])
            listed = await outer.git("ls-files", "--stage", "-z", also_ok=128)
            if listed.stdout.startswith(b"160000 "):
                return outer
        return self._at(target, tops[0])

    def _at(self, target: Path, folder: Path) -> Repository:
        """This, for a path in the repository at `folder`."""
        pathspec = target.relative_to(folder).as_posix()
        if ".git" in pathspec.split("/"):
            raise ToolFailure(
                f"{self.workspace.relative(target)!r} is git's own: it has no history"
            )
        whole = pathspec == "." and _is_top(folder)
        return replace(self, folder=folder, pathspec="" if whole else pathspec)

    async def _undecodable(self, given: str) -> str:
        """The one file that results name `given`; empty when there is none or several."""
        whole = replace(self, pathspec="")
        listed = await whole.git("ls-files", "-z", "--cached", "--others", "--exclude-standard")
        names = {name for name in listed.stdout.split(b"\0") if self.shown(name) == given}
        return os.fsdecode(names.pop()) if len(names) == 1 else ""

    async def git(self, verb: str, *options: str, also_ok: int = 0) -> Completed:
        """Run git, limited to the path.

        Raises `ToolFailure` when it ends with another exit status than 0 or `also_ok`.
        """
        limits = ["--", *([self.pathspec] if self.pathspec else [])]
        return await self.plain(verb, *options, *limits, also_ok=also_ok)

    async def plain(self, verb: str, *options: str, also_ok: int = 0) -> Completed:
        """Run git without limiting it to the path; errors as `git`."""
        if shutil.which("git") is None:
            raise ToolFailure("git is not installed: install it and try again")
        command = [*GIT, *self.guards, verb, *options]
        done = await self.workspace.run(
            command, timeout=self.seconds, env=ENVIRONMENT, cwd=self.folder
        )
        if done.timed_out:
            raise ToolFailure(f"git {verb} took longer than its limit of {self.seconds:g} s")
        if done.exit_code not in (0, also_ok):
            raise ToolFailure(self.reason(verb, done))
        if done.cut:
            raise ToolFailure(f"git {verb} printed over 32 MB: give a narrower path")
        if not done.exit_code:
            whole = await is_whole(self.workspace, self.folder, self.seconds, command, done)
            if not whole or (verb == "config" and not done.stdout):  # found, and yet nothing
                raise ToolFailure(f"git {verb} was cut off: its output is not whole; ask again")
        return done

    def reason(self, verb: str, done: Completed) -> str:
        """Why a run of git failed, in words that say what to do."""
        root, error = str(self.folder), done.err
        if done.exit_code < 0:
            return f"git {verb} was ended by signal {-done.exit_code}: ask again"
        if "not a git repository" in error and os.path.lexists(self.folder / ".git"):
            lacking = [
                p for p in ("HEAD", "objects", "refs") if not (self.folder / ".git" / p).exists()
            ]
            why = f" without {', '.join(lacking)}" if (self.folder / ".git").is_dir() else ""
            return f"{root!r} has a .git{why} that git takes for no repository: restore it"
        if "not a git repository" in error:
            return f"{root!r} is not in a git repository: run `git init` or choose another folder"
        if "must be run in a work tree" in error:
            return f"{root!r} is no working tree of a git repository"
        if "dubious ownership" in error:
            refused = re.search(r"safe\.directory (.+)", error)
            allow = f"git config --global --add safe.directory {refused[1] if refused else root}"
            return f"git refuses {root!r} since another user owns it: to trust it run `{allow}`"
        if unborn := re.search(r"your current branch (.+) does not have any commits", error):
            return f"no commits yet: branch {unborn[1]} has no history to show"
        if needed := re.search(r"fatal: (.+): clean filter '(.+)' failed", error):
            return (
                f"git would have to run the filter {needed[2]!r} on {needed[1]!r} to compare it, "
                "and reading starts no program: give a path without that file, "
                f"or use run_command with `git {verb}`"
            )
        if "promisor remote" in error:
            return (
                f"git {verb} needs objects that this partial clone has not fetched, and reading "
                f"fetches nothing: use run_command with `git {verb}`"
            )
        lines = [line.strip() for line in error.splitlines() if line.strip()]
        return f"git {verb} failed: {' '.join(lines[:2]) or 'it gave no reason'}"

    async def unknown(self) -> str:
        """Why git has nothing to say of the path: `ignored by git` or `not tracked by git`.

        Empty when git tracks it or something below it.
        """
        if not self.pathspec or (await self.git("ls-files", "-z")).stdout:
            return ""
        # Without `GIT`, since it knows no literal pathspecs.
        command = ["git", "-c", "core.fsmonitor=false", "check-ignore", "--quiet", "--"]
        done = await self.workspace.run(
            [*command, f"./{self.pathspec}"], timeout=self.seconds, env=ENVIRONMENT, cwd=self.folder
        )
        return "not tracked by git" if done.exit_code else "ignored by git"

    async def configured(self, *, tree: bool = False) -> Repository:
        """This, as its configuration asks for: which renames to find, which filters to keep out.

        With `tree` also for verbs that compare the tree's files: its prefix, and the filters of its
        submodules, which git asks too. A filter that git needs makes it fail.
        """
        settings = await self._settings()
        names, prefix = _filters(settings), b""
        if tree:
            prefix, inner = await self._tree(moved=b"core.worktree" in settings)
            names |= inner
        guards: list[str] = []
        for name in sorted(os.fsdecode(name) for name in names):
            guards += [f"--config-env=filter.{name}.{key}=NOTHING" for key in ("clean", "process")]
            guards.append(f"--config-env=filter.{name}.required=TRUE")
        copies = settings.get(b"diff.renames") in (b"copies", b"copy")
        renames = "--find-copies" if copies else "--find-renames"
        return replace(self, prefix=prefix, guards=tuple(guards), renames=renames)

    async def _settings(self) -> dict[bytes, bytes]:
        """The settings that tools must know of; of one that is set twice, the last."""
        before = gitconfig.state(self.folder)
        if (known := gitconfig.kept(self.folder, before)) is not None:
            return known
        done = await self.plain(*gitconfig.LIST)
        return gitconfig.keep(self.folder, before, done.stdout)

    async def _tree(self, *, moved: bool) -> tuple[bytes, set[bytes]]:
        """The prefix of `folder`, and the filters of the submodules below it."""
        prefix, index = b"", self.folder / ".git/index"
        if moved or not _is_top(self.folder) or (self.folder / ".git").is_file():
            where = ("--show-prefix", "--is-inside-work-tree", "--git-path", "index")
            done = await self.plain("rev-parse", *where)
            prefix, inside, name = done.stdout.partition(b"\ntrue\n")
            if not inside:
                raise ToolFailure(f"{str(self.folder)!r} is no working tree of a git repository")
            index = self.folder / os.fsdecode(name.removesuffix(b"\n"))
        names: set[bytes] = set()
        if _has_gitlinks(index):
            listed = await self.plain("ls-files", "--stage", "-z")
            for entry in listed.stdout.split(b"\0"):
                inner = self.folder / os.fsdecode(entry.partition(b"\t")[2])
                if entry.startswith(b"160000 ") and not inner.is_symlink() and _is_top(inner):
                    place = Repository(self.workspace, self.seconds, inner)
                    names |= _filters(await place._settings())
                    names |= (await place._tree(moved=True))[1]
        return prefix, names

    async def commits(self, most: int) -> bytes:
        """The newest commits of the path in `LOG_FORMAT`.

        Listing them and describing them are two steps: git's history of a path leaves out merges
        that did not change it only as long as it is not asked for the merges' files.
        """
        if not self.pathspec:
            return await self._described(f"--max-count={most}")
        chosen = await self.git("log", f"--max-count={most}", "--format=%H")
        hashes = chosen.stdout.decode().split()
        found = await self.described(hashes) if hashes else b""
        if found.count(b"//\0") != len(hashes):
            raise ToolFailure(
                f"git log was cut off: {len(hashes)} commits were asked for; ask again"
            )
        return found

    async def _described(self, *which: str) -> bytes:
        done = await self.git("log", "--find-renames", *LOG_FORMAT, *which, also_ok=128)
        if "promisor remote" in done.err:  # it has no contents that could be compared
            return (await self.git("log", "--find-renames=100%", *LOG_FORMAT, *which)).stdout
        if done.exit_code:
            raise ToolFailure(self.reason("log", done))
        return done.stdout

    async def described(self, hashes: list[str]) -> bytes:
        """Those commits in `LOG_FORMAT`, each once."""
        return await replace(self, pathspec="")._described("--no-walk=unsorted", *hashes)

    def shown(self, name: bytes) -> str:
        """A file below `folder` as results name it; bytes outside UTF-8 become U+FFFD."""
        base = self.workspace.relative(self.folder)
        text = name.decode("utf-8", "replace")
        return text if base == "." else f"{base}/{text}"


async def is_whole(
    workspace: Workspace, folder: Path, seconds: float, command: list[str], done: Completed
) -> bool:
    """False for an output that breaks off, although git ended well.

    Every record of every verb ends with a line end or NUL. Nothing at all must be said twice, and
    by a git that can print. What ends with a whole record by chance is not told apart.
    """
    if done.stdout:
        return done.stdout.endswith((b"\n", b"\0"))

    async def proven(again: list[str], start: bytes) -> bool:
        proof = await workspace.run(again, timeout=seconds, env=ENVIRONMENT, cwd=folder)
        said = proof.stdout.startswith(start) and bool(proof.stdout) == bool(start)
        return said and not proof.exit_code

    version = proven(["git", "--version"], b"git version ")
    return all(await asyncio.gather(proven(command, b""), version))


def _filters(settings: dict[bytes, bytes]) -> set[bytes]:
    """Names of the filters among settings."""
    keys = [key for key in settings if key.startswith(b"filter.")]
    return {key[len(b"filter.") : key.rindex(b".")] for key in keys}


def _is_top(folder: Path) -> bool:
    """Whether a repository's working tree starts here; git passes over a `.git` that is none."""
    mark = folder / ".git"
    return mark.is_file() or all(os.path.lexists(mark / p) for p in ("HEAD", "objects", "refs"))


def _has_gitlinks(index: Path) -> bool:
    """Whether an index, or the one that it is split from, may hold submodules."""
    return any(
        path.is_file() and GITLINK in path.read_bytes()
        for path in (index, *index.parent.glob("sharedindex.*"))
    )
