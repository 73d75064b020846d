"""Settings of a repository's git that were asked for before and cannot have changed since.

What git says about its configuration depends on some files and on the environment. Both are kept
with the answer, the files byte for byte, and compared before it is given again. Where a file may
include others, or where it is not plain which files count, nothing is kept. Not noticed: a new
file for the whole system at an unusual place where there was none.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

LIST = ("config", "-z", "--list", "--show-origin")
"""The question to git that `read` reads."""
MOST_KEPT = 256
"""Repositories whose answers are kept."""
_HEAD = re.compile(rb"ref:\s*refs/|[0-9a-f]{40}")
_ASKED = re.compile(rb"filter\..+\.(clean|process)|diff\.renames|core\.worktree", re.DOTALL)

Settings = dict[bytes, bytes]
"""By name; of one that is set several times, the last value."""
State = tuple[tuple[str, bytes | None], ...]
"""Files and variables with their content; None for a file that is not there."""

_kept: dict[Path, tuple[State, Settings]] = {}
_named: dict[Path, frozenset[str]] = {}
"""Files that git has named beside those that are always looked at."""


def kept(folder: Path, now: State | None) -> Settings | None:
    """The settings that git gave for a repository when its `state` was as it is now."""
    before, settings = _kept.get(folder, ((), {}))
    return settings if before and before == now else None


def keep(folder: Path, before: State | None, output: bytes) -> Settings:
    """Read git's answer, and keep it where its `state` from before git was asked holds for it."""
    settings, origins = read(output)
    wanted = {key: value for key, value in settings.items() if _ASKED.fullmatch(key)}
    files = frozenset(str(folder / os.fsdecode(name)) for name in origins)
    if before is None or any(key.startswith((b"include.", b"includeif.")) for key in settings):
        _kept.pop(folder, None)
    elif files <= {name for name, _ in before}:
        if len(_kept) >= MOST_KEPT:
            _kept.clear()
        _kept[folder] = before, wanted
    else:  # from the next time on they are looked at, too
        _named[folder] = files
    return wanted


def state(folder: Path) -> State | None:
    """What git's answer for `folder` depends on; None when that is not plain."""
    own = folder / ".git"
    if not _is_plain(own):
        return None
    files = [own / "config", own / "config.worktree", *_of_the_user(), *_of_the_system()]
    names = [*(str(folder / file) for file in files), *_named.get(folder, ())]
    variables = [
        (name, os.fsencode(value))
        for name, value in os.environ.items()
        if name.startswith("GIT_") or name == "PATH"
    ]
    return (*((name, _bytes(name)) for name in dict.fromkeys(names)), *sorted(variables))


def read(output: bytes) -> tuple[Settings, set[bytes]]:
    """All settings of an answer to `LIST`, and the files that they come from."""
    tokens = output.split(b"\0")[:-1]
    settings: Settings = {}
    for entry in tokens[1::2]:
        key, _, value = entry.partition(b"\n")
        settings[key] = value
    origins = {origin.removeprefix(b"file:") for origin in tokens[::2] if origin[:5] == b"file:"}
    return settings, origins


def _is_plain(own: Path) -> bool:
    """Whether this is surely the folder that git takes for a repository, with its own settings."""
    head = _bytes(str(own / "HEAD"))
    if head is None or not _HEAD.match(head) or (own / "HEAD").is_symlink():
        return False
    inner = all(os.access(own / name, os.X_OK) for name in ("objects", "refs"))
    return inner and not os.path.lexists(own / "commondir")


def _of_the_user() -> Iterable[Path]:
    home = os.environ.get("HOME")
    if given := os.environ.get("GIT_CONFIG_GLOBAL"):
        yield Path(given)
    if home:
        yield Path(home, ".gitconfig")
    if config := os.environ.get("XDG_CONFIG_HOME") or (home and str(Path(home, ".config"))):
        yield Path(config, "git/config")


def _of_the_system() -> Iterable[Path]:
    yield Path("/etc/gitconfig")
    if given := os.environ.get("GIT_CONFIG_SYSTEM"):
        yield Path(given)
    if program := shutil.which("git"):
        yield Path(program).resolve().parent.parent / "etc/gitconfig"


def _bytes(name: str) -> bytes | None:
    """A file's content; None when there is none, or none that can be read."""
    try:
        return Path(name).read_bytes() if Path(name).is_file() else None
    except OSError:
        return None
