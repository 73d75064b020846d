"""The git tools on a zoo of odd repositories, field by field against git's plumbing.

    .venv/bin/python benchmarks/git_zoo.py [NAME …]

Prints each disagreement, what each repository's tools refused, and how much was compared. The
builders are `tests/zoo.py` and `tests/zoo_setups.py`, the judge is `tests/plumbing.py`.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import repos
import zoo_setups
from plumbing import Judge
from punie.tool import Result, load_tools
from zoo import REFUSALS, ZOO

assert zoo_setups  # fills the zoo


def visit(name: str, folder: Path) -> tuple[int, list[str], dict[str, str], bool]:
    """Comparisons, disagreements and refusals of one repository, and whether a program ran."""
    root = ZOO[name](folder)
    (folder / "ran.log").unlink(missing_ok=True)
    refused: dict[str, str] = {}

    def ask(tool: str, **arguments: Any) -> Result:
        result: Result = repos.ask(load_tools()[tool], root, **arguments)
        if not result.success:
            refused[tool] = result.parse_error or ""
        return result

    before = repos.snapshot(root)
    for tool in ("git_status", "git_diff", "git_log", "git_branch"):
        ask(tool)
    ran = (folder / "ran.log").exists()
    wrong = ["reading left a trace"] if repos.snapshot(root) != before else []
    judge = Judge(root, ask, REFUSALS.get(name, ()))
    judge.everything()
    return judge.compared, wrong + judge.wrong, refused, ran


def main() -> None:
    """Visit every repository and print."""
    os.environ |= repos.ENVIRONMENT
    compared, wrong = 0, 0
    names = sys.argv[1:] or list(ZOO)
    for name in names:
        with tempfile.TemporaryDirectory(prefix="punie-zoo-") as folder:
            count, found, refused, ran = visit(name, Path(folder))
        compared += count
        wrong += len(found)
        print(f"{name:42} {count:5} compared, {len(found)} disagree" + (", A PROGRAM RAN" * ran))
        for line in found:
            print(f"    {line}")
        for tool, reason in refused.items():
            print(f"    {tool} refused: {reason[:200]}")
    print(f"{len(names)} repositories, {compared} comparisons, {wrong} disagreements")


if __name__ == "__main__":
    main()
