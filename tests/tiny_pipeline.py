"""The recipe `smoke` on a tiny random base and two packed projects: a pipeline within seconds."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tiny_llama import write_tiny

SMOKE = Path(__file__).parents[1] / "recipes" / "smoke.toml"
MODULE = '''"""Work with {name} values."""


def first_{name}(values, limit=3):
    """Return the first {name} values."""
    return values[:limit] if len(values) >= limit else list(values)


def save_{name}(path, values):
    """Write the {name} values to a file."""
    with open(path, "w") as stream:
        stream.write("\\n".join(first_{name}(values)))
    return len(values)
'''
SUITE = """name = "smoke"
workspaces = ["harbour"]
[[case]]
id = "clean"
category = "git"
workspace = "harbour"
query = "is all of it committed <already>?"
kind = "tool"
references = ["print(git_status().file_count)"]
fields = ["GitStatusResult.file_count"]
expect = ["0"]
[[case]]
id = "concept"
category = "direct"
workspace = "harbour"
query = "whatever is a harbour for?"
kind = "direct"
expect = ["ships"]
"""


@dataclass(frozen=True)
class Bench:
    """A folder with a recipe, its corpus in the cache and a tiny base."""

    folder: Path
    recipe: Path

    @property
    def env(self) -> dict[str, str]:
        """Caches and releases of its own."""
        own = {"PUNIE_DATA": str(self.folder / "data"), "PUNIE_CACHE": str(self.folder / "cache")}
        return dict(os.environ) | own

    def start(self, out: str, *more: str) -> subprocess.Popen[str]:
        """`punie pipeline` as a child in a process group of its own."""
        command = [sys.executable, "-m", "punie", "pipeline", str(self.recipe), "--workers", "1"]
        return subprocess.Popen(
            [*command, "--out", str(self.folder / out), *more],
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, out: str, *more: str) -> tuple[int, str]:
        """`punie pipeline` to its end: exit status and output."""
        child = self.start(out, *more)
        try:
            text, _ = child.communicate(timeout=900)
        finally:
            _end(child)
        return child.returncode, text

    def release(self, out: str, *more: str) -> tuple[int, str]:
        """`punie release`: exit status and output."""
        command = [sys.executable, "-m", "punie", "release", str(self.recipe)]
        done = subprocess.run(
            [*command, "--out", str(self.folder / out), *more],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=300,
        )
        return done.returncode, done.stderr + done.stdout

    def kill_when(self, out: str, reached: Callable[[Path], bool], *more: str) -> bool:
        """Start it and kill the whole group as soon as `reached`; False if it ended before."""
        child = self.start(out, *more)
        root = self.folder / out
        deadline = time.monotonic() + 600
        try:
            while time.monotonic() < deadline and child.poll() is None:
                if reached(root):
                    return True
                time.sleep(0.005)
        finally:
            ended = child.poll() is not None
            _end(child)
            text, _ = child.communicate()
        assert ended, f"not reached in {text}"
        return False

    def change(self, old: str, new: str) -> None:
        """Put `new` for the pattern `old` in the recipe."""
        text, count = re.subn(old, new, self.recipe.read_text("utf-8"))
        assert count, old
        self.recipe.write_text(text, "utf-8")


def _end(child: subprocess.Popen[str]) -> None:
    """Kill whatever is left of a child's process group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def _pack(cache: Path, name: str, words: tuple[str, ...]) -> str:
    """A source distribution in the cache; gives its hash."""
    top = f"{name}-1.0"
    prose = "\n\n".join(f"Paragraph {n} tells what `{name}` is for and how." for n in range(9))
    project = f'[project]\nname = "{name}"\nversion = "1.0"\n'
    files = {f"{top}/{name}/{word}.py": MODULE.format(name=word) for word in words} | {
        f"{top}/{name}/__init__.py": f'"""A {name}."""\n',
        f"{top}/README.md": f"# {name}\n\n{prose}\n",
        f"{top}/docs/usage.md": prose,
        f"{top}/pyproject.toml": project,
        f"{top}/tests/test_{words[0]}.py": "def test_truth():\n    assert True\n",
    }
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / f"{top}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for member, text in files.items():
            entry = tarfile.TarInfo(member)
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def bench(folder: Path) -> Bench:
    """Everything that a pipeline needs, without a network."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for number, (name, split, state) in enumerate(
        (("depot", "train", "mixed"), ("harbour", "dev", "clean"))
    ):
        words = ("shelf", "crate", "truck", "dock", "gate", "lane")
        sha256 = _pack(folder / "cache" / "corpus", name, words)
        entries.append(
            f'[[workspace]]\nname = "{name}"\npackage = "{name}"\nversion = "1.0"\n'
            f'sha256 = "{sha256}"\nsplit = "{split}"\nseed = {number}\nstate = "{state}"\n'
        )
    (folder / "corpus.toml").write_text("\n".join(entries), "utf-8")
    (folder / "smoke-suite.toml").write_text(SUITE, "utf-8")
    base = write_tiny(folder / "tiny.gguf")
    made = Bench(folder, folder / "smoke.toml")
    made.recipe.write_text(SMOKE.read_text("utf-8"), "utf-8")
    made.change(r'workspaces = \[".*"\]', 'workspaces = ["depot"]')
    made.change(r"(?s)(\[generate.examples\]).*?\n\n", r"\1\nstatus_all = 6\nlog_authors = 6\n\n")
    made.change(r"direct = 0.05", "direct = 0.02")
    made.change(r"\[train\]\n", f"[train]\nbase = {json.dumps(str(base))}\n")
    made.change(r"validation = 0.1", "validation = 0.5")
    made.change(r"checkpoint_minutes = .*", "checkpoint_minutes = 0")
    made.change(r"batch_tokens = .*", "batch_tokens = 200")
    assert tomllib.loads(made.recipe.read_text("utf-8"))["train"]["rank"]
    return made


def verdicts(root: Path) -> list[tuple[Any, ...]]:
    """What the validation said, without times."""
    report = json.loads((root / "validation" / "smoke.json").read_text("utf-8"))
    return [(c["id"], c["passed"], c["answer"], c["faults"]) for c in report["cases"]]
