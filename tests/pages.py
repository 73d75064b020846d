"""The fenced blocks of the pages, and a place where commands of a page can be run.

A comment right above a block says more: `<!-- not run: why -->`, or `<!-- file: NAME -->` for a
block that is the content of a file.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from punie import demo

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(
    r"(?m)^(?:<!-- (?P<word>not run|file): (?P<value>.+) -->\n)?```(?P<kind>\w*)(?P<rest>.*)\n"
    r"(?P<text>(?:.*\n)*?)```$"
)
REPLIES = {
    "how many files changed?": "print(git_status().file_count)",
    "and how many are staged?": "print(len([f for f in git_status().files if f.staged]))",
    "which commits did Ada make?": "for commit in git_log().commits:\n"
    "    if commit.author.startswith('Ada'):\n        print(commit.message)",
    "who calls with_tax?": "print(find_references(symbol='with_tax'))",
    "authors of the last 5 commits": "for c in git_log(count=5).commits:\n    print(c.author)",
    "what is in none.py?": "print(read_file('none.py').text)",
}
"""What the scripted model replies to the questions of the pages."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    kind: str
    """`console`, `python` …"""
    text: str
    not_run: str = ""
    """Why it is not run."""
    file: str = ""
    """The file that it is the content of."""
    rest: str = ""
    """What stands behind the kind: there should be nothing."""

    def __str__(self) -> str:
        """`docs/api.md:12`."""
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> list[tuple[str, str]]:
        """Commands of a console block, each with what is printed below it."""
        found: list[tuple[str, str]] = []
        for line in self.text.splitlines(keepends=True):
            if line.startswith("$ "):
                found.append((line[2:].rstrip("\n"), ""))
            else:
                command, printed = found[-1]
                found[-1] = (command, printed + line)
        return found


def blocks(page: str) -> Iterator[Block]:
    """All fenced blocks of a page."""
    text = (ROOT / page).read_text("utf-8")
    for match in BLOCK.finditer(text):
        word, value = match["word"], match["value"] or ""
        yield Block(
            page,
            text.count("\n", 0, match.start("text")),
            match["kind"],
            match["text"],
            not_run=value if word == "not run" else "",
            file=value if word == "file" else "",
            rest=match["rest"].strip(),
        )


BLOCKS = [block for page in PAGES for block in blocks(page)]


@dataclass
class Reader:
    """Someone who does what a page says, in a new demonstration repository."""

    folder: Path
    source: Path = ROOT / "src"
    """Where the program is; a copy for pages that add to it."""
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.shop = demo.create(self.folder / "shop")
        shim = self.folder / "bin/punie"
        shim.parent.mkdir()
        shim.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m punie "$@"\n')
        shim.chmod(0o755)
        plain = {name: v for name, v in os.environ.items() if not name.startswith("PUNIE_")}
        self.env = plain | {
            "PATH": os.pathsep.join([str(shim.parent), os.environ["PATH"]]),
            "PUNIE_DATA": str(self.folder / "data"),
            "PUNIE_MODEL": f"scripted:{self.folder / 'replies.json'}",
            "PUNIE_REPAIRS": "0",  # a reply for each question
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "PYTHONPATH": str(self.source),
        }

    def save(self, block: Block) -> Path:
        """Write a block's file, in a copy of the checkout where it belongs there."""
        if block.file.startswith(("src/", "recipes/")):
            if self.source == ROOT / "src":
                self.source = self.folder / "checkout/src"
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / "src", self.source, ignore=ignored)
                shutil.copytree(ROOT / "recipes", self.source.parent / "recipes")
                self.env["PYTHONPATH"] = str(self.source)
            target = self.source.parent / block.file
        else:
            target = self.shop / block.file
        target.write_text(block.text, "utf-8")
        return target

    def runs(self, command: str) -> tuple[int, str]:
        """Exit status, and all that was printed."""
        questions = self.shop / "questions.txt"
        told = command + (questions.read_text() if "--batch" in command else "")
        asked = sorted((told.index(each), reply) for each, reply in REPLIES.items() if each in told)
        replies = [f"<jupyter_code>{reply}" for _, reply in asked]
        (self.folder / "replies.json").write_text(json.dumps(replies), "utf-8")
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=self.shop,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        return done.returncode, done.stdout
