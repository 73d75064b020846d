"""The second way of lint, types and tests: another output format of another run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from punie.factory.examples.comparison import LONGEST, Facts, Like, compare
from punie.factory.examples.inventory import Inventory
from punie.scratch import scratch
from punie.workspace import child_environment, program

_LINT = re.compile(r"^(.+?):(\d+):(\d+): ([\w-]+?):? (\[\*\] )?(.*)$", re.MULTILINE)
_TYPE = re.compile(r"^(.+?):(\d+):(\d+): (error|warning)\[([\w-]+)\] (.*)$", re.MULTILINE)
MOST = 200
"""Tests that a result lists."""


def lint_rows(inventory: Inventory, path: str) -> list[Facts]:
    """Violations in ruff's concise text; a file that ruff cannot read is one of them."""
    command = [program("ruff"), "check", "--output-format=concise", "--no-cache", "--no-fix"]
    text = _output(inventory, *command, "--extend-select=E902", "--", path)
    rows: list[Facts] = [
        {"file": f, "line": int(n), "column": int(c), "code": code}
        | {"message": message, "fixable": bool(mark)}
        for f, n, c, code, mark, message in _LINT.findall(text)
    ]
    return sorted(rows, key=lambda r: (r["file"], r["line"], r["column"]))


def lint(inventory: Inventory, args: dict[str, Any]) -> Facts:
    """Counts and violations."""
    rows, limit = lint_rows(inventory, args.get("path", ".")), args.get("limit", 200)
    return {
        "violation_count": len(rows),
        "fixable_count": sum(r["fixable"] for r in rows),
        "violations": rows[:limit],
        "truncated": len(rows) > limit,
    }


def types(inventory: Inventory, args: dict[str, Any]) -> Facts:
    """Counts and findings in ty's concise text."""
    command = [program("ty"), "check", "--output-format=concise", "--color=never", "--no-progress"]
    text = _output(inventory, *command, "--", args.get("path", "."))
    rows: list[Facts] = [
        {"file": f, "line": int(n), "column": int(c), "severity": severity}
        | {"code": code, "message": message}
        for f, n, c, severity, code, message in _TYPE.findall(text)
    ]
    rows.sort(key=lambda r: (r["file"], r["line"], r["column"]))
    limit = args.get("limit", 200)
    severities = [r["severity"] for r in rows]
    return {
        "error_count": severities.count("error"),
        "warning_count": severities.count("warning"),
        "errors": rows[:limit],
        "truncated": len(rows) > limit,
    }


def _output(inventory: Inventory, *command: str) -> str:
    env = {k: v for k, v in child_environment().items() if k != "VIRTUAL_ENV"}
    done = subprocess.run(command, cwd=inventory.root, env=env, capture_output=True, check=False)
    return done.stdout.decode("utf-8", "replace")


def tests(inventory: Inventory, args: dict[str, Any]) -> Facts:
    """Counts, names, lines and outcomes from the JUnit report of a plain run."""
    with scratch("second-way") as folder:
        report = folder / "junit.xml"
        options = ["-q", "-p", "no:cacheprovider", f"--junitxml={report}", "-o", "addopts="]
        options += ["--maxfail=0", "--continue-on-collection-errors", "-o", "junit_family=xunit1"]
        python = f"{inventory.root / 'src'}{os.pathsep}{inventory.root}"
        subprocess.run(
            [sys.executable, "-m", "pytest", *options, args.get("path", ".")],
            cwd=inventory.root,
            env=child_environment() | {"PYTHONPATH": python},
            capture_output=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=600,
        )
        suite = ElementTree.parse(report).getroot()[0]
    rows = [_case(case, inventory.root) for case in suite.iter("testcase")]
    outcomes = [row["outcome"] for row in rows]
    facts: Facts = {
        "passed": outcomes.count("passed"),
        "failed": outcomes.count("failed"),
        "errors": outcomes.count("error"),
        "skipped": outcomes.count("skipped") + outcomes.count("xfailed"),
        "truncated": len(rows) > MOST,
    }
    rows.sort(key=lambda row: row["outcome"] not in ("failed", "error"))
    covers = tuple(f"TestCase.{name}" for name in ("file", "name", "line", "outcome", "message"))
    cut = Like(lambda ours: _part(rows, ours), f"{MOST} of {len(rows)}", covers)
    return facts | {"tests": rows if len(rows) <= MOST else cut}


def _part(rows: list[Facts], ours: list[Any]) -> bool:
    """Whether a cut list holds what did not plainly pass, as far as there is room for it, and
    else nothing but tests of the run, in their order."""
    telling = [row for row in rows if row["outcome"] != "passed"]
    shown = [test for test in ours if test.outcome != "passed"]
    rest = iter(rows)
    found = all(any(not compare(row, test).differences for row in rest) for test in ours)
    return found and len(ours) == MOST and len(shown) == min(len(telling), MOST)


def _case(case: ElementTree.Element, root: Path) -> Facts:
    """One test of the report. Which passes were unexpected it does not tell; of a test that a
    class inherits it gives the file that holds the function, and the class's module in the name."""
    held, owner, name = case.get("file", ""), case.get("classname", ""), case.get("name", "")
    parts = owner.split(".")
    modules = ["/".join(parts[:end]) + ".py" for end in range(len(parts), 0, -1)]
    file = next((m for m in modules if (root / m).is_file()), held)
    module = re.sub(r"\.py$", "", file).replace("/", ".")
    inner = owner.removeprefix(module).strip(".").split(".") if owner != module else []
    node = "::".join([file, *filter(None, inner), name]) if owner else file
    row: Facts = {"file": file, "name": node, "outcome": "passed", "message": ""}
    if "line" in case.attrib:
        row["line"] = int(case.get("line", "0")) + 1 if file == held else 0
    for child in case:
        kinds = {"failure": "failed", "error": "error", "skipped": "skipped"}
        if child.tag in kinds:
            row["outcome"] = kinds[child.tag]
            row["message"] = _message(child.get("message", ""), child.text or "")
            if child.get("type") == "pytest.xfail":
                row["outcome"] = "xfailed"
    return row


def _message(told: str, whole: str) -> str | Like:
    """What the report tells; a long message is looked for in the whole text of the failure."""
    if told in ("collection failure", "collection skipped"):
        return Like(lambda ours: _stands_in(whole, ours), f"lines of {whole[-LONGEST:]!r}")
    told = re.sub(r'^failed on (?:setup|teardown) with "(.*)"$', r"\1", told, flags=re.DOTALL)
    if "full report in element text" not in told:
        return told

    return Like(lambda ours: _stands_in(whole, ours), f"lines of {told[:80]!r}")


def _stands_in(whole: str, ours: str) -> bool:
    """Whether there is a message, and each of its lines is in the whole text of a failure."""
    return bool(ours) and all(line.strip() in whole for line in ours.splitlines())
