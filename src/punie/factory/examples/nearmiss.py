"""General questions that lie beside a tool: "when do I use git diff?" beside "show the diff".

They teach where words are the answer and where a program is, so data that follows failures takes
more of those that speak of the tool which was called, or not called, by mistake.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

SPOKEN = {
    "git_status": r"git status|staged|untracked|working tree",
    "git_diff": r"diffs?\b",
    "git_log": r"git log|commits?\b|history",
    "git_blame": r"blame",
    "git_show": r"git show|commits?\b",
    "git_branch": r"branch(es)?\b",
    "ruff_check": r"ruff|lint\w*|flake8",
    "typecheck": r"type check\w*|type hints?|mypy|\bty\b",
    "pytest_run": r"pytest|unit tests?|tests?\b",
    "goto_definition": r"definition|defined",
    "find_references": r"references?|callers?|usages?",
    "hover": r"hover|docstrings?|signatures?",
    "document_symbols": r"outline|symbols?\b",
    "workspace_symbols": r"symbols?\b",
    "read_file": r"read (a|the) file|open\(",
    "write_file": r"write (a|the|to a) file|open\(",
    "run_command": r"shell|commands?\b|subprocess",
    "search_text": r"grep|search",
    "list_files": r"glob|list (the )?files",
}
"""Tool → how general questions speak of it, a regular expression; one that is not here is spoken of
by its name alone."""


def beside(tool: str, questions: Iterable[str]) -> bool:
    """Whether one of the questions speaks of what the tool is for."""
    spoken = SPOKEN.get(tool, re.escape(tool.replace("_", " ")))
    found = re.compile(rf"(?<!\w)(?:{spoken})|{re.escape(tool)}", re.IGNORECASE)
    return any(found.search(question) for question in questions)
