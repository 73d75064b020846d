"""Which words of a question name something in the workspace.

A small model sometimes takes the wrong word of a question for the path or the symbol. `Mentioned`
knows, for each argument of a tool, which words can be meant: files and folders that are there,
names that the code declares or imports, else words that look like such.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import PurePosixPath
from typing import Literal

from punie.workspace import Workspace

Kind = Literal["path", "symbol", ""]
PATHS = frozenset({"path", "file_path"})
FREE = frozenset({"write_file"})
"""Tools whose paths need not exist."""
SEARCH_SECONDS = 0.5
"""A search for declarations is given up after that."""
_SUFFIX = re.compile(r"\.(pyi?|md|rst|txt|toml|cfg|ini|json|ya?ml|csv|html|js|css|sh|lock|in)$")
_QUOTED = re.compile(r"`([^`\n]+)`|\"([^\"\n]+)\"|'([^'\n]+)'")
_CODE_LIKE = re.compile(r"\w*(_\w|\w_|[a-z0-9][A-Z]|\w\.\w|\d)")


class Mentioned:
    """Words of one conversation that can be arguments of tools."""

    def __init__(
        self,
        workspace: Workspace,
        parameters: Mapping[str, Sequence[str]],
        texts: Iterable[str],
        seconds: float = SEARCH_SECONDS,
    ) -> None:
        """`parameters` are the names of each tool's parameters, `texts` what was said so far.
        When a search for declarations takes longer than `seconds`, every name may be meant."""
        self._seconds = seconds
        self._workspace, self._parameters = workspace, parameters
        text = "\n".join(texts)
        quoted = [next(filter(None, found)) for found in _QUOTED.findall(text)]
        plain = [word.rstrip(".:-") for word in re.findall(r"[\w./\\:-]+", text)]
        parts = [part for word in plain for part in re.split(r"::|:(?=\d)", word)]
        words = [word for word in [*quoted, *plain, *parts] if word]
        self._quoted = frozenset(quoted)
        self._words = tuple(dict.fromkeys(words))

    def kind(self, tool: str, parameter: str | int) -> Kind:
        """What an argument of a tool names; `parameter` is its name or its place from 0."""
        names = self._parameters.get(tool, ())
        if isinstance(parameter, int):
            parameter = names[parameter] if parameter < len(names) else ""
        if parameter == "symbol" and (not names or "symbol" in names):
            return "symbol"
        return "path" if parameter in PATHS & set(names) and tool not in FREE else ""

    def words(self, kind: Kind) -> frozenset[str]:
        """The words that an argument of a kind may be."""
        return self._paths if kind == "path" else self._symbols

    @cached_property
    def _paths(self) -> frozenset[str]:
        there = self._existing()
        looking = {w for w in self._words if _SUFFIX.search(w.split("::")[0])}
        looking |= {w for w in self._words if "/" in w and not w.startswith(("http", "/"))}
        return frozenset(there | looking)

    def _existing(self) -> set[str]:
        """Words that are, or just one path ends with."""
        wanted: dict[str, set[str]] = {}
        for word in self._words:
            path = word.split("::")[0].rstrip("/")
            for end in (path, f"{path.replace('.', '/')}.py" if "/" not in path else ""):
                if end and not end.startswith("/"):
                    wanted.setdefault(PurePosixPath(end).name, set()).add(f"{word}\0/{end}")
        found: set[str] = set()
        for file in self._workspace.walk():
            path = f"/{self._workspace.relative(file)}"
            while path:
                for entry in wanted.get(path.rpartition("/")[2], ()):
                    word, _, end = entry.partition("\0")
                    if path.endswith(end):
                        found.add(word)
                path = path.rpartition("/")[0]
        return found

    @cached_property
    def _symbols(self) -> frozenset[str]:
        names = {w for w in self._words if all(p.isidentifier() for p in w.split("."))}
        names |= {p for w in names for p in w.split(".")}
        declared = self._declared({n.rpartition(".")[2] for n in names})
        looking = {n for n in names if _CODE_LIKE.match(n) and not _SUFFIX.search(n)}
        looking |= names & self._quoted
        meant = {n for n in names if n.rpartition(".")[2] in declared} | looking
        return frozenset(meant or names)

    def _declared(self, names: set[str]) -> set[str]:
        """Names that some Python file declares or imports; all when there is too much to read."""
        if not names:
            return set()
        name = f"({'|'.join(sorted(map(re.escape, names)))})"
        pattern = re.compile(
            rf"\b(?:def|class)[ \t]+{name}\b"
            rf"|^[ \t]*(?:self\.)?{name}[ \t]*(?::[^=\n]*)?=(?!=)"
            rf"|^[ \t]*(?:from|import)\b[^\n]*\b{name}\b".encode(),
            re.MULTILINE,
        )
        found: set[str] = set()
        end = time.monotonic() + self._seconds
        for file in self._workspace.python_files():
            if time.monotonic() > end:
                return names
            try:
                text = file.read_bytes()
            except OSError:
                continue
            for groups in pattern.findall(text):
                found.update(group.decode() for group in groups if group)
        return found
