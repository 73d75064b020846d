"""Files that come and go: what late commits of a history delete and rename."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath
from random import Random

from punie.factory.corpus.commit import Commit
from punie.factory.corpus.layout import Layout
from punie.factory.corpus.snippets import PLAIN, Words

_REMOVED = ("Remove {}", "Drop {}, nobody used it", "Delete {}", "chore: remove {}")
_RENAMED = ("Rename {} to {}", "Move {} to {}", "refactor: {} is now {}")
_BEFORE = ("_base", "_impl", "_old", "_helpers", "2")
"""What a renamed file's name once ended with."""


def come_and_go(line: list[Commit], after: int, plan: Layout, rng: Random) -> list[Commit]:
    """The commits with one or two more behind index `after`, the last five as far as may be.

    The first deletes a file that an early commit of `line` adds from now on; the other renames one
    that just one commit holds, and that commit holds it by its former name from now on.
    """
    late = [_deletion(line[0], plan, rng)]
    if rng.random() < 0.7 and (renamed := _renaming(line[: after + 1], line, rng)):
        late.append(renamed)
    rng.shuffle(late)
    line = list(line)
    for commit in late:
        line.insert(rng.randint(max(after + 1, len(line) - 5), len(line)), commit)
    return line


def _deletion(early: Commit, plan: Layout, rng: Random) -> Commit:
    text, name = Words(rng).fill(PLAIN[rng.randrange(3)])
    package = PurePosixPath(plan.package)
    folder = package.parent if package.suffix else package
    path = str(folder / f"{name}.py")
    early.files[path] = f'"""Helpers of the first days."""\n\n\n{text}'.encode()
    return Commit("chore", name, {}, message=rng.choice(_REMOVED).format(name), removed=[path])


def _renaming(early: list[Commit], line: list[Commit], rng: Random) -> Commit | None:
    """Renames a file that an early commit adds and no other touches; None where there is none."""
    touched = Counter(path for commit in line for path in commit.files)
    found = [
        (commit, path)
        for commit in early
        for path, data in sorted(commit.files.items())
        if touched[path] == 1 and path.endswith((".py", ".md", ".rst")) and len(data) > 200
        if not PurePosixPath(path).stem.startswith(("_", "test", "conftest", "README"))
    ]
    if not found:
        return None
    commit, path = rng.choice(found)
    now = PurePosixPath(path)
    before = now.with_name(now.stem + rng.choice(_BEFORE) + now.suffix)
    data = commit.files.pop(path)
    commit.files[str(before)] = data
    told = rng.choice(_RENAMED).format(before.name, now.name)
    return Commit("refactor", now.stem, {path: data}, message=told, removed=[str(before)])
