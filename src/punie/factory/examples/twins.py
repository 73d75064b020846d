"""A second way to a whole answer: a shell command that rests on none of Punie's tools.

The second ways of `ways` check what a tool says; what a program makes of it (a filter, a join, a
count) they cannot. For the intents of `intents/twins.toml`, a command of the shell with git, ruff
and ty must print the same lines, in any order; an example whose answer differs is dropped.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from punie.factory import intents
from punie.factory.examples.plain_slots import Value
from punie.sandbox import Outcome
from punie.workspace import child_environment, program

FILE = Path(intents.__file__).parent / "twins.toml"
SECONDS = 60
"""A command that takes longer says nothing."""
PREAMBLE = r"""
set -f; IFS=$'\n'
RUFF() { "$RUFF_PROGRAM" check --output-format=concise --no-cache --no-fix 2>/dev/null |
    sed -nE 's/^(.+:[0-9]+:[0-9]+): ([a-zA-Z0-9-]+):? (\[\*\] )?/\1 \2 /p'; }
TY() { "$TY_PROGRAM" check --output-format=concise --color=never --no-progress 2>/dev/null |
    sed -nE 's/^(.+:[0-9]+:[0-9]+): (error|warning)\[([a-z-]+)\] /\1 \3 /p' |
    sort -t: -k1,1 -k2,2n -k3,3n -s; }
find_one() { if [ -e "$1" ] || [ -n "$(git ls-tree HEAD -- "$1")" ]; then echo "$1"; else
    git ls-files --cached --others --exclude-standard "*/$1" | head -1; fi; }
"""


@lru_cache(maxsize=1)
def commands() -> Mapping[str, str]:
    """Intent → its command; `{slot}` stands for the slot's value."""
    return {name: str(text) for name, text in tomllib.loads(FILE.read_text("utf-8")).items()}


def differs(intent: str, values: Mapping[str, Value], outcome: Outcome, root: Path) -> str | None:
    """How the command's answer differs from the program's: empty when it does not, None where
    nothing can be said (no command, a cut list, a command that does not end in time)."""
    if intent not in commands() or any(r.truncated for r in outcome.results):
        return None
    text = commands()[intent]
    for name, value in values.items():
        text = text.replace("{%s:bare}" % name, str(value))
        text = text.replace("{%s}" % name, shlex.quote(str(value)))
    env = {k: v for k, v in child_environment().items() if k != "VIRTUAL_ENV"}
    env |= {"RUFF_PROGRAM": program("ruff"), "TY_PROGRAM": program("ty"), "LC_ALL": "C.UTF-8"}
    env |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.quotepath"}
    env |= {"GIT_CONFIG_VALUE_0": "off", "GIT_CONFIG_GLOBAL": os.devnull}
    try:
        done = subprocess.run(
            ["bash", "-c", PREAMBLE + text],
            cwd=root,
            env=env,
            capture_output=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        return None
    ours, theirs = _lines(outcome.stdout), _lines(done.stdout.decode("utf-8", "replace"))
    if ours == theirs:
        return ""
    odd = [line for line in ours if line not in theirs], [x for x in theirs if x not in ours]
    return f"only the program: {odd[0][:3]}, only the command: {odd[1][:3]}"


def _lines(text: str) -> list[str]:
    """The lines that hold something, in order of the alphabet; counts without blanks before."""
    return sorted(re.sub(r"\s+", " ", line).strip() for line in text.split("\n") if line.strip())
