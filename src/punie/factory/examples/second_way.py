"""A second way for each tool: the same facts by plain means, to compare every call of an example.

`ways.HOW` says how each field is computed. A failed call is right when the plain way finds nothing
either.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from punie.factory.examples import ways_code, ways_files, ways_git, ways_runs
from punie.factory.examples.comparison import Comparison, Facts, compare
from punie.factory.examples.inventory import Inventory

Way = Callable[[Inventory, dict[str, Any]], Facts]


def check(tool: str, inventory: Inventory, args: dict[str, Any], result: Any) -> str:
    """What the second way finds wrong with a call's result; empty when it agrees."""
    return str(compared(tool, inventory, args, result))


def compared(tool: str, inventory: Inventory, args: dict[str, Any], result: Any) -> Comparison:
    """What was compared of a call's result, and what differs.

    A second way that breaks is a fault, counted and kept as a disagreement is: the call is not
    known to be right, and what else was made must not be lost for it."""
    if not result.success:
        fault, kept = _failure(tool, inventory, args, result), type(result)
        empty = compare(kept(success=False, parse_error=result.parse_error).model_dump(), result)
        return Comparison(empty.compared, [] if fault else empty.differences, fault)
    try:
        facts = expected(tool, inventory, args)
        return compare(facts, result) if facts else Comparison()
    except Exception as error:
        return Comparison(fault=f"the second way broke: {error!r}")


def expected(tool: str, inventory: Inventory, args: dict[str, Any]) -> Facts:
    """The facts about a call that should succeed; none where the tool has no second way."""
    if tool not in WAYS:
        return {}
    args = dict(args)
    for name in {"path", "file_path"} & set(args):
        if not (inventory.root / args[name]).exists() and "::" not in args[name]:
            # The end of just one path will do; what git alone remembers stays as it is.
            ends = [f for f in inventory.files if f.endswith("/" + args[name])]
            args[name] = ends[0] if len(ends) == 1 else args[name]
    facts = WAYS[tool](inventory, args)
    return {"success": True} | facts if facts else {}


def _failure(tool: str, inventory: Inventory, args: dict[str, Any], result: Any) -> str:
    """A failure is right when the name or path is unknown or stands for several, when the line
    does not hold the name, and where ruff cannot read the one file that it is asked about."""
    wrong = f"failed: {result.parse_error}"
    file = args.get("file_path", args.get("path", "."))
    target = inventory.root / file.partition("::")[0]
    if not target.exists() and file not in inventory.tracked:
        ends = [f for f in inventory.files if f.endswith("/" + file)]
        said = re.search(f"no (file|test)|ambiguous|{len(ends)} files", result.parse_error)
        return "" if len(ends) != 1 and said else wrong
    if args.get("symbol") and args.get("line") and target.is_file():
        lines = inventory.text_files.get(file, "").splitlines()
        if re.search("holds no name", result.parse_error):
            held = "".join(lines[args["line"] - 1 : args["line"]])
            return wrong if args["symbol"] in held else ""
    symbol = args.get("symbol")
    if symbol:
        bare = symbol.rpartition(".")[2]
        many = inventory.names[bare] > 1 and "ambiguous" in result.parse_error
        unknown = inventory.names[bare] == 0 and "no symbol" in result.parse_error
        return "" if many or unknown else wrong
    path = args.get("path", ".")
    if tool == "ruff_check" and (inventory.root / path).is_file():
        unread = any(row["code"] == "E902" for row in ways_runs.lint_rows(inventory, path))
        return "" if unread else wrong
    return wrong


WAYS: dict[str, Way] = {
    "git_status": ways_git.status,
    "git_diff": ways_git.diff,
    "git_log": ways_git.log,
    "git_blame": ways_git.blame,
    "git_show": ways_git.show,
    "git_branch": ways_git.branch,
    "ruff_check": ways_runs.lint,
    "typecheck": ways_runs.types,
    "pytest_run": ways_runs.tests,
    "goto_definition": ways_code.definition,
    "find_references": ways_code.references,
    "document_symbols": ways_code.outline,
    "workspace_symbols": ways_code.search,
    "hover": ways_code.hover,
    "read_file": ways_files.read,
    "write_file": ways_files.write,
    "run_command": ways_files.command,
    "search_text": ways_files.search,
    "list_files": ways_files.listed,
}
"""Facts by tool."""
