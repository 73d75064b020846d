"""What changed on disk since the last look, for a language server that watches nothing itself.

A look reads the stamps of all Python files, not their content. Links to folders are followed
inside the workspace only. Of what lies outside, and of installed packages, it sees the sources that
are installed as editable, the files that an answer has named, and that packages come and go.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from punie.navigation.installed import Installed, installed
from punie.workspace import ENVIRONMENT, SKIPPED, shared_path

CONFIGURATION = frozenset({"pyproject.toml", "ty.toml", ".gitignore", ".ignore"})
"""Files that decide which files the server reads, and how; also those of the folders above."""
PYTHON = (".py", ".pyi", ".pyw")
PASSED = SKIPPED - {"venv"}
"""Folders that are not looked at. One that is called `venv` may be a package; if it is a virtual
environment, a file says so."""
FORMAT, REGULAR = 0o170000, stat.S_IFREG
CREATED, CHANGED, DELETED = 1, 2, 3
"""LSP kinds of a change."""
TICK = 50_000_000
"""Nanoseconds within which two writes may get the same time."""
COARSE_TICK = 2_000_000_000
"""The same where the file system keeps no parts of a millisecond."""

MOST_TEXT = 64_000_000
"""Bytes of text that are kept in memory."""
MOST_OUTSIDE = 5000
"""Files of sources outside the workspace that are looked at."""
MOST_NAMED = 500
"""Files outside that are looked at because an answer named them."""

Stamp = tuple[int, int, int, int]
"""mtime and ctime in ns, size in bytes, inode: another one whenever a file's content is another,
unless it was written twice within `TICK`. ctime cannot be set back, mtime can."""


@dataclass(frozen=True)
class Look:
    """What one look found."""

    files: dict[str, Stamp]
    """By absolute path."""
    digests: dict[str, bytes] = field(default_factory=dict)
    """Of files that may change once more without another stamp, and of those asked for."""
    young: frozenset[str] = frozenset()
    """The first of them."""
    linked: frozenset[str] = frozenset()
    """Of the files those behind a link, which are also there under another path, and those
    outside, whose text is not the workspace's."""
    named: frozenset[str] = frozenset()
    """Files outside that were looked for because an answer had named them."""
    installed: frozenset[tuple[str, int]] = frozenset()
    """What tells one state of the installed packages from another."""


def look(root: Path, doubtful: Iterable[str] = (), named: Iterable[str] = ()) -> Look:
    """Look at all files that an answer about `root` depends on; read the doubtful ones."""
    now = time.time_ns()
    linked: set[str] = set()
    files = stamps(root, linked)
    packages, asked = installed(root), frozenset(named)
    outside = _outside(root, packages) | {p: at for p in asked if (at := stamp(p))}
    linked |= outside.keys()
    files |= outside
    since = now - COARSE_TICK
    late = [path for path, stamp in files.items() if stamp[0] > since or stamp[1] > since]
    young = frozenset(path for path in late if _young(files[path], now))
    digests = {path: _digest(path) for path in young.union(doubtful)}
    return Look(files, digests, young, frozenset(linked), asked, packages.state)


class Sweep:
    """The files of a workspace as they were at the last look that was taken note of."""

    def __init__(self) -> None:
        self.version = 0
        """Rises with every change: answers of the same version may be used again."""
        self.stale = False
        """Whether only a new server will know the disk: it holds a file whose mtime is what it was
        for unchanged, whatever it is told, and does not look for newly installed packages."""
        self.doubtful: dict[str, bytes] = {}
        """Digests of files that may have changed since without another stamp."""
        self._known: dict[str, Stamp] = {}
        self._linked: frozenset[str] = frozenset()
        self._installed: frozenset[tuple[str, int]] = frozenset()
        self._named: set[str] = set()
        self._texts: dict[str, tuple[Stamp, bytes]] = {}
        self._whole: tuple[int, dict[Path, bytes]] | None = None

    def note(self, seen: Look) -> list[tuple[str, int]]:
        """Paths of files that are new, changed or gone since the look before, and how."""
        found, known = seen.files, self._known
        if later := self._named - seen.named:  # named while this look was on its way
            found = found | {path: known[path] for path in later if path in known}
        settled = not self.doubtful and not seen.young
        if settled and found == known and seen.installed == self._installed:
            self.stale = False
            return []
        changes = [(path, CREATED) for path in found.keys() - known.keys()]
        changes += [(path, DELETED) for path in known.keys() - found.keys()]
        changed = [p for p, stamp in found.items() if p in known and known[p] != stamp]
        unstamped = [
            path
            for path, digest in self.doubtful.items()
            if path in found and known[path] == found[path] and seen.digests.get(path) != digest
        ]
        self.stale = bool(unstamped) or seen.installed != self._installed
        self.stale |= any(known[path][0] == found[path][0] for path in changed)
        changes += [(path, CHANGED) for path in dict.fromkeys(changed + unstamped)]
        self.version += bool(changes) or self.stale
        if unstamped:
            self._texts = {}
        self._known, self._linked, self._installed = found, seen.linked, seen.installed
        self._linked |= later
        self.doubtful = {path: seen.digests[path] for path in seen.young}
        return changes

    @property
    def named(self) -> frozenset[str]:
        """Files outside that answers have named."""
        return frozenset(self._named)

    def name(self, paths: Iterable[str], since: int) -> list[str]:
        """Look at these files outside, too, from now on; returns those written after `since` (in
        ns), of which the answer may know an older state.
        """
        new = {p for path in paths if path not in self._known for p in _with_packages(path)}
        found = {p: at for p in new - self._known.keys() if (at := stamp(p))}
        if len(self._named) + len(found) > MOST_NAMED:
            self._named = set()
        self._named.update(found)
        self._known |= found
        self._linked |= found.keys()
        late = [path for path, at in found.items() if max(at[:2]) > since - COARSE_TICK]
        self.version += bool(late)
        return late

    def texts(self) -> dict[Path, bytes]:
        """The Python files of the last look with their content, sorted; read again if changed.

        The answer is shared as long as nothing changes: do not change it.
        """
        if self._whole is not None and self._whole[0] == self.version:
            return self._whole[1]
        version, complete = self.version, True
        known, linked, kept = self._known, self._linked, self._texts
        found, size = {}, sum(len(text) for _, text in kept.values())
        for path in sorted(known):
            if not path.endswith(PYTHON) or path in linked:
                continue
            entry = kept.get(path)
            if entry is None or entry[0] != known[path]:
                try:
                    entry = known[path], Path(path).read_bytes()
                except OSError:  # gone meanwhile
                    complete = False
                    continue
                size += len(entry[1])
                if size < MOST_TEXT:
                    kept[path] = entry
                else:
                    complete = False
            found[shared_path(path)] = entry[1]
        for path in kept.keys() - known.keys():
            del kept[path]
        self._whole = (version, found) if complete else None
        return found


