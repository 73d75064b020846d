"""ruff_check, typecheck and pytest_run against other formats of ruff, ty and pytest.

    .venv/bin/python benchmarks/quality_oracle.py [NAMES…] [--out DIR] [--without-tests]

Workspaces come from the corpus recipe. Judges are reports that the tools do not read: of ruff
`concise`, `github` and `sarif`, of ty `concise` and `github`, of pytest JUnit XML and the counts
of its last line. Lint is compared twice, as configured and with all rules on. Every finding and
every test is compared with its place; each disagreement is printed, with its reason where one is
known. A suite that pytest cannot start here, for want of a package, is named and left out. The
folder is compared byte for byte before and after the tools ran. The exit status is 1 when a
disagreement has no reason or something was left behind.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

from punie.factory.corpus import build
from punie.navigation.lsp import LanguageServer
from punie.settings import Settings
from punie.testrun import run_pytest
from punie.tool import Tool
from punie.tools.quality import RuffResult, TypeCheckResult, ruff_check, typecheck
from punie.tools.testing import TestCase, TestResult, finished, pytest_run
from punie.workspace import Workspace, child_environment, program
from punie.wrap import Allow, Context, call

NAMES = ["attrs", "rich", "werkzeug", "starlette", "structlog"]
"""Workspaces of 60 Python files or more, and a smaller one."""
ALL = 10**9
Row = tuple[Any, ...]


@dataclass
class Comparison:
    """What a tool said and what a judge said, as multisets of rows."""

    tool: str
    judge: str
    ours: Counter[Row]
    theirs: Counter[Row]
    reasons: dict[Row, str] = field(default_factory=dict)
    """Why a row is with one of them only, where that is known."""

    def differences(self) -> Iterator[str]:
        """Each disagreement, as a line."""
        for word, rows in (("tool", self.ours - self.theirs), ("judge", self.theirs - self.ours)):
            for row, count in rows.items():
                reason = self.reasons.get(row, "NO REASON KNOWN")
                yield f"{self.tool}/{self.judge}: only the {word} has {count} × {row!r}: {reason}"


def context(root: Path) -> Context:
    """What tools need, with time for large suites."""
    settings = Settings(tool_seconds=300, test_seconds=900)
    return Context(Workspace(root), settings, cast(LanguageServer, None), approver=Allow())


def ask(root: Path, tool: Tool, **arguments: Any) -> Any:
    """Call a tool as every caller does."""
    result = asyncio.run(call(tool, context(root), tool.bind((), arguments)))[0]
    assert result.success, f"{tool.name} in {root}: {result.parse_error}"
    return result


def tested(root: Path) -> tuple[TestResult | None, str]:
    """The suite's result, or why it cannot start here, which plain pytest must find, too."""
    result = asyncio.run(call(pytest_run, context(root), pytest_run.bind((), {})))[0]
    if result.success:
        return cast(TestResult, result), ""
    reason = str(result.parse_error).splitlines()[-1].replace(str(root), ".")
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    env = {"PYTHONPATH": os.pathsep.join([str(root / "src"), str(root)])}
    starts = "::" in output(root, *command, "--continue-on-collection-errors", env=env)
    assert not starts, f"pytest_run in {root}: {reason}; pytest itself starts"
    return None, reason


def output(root: Path, *command: str, env: dict[str, str] | None = None) -> str:
    """Standard output of a program in the workspace."""
    variables = child_environment() | (env or {})
    for name in [n for n in variables if n.startswith(("PYTEST_", "VIRTUAL_ENV"))]:
        del variables[name]
    done = subprocess.run(command, cwd=root, env=variables, capture_output=True, check=False)
    return done.stdout.decode("utf-8", "replace")


def digests(root: Path) -> set[tuple[str, int, str]]:
    """Path, mode and hash of everything below a folder."""
    return {
        (str(p), p.lstat().st_mode, hashlib.sha256(p.read_bytes()).hexdigest())
        if p.is_file()
        else (str(p), p.lstat().st_mode, "")
        for p in root.rglob("*")
    }


CONCISE_LINT = re.compile(r"(?m)^(.+?):(?:cell (\d+):)?(\d+):(\d+): ([\w-]+):? (\[\*\] )?(.*)$")
GITHUB = re.compile(r"(?m)^::(\w+) title=\w+ \(([\w-]+)\),.*?::(.+?):(\d+):(\d+): ([\w-]+):? (.*)$")


