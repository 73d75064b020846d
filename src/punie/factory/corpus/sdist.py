"""Source distributions: fetch by name, version and hash; unpack safely; keep what a repository has.

Nothing is built and no code of the fetched project runs: pip's own index machinery is asked for the
address of the sdist (so that every setting of the user's pip holds: index, proxy, certificate,
local folders), and the archive is then read as an archive.
"""

from __future__ import annotations

import hashlib
import importlib
import logging
import os
import shutil
import tarfile
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any

from platformdirs import user_cache_dir

from punie.errors import PunieError
from punie.unpacking import extract

DROPPED_NAMES = {
    "PKG-INFO", "uv.lock", "poetry.lock", "pdm.lock", "pixi.lock", "Pipfile.lock", "yarn.lock",
    "package-lock.json", ".gitignore", ".gitattributes", ".git_archival.txt", "junit.xml",
    "AGENTS.md", "CLAUDE.md", ".claude", ".idea", ".git", "__pycache__",
}  # fmt: skip
"""Files and folders that a repository would not have, or that steer git or other agents."""

MAX_BYTES = 200_000
"""Files that are neither Python nor decodable text are dropped above this size (bytes)."""


class CorpusError(PunieError):
    """The corpus cannot be made: what was given, what was found, and what to do are in the text."""


def cache_dir() -> Path:
    """The folder that sdists are kept in: `$PUNIE_CACHE/corpus`, else the user's cache folder."""
    return Path(os.environ.get("PUNIE_CACHE") or user_cache_dir("punie")) / "corpus"


def fetch(package: str, version: str, sha256: str, cache: Path) -> Path:
    """The sdist of `package` at `version`, from the cache or from the package index.

    Raises CorpusError when the index has no such sdist or cannot be reached, and when the hash of
    the file, cached or fetched, is not `sha256` (hexadecimal); such a file is never kept.
    """
    path = cache / f"{package}-{version}.tar.gz"
    if not path.exists():
        data = _download(package, version)
        _verify(data, sha256, f"the sdist fetched for {package}=={version}")
        cache.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.part")
        partial.write_bytes(data)
        partial.replace(path)
    else:
        _verify(path.read_bytes(), sha256, f"{path} (delete it to fetch it again)")
    return path


def unpack(sdist: Path, target: Path, drop: tuple[str, ...] = ()) -> None:
    """Unpack the one top folder of `sdist` into `target`, then remove what no repository has.

    `drop` holds shell patterns of paths relative to that folder; `*` also matches `/`. Members that
    would land outside `target`, links out of it and devices are refused with CorpusError, and
    nothing is left behind.
    """
    target.mkdir(parents=True)
    try:
        with tarfile.open(sdist, "r:gz") as archive:
            extract(archive, target)
        tops = list(target.iterdir())
        if len(tops) != 1 or not tops[0].is_dir():
            names = sorted(top.name for top in tops)
            raise CorpusError(f"{sdist} must hold exactly one top folder, and holds {names}.")
    except (tarfile.TarError, OSError) as error:
        shutil.rmtree(target)
        raise CorpusError(f"{sdist} was refused while unpacking: {error}") from error
    except CorpusError:
        shutil.rmtree(target)
        raise
    moved = tops[0].rename(target.with_name(f"{target.name}.unpacking"))
    target.rmdir()
    moved.rename(target)
    for path in sorted(target.rglob("*"), reverse=True):
        if path.is_symlink() or _dropped(path, path.relative_to(target).as_posix(), drop):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _dropped(path: Path, relative: str, drop: tuple[str, ...]) -> bool:
    if path.name in DROPPED_NAMES or path.name.endswith(".egg-info"):
        return True
    if path.is_dir():
        return False
    if any(fnmatch(relative, pattern) for pattern in drop):
        return True
    return path.stat().st_size > MAX_BYTES and PurePosixPath(relative).suffix != ".py"


def _verify(data: bytes, sha256: str, what: str) -> None:
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise CorpusError(
            f"The sha256 of {what} is {found!r}, but the recipe says {sha256!r}. "
            "Use the pinned file, or correct the recipe if the new file is the right one."
        )


def _download(package: str, version: str) -> bytes:
    """The bytes of one sdist through pip's index machinery; `pip download` would build it."""
    try:
        commands: Any = importlib.import_module("pip._internal.commands")
    except ImportError as error:
        raise CorpusError(
            "The corpus is fetched through pip, which this interpreter does not have. "
            "Install it with: python -m ensurepip"
        ) from error
    logging.getLogger("pip").setLevel(logging.ERROR)
    command = commands.create_command("download")
    wanted = f"{package}=={version}"
    arguments = ["--no-deps", "--no-binary", ":all:", "--pre", "--retries", "2", wanted]
    options, _ = command.parse_args(arguments)
    try:
        with command.main_context():
            session = command.get_default_session(options)
            finder = command._build_package_finder(options, session)
            specifiers: Any = importlib.import_module("pip._vendor.packaging.specifiers")
            found = finder.find_best_candidate(package, specifiers.SpecifierSet(f"=={version}"))
            if found.best_candidate is None:
                known = sorted({str(c.version) for c in finder.find_all_candidates(package)})
                raise CorpusError(
                    f"No sdist of {wanted} was found. "
                    + (f"The index has the versions {known[-8:]}." if known else _UNREACHABLE)
                )
            link = found.best_candidate.link
            if link.is_file:
                return Path(link.file_path).read_bytes()
            reply = session.get(
                link.url_without_fragment, headers={"Accept-Encoding": "identity"}, timeout=60
            )
            reply.raise_for_status()
            return bytes(reply.content)
    except CorpusError:
        raise
    except Exception as error:  # of libraries that pip carries inside: no names to catch them by
        raise CorpusError(f"Fetching {wanted} failed: {error}. {_UNREACHABLE}") from error


_UNREACHABLE = (
    "The package index could not be reached or does not know the package: check the network and "
    "`python -m pip config list`, or put the archive into the cache folder by hand."
)
