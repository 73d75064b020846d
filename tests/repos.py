"""Small real repositories for tests, and the context that tools get there."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any, cast

from punie.navigation.lsp import LanguageServer
from punie.settings import Settings
from punie.tool import Tool
from punie.workspace import Workspace
from punie.wrap import Allow, Context, call

ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ada Lovelace",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_AUTHOR_DATE": "2024-05-01T10:00:00+02:00",
    "GIT_COMMITTER_NAME": "Ada Lovelace",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_COMMITTER_DATE": "2024-05-01T10:00:00+02:00",
}


def git(root: Path, *arguments: str, check: bool = True, stdin: bytes = b"") -> bytes:
    """Run git in `root` as Ada Lovelace on 1 May 2024; returns its standard output."""
    done = subprocess.run(
        ["git", *arguments],
        cwd=root,
        env=os.environ | ENVIRONMENT,
        input=stdin,
        capture_output=True,
    )
    if check and done.returncode:
        raise AssertionError(done.stderr.decode(errors="replace"))
    return done.stdout


def write(root: Path, files: dict[str, str | bytes]) -> None:
    """Write files, with the folders that they need."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def repository(root: Path, files: dict[str, str | bytes] | None = None) -> Path:
    """An empty repository in `root`, which is made; with one commit if there are files."""
    root.mkdir(parents=True, exist_ok=True)
    git(root, "init", "--quiet", "--initial-branch=main")
    if files:
        commit(root, files)
    return root


def commit(root: Path, files: dict[str, str | bytes], message: str = "Start") -> str:
    """Write files and commit everything; returns the hash."""
    write(root, files)
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--allow-empty", "--message", message)
    return git(root, "rev-parse", "HEAD").decode().strip()


def context(root: Path, server: object = None, **settings: Any) -> Context:
    """A context whose approver allows everything; the language server may be anything."""
    return Context(
        workspace=Workspace(root),
        settings=Settings(**settings),
        language_server=cast(LanguageServer, server),
        approver=Allow(),
    )


def ask(tool: Tool, root: Path, settings: dict[str, Any] | None = None, **arguments: Any) -> Any:
    """Call a tool as every caller does; its result survives JSON."""
    here = context(root, **(settings or {}))
    result, _ = asyncio.run(call(tool, here, tool.bind((), arguments)))
    json.dumps(result.model_dump()).encode()
    return result


def snapshot(root: Path) -> dict[str, str]:
    """Mode and digest of every file below `root`, `.git` and its index included."""
    found = {}
    for folder, _, names in os.walk(os.fsencode(root)):
        for name in names:
            path = os.path.join(folder, name)  # noqa: PTH118 (names may be no text)
            if os.path.islink(path):  # noqa: PTH114
                content = os.readlink(path)  # noqa: PTH115
            else:
                content = Path(os.fsdecode(path)).read_bytes()
            mode = os.lstat(path).st_mode
            found[os.fsdecode(path)] = f"{mode:o} {hashlib.sha256(content).hexdigest()}"
    return found
