"""The state of work of a repository: what changed since the last commit, and how it is staged."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from random import Random
from typing import Any

from punie.factory.corpus import quarrel
from punie.factory.corpus.gitrun import git
from punie.factory.corpus.layout import Layout
from punie.factory.corpus.planting import Planter
from punie.factory.corpus.snippets import PLAIN

STATES = ("mixed", "conflicted", "staged", "unstaged", "untracked", "light", "clean")
"""mixed: everything; conflicted: that, in a merge that stopped; staged, unstaged, untracked: only
that; light: one file; clean: none."""

_NOTES = (
    "Check the {word} path again before the next release.",
    "Ask whether {word} is still used.",
    "TODO: describe {word} in the docs.",
    "{word}: numbers look right on the small sample.",
)


def apply(
    root: Path, plan: Layout, planter: Planter, rng: Random, state: str, branch: str = ""
) -> list[dict[str, Any]]:
    """Change files and the index as `state` says; returns the entries that `git status` lists.

    `branch` is the one whose merge stops, where `state` is conflicted.
    """
    desk = _Desk(root, plan, planter, rng)
    if state == "conflicted":
        desk.merge(branch)
        state = "mixed"
    if state == "light":
        desk.modify(1)
    if state in ("mixed", "unstaged"):
        desk.modify(rng.randint(2, 4))
    if state in ("mixed", "staged"):
        desk.stage(rng.randint(1, 3))
        desk.rename()
        if rng.random() < 0.6:
            desk.create(staged=True)
    if state == "mixed":
        desk.stage_twice()
        desk.delete(staged=rng.random() < 0.3)
    if state in ("mixed", "untracked"):
        desk.create(staged=False)
        desk.scratch()
    return sorted(desk.changes, key=lambda entry: (entry["file"], not entry["staged"]))


class _Desk:
    """Makes changes one by one, each on files that no other change has touched."""

    def __init__(self, root: Path, plan: Layout, planter: Planter, rng: Random) -> None:
        self.root, self.plan, self.planter, self.rng = root, plan, planter, rng
        self.changes: list[dict[str, Any]] = []
        self.modules = planter.modules()
        self.prose = list(plan.prose)
        tests = "\n".join((root / file).read_text("utf-8") for file in plan.tests)
        self.movable = [
            file
            for file in (*plan.prose, *plan.tests)
            if "/" in file
            and not re.search(rf"(import|from) \S*{re.escape(PurePosixPath(file).stem)}\b", tests)
            and (root / file).stat().st_size > 600
        ]

    def merge(self, branch: str) -> None:
        """Begin a merge that stops at conflicts."""
        for file in quarrel.stop(self.root, branch):
            self._note(self._remove(file), "conflicted", False)

    def modify(self, count: int) -> None:
        """Change `count` files in the tree only."""
        for _ in range(count):
            if file := self._take(prose=self.rng.random() < 0.25):
                self._edit(file)
                self._note(file, "modified", False)

    def stage(self, count: int) -> None:
        """Change `count` files and stage them."""
        for _ in range(count):
            if file := self._take(prose=self.rng.random() < 0.2):
                self._edit(file)
                git(self.root, "add", "--", file)
                self._note(file, "modified", True)

    def stage_twice(self) -> None:
        """Change a file, stage it, and change it again."""
        if file := self._take(prose=False):
            self._edit(file)
            git(self.root, "add", "--", file)
            self._edit(file)
            self._note(file, "modified", True)
            self._note(file, "modified", False)

    def create(self, staged: bool) -> None:
        """Write a new module, and for untracked ones often a new test module too."""
        files = []
        if self.plan.modules and not self.plan.package.endswith(".py"):
            name = self._word()
            file = f"{self.plan.package}/{self.rng.choice(('', '_'))}{name}.py"
            if not (self.root / file).exists():
                kinds = [kind for kind in ("lint", "types") if kind in self.planter.kinds]
                self.planter.new_module(file, self.rng.choice([*kinds, "plain"]))
                files.append(file)
        if not staged and "tests" in self.planter.kinds and self.rng.random() < 0.6:
            files.append(self.planter.add_tests())
        for file in files:
            if staged:
                git(self.root, "add", "--", file)
            self._note(file, "added" if staged else "untracked", staged)

    def scratch(self) -> None:
        """Write an untracked note, and an untracked folder of two files."""
        note = self.rng.choice(("NOTES.md", "todo.txt", "notes.txt", "TODO.md", "ideas.md"))
        folder = self.rng.choice(("scratch", "tmp_checks", "playground", "sketches", "drafts"))
        texts = {note: self._jottings(), f"{folder}/{self._word()}.md": self._jottings()}
        texts[f"{folder}/{self._word()}.py"] = self.planter.words.fill(PLAIN[0])[0]
        for file, text in texts.items():
            if not (self.root / file).exists():
                (self.root / file).parent.mkdir(exist_ok=True)
                (self.root / file).write_text(text, "utf-8")
                self._note(file, "untracked", False)

    def delete(self, staged: bool) -> None:
        """Delete a document or a test module."""
        if file := self._take_movable():
            git(self.root, "rm", "-q", "--", file) if staged else (self.root / file).unlink()
            self._note(file, "deleted", staged)

    def rename(self) -> None:
        """Rename a document or a test module with `git mv`."""
        if file := self._take_movable():
            path = PurePosixPath(file)
            new = path.with_name(f"{path.stem}_{self._word()}{path.suffix}").as_posix()
            git(self.root, "mv", "--", file, new)
            self._note(new, "renamed", True, file)

    def _edit(self, file: str) -> None:
        if not file.endswith(".py"):
            path = self.root / file
            old = path.read_text("utf-8").rstrip("\n")
            path.write_text(f"{old}\n\n{self._jottings()}", "utf-8")
            return
        ways: list[Callable[[str], None]] = [self.planter.add_plain]
        ways += [self.planter.add_lint] * 2 * ("lint" in self.planter.kinds)
        ways += [self.planter.add_types] * 2 * ("types" in self.planter.kinds)
        for way in self.rng.sample(ways, min(len(ways), self.rng.randint(1, 2))):
            way(file)

    def _take(self, prose: bool) -> str | None:
        pool = self.prose if prose and self.prose else self.modules
        return self._remove(self.rng.choice(pool)) if pool else None

    def _take_movable(self) -> str | None:
        return self._remove(self.rng.choice(self.movable)) if self.movable else None

    def _remove(self, file: str) -> str:
        for pool in (self.modules, self.prose, self.movable):
            if file in pool:
                pool.remove(file)
        return file

    def _word(self) -> str:
        return self.planter.words.fill(PLAIN[0])[1]

    def _jottings(self) -> str:
        lines = self.rng.sample(_NOTES, self.rng.randint(1, 3))
        return "".join(f"- {line.format(word=f'`{self._word()}`')}\n" for line in lines)

    def _note(self, file: str, status: str, staged: bool, old: str | None = None) -> None:
        self.changes.append({"file": file, "status": status, "staged": staged, "old_file": old})
