"""A repository on disk: its root, safe paths, subprocesses, atomic writes and undo."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import errno
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from punie.errors import ToolFailure, UsageError
from punie.strays import MARK, end_marked, new_mark, tie, untie

SKIPPED = frozenset(
    {".git", ".hg", ".venv", "venv", "node_modules", "__pycache__", ".tox", ".nox"}
    | {".mypy_cache", ".ruff_cache", ".pytest_cache", "site-packages"}
)
"""Folders that hold no source of the workspace; a `venv` only if it holds `ENVIRONMENT`."""
ENVIRONMENT = "pyvenv.cfg"
"""The file that makes a folder, whatever its name, a virtual environment."""

GRACE = 1.0
"""Seconds that a process which has ended may leave its output open to children of its own."""
POLL = 0.02
"""Seconds between two looks at whether a process has ended."""


@dataclass(frozen=True)
class Completed:
    """A child process that has ended."""

    exit_code: int
    stdout: bytes
    stderr: bytes
    duration: float
    """Seconds."""
    timed_out: bool = False
    cut: bool = False
    """Whether output beyond the limit was thrown away."""

    @property
    def out(self) -> str:
        """Standard output as text; bytes that are not UTF-8 become U+FFFD."""
        return self.stdout.decode("utf-8", "replace")

    @property
    def err(self) -> str:
        """Standard error as text."""
        return self.stderr.decode("utf-8", "replace")


class Workspace:
    """A folder that questions are about. It need not be a git repository."""

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            kind = "is a file" if root.exists() else "does not exist"
            raise UsageError(f"workspace {str(root)!r} {kind}: give a folder with --workspace")
        self.root = root.resolve()
        self._place = self.root.as_posix()
        self._inside = self._place.rstrip("/") + "/"

    @classmethod
    def around(cls, folder: Path) -> Workspace:
        """The repository around `folder`: the nearest parent with `.git`, else `folder`."""
        start = folder.resolve()
        for candidate in (start, *start.parents):
            if (candidate / ".git").exists():
                return cls(candidate)
        return cls(start)

    def path(self, given: str) -> Path:
        """The absolute path of a workspace path, which need not exist.

        Raises `ToolFailure` when it leads outside the workspace, also through links.
        """
        if "\0" in given:
            raise ToolFailure(f"path {given!r} holds a NUL character")
        # `..` goes first: after a link it would name another place than the one returned.
        target = Path(os.path.normpath(self.root / given))
        try:
            resolved = target.resolve()
            target.exists()
        except (OSError, RuntimeError, ValueError) as error:  # loop of links, name too long …
            raise ToolFailure(f"path {given[:200]!r} cannot be used: {error}") from None
        if resolved != self.root and self.root not in resolved.parents:
            raise ToolFailure(f"path {given!r} leads outside the workspace")
        return target if target.is_relative_to(self.root) else resolved

    def existing(self, given: str) -> Path:
        """As `path`, and it exists. The end of just one path (`utils.py`) or a module's dotted
        name (`pkg.utils`) will do.

        Raises `ToolFailure` with the candidates, or with the nearest real paths.
        """
        target = self.path(given)
        if target.exists():
            return target
        candidates = self._ending(given)
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            shown = ", ".join(repr(self.relative(c)) for c in candidates[:10])
            raise ToolFailure(f"{given!r} may be any of {shown}: give the whole path")
        near = self.nearest(given)
        hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise ToolFailure(f"no file or folder {given!r} in the workspace{hint}")

    def _ending(self, given: str) -> list[Path]:
        """Files and folders whose path ends with `given`, and modules of that dotted name."""
        wanted = [Path(given).parts]
        if "/" not in given and all(part.isidentifier() for part in given.split(".")):
            *package, module = given.split(".")
            wanted += [(*package, f"{module}.py"), (*package, module, "__init__.py")]
        wanted = [parts for parts in wanted if parts and ".." not in parts]
        found: dict[Path, None] = {}
        odd = "\ufffd" in given  # how names that are no UTF-8 are shown
        for file in self.walk():
            parts = file.relative_to(self.root).parts
            if odd and self.relative(file) == given:
                found[file] = None
            for end in wanted:
                for stop in range(len(end), len(parts) + 1):
                    if parts[stop - len(end) : stop] == end:
                        found[self.root.joinpath(*parts[:stop])] = None
        return list(found)

    def relative(self, path: Path) -> str:
        """A path as results show it: relative to the root, with `/`; odd bytes are U+FFFD."""
        shown = path.as_posix()  # pathlib's own way takes ten times as long
        if shown == self._place:
            return "."
        shown = shown.removeprefix(self._inside)
        return shown if shown.isascii() else os.fsencode(shown).decode("utf-8", "replace")

    def walk(
        self, folder: Path | None = None, skipped: Collection[str] = SKIPPED
    ) -> Iterator[Path]:
        """All files below a folder outside `skipped` ones; links to folders are not followed."""
        start = str(folder or self.root)
        for place, folders, files in os.walk(start):
            if ENVIRONMENT in files and "venv" in skipped and place != start:
                folders[:], files[:] = [], []
            folders[:] = sorted(f for f in folders if f == "venv" or f not in skipped)
            for file in sorted(files):
                yield Path(place, file)

    def python_files(self) -> Iterator[Path]:
        """All Python files outside `SKIPPED` folders."""
        return (p for p in self.walk() if p.suffix in (".py", ".pyi", ".pyw"))

    def nearest(self, given: str, most: int = 3) -> list[str]:
        """Real paths that look like `given`: the same file name first, then close spelling."""
        names = [self.relative(p) for p in self.walk()]
        base = Path(given).name.lower()
        same = [n for n in names if Path(n).name.lower() == base]
        close = difflib.get_close_matches(given, names, n=most, cutoff=0.6)
        stems = {Path(n).name: n for n in names}
        alike = difflib.get_close_matches(Path(given).name, stems, n=most, cutoff=0.7)
        return list(dict.fromkeys([*same, *close, *(stems[a] for a in alike)]))[:most]

    def read_text(self, path: Path) -> str:
        """Text of a file, UTF-8 with or without a byte order mark, line ends kept.

        Raises `ToolFailure` for a folder, an unreadable file or one that is not UTF-8.
        """
        shown = self.relative(path)
        if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe may never end
            raise ToolFailure(f"{shown!r} is no regular file")
        try:
            return path.read_bytes().decode("utf-8-sig")
        except IsADirectoryError:
            raise ToolFailure(f"{shown!r} is a folder: give a file") from None
        except UnicodeDecodeError as error:
            raise ToolFailure(
                f"{shown!r} is not UTF-8 text (byte {error.start}): it cannot be shown"
            ) from None
        except OSError as error:
            raise ToolFailure(f"{shown!r} cannot be read: {error.strerror}") from None

    def write_atomic(self, path: Path, data: bytes, *, new: bool = False) -> None:
        """Replace a file's content in one step, or create it; missing folders are made.

        Mode and owner are kept, times are not; another hard link keeps the old content.
        Raises `OSError`; `FileExistsError` when the file is to be `new` and is there.
        """
        made = [p for p in path.parents if not p.exists()]
        aside = path.parent / f".punie-{secrets.token_hex(8)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            old = path.stat() if path.exists() else None
            with open(os.open(aside, flags, 0o666 if old is None else 0o600), "wb") as file:
                file.write(data)
                if old is not None:
                    with contextlib.suppress(OSError):  # another user's file
                        os.fchown(file.fileno(), old.st_uid, old.st_gid)
                    os.fchmod(file.fileno(), old.st_mode & 0o7777)
                file.flush()
                os.fsync(file.fileno())
            if new:
                _link(aside, path)
            aside.replace(path)  # of two links to one file this removes none
            aside.unlink(missing_ok=True)
        except BaseException:
            with contextlib.suppress(OSError):
                aside.unlink()
            for folder in made:
                with contextlib.suppress(OSError):  # no longer empty
                    folder.rmdir()
            raise

    async def run(
        self,
        command: Sequence[str],
        *,
        timeout: float,
        env: Mapping[str, str | None] | None = None,
        most_bytes: int = 32 * 2**20,
        cwd: Path | None = None,
        stdin: bytes | None = None,
        leash: bool = False,
    ) -> Completed:
        """Run a program in the workspace in its own process group; it reads nothing but `stdin`.

        `env` is added to `child_environment`; a variable that is None there is taken away.
        The group is killed at `timeout` seconds, on cancellation and at the end; with `leash`
        also what has left the group. All of it ends when this process is killed (see `strays`).
        Output over `most_bytes` is read and thrown away. Raises `ToolFailure` when it cannot start.
        """
        start = time.monotonic()
        try:
            ours = child_environment()
            variables = ours | dict(env or {})
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=cwd or self.root,
                env={name: value for name, value in variables.items() if value is not None},
                stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise ToolFailure(f"cannot start {command[0]!r}: {error.strerror}") from None
        except ValueError as error:
            raise ToolFailure(f"cannot start {command[0]!r}: {error}") from None
        tie(process.pid)
        assert process.stdout is not None
        assert process.stderr is not None
        out, err, timed_out = _Sink(most_bytes), _Sink(most_bytes), False
        feed = asyncio.create_task(_feed(process.stdin, stdin))
        drains = asyncio.create_task(_drain(out, process.stdout, err, process.stderr))
        lingering = asyncio.create_task(_ended(process))
        try:
            async with asyncio.timeout(timeout):
                await asyncio.wait({drains, lingering}, return_when="FIRST_COMPLETED")
                await _exited(process)  # it may have closed its output and go on
        except TimeoutError:
            timed_out = True
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            untie(process.pid)
            if leash:
                end_marked(ours[MARK])
            tasks = {feed, drains, lingering}
            for task in tasks:
                task.cancel()
            # Children in another session may still hold the pipes: only the transport can close
            # them, and it must before we wait, since a wait can be cancelled.
            # Closing it as a whole would take the exit status away from whoever waits for it.
            for number in range(3):
                if pipe := process._transport.get_pipe_transport(number):  # type: ignore[attr-defined]
                    pipe.close()
            await asyncio.wait(tasks)
            await process.wait()
        return Completed(
            process.returncode if process.returncode is not None else -1,
            bytes(out.data),
            bytes(err.data),
            time.monotonic() - start,
            timed_out,
            out.cut or err.cut,
        )


@lru_cache(maxsize=65536)
def shared_path(name: str) -> Path:
    """A path as one object for all, which is quick to compare and to look up."""
    return Path(name)


def _link(aside: Path, path: Path) -> None:
    """Give a file its name; unlike a rename this takes no other file's place."""
    try:
        path.hardlink_to(aside)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None