def unescaped(text: str) -> str:
    """The text of a GitHub annotation, without the indented notes that follow the message."""
    text = text.replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%")
    return text.partition("\n  ")[0]


def lint_comparisons(root: Path, result: RuffResult) -> Iterator[Comparison]:
    """ruff_check against three formats."""
    found = [(v.file, v.line, v.column, v.code, v.message, v.fixable) for v in result.violations]
    assert result.violation_count == len(found)
    command = [program("ruff"), "check", "--no-cache", "--no-fix", "--extend-select=E902"]
    command += ["--output-format"]
    text = output(root, *command, "concise", ".")
    concise = Counter[Row](
        (f, int(n), int(c), code, m + (f" (cell {cell})" if cell else ""), bool(mark))
        for f, cell, n, c, code, mark, m in CONCISE_LINT.findall(text)
    )
    yield Comparison("ruff_check", "concise", Counter(found), concise)
    plain = Counter[Row](row[:4] for row in found)
    text = output(root, *command, "github", ".")
    rows = Counter[Row](
        (f, int(n), int(c), code) for _, code, f, n, c, _, _ in GITHUB.findall(text)
    )
    yield Comparison("ruff_check", "github", plain, rows)
    entries = json.loads(output(root, *command, "sarif", "."))["runs"][0]["results"]
    sarif = Counter[Row]()
    for entry in entries:
        place = entry["locations"][0]["physicalLocation"]
        file = Path(unquote(urlsplit(place["artifactLocation"]["uri"]).path))
        shown = file.relative_to(root).as_posix() if file.is_absolute() else file.as_posix()
        region = place["region"]
        sarif[(shown, region["startLine"], region["startColumn"], entry["ruleId"])] += 1
    yield Comparison("ruff_check", "sarif", plain, sarif)


def type_comparisons(root: Path, result: TypeCheckResult) -> Iterator[Comparison]:
    """typecheck against two formats."""
    found = Counter[Row](
        (d.file, d.line, d.column, d.severity, d.code, d.message) for d in result.errors
    )
    assert result.error_count + result.warning_count == sum(found.values())
    command = [program("ty"), "check", "--output-format"]
    text = output(root, *command, "concise")
    line = re.compile(r"(?m)^(.+?):(\d+):(\d+): (\w+)\[([\w-]+)\] (.*)$")
    rows = [(f, int(n), int(c), s, code, m) for f, n, c, s, code, m in line.findall(text)]
    shown = Counter[Row](row for row in rows if row[3] != "info")
    yield Comparison("typecheck", "concise", found, shown)
    text = output(root, *command, "github")
    github = Counter[Row](
        (f, int(n), int(c), s, code, unescaped(m))
        for s, code, f, n, c, _, m in GITHUB.findall(text)
        if s != "notice"
    )
    yield Comparison("typecheck", "github", found, github)


def junit(path: Path, root: Path) -> Counter[Row]:
    """Node id, line and outcome of the tests in a JUnit report of the family xunit1."""
    rows = Counter[Row]()
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        file = case.get("file", "")
        owner = case.get("classname", "")
        module = file.removesuffix(".py").replace("/", ".")
        classes = owner.removeprefix(module).strip(".").split(".") if owner != module else []
        node = "::".join([file, *filter(None, classes), case.get("name", "")])
        line = int(case.get("line", "-1")) + 1
        if file and not owner and case.get("name") == module:  # a file that was not collected
            node, line = file, 0
        if not file:  # or skipped as a whole: a dotted name
            dotted = case.get("name", "").replace(".", "/")
            node, line = (f"{dotted}.py" if (root / f"{dotted}.py").is_file() else dotted), 0
        outcomes = []
        for child in case:
            message = child.get("message") or ""
            if child.tag == "skipped":
                outcomes.append("xfailed" if child.get("type") == "pytest.xfail" else "skipped")
            elif child.tag in ("failure", "error"):
                outcomes.append({"failure": "failed", "error": "error"}[child.tag])
                if message.startswith("failed on teardown with") and len(case) == 1:
                    outcomes.append("passed")
        for outcome in outcomes or ["passed"]:
            rows[(node, line, outcome)] += 1
    return rows


