"""git as the corpus runs it: no configuration but the repository's own, so hashes are fixed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from punie.factory.corpus.sdist import CorpusError

FIXED = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
}


def git(root: Path, *arguments: str, stdin: bytes = b"") -> str:
    """Standard output of `git arguments` in `root`; CorpusError with git's words when it fails."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    command = ["git", "-c", "core.autocrlf=false", "-c", "core.hooksPath=", *arguments]
    try:
        done = subprocess.run(
            command, cwd=root, input=stdin, capture_output=True, env={**kept, **FIXED}, timeout=120
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CorpusError(f"git {arguments[0]!r} in {root} did not run: {error}") from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise CorpusError(f"git {' '.join(arguments)} in {root} failed: {said}")
    return done.stdout.decode("utf-8", "replace")
