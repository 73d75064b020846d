"""What a model of the reference's kind says around a program: a sentence before it, one after it.

Both state only what stands in the example: the preamble names the tools that the program calls, the
conclusion repeats what the program printed, as far as the model is shown it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from punie.agent import SHOWN, shown
from punie.sandbox import Outcome
from punie.wrap import middle_cut

PURPOSES: dict[str, tuple[str, ...]] = {
    "read_file": ("read the file", "look at the text itself"),
    "write_file": ("write the file", "put that into the file"),
    "run_command": ("run the command", "run that in the repository"),
    "typecheck": ("check the types", "see what the type checker says"),
    "ruff_check": ("check the lint rules", "see what the linter finds"),
    "pytest_run": ("run the tests", "see which tests pass"),
    "goto_definition": ("find where it is defined", "go to the definition"),
    "find_references": ("find every use of it", "see where it is used"),
    "hover": ("read its signature and documentation", "see what the code says of it"),
    "document_symbols": ("outline the file", "list what the file declares"),
    "workspace_symbols": ("search the symbols of the repository", "find it by name"),
    "git_status": ("see what is changed", "read the state of the working tree"),
    "git_diff": ("see the changes line by line", "read the diff"),
    "git_log": ("read the history", "look through the commits"),
}
"""Tool → what it is called for, in words."""
OPENERS = (
    "I'll use {tools} to {purpose}.",
    "Let me use {tools} to {purpose}.",
    "I'll call {tools} to {purpose}.",
    "To answer that I'll use {tools} to {purpose}.",
)
LINE = 100
"""Characters of the longest line that a conclusion repeats."""


def preamble(tools: Sequence[str], rng: random.Random) -> str:
    """A sentence before a program that calls `tools`."""
    purposes = [rng.choice(PURPOSES[tool]) for tool in tools]
    return rng.choice(OPENERS).format(tools=_listed(tools), purpose=_listed(purposes))


def output(outcome: Outcome) -> str:
    """What the model is shown of a run, as the agent shows it."""
    return middle_cut(shown(outcome), SHOWN["tuned"])


def conclusion(outcome: Outcome, rng: random.Random) -> str:
    """A sentence after a run, from what it printed."""
    lines = [line.strip() for line in outcome.stdout.splitlines() if line.strip()]
    whole = output(outcome) == shown(outcome)
    if not lines:
        return rng.choice(("The program printed nothing: there is none.", "There is none."))
    first = lines[0] if len(lines[0]) <= LINE else ""
    if len(lines) == 1:
        forms = ("The answer: {first}", "It says: {first}", "That gives: {first}")
        return rng.choice(forms).format(first=first) if first else "The answer is the line above."
    if not whole:
        return f"The output is long; it begins with: {first}" if first else "The output is long."
    if not first:
        return f"The answer is the {len(lines)} lines above."
    several = ("That is {n} lines; the first: {first}", "{n} lines in all, the first: {first}")
    return rng.choice(several).format(n=len(lines), first=first)


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
