"""Releases: model folders that stand alone, which of them is in use, and how they travel.

They lie in `models` of the user's data folder (`PUNIE_DATA`), each with `release.json`, which
names every other file with its hash. A folder is put in place whole or not at all, and what is in
use is one small file that is replaced whole: whatever breaks, the model in use stays what it was.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from punie.errors import ModelUnavailable, UsageError
from punie.models import ModelFiles, Progress, default_model, describe_gguf, sha256_of
from punie.settings import data_folder
from punie.unpacking import extract

SHIPPED = "shipped"
"""Name of the model that comes with the package."""
FACTS = "release.json"
FORMAT = 1
"""Raised when a folder of a later Punie cannot be read by an earlier one."""
FORMS = {"weights": "model.gguf", "adapter": "adapter.gguf"}
"""Form of a release → the file that makes it: fused weights, or an adapter beside its base."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Release:
    """A release on disk."""

    folder: Path
    facts: dict[str, Any]
    """What `release.json` holds."""

    @property
    def name(self) -> str:
        """Its name, also its folder's."""
        return str(self.facts["name"])

    @property
    def sha256(self) -> str:
        """Hash of the fused weights: the model, however it is stored."""
        return str(self.facts["model_sha256"])

    def files(self, progress: Progress | None = None) -> ModelFiles:
        """The model as an engine needs it; an adapter is fused at the first use. Raises
        ModelUnavailable when a file is missing or has changed."""
        if self.facts["form"] == "adapter":
            found = default_model(progress, folder=self.folder, base=self.folder / "base.gguf")
        else:
            found = describe_gguf(self.folder / FORMS["weights"])
        if found.sha256 != self.sha256:
            wrong = f"  {found.path.name}: SHA-256 {found.sha256}, released as {self.sha256}"
            raise ModelUnavailable(_damaged(self.folder, [wrong]))
        return found

    def verify(self) -> None:
        """Hash every file. Raises ModelUnavailable that lists all that are not as released."""
        wrong = [
            f"  {name}: SHA-256 {found}, released as {fact['sha256']}"
            for name, fact in self.facts["files"].items()
            if (found := sha256_of(self.folder / name)) != fact["sha256"]
        ]
        if wrong:
            raise ModelUnavailable(_damaged(self.folder, wrong))


def home() -> Path:
    """The folder of all releases."""
    return data_folder() / "models"


def read(folder: Path) -> Release:
    """The release in `folder`, its files compared by size (`verify` hashes them). Raises
    ModelUnavailable that says what is missing or damaged."""
    try:
        facts: dict[str, Any] = json.loads((folder / FACTS).read_text("utf-8"))
        if facts["format"] > FORMAT:
            raise ModelUnavailable(f"release {str(folder)!r} was made by a later Punie: update")
        files = {str(name): int(fact["bytes"]) for name, fact in facts["files"].items()}
        made_of = FORMS[facts["form"]]
        release = Release(folder, {k: facts[k] for k in ("name", "model_sha256")} | facts)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelUnavailable(_damaged(folder, [f"  {FACTS}: {error!r}"])) from None
    odd = [name for name in files if not _plain(name)]
    if odd or made_of not in files:
        raise ModelUnavailable(_damaged(folder, [f"  {FACTS}: names {odd or 'no model'}"]))
    wrong = []
    for name, size in files.items():
        there = (folder / name).stat().st_size if (folder / name).is_file() else None
        if there != size:
            wrong.append(
                f"  {name}: {'missing' if there is None else f'{there} bytes'}, not {size}"
            )
    if wrong:
        raise ModelUnavailable(_damaged(folder, wrong))
    return release


def _damaged(folder: Path, wrong: list[str]) -> str:
    return "\n".join(
        [
            f"release {folder.name!r} in {str(folder.parent)!r} is damaged:",
            *wrong,
            "`punie models use NAME` (or shipped) chooses another, `punie models install` brings"
            " it back from its archive",
        ]
    )


def _plain(name: str) -> bool:
    """Whether a file's name stays inside its folder."""
    return name == PurePosixPath(name).name and name not in ("", ".", "..", FACTS)


def installed() -> Iterator[Release | ModelUnavailable]:
    """All releases by name; one that is damaged is its error."""
    for folder in sorted(home().iterdir()) if home().is_dir() else ():
        if folder.is_dir() and NAME.fullmatch(folder.name):
            try:
                yield read(folder)
            except ModelUnavailable as error:
                yield error


def find(name: str) -> Release:
    """A release by name. Raises UsageError when there is none, ModelUnavailable if damaged."""
    if not NAME.fullmatch(name) or not (home() / name).is_dir():
        known = [SHIPPED, *(r.name for r in installed() if isinstance(r, Release))]
        raise UsageError(f"no release {name!r}; there are: {', '.join(known)}")
    return read(home() / name)