async def every_test(root: Path) -> list[TestCase]:
    """What pytest_run's list is made from, before it is cut."""
    here = context(root)
    with tempfile.TemporaryDirectory(prefix="punie-oracle-") as aside:
        return list(finished(here, await run_pytest(here, [], Path(aside), node=False)))


def test_comparisons(root: Path, result: TestResult, tests: list[TestCase]) -> Iterator[Comparison]:
    """pytest_run against JUnit XML, test by test, and against the counts that pytest prints."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--color=no"]
    command += ["-o", "junit_family=xunit1", "--continue-on-collection-errors", "--maxfail=0"]
    env = {"PYTHONPATH": os.pathsep.join([str(root / "src"), str(root)])}
    with tempfile.TemporaryDirectory(prefix="punie-oracle-") as aside:
        xml = Path(aside, "junit.xml")
        command += [f"--junit-xml={xml}", f"--basetemp={aside}/base"]
        text = output(root, *command, env=env)
        if not xml.exists():  # its options need plug-ins that are not there
            text = output(root, *command, "-o", "addopts=", "-o", "required_plugins=", env=env)
        rows = junit(xml, root)
    counts = {word.rstrip("s"): int(n) for n, word in re.findall(r"(\d+) (\w+)", text[-300:])}
    printed = Counter[Row](
        {("passed",): counts.get("passed", 0) + counts.get("xpassed", 0),
         ("failed",): counts.get("failed", 0), ("error",): counts.get("error", 0),
         ("skipped",): counts.get("skipped", 0) + counts.get("xfailed", 0)}
    )  # fmt: skip
    told = Counter[Row](
        {("passed",): result.passed, ("failed",): result.failed,
         ("error",): result.errors, ("skipped",): result.skipped}
    )  # fmt: skip
    yield Comparison("pytest_run", "counts", told, printed)
    yield Comparison("pytest_run", "junit", Counter(map(row_of, tests)), rows)


def row_of(test: TestCase) -> Row:
    """A test as the JUnit report knows it, which has no unexpected passes."""
    return test.name, test.line, "passed" if test.outcome == "xpassed" else test.outcome


def compare(name: str, out: Path, tests: bool) -> tuple[list[str], list[str]]:
    """Table rows and disagreements of one workspace."""
    root = build(name, out).resolve()
    files = len(list(Workspace(root).python_files()))
    before = digests(root)
    lint, types = ask(root, ruff_check, limit=ALL), ask(root, typecheck, limit=ALL)
    run, reason = tested(root) if tests else (None, "")
    left = sorted({path for path, _, _ in before ^ digests(root)})
    parts = [("as configured", each) for each in lint_comparisons(root, lint)]
    parts += [("", each) for each in type_comparisons(root, types)]
    if run is not None:
        cases = asyncio.run(every_test(root))
        parts += [("", each) for each in test_comparisons(root, run, cases)]
    (root / "ruff.toml").write_text('[lint]\nselect = ["ALL"]\n')
    lint = ask(root, ruff_check, limit=ALL)
    parts += [("all rules", each) for each in lint_comparisons(root, lint)]
    table = [f"{name:12} {files:5} pytest_run not compared: {reason}"] if reason else []
    differences = [f"{name}: left behind or changed: {path}" for path in left]
    for variant, each in parts:
        found = list(each.differences())
        tool = f"{each.tool} {variant}".strip()
        counts = f"{sum(each.ours.values()):7} {sum(each.theirs.values()):7} {len(found):7}"
        table.append(f"{name:12} {files:5} {tool:26} {each.judge:12} {counts}")
        differences += [f"{name}: {line}" for line in found]
    return table, differences


def main() -> int:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--out", type=Path, help="folder for the workspaces")
    parser.add_argument("--without-tests", action="store_true")
    options = parser.parse_args()
    print(f"{'workspace':12} files {'tool':26} {'judge':12}    tool   judge  differ")
    differences: list[str] = []
    with tempfile.TemporaryDirectory(prefix="punie-oracle-") as folder:
        for name in options.names:
            table, found = compare(name, options.out or Path(folder), not options.without_tests)
            print("\n".join(table), flush=True)
            differences += found
    print(f"\n{len(differences)} disagreements")
    print("\n".join(differences))
    return 1 if any("NO REASON" in d or "left behind" in d for d in differences) else 0


if __name__ == "__main__":
    sys.exit(main())
