"""What a workspace holds that questions can speak of, found by plain means (git, `ast`, os).

It rests on none of Punie's tools, so that it can also serve as a second way to check them.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from punie.workspace import Workspace, child_environment


@dataclass(frozen=True)
class Declaration:
    """A function, class, method or module-level variable, as `ast` sees it."""

    name: str
    container: str
    """Qualified name of what it stands in, or empty."""
    kind: str
    """function, class, method or variable."""
    file: str
    line: int
    """Line of its name, 1-based."""
    column: int
    """Column of its name, 1-based, in characters."""
    end_line: int
    docstring: str
    parameters: tuple[str, ...] = ()
    """Names of a function's parameters, without self and cls."""
    bases: tuple[str, ...] = ()
    """Last parts of the names of a class's bases."""

    @property
    def qualified(self) -> str:
        """`Class.method` for a method, else the name."""
        return f"{self.container}.{self.name}" if self.container else self.name


@dataclass
class Module:
    """One parsed Python file."""

    file: str
    declarations: list[Declaration] = field(default_factory=list)
    uses: Counter[str] = field(default_factory=Counter)
    """Identifiers that it reads, imports or accesses."""


class Inventory:
    """Names, files, people and states of one workspace."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.workspace = Workspace(root)

    def git(self, *args: str) -> str:
        """Output of a plain git command."""
        done = subprocess.run(
            ["git", "-c", "core.quotepath=off", *args],
            cwd=self.root,
            env=child_environment(),
            capture_output=True,
            check=True,
        )
        return done.stdout.decode("utf-8", "replace")

    @cached_property
    def files(self) -> list[str]:
        """All files outside caches, relative, in order."""
        return [self.workspace.relative(p) for p in self.workspace.walk()]

    @cached_property
    def text_files(self) -> dict[str, str]:
        """Text of every UTF-8 file of at most 200 kB: what questions are made of."""
        return self._texts([n for n in self.files if self._size(n) <= 200_000])

    @cached_property
    def sources(self) -> dict[str, str]:
        """Text of every UTF-8 file of Python and every stub, however long: what answers rest on."""
        return self._texts([n for n in self.files if n.endswith((".py", ".pyi"))])

    def _size(self, name: str) -> int:
        path = self.root / name
        return path.stat().st_size if path.is_file() else 0

    def _texts(self, names: list[str]) -> dict[str, str]:
        found = {}
        for name in names:
            path = self.root / name
            if path.is_symlink() or not path.is_file():
                continue
            try:
                text = path.read_bytes().decode("utf-8-sig")
            except UnicodeDecodeError:
                continue
            if text.strip() and "\0" not in text:
                found[name] = text
        return found

    @cached_property
    def modules(self) -> dict[str, Module]:
        """The Python files that parse."""
        found = {}
        for name, text in self.text_files.items():
            if name.endswith(".py"):
                try:
                    tree = ast.parse(text)
                except (SyntaxError, ValueError):
                    continue
                found[name] = _module(name, tree, text.splitlines())
        return found

    @cached_property
    def declarations(self) -> list[Declaration]:
        """All declarations of all modules."""
        return [d for m in self.modules.values() for d in m.declarations]

    @cached_property
    def names(self) -> Counter[str]:
        """How many places declare each bare name."""
        return Counter(d.name for d in self.declarations)

    @cached_property
    def overridden(self) -> list[Declaration]:
        """Methods that a class right below theirs declares anew."""
        below: dict[str, set[str]] = {}
        for each in self.declarations:
            for base in each.bases:
                below.setdefault(base, set()).add(each.qualified)
        return [
            d
            for d in self.declarations
            if d.kind == "method"
            and any(
                f"{heir}.{d.name}" in self.qualified_names
                for heir in below.get(d.container.rpartition(".")[2], ())
            )
        ]

    @cached_property
    def qualified_names(self) -> Counter[str]:
        """How many places declare each qualified name."""
        return Counter(d.qualified for d in self.declarations)

    @cached_property
    def tracked(self) -> list[str]:
        """Files that HEAD holds."""
        return [f for f in self.git("ls-tree", "-r", "-z", "--name-only", "HEAD").split("\0") if f]

    @cached_property
    def changes(self) -> list[tuple[str, str]]:
        """(XY, file) of `git status --porcelain=v1`, renames by their new name."""
        fields = self.git("status", "--porcelain=v1", "-z", "--untracked-files=all").split("\0")
        found, skip = [], False
        for entry in fields:
            if skip or not entry:
                skip = False
                continue
            found.append((entry[:2], entry[3:]))
            skip = entry[0] in "RC"
        return found

    @cached_property
    def unstaged(self) -> list[str]:
        """Files with unstaged changes."""
        return [f for f in self.git("diff", "--name-only", "-z").split("\0") if f]

    @cached_property
    def staged(self) -> list[str]:
        """Files with staged changes."""
        return [f for f in self.git("diff", "--cached", "--name-only", "-z").split("\0") if f]

    @cached_property
    def authors(self) -> list[str]:
        """Names of all authors on the current branch."""
        return sorted({a for a in self.git("log", "--format=%aN").splitlines() if a})

    @cached_property
    def dates(self) -> list[str]:
        """Dates (YYYY-MM-DD) of the commits, newest first."""
        return self.git("log", "--format=%as").splitlines()

    @cached_property
    def subjects(self) -> list[str]:
        """Subjects of the commits, newest first."""
        return self.git("log", "--format=%s").splitlines()

    @cached_property
    def hashes(self) -> list[str]:
        """Full hashes of the commits, newest first."""
        return self.git("log", "--format=%H").splitlines()

    @cached_property
    def branches(self) -> list[str]:
        """Names of the local branches."""
        return self.git("branch", "--format=%(refname:lstrip=2)").splitlines()

    @cached_property
    def message_words(self) -> list[str]:
        """Words of commit subjects, lower case, four letters or more."""
        text = self.git("log", "--format=%s").lower()
        return sorted(set(re.findall(r"[a-z]{4,}", text)))

    @cached_property
    def state(self) -> dict[str, list[dict[str, str]]]:
        """The findings recorded when the workspace was built; empty for other repositories."""
        record = self.root.parent / f"{self.root.name}.state.json"
        if not record.exists():
            return {}
        found: dict[str, list[dict[str, str]]] = json.loads(record.read_text("utf-8"))["findings"]
        return found


def _module(name: str, tree: ast.Module, lines: list[str]) -> Module:
    module = Module(name)
    module.declarations.extend(_declared(tree, "", name, lines))
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            module.uses[node.id] += 1
        elif isinstance(node, ast.Attribute):
            module.uses[node.attr] += 1
        elif isinstance(node, ast.alias):
            module.uses[node.name.rpartition(".")[2]] += 1
    return module


def _bases(node: ast.ClassDef) -> tuple[str, ...]:
    plain = (b.value if isinstance(b, ast.Subscript) else b for b in node.bases)
    names = (b.attr if isinstance(b, ast.Attribute) else getattr(b, "id", "") for b in plain)
    return tuple(name for name in names if name)


def _parameters(arguments: ast.arguments) -> tuple[str, ...]:
    each = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return tuple(a.arg for a in each if a.arg not in ("self", "cls"))


def _declared(
    parent: ast.Module | ast.ClassDef, container: str, file: str, lines: list[str]
) -> Iterator[Declaration]:
    for node in parent.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            kind = "class" if isinstance(node, ast.ClassDef) else "function"
            kind = "method" if container and kind == "function" else kind
            line = lines[node.lineno - 1]
            column = line.index(node.name, line.index(kind[:3] if kind == "class" else "def")) + 1
            doc = ast.get_docstring(node) or ""
            end = node.end_lineno or node.lineno
            given = () if isinstance(node, ast.ClassDef) else _parameters(node.args)
            bases = _bases(node) if isinstance(node, ast.ClassDef) else ()
            yield Declaration(
                node.name, container, kind, file, node.lineno, column, end, doc, given, bases
            )
            if isinstance(node, ast.ClassDef):
                inside = f"{container}.{node.name}" if container else node.name
                yield from _declared(node, inside, file, lines)
        elif isinstance(node, ast.Assign) and not container:
            for target in node.targets:
                if isinstance(target, ast.Name):
                    column = len(lines[target.lineno - 1].encode()[: target.col_offset].decode())
                    end = node.end_lineno or node.lineno
                    yield Declaration(
                        target.id, "", "variable", file, target.lineno, column + 1, end, ""
                    )