def stamps(root: Path, linked: set[str] | None = None, most: int = 0) -> dict[str, Stamp]:
    """Stamps of all files under `root` that an answer depends on, by absolute path.

    Adds to `linked` the paths that are reached through a linked folder, and links to files that
    are outside or looked at by themselves.
    Does not enter virtual environments, and with `most` no further folder after that many files.
    """
    found: dict[str, Stamp] = {}
    folders = [(str(root), False)]
    while folders and not 0 < most <= len(found):
        folder, by_link = folders.pop()
        before = len(folders), len(found)
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    name = entry.name
                    if name.endswith(PYTHON) or name in CONFIGURATION:
                        try:
                            at = entry.stat()
                        except OSError:  # deleted meanwhile, or a dead link
                            continue
                        if at.st_mode & FORMAT != REGULAR:  # reading a pipe may never end
                            continue
                        path = entry.path
                        away = entry.is_symlink() and _elsewhere(Path(path).resolve(), root)
                        found[path] = (at.st_mtime_ns, at.st_ctime_ns, at.st_size, at.st_ino)
                        if (by_link or away) and linked is not None:
                            linked.add(path)
                    elif name not in PASSED:
                        if entry.is_dir(follow_symlinks=False):
                            folders.append((entry.path, by_link))
                        elif name == ENVIRONMENT and folder != str(root):
                            del folders[before[0] :]
                            for path in list(found)[before[1] :]:
                                del found[path]
                            break
                        elif _linked(entry, root):
                            folders.append((entry.path, True))
        except OSError:  # deleted meanwhile, or closed to us
            continue
    return found


def stamp(path: str) -> Stamp | None:
    """The stamp of a file, or None when it is not there."""
    try:
        at = os.stat(path)  # noqa: PTH116 (a Path takes longer than the call)
    except OSError:
        return None
    return at.st_mtime_ns, at.st_ctime_ns, at.st_size, at.st_ino


def _outside(root: Path, packages: Installed) -> dict[str, Stamp]:
    """Stamps of configuration above the workspace and of sources installed as they are."""
    above = (f"{folder}/{name}" for folder in root.parents for name in CONFIGURATION)
    found = {path: at for path in above if (at := stamp(path))}
    for folder in packages.editable:
        if len(found) < MOST_OUTSIDE:
            found |= stamps(folder, most=MOST_OUTSIDE - len(found))
    return found


def _with_packages(path: str) -> Iterator[str]:
    """A file, and the packages that hold it: what they import may decide what it is called."""
    yield path
    for folder in itertools.islice(Path(path).parents, 8):
        inits = [str(folder / f"__init__{end}") for end in PYTHON[:2]]
        if not any(map(os.path.exists, inits)):
            return
        yield from inits


def _elsewhere(target: Path, root: Path) -> bool:
    """Whether a link's target is outside the workspace, or there is looked at by itself."""
    if root not in target.parents:
        return True
    return target.suffix in PYTHON and PASSED.isdisjoint(target.relative_to(root).parts)


def _linked(entry: os.DirEntry[str], root: Path) -> bool:
    """Whether an entry is a link to a folder of the workspace that does not hold the link."""
    if not entry.is_symlink() or not entry.is_dir():
        return False
    target, here = Path(entry.path).resolve(), Path(entry.path).parent.resolve()
    return root in target.parents and target != here and target not in here.parents


def _young(stamp: Stamp, now: int) -> bool:
    written = max(stamp[:2])
    return written > now - (TICK if written % 1_000_000 else COARSE_TICK)


def _digest(path: str) -> bytes:
    try:
        return hashlib.blake2b(Path(path).read_bytes()).digest()
    except OSError:
        return b""
