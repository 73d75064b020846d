"""Puts lint hits, type errors and tests into the modules of a repository, and remembers them."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from random import Random
from typing import Any

from punie.factory.corpus.layout import Layout
from punie.factory.corpus.snippets import IMPORTS, LINT, PLAIN, TESTS, TYPES, Snippet, Words

KINDS = ("lint", "types", "tests")


class Planter:
    """Changes files under `root`; `findings` lists what was put in, in the order of planting."""

    def __init__(
        self, root: Path, plan: Layout, rng: Random, without: tuple[str, ...] = ()
    ) -> None:
        self.root = root
        self.plan = plan
        self.rng = rng
        self.words = Words(rng)
        self.kinds = tuple(kind for kind in KINDS if kind not in without)
        self.findings: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}

    def plant_committed(self) -> None:
        """Put findings into modules before the history is written, so that they are unchanged."""
        modules = self.modules()
        self.rng.shuffle(modules)
        spots = [modules[index % len(modules)] for index in range(6)] if modules else []
        if "lint" in self.kinds:
            for file in spots[: self.rng.randint(1, 3)]:
                self.add_lint(file, committed=True)
        if "types" in self.kinds:
            for file in spots[2 : 2 + self.rng.randint(1, 3)]:
                self.add_types(file, committed=True)
        if "tests" in self.kinds:
            for _ in range(self.rng.randint(1, 2)):
                self.add_tests(committed=True)

    def modules(self) -> list[str]:
        """Modules that functions may be added to: no `__init__`, none exempt from lint."""
        return [
            file
            for file in self.plan.modules
            if not file.endswith(("__init__.py", "__main__.py", "_version.py"))
            and not re.search(r"# (ruff|flake8): noqa", (self.root / file).read_text("utf-8"))
            and (self.root / file).stat().st_size > 300
        ]

    def add_lint(self, file: str, committed: bool = False) -> None:
        """Add an unused import or a function with a lint hit to `file`."""
        if self.rng.random() < 0.3 and self._add_import(file, committed):
            return
        self._append(file, self.rng.choice(LINT), "lint", committed)

    def add_types(self, file: str, committed: bool = False) -> None:
        """Add a function with a type error to `file`."""
        self._append(file, self.rng.choice(TYPES), "types", committed)

    def add_plain(self, file: str) -> None:
        """Add a function without findings to `file`."""
        text, _ = self.words.fill(self.rng.choice(PLAIN))
        self._write(file, text)

    def add_tests(self, committed: bool = False) -> str:
        """Write a new test module in the test folder; returns its path."""
        folder = self.plan.test_folder
        _, name = self.words.fill(PLAIN[0])
        file = f"{folder}/test_{name}.py"
        wanted = ["passed", "passed", "passed"]
        wanted += [
            outcome
            for outcome in ("failed", "failed", "error", "skipped", "xfailed")
            if self.rng.random() < 0.65
        ]
        self.rng.shuffle(wanted)
        blocks = []
        for outcome in wanted:
            snippet = self.rng.choice([test for test in TESTS if test.codes[0] == outcome])
            text, function = self.words.fill(snippet)
            blocks.append(text)
            for code in snippet.codes:
                self._note("tests", file, code, f"test_{function}", committed)
        head = "import pytest\n\n\n" if any("pytest." in block for block in blocks) else ""
        (self.root / folder).mkdir(exist_ok=True)
        (self.root / file).write_text(head + "\n\n".join(blocks), "utf-8")
        return file

    def new_module(self, file: str, kind: str) -> None:
        """Write a new module `file` of one to three functions; `kind`: `lint`, `types`, `plain`."""
        pool = {"lint": LINT, "types": TYPES}.get(kind, PLAIN)
        blocks = []
        for _ in range(self.rng.randint(1, 3)):
            snippet = self.rng.choice(pool)
            text, name = self.words.fill(snippet)
            blocks.append(text)
            for code in snippet.codes:
                self._note(kind, file, code, name, False)
        (self.root / file).parent.mkdir(parents=True, exist_ok=True)
        (self.root / file).write_text("\n\n".join(blocks), "utf-8")

    def _append(self, file: str, snippet: Snippet, kind: str, committed: bool) -> None:
        text, name = self.words.fill(snippet, private=self.rng.random() < 0.4)
        self._write(file, text)
        for code in snippet.codes:
            self._note(kind, file, code, name, committed)

    def _write(self, file: str, text: str) -> None:
        old = (self.root / file).read_text("utf-8").rstrip("\n")
        (self.root / file).write_text(f"{old}\n\n\n{text}", "utf-8")

    def _add_import(self, file: str, committed: bool) -> bool:
        """Add an unused import after the imports of the module's head; false if none fits."""
        text = (self.root / file).read_text("utf-8")
        unused = [name for name in IMPORTS if not re.search(rf"\b{name}\b", text)]
        ends = []
        for node in ast.parse(text).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                ends.append(node.end_lineno or node.lineno)
            elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
                break
        if not unused or not ends:
            return False
        lines = text.splitlines(keepends=True)
        name = self.rng.choice(unused)
        lines.insert(ends[-1], f"import {name}\n")
        (self.root / file).write_text("".join(lines), "utf-8")
        self._note("lint", file, "F401", name, committed)
        return True

    def _note(self, kind: str, file: str, code: str, symbol: str, committed: bool) -> None:
        entry = {"file": file, "code": code, "symbol": symbol, "committed": committed}
        self.findings[kind].append(entry)
