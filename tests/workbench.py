"""What tests that start programs share: files, a call that leaves no trace, `punie` as a child."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import textwrap
import uuid
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import repos
from punie import demo
from punie.tool import Tool
from punie.tools.testing import TestResult
from punie.wrap import call

HEAVY = ("torch", "transformers", "peft", "mcp", "acp", "llama_cpp", "pydantic_ai")
LIGHT = f"""
import sys
from punie.cli import main
try:
    main(sys.argv[1:])
except SystemExit as done:
    loaded = sorted(set({HEAVY!r}) & set(sys.modules))
    print("heavy:", loaded, file=sys.stderr)
    raise
"""
"""The command line, telling at its end which heavy modules it has loaded."""


def write(root: Path, files: dict[str, str]) -> Path:
    repos.write(root, {name: textwrap.dedent(text) for name, text in files.items()})
    return root


def everything(root: Path) -> dict[str, bytes | None]:
    """Every path below a folder, with the content of files."""
    return {str(p): p.read_bytes() if p.is_file() else None for p in root.rglob("*")}


def ask(tool: Tool, root: Path, settings: dict[str, Any] | None = None, **args: Any) -> Any:
    """Call a tool as every caller does; whatever it answers, the workspace stays as it was."""
    before = everything(root)
    given = repos.context(root, **settings or {})
    result, _ = asyncio.run(call(tool, given, tool.bind((), args)))
    assert everything(root) == before
    return result


def output(root: Path, *command: str) -> str:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "VIRTUAL_ENV"))}
    env |= {"NO_COLOR": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=root, env=env, capture_output=True, text=True).stdout


def add_venv(root: Path) -> None:
    """A `.venv` with this one's packages and a module that only it has."""
    folder = root / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "only_here.py").write_text("def one() -> int:\n    return 1\n")
    (site / "ours.pth").write_text(str(Path(pytest.__file__).parent.parent) + "\n")


def by_name(result: TestResult) -> dict[str, tuple[str, str]]:
    """Outcome and first line of the message, by the last part of the node id."""
    return {
        t.name.partition("::")[2] or t.name: (t.outcome, (t.message.splitlines() or [""])[0])
        for t in result.tests
    }


class Ran(NamedTuple):
    status: int
    out: str
    err: str


class Bench:
    """A demo workspace, a user's folders, and `punie` with a scripted model."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, demo.create(folder / "shop")
        self.mark = uuid.uuid4().hex
        plain = {n: v for n, v in os.environ.items() if not n.startswith(("PUNIE_", "NO_COLOR"))}
        home = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "config")}
        self.env = plain | home | {"PUNIE_DATA": str(folder / "data"), "MARK": self.mark}

    def script(self, replies: list[str]) -> list[str]:
        """The option for a model that gives these replies."""
        file = self.folder / "replies.json"
        file.write_text(json.dumps(replies), "utf-8")
        return ["--model", f"scripted:{file}"]

    def punie(
        self,
        *args: str,
        replies: list[str] | None = None,
        text: bytes = b"",
        light: bool = False,
        **env: str,
    ) -> Ran:
        """Run it without a terminal; settings come by their environment names."""
        start = ["-c", LIGHT] if light else ["-m", "punie"]
        done = subprocess.run(
            [sys.executable, *start, *args, *(self.script(replies) if replies is not None else [])],
            cwd=self.root,
            env=self.env | env,
            input=text,
            capture_output=True,
            timeout=60,
            check=False,
        )
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    def left(self) -> list[bytes]:
        """Command lines of the processes that were started from here and still run."""
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                with contextlib.suppress(OSError):
                    if self.mark.encode() in (folder / "environ").read_bytes():
                        found.append((folder / "cmdline").read_bytes())
        return found
