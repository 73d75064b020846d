"""What is installed for a workspace: its virtual environment, and sources that lie elsewhere.

A package that was installed with `pip install --editable` is its source folder, which is somebody's
own work and changes like the workspace itself; a `.pth` file names it.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

PACKAGES = frozenset({"site-packages", "dist-packages"})
"""Names of folders that installers fill."""


@dataclass(frozen=True)
class Installed:
    """What tells one state of the installed packages from another."""

    state: frozenset[tuple[str, int]] = frozenset()
    """Files and folders that change when a package comes or goes, with their times in ns."""
    editable: tuple[Path, ...] = ()
    """Source folders outside the workspace that are installed as they are."""


def installed(root: Path, variables: Mapping[str, str] = os.environ) -> Installed:
    """What is installed for the workspace `root`: in its `.venv`, or where `VIRTUAL_ENV` says.

    Not seen are packages of the interpreter itself, and editable ones that an import hook finds.
    """
    state: set[tuple[str, int]] = set()
    editable: dict[Path, None] = {}
    for venv in _environments(root, variables):
        for site in (venv / "pyvenv.cfg", *venv.glob("lib/python3*/site-packages")):
            with contextlib.suppress(OSError):
                at = site.stat().st_mtime_ns
                state.add((str(site), at))
                for path, written in _stamped(_path_files(site, at)):
                    state.add((path, written))
                    editable |= dict.fromkeys(_sources(path, written, root))
    return Installed(frozenset(state), tuple(editable))


def _environments(root: Path, variables: Mapping[str, str]) -> Iterator[Path]:
    yield root / ".venv"
    active = variables.get("VIRTUAL_ENV")
    if active and active != sys.prefix:  # ours is not the workspace's
        yield Path(active)


def _stamped(paths: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    for path in paths:
        with contextlib.suppress(OSError):
            yield path, Path(path).stat().st_mtime_ns


@lru_cache(maxsize=16)
def _path_files(site: Path, at: int) -> tuple[str, ...]:
    """The `.pth` files of a folder that was last changed `at`."""
    with contextlib.suppress(OSError), os.scandir(site) as entries:
        return tuple(sorted(e.path for e in entries if e.name.endswith(".pth")))
    return ()


@lru_cache(maxsize=256)
def _sources(path: str, written: int, root: Path) -> tuple[Path, ...]:
    """Folders outside the workspace that a `.pth` file, written then, names.

    Not those that hold the workspace, nor those that an installer fills.
    """
    with contextlib.suppress(OSError, ValueError):
        lines = Path(path).read_text("utf-8", "replace").splitlines()
        places = [line.strip() for line in lines if not line.startswith(("import ", "import\t"))]
        named = [Path(path).parent.joinpath(p).resolve() for p in places if p and p[0] != "#"]
        return tuple(
            folder
            for folder in named
            if not folder.is_relative_to(root)
            and not root.is_relative_to(folder)
            and PACKAGES.isdisjoint(folder.parts)
        )
    return ()
