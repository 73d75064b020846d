"""Values for slots that stand for themselves: numbers, people, words, texts, branches."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import TypeVar

from punie.factory.examples.inventory import Inventory

T = TypeVar("T")
Value = str | int

COMMANDS = (
    ["git branch", "git stash list", "git tag", "git remote -v", "git rev-parse HEAD"]
    + ["git describe --always", "git shortlog -sn HEAD", "git count-objects", "ls", "ls -la"]
    + ["ls -R", "pwd", "date", "whoami", "uname -a", "uname -sm", "hostname", "env | sort"]
    + ["python --version", "python -m this", "python -c 'print(1 + 1)'", "python -m compileall -q"]
    + ["pip list", "pip --version", "ruff --version", "ruff rule F401", "ty --version"]
    + ["pytest --version", "cat README.md", "head -5 pyproject.toml", "wc -l README.md", "du -sh ."]
    + ["find . -name '*.md'", "find . -type d -maxdepth 2", "grep -rn TODO .", "sort README.md"]
    + ["echo hello", "echo done", "true", "false", "sleep 1", "make test", "make lint", "make docs"]
    + ["tox -e py311", "nox -l", "npm test", "df -h", "uptime", "which python", "test -f setup.py"]
    + ["printf 'a\\nb\\n'", "python setup.py --version", "cat /etc/hostname", "id", "nproc"]
)
TEXTS = (
    ["hello", "hello world", "TODO: write this down", "draft", "x = 1", "print('hi')", "notes"]
    + ["first line", "buy milk", "release on friday", "ask the team about the API", "v2", "ok"]
    + ["import os", "DEBUG = True", "pass", "# empty for now", "see issue 12", "needs review"]
    + ["do not edit", "call back tomorrow", "name,age", "[tool.demo]", "key: value", "*.log"]
    + ["meeting at ten", "remember to update the changelog", "fix the login page first"]
)
NOTES = [
    "{word}: {number} of {other} done",
    "call {person} at {clock}",
    "see {file}, line {number}",
    "see {file}:{number}",
    'rename "{word}" to "{second}"',
    "don't touch {file} before {day}",
    "{word} = {number}",
    "{number} files checked; {other} left, ask {person}",
    "- [ ] {word} ({file})",
    "- {word}: {second}",
    "v{version}: {word} fixed (#{number})",
    "TODO({person}): check {file}",
    "{day} {clock} {person}: {word} {second}",
    'say "{word}" instead of "{second}"',
    "{person} said: it's {number} or {other}, not both",
    "deploy {version} on {day} at {clock}",
    "{word},{second},{number}",
    'name = "{word}"',
    "{word} -> {second}",
    "limit: {number}, step: {other}",
    "why does {file} need {word}?",
    "port={number}; host='{word}'",
    "{number}% of {word} are in {file}",
]
"""Forms of notes."""
NEW_FILES = (
    ["notes.txt", "TODO.txt", "notes/today.md", "scratch.py", "docs/draft.md", "tmp/out.txt"]
    + ["hello.txt", "ideas.md", "plan.md", "config.local.toml", "data/sample.csv", "VERSION.txt"]
    + ["src/demo.py", "examples/first.py", "tests/data/input.json", "REMARKS.md", "log.txt"]
    + ["docs/howto.md", "checklist.md", "settings.ini", "requirements-extra.txt", "a.txt"]
)
CODE_LINES = (
    ["import os", "import sys, json", "x = 1", "total: int = 'none'", "print(undefined_name)"]
    + ["from typing import Any", "def twice(n): return 2 * n", "value = len(5)", "LIMIT = 10"]
    + ["names: list[str] = [1, 2]", "import re; import ast", "assert True", "size = 'a' + 1"]
    + ["if True: pass", "from os import *", "l = 0", "debug = None", "print('ready')"]
)
STRANGERS = (
    ["Holger", "Beatriz Salgado", "Wei Zhang", "Fatima", "Stefan Krüger", "Joanna", "Mustafa"]
    + ["Emily Clarke", "Rashid", "Giulia Ferri", "Torsten", "Yuki", "Carla Mendes", "Bogdan"]
    + ["Svetlana", "Aaron Fisher", "Leila", "Piotr", "Hannah Weiss", "Joaquín", "O'Malley"]
)
"""Names of people who may not have committed."""
NO_BRANCHES = (
    ["develop", "master", "staging", "release/2.0", "hotfix", "gh-pages", "dev", "next", "stable"]
    + ["feature/login", "fix/typo", "feature/async", "v1.x", "bugfix/encoding", "trunk", "beta"]
    + ["refactor-parser", "topic/speed", "wip/docs", "release-candidate", "feature/cli-colours"]
)
"""Names that no branch may have."""
FAILING = ("failed", "error")
"""Outcomes of tests of which one asks why."""
PASSING = 0.12
"""Share of questions why a test fails that may be about one that passes."""
NEW_STEMS = [
    "remarks",
    "todo",
    "plan",
    "draft",
    "scope",
    "review",
    "summary",
    "ideas",
    "log",
    "list",
]
NEW_FOLDERS = ["docs/", "notes/", "tmp/", "scripts/", "data/", "examples/", "tools/"]


class NoValue(Exception):
    """The workspace has nothing that fits the slot."""


class PlainSlots:
    """Draws values that rest on no other one."""

    def __init__(self, inventory: Inventory, rng: random.Random) -> None:
        self.inventory, self.rng = inventory, rng
        self.values: dict[str, Value] = {}

    def pick(self, values: list[T]) -> T:
        """One of the values."""
        if not values:
            raise NoValue
        return self.rng.choice(values)

    def folder(self) -> str:
        """A folder with tracked files."""
        parents = {str(p) for f in self.inventory.tracked for p in PurePosixPath(f).parents}
        folders = sorted(p for p in parents if p != "." and plain(p))
        return self.pick(folders) + self.rng.choice(["", "", "/"])

    # Numbers, people, words.

    def count(self) -> int:
        """A number as people ask for it: small ones more often."""
        return self.pick([2, 3, 3, 4, 5, 5, 5, 6, 7, 8, 9, 10, 10, 12, 15, 20, 25, 30])

    def small_count(self) -> int:
        """A number up to ten."""
        return self.rng.randint(2, 8)

    def author(self) -> str:
        """An author's name, whole or just the first or last part."""
        name = self.pick(self.inventory.authors)
        return self.rng.choice([name, name, name.split()[0], name.split()[-1]])

    def author_or_stranger(self) -> str:
        """An author's name, or as often one that nobody here has."""
        if self.rng.random() < 0.5:
            return self.author()
        here = " ".join(self.inventory.authors).lower()
        return self.pick([name for name in STRANGERS if name.lower() not in here])

    def date(self) -> str:
        """A date within the history."""
        return self.pick(self.inventory.dates)

    def subject(self) -> str:
        """The subject of a commit that is there once."""
        subjects = self.inventory.subjects
        return self.pick([s for s in subjects if subjects.count(s) == 1])

    def message_word(self) -> str:
        """A word of a commit message."""
        return self.pick(self.inventory.message_words)

    def command(self) -> str:
        """A shell command."""
        return self.pick(COMMANDS)

    def text(self) -> str:
        """A text to write: a common one, a note with names and numbers, or some words that stand
        in the workspace."""
        draw = self.rng.random()
        if draw < 0.2:
            return self.pick(TEXTS)
        if draw < 0.65:
            return self._note()
        words = self.pick(list(self.inventory.text_files.values())).split()
        start, size = self.rng.randrange(len(words)), self.rng.randint(2, 9)
        text = " ".join(words[start : start + size])
        if not re.fullmatch(r"[\w .,:;()=<>/+*@!?'-]{4,80}", text):
            raise NoValue
        return text

    def _note(self) -> str:
        """A note as people jot it down, with numbers, files, names, colons and quotes."""
        number, other = (str(self.rng.randrange(1, 400)) for _ in range(2))
        values = {
            "number": number,
            "other": other,
            "clock": f"{self.rng.randrange(7, 20)}:{self.rng.choice(['00', '15', '30', '45'])}",
            "version": ".".join(str(self.rng.randrange(0, 12)) for _ in range(3)),
            "day": self.date(),
            "person": self.pick(self.inventory.authors).split()[0],
            "file": self.pick([f for f in self.inventory.tracked if plain(f)]),
            "word": self.pick(self.inventory.message_words),
            "second": self.pick(self.inventory.message_words),
        }
        return self.pick(NOTES).format(**values)

    def new_file(self) -> str:
        """A file that does not exist, in a folder that may not exist either."""
        if self.rng.random() < 0.3:
            return self.pick([f for f in NEW_FILES if not (self.inventory.root / f).exists()])
        word = self.pick(self.inventory.message_words)
        stem = self.rng.choice([word, f"{word}_{self.pick(NEW_STEMS)}", self.pick(NEW_STEMS)])
        stem = self.rng.choice([stem, stem, stem.upper()])
        parent = self.rng.choice(["", "", self.pick(NEW_FOLDERS), self.folder().rstrip("/") + "/"])
        name = parent + stem + self.pick([".md", ".txt", ".py", ".rst", ".toml", ".cfg", ".json"])
        if (self.inventory.root / name).exists():
            raise NoValue
        return name

    def new_module(self) -> str:
        """A Python file that does not exist."""
        stem = f"{self.pick(self.inventory.message_words)}_{self.pick(NEW_STEMS)}"
        name = self.rng.choice(["", "", self.pick(NEW_FOLDERS)]) + f"{stem}.py"
        if (self.inventory.root / name).exists():
            raise NoValue
        return name

    def code_line(self) -> str:
        """A line of Python, with or without a fault."""
        return self.pick(CODE_LINES)

    def searched(self) -> str:
        """A text to search for: a word or a few that stand in the workspace, rarely another."""
        if self.rng.random() < 0.2:
            return self.pick(["TODO", "deprecated", "FIXME", "password", "localhost", "sys.exit"])
        lines = self.pick(list(self.inventory.text_files.values())).splitlines()
        words = re.findall(r"[A-Za-z_][\w.-]{3,}", self.pick(lines))
        start, size = self.rng.randrange(len(words) or 1), self.rng.choice([1, 1, 1, 2])
        text = " ".join(words[start : start + size])
        if not text or text.endswith((".", "-")):
            raise NoValue
        return text

    def glob(self) -> str:
        """A pattern of file names."""
        suffixes = {PurePosixPath(f).suffix for f in self.inventory.tracked} - {""}
        return self.rng.choice(["*", "*", "test_*", "_*"]) + self.pick(sorted(suffixes))

    def hash(self) -> str:
        """The short hash of a commit on the current branch."""
        full = self.pick(self.inventory.hashes)
        return full[: self.rng.choice([7, 7, 7, 8, 10, 40])]

    def branch(self) -> str:
        """A local branch."""
        return self.pick(self.inventory.branches)

    def branch_or_none(self) -> str:
        """A local branch, or as often a name that no branch has."""
        if self.rng.random() < 0.5:
            return self.branch()
        return self.pick([name for name in NO_BRANCHES if name not in self.inventory.branches])

    def merged_branch(self) -> str:
        """A branch that a merge of this history names."""
        names = [re.search(r"^Merge branch '([^']+)'", s) for s in self.inventory.subjects]
        return self.pick([m[1] for m in names if m])

    def lint_code(self) -> str:
        """A lint code: mostly one that is there."""
        here = [f["code"] for f in self.inventory.state.get("lint", [])]
        return self.pick(here * 3 + ["E501", "F401", "F841", "E711", "E722", "F541", "E741"])

    def type_code(self) -> str:
        """A type checker's rule: mostly one that is there."""
        common = ["invalid-argument-type", "unresolved-attribute", "unresolved-import"]
        return self.pick(
            common + ["invalid-assignment", "invalid-return-type", "call-non-callable"]
        )

    def failing_named_test(self) -> str:
        """The bare name of a test that fails; now and then of any."""
        return self.pick([t["symbol"].rpartition("::")[2] for t in self._why() if "symbol" in t])

    def _why(self) -> list[dict[str, str]]:
        """The tests of whose failure one may ask: those that fail, but for a few draws."""
        tests = self.inventory.state.get("tests", [])
        failing = [t for t in tests if t["code"] in FAILING]
        return failing if failing and self.rng.random() > PASSING else tests

    def named_test(self) -> str:
        """The bare name of a test."""
        tests = self.inventory.state.get("tests", [])
        return self.pick([t["symbol"].rpartition("::")[2] for t in tests if "symbol" in t])

    def test_id(self) -> str:
        """The node id of one test."""
        tests = self.inventory.state.get("tests", [])
        return self.pick([f"{t['file']}::{t['symbol']}" for t in tests if "symbol" in t])

    def _another(self, draw: Callable[[], str]) -> str:
        """A draw that gives none of the values of the other slots."""
        value = draw()
        if value in self.values.values():
            raise NoValue
        return value


def plain(path: str) -> bool:
    """Whether people would name the file in a question."""
    return "/." not in f"/{path}" and not path.endswith((".png", ".svg", ".ico", ".json"))
