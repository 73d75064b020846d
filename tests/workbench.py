"""What tests of tools that start programs share: files, a call that leaves no trace, output."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import repos
from punie.tool import Tool
from punie.wrap import call


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