def history() -> list[str]:
    """Names of the releases that were in use, the one in use last. Raises ModelUnavailable for
    a record that cannot be read: what is in use is never guessed."""
    record = home() / "active.json"
    try:
        names = json.loads(record.read_text("utf-8"))["names"]
        if not names or not all(isinstance(name, str) for name in names):
            raise ValueError(f"names are {names!r}")
    except (FileNotFoundError, NotADirectoryError):
        return [SHIPPED]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelUnavailable(
            f"which model is in use cannot be read from {str(record)!r} ({error!r}): "
            "`punie models use NAME` sets it"
        ) from None
    return list(names)


def active() -> str:
    """Name of the release in use."""
    return history()[-1]


def use(name: str) -> None:
    """Take `name` from now on. Raises UsageError when there is none of that name,
    ModelUnavailable when it is damaged."""
    if name != SHIPPED:
        find(name).verify()
    try:
        before = history()
    except ModelUnavailable:
        before = [SHIPPED]
    if before[-1] != name:
        _record([*before, name])


def rollback() -> str:
    """Take the release before the one in use; gives its name. Raises UsageError when there is
    none, ModelUnavailable when it is damaged."""
    names = history()
    if len(names) < 2:
        raise UsageError("there is no release before the one in use: `punie models list`")
    if names[-2] != SHIPPED:
        find(names[-2]).verify()
    _record(names[:-1])
    return names[-2]


def _workshop() -> tempfile.TemporaryDirectory[str]:
    """A folder to make a release in, beside the others; what a kill left an hour ago goes."""
    home().mkdir(parents=True, exist_ok=True)
    for left in home().glob(".new-*"):
        if time.time() - left.stat().st_mtime > 3600:
            shutil.rmtree(left, ignore_errors=True)
    return tempfile.TemporaryDirectory(prefix=".new-", dir=home())


def _record(names: list[str]) -> None:
    home().mkdir(parents=True, exist_ok=True)
    part = home() / f"active.json.{os.getpid()}.part"
    part.write_text(json.dumps({"names": names[-20:]}) + "\n", "utf-8")
    part.replace(home() / "active.json")


def put(folder: Path) -> Release:
    """Copy a release folder to the others. One of that name which is there already must be the
    same model, and stays as it is.

    Raises ModelUnavailable for a damaged folder, UsageError for a name that is taken.
    """
    release = read(folder)
    release.verify()
    if not NAME.fullmatch(release.name) or release.name == SHIPPED:
        raise UsageError(
            f"{release.name!r} cannot be the name of a release: letters, digits, . _ -"
        )
    target = home() / release.name
    with _workshop() as temporary:
        copied = Path(temporary) / release.name
        copied.mkdir()
        for name in (*release.facts["files"], FACTS):
            shutil.copyfile(folder / name, copied / name)
        if target.exists():
            try:
                there = read(target)
                there.verify()
            except ModelUnavailable:  # damaged: it is mended
                target.rename(Path(temporary) / "damaged")
            else:
                if there.sha256 != release.sha256:
                    raise UsageError(
                        f"release {release.name!r} is another model: `punie models remove` it,"
                        " or give this one another name"
                    )
                return there
        copied.rename(target)
    return read(target)


def remove(name: str) -> None:
    """Delete a release. Raises UsageError for the one in use or an unknown one."""
    if name in history()[-1:]:
        raise UsageError(f"{name!r} is in use: `punie models use` another one first")
    if not NAME.fullmatch(name) or not (home() / name).is_dir():
        find(name)
    with _workshop() as gone:
        (home() / name).rename(Path(gone) / name)
    _record([each for each in history() if each != name] or [SHIPPED])


def pack(name: str, out: Path) -> Path:
    """Write a release to one file, the same bytes for the same release; gives its path."""
    import tarfile  # here, since every `punie ask` imports this module

    release = find(name)
    release.verify()
    part = out.with_name(f"{out.name}.{os.getpid()}.part")
    with tarfile.open(part, "w", format=tarfile.PAX_FORMAT) as archive:
        for each in (FACTS, *sorted(release.facts["files"])):
            entry = tarfile.TarInfo(f"{name}/{each}")
            entry.size, entry.mode = (release.folder / each).stat().st_size, 0o644
            with (release.folder / each).open("rb") as file:
                archive.addfile(entry, file)
    part.replace(out)
    return out


def install(file: Path) -> Release:
    """Unpack what `pack` wrote and put it to the others. Raises UsageError for a file that is no
    such archive, ModelUnavailable for a damaged one."""
    import tarfile

    with _workshop() as temporary:
        try:
            with tarfile.open(file) as archive:
                members = archive.getmembers()
                tops = {PurePosixPath(m.name).parts[0] for m in members if m.name}
                if len(tops) != 1 or not all(m.isfile() or m.isdir() for m in members):
                    raise UsageError(f"{str(file)!r} is no archive of a release")
                extract(archive, Path(temporary))
        except (tarfile.TarError, OSError, EOFError) as error:
            raise UsageError(f"{str(file)!r} cannot be unpacked: {error}") from None
        return put(Path(temporary) / tops.pop())
