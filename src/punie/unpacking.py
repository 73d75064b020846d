"""Archives that someone else made: what lies outside the folder is refused."""

from __future__ import annotations

import copy
import os
import tarfile
from pathlib import Path


def extract(archive: tarfile.TarFile, folder: Path) -> None:
    """Unpack all members into `folder`. Raises `tarfile.TarError` for one that would land outside
    of it, a link that leads out of it and a device. All belongs to us, whoever packed it: git
    refuses a repository of another user."""
    if hasattr(tarfile, "data_filter"):
        archive.extractall(folder, filter="data")
    else:  # Python 3.11.0 to 3.11.3
        for member in archive.getmembers():
            _extract(archive, member, folder)


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """One member, with the checks of the filter that these versions do not have."""
    root, target = folder.resolve(), (folder / member.name).resolve()
    reached = [target]
    if member.issym():
        reached.append((target.parent / member.linkname).resolve())
    elif member.islnk():
        reached.append((folder / member.linkname).resolve())
    elif not (member.isfile() or member.isdir()):
        raise tarfile.TarError(f"{member.name!r} is a device or a pipe")
    if any(not place.is_relative_to(root) for place in reached):
        raise tarfile.TarError(f"{member.name!r} is or leads outside the folder")
    ours = copy.copy(member)
    ours.uid, ours.gid, ours.uname, ours.gname = os.getuid(), os.getgid(), "", ""
    if not ours.issym():
        ours.mode = (ours.mode | 0o600 | 0o100 * ours.isdir()) & 0o755
    archive.extract(ours, folder)