async def _feed(stream: asyncio.StreamWriter | None, data: bytes | None) -> None:
    """Write a program's standard input and close it; without data it stays open."""
    if stream is not None and data is not None:
        with contextlib.suppress(ConnectionError):  # it has read enough
            stream.write(data)
            await stream.drain()
        stream.close()


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Returns `GRACE` seconds after the process has ended, although others hold its output."""
    await _exited(process)
    await asyncio.sleep(GRACE)


async def _exited(process: asyncio.subprocess.Process) -> None:
    """Returns when the process has ended; its own `wait` may wait for its pipes as well."""
    delay = POLL / 64
    while process.returncode is None:
        await asyncio.sleep(delay)
        delay = min(delay * 2, POLL)


async def _drain(
    out: _Sink, stdout: asyncio.StreamReader, err: _Sink, stderr: asyncio.StreamReader
) -> None:
    await asyncio.gather(out.drain(stdout), err.drain(stderr))


class _Sink:
    """Collects a stream up to a limit."""

    def __init__(self, most: int) -> None:
        self.data, self.most, self.cut = bytearray(), most, False

    async def drain(self, stream: asyncio.StreamReader) -> None:
        while chunk := await stream.read(65536):
            room = self.most - len(self.data)
            self.cut = self.cut or len(chunk) > room
            self.data += chunk[:room]


SECRETS = frozenset({"PUNIE_API_KEY", "PUNIE_MCP_TOKEN"})
"""Variables that hold the key of a model server and the token of our own."""
QUIET = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_PAGER": "cat",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C.UTF-8",
    "NO_COLOR": "1",
    "TERM": "dumb",
}
"""Variables that make programs quiet and plain."""


def child_environment() -> dict[str, str]:
    """Environment of children: ours, made quiet, plain and without traces in the workspace.

    Punie's own secrets are not in it, nor relative parts of PATH. Whatever is started with it ends
    with punie, by a new mark (see `strays`). Raises `OSError` when its watcher cannot start.
    """
    ours = {name: value for name, value in os.environ.items() if name not in SECRETS}
    return (
        ours
        | QUIET
        | {
            "PYTHONDONTWRITEBYTECODE": "1",
            "PATH": search_path(),
            MARK: new_mark(),
        }
    )


def search_path() -> str:
    """The user's PATH without what is relative: in a workspace that is the workspace's own."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(folder for folder in folders if Path(folder).is_absolute())


def program(name: str) -> str:
    """Path of a program: beside our interpreter, else on PATH. `ToolFailure` when missing."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which(name, path=search_path())
    if found is None:
        raise ToolFailure(f"program {name!r} is not installed: run `pip install {name}`")
    return found
