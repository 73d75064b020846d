"""Which second way checks each tool, and for which calls there is none.

`second_way` holds the checks themselves. A tool without one still gets examples; its calls are
counted as unchecked, and the report says their share.
"""

from __future__ import annotations

from typing import Any

from punie.factory.examples.inventory import Declaration, Inventory

WAYS = {
    "git_status": "git status --porcelain=v1",
    "git_diff": "git diff --numstat",
    "git_log": "git log in one line a commit",
    "git_blame": "git blame --line-porcelain",
    "git_show": "git show --numstat",
    "git_branch": "git branch and git rev-list",
    "ruff_check": "ruff's concise text",
    "typecheck": "ty's concise text",
    "pytest_run": "counts of a plain pytest run with JUnit XML",
    "goto_definition": "ast, and the text at the place",
    "find_references": "ast, and the text of each line",
    "document_symbols": "ast",
    "workspace_symbols": "ast",
    "hover": "ast: name and docstring",
    "read_file": "the file's bytes",
    "write_file": "the file's bytes",
    "run_command": "subprocess: exit status and standard output",
    "search_text": "git grep, with Perl's expressions",
    "list_files": "git ls-files with its own globs, os.stat",
}
"""Tool → its second way."""


def applies(tool: str, inventory: Inventory, args: dict[str, Any], result: Any) -> bool:
    """Whether a call was compared with anything."""
    if tool == "hover" and result.success:
        return len(described(inventory, args)) == 1
    if tool == "read_file":
        return not result.truncated
    return tool in WAYS


def described(inventory: Inventory, args: dict[str, Any]) -> list[Declaration]:
    """The functions and classes that a call of `hover` may be about."""
    symbol = args.get("symbol") or name_at(inventory, args)
    container, _, name = symbol.rpartition(".")
    found = [d for d in inventory.declarations if d.name == name and d.kind != "variable"]
    for fitting in (
        [d for d in found if container and d.container.endswith(container)],
        [d for d in found if d.file == args.get("file_path")],
        [d for d in found if (d.file, d.line) == (args.get("file_path"), args.get("line"))],
    ):
        found = fitting or found
    return found


def name_at(inventory: Inventory, args: dict[str, Any]) -> str:
    """The name that starts at a position's line and column; empty where none does."""
    text = inventory.text_files.get(args.get("file_path", ""), "").splitlines()
    line, column = args.get("line") or 0, args.get("column") or 0
    if not 0 < line <= len(text) or column < 1:
        return ""
    rest = text[line - 1][column - 1 :]
    return rest[: next((n for n, sign in enumerate(rest) if not _word(sign)), len(rest))]


def _word(sign: str) -> bool:
    return sign.isalnum() or sign == "_"
