"""Which files of an answer are the workspace's own, each under its one real path.

A file behind a linked folder is there under several paths, and the server takes them for several
modules: under its real one all its uses come together. A server may also take a folder above for
the project, where it finds a configuration there.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from punie.errors import ToolFailure
from punie.navigation.sweep import PASSED, PYTHON
from punie.text import is_utf8
from punie.workspace import ENVIRONMENT, shared_path


class Places:
    """Real paths for one tool call; looks at each folder once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._folders: dict[Path, Path] = {}
        self._files: dict[Path, Path] = {}
        self._environments: dict[Path, bool] = {root: False}

    def real(self, path: Path) -> Path:
        """The path without links, if that is in the workspace; else the path as it is."""
        if path not in self._files:
            folder = path.parent
            if folder not in self._folders:
                self._folders[folder] = folder.resolve()
            found = path.resolve() if path.is_symlink() else self._folders[folder] / path.name
            inside = found != path and found.is_relative_to(self.root)
            inside = inside and found.suffix in PYTHON and not self.passed(found)
            self._files[path] = shared_path(str(found)) if inside else path
        return self._files[path]

    def of(self, uri: str) -> Path:
        """As `real`, of a `file:` URI."""
        return self.real(path_of(uri))

    def leads_out(self, path: Path) -> bool:
        """Whether a path of the workspace is, or goes through, a link to something outside."""
        if not path.is_relative_to(self.root) or self.passed(path):
            return False
        real = self.real(path)
        if real is not path:
            return False
        resolved = path.resolve() if path.is_symlink() else self._folders[path.parent]
        return not resolved.is_relative_to(self.root)

    def passed(self, path: Path) -> bool:
        """Whether a path of the workspace lies in a folder that holds none of its source."""
        return not PASSED.isdisjoint(path.relative_to(self.root).parts)

    def ours(self, path: Path) -> bool:
        """Whether a file is source of the workspace: not outside, not installed there."""
        inside = path.is_relative_to(self.root) and not self._environment(path.parent)
        return inside and not self.passed(path) and not self.leads_out(path)

    def _environment(self, folder: Path) -> bool:
        if folder not in self._environments:
            here = (folder / ENVIRONMENT).exists()
            self._environments[folder] = here or self._environment(folder.parent)
        return self._environments[folder]

    def sorted_out(self, links: Any, library: bool) -> tuple[list[Any], list[tuple[Path, int]]]:
        """Locations with real paths, each once, and `(file, line)` of those that are left out.

        Left out is what lies outside; with `library` not what does in installed packages. The
        packages' own uses, and those in what the server brings, are told to nobody.
        """
        kept: dict[tuple[str, int, int], Any] = {}
        away: list[tuple[Path, int]] = []
        for link in links or []:
            path, start = self.of(link["uri"]), link["range"]["start"]
            packaged = "/site-packages/" in link["uri"] or "/vendored/typeshed/" in link["uri"]
            if self.ours(path) or (library and packaged):
                uri = path.as_uri() if path is not path_of(link["uri"]) else link["uri"]
                kept.setdefault((uri, start["line"], start["character"]), link | {"uri": uri})
            elif not packaged:
                away.append((path, start["line"] + 1))
        return list(kept.values()), away


def uri_of(path: Path) -> str:
    """The `file:` URI of a path. Raises ToolFailure for a name that is not UTF-8."""
    if not is_utf8(str(path)):
        shown = os.fsencode(path.name).decode(errors="backslashreplace")
        raise ToolFailure(
            f"the file name '{shown}' is not UTF-8, so the language server cannot be asked about"
            " it: rename the file"
        )
    return path.as_uri()


@lru_cache(maxsize=4096)
def path_of(uri: str) -> Path:
    """The path of a `file:` URI."""
    return shared_path(unquote(urlsplit(uri).path))
