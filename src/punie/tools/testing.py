"""Tests: pytest with a report of our own, written as tests finish."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import Field

from punie.errors import ToolFailure
from punie.scratch import scratch
from punie.testrun import Run, run_pytest
from punie.tool import DEFAULT_LIMIT, Doc, Effect, Item, Result, cap, tool
from punie.wrap import Context, notes

FAILING = ("failed", "error")


class TestCase(Item):
    """One test that finished, or a file that could not be collected."""

    __test__ = False

    name: str = ""
    """Node id, such as `tests/test_a.py::test_b[1]`; a file that was not collected is its path."""
    file: str = ""
    """File, relative to the workspace."""
    line: int = 0
    """Line of the test (of its first decorator), 1-based; 0 where pytest names only the file."""
    outcome: str = ""
    """`passed`, `failed`, `error`, `skipped`, `xfailed` or `xpassed`."""
    duration: float = 0.0
    """Seconds for set-up and call."""
    message: str = ""
    """Why it failed or was skipped, without the traceback; empty when it passed."""

    def __str__(self) -> str:
        """One line; of the message its first."""
        line = f"{self.name} {self.outcome} ({self.duration:.2f} s)"
        return f"{line}: {self.message.splitlines()[0]}" if self.message else line


class TestResult(Result):
    """How the tests went. `success` is about the run: it is true when tests failed."""

    __test__ = False

    passed: int = 0
    """Number of tests that passed, unexpected passes (xpassed) included."""
    failed: int = 0
    """Number of tests that failed, strict unexpected passes included."""
    errors: int = 0
    """Number of errors outside tests: in fixtures and in files that cannot be collected."""
    skipped: int = 0
    """Number of tests that were skipped, expected failures (xfailed) included."""
    duration: float = 0.0
    """Seconds for the whole run."""
    tests: list[TestCase] = Field(default_factory=list)
    """What finished, failures and errors first, else in the order of the run."""

    def __str__(self) -> str:
        """The counts, then what did not pass."""
        counts = f"{self.passed} passed, {self.failed} failed, {self.errors} errors"
        lines = [f"failed: {self.parse_error}"] if not self.success else []
        lines.append(f"{counts}, {self.skipped} skipped in {self.duration:.2f} s")
        lines += [str(test) for test in self.tests if test.outcome != "passed"]
        return "\n".join([*lines, *(self._ending() if self.success else [])])


def _preview(context: Context, path: str = ".") -> str:
    return f"runs the workspace's own code: python -m pytest {path}\nin {context.workspace.root}"


@tool(effect=Effect.TEST, preview=_preview)
async def pytest_run(
    context: Context,
    path: Annotated[str, Doc("File, folder or node id, relative to the workspace.")] = ".",
) -> TestResult:
    """Run tests and report each one's outcome."""
    target = _target(context, path)
    with scratch("tests") as aside:
        run = await run_pytest(context, target, aside, node="::" in path)
    problem = _problem(context, path, run)
    found = list(finished(context, run))
    tests, truncated = _most_telling(found)
    outcomes = [t.outcome for t in found]
    return TestResult(
        success=problem is None,
        parse_error=problem or _untold(run),
        truncated=truncated,
        passed=outcomes.count("passed") + outcomes.count("xpassed"),
        failed=outcomes.count("failed"),
        errors=outcomes.count("error"),
        skipped=outcomes.count("skipped") + outcomes.count("xfailed"),
        duration=round(run.done.duration, 3),
        tests=tests,
    )


def _most_telling(found: list[TestCase]) -> tuple[list[TestCase], bool]:
    """Failures and errors first, else in the order of the run; and whether the list was cut.

    A cut list keeps what did not plainly pass, then the slowest: what is asked about them holds.
    """

    def rank(number: int) -> tuple[bool, bool, float]:
        test = found[number]
        return test.outcome not in FAILING, test.outcome == "passed", -test.duration

    kept, truncated = cap(sorted(range(len(found)), key=rank), DEFAULT_LIMIT)
    kept.sort(key=lambda number: (found[number].outcome not in FAILING, number))
    return [found[number] for number in kept], truncated


def _target(context: Context, path: str) -> list[str]:
    """pytest's argument; none for the whole workspace, so that its `testpaths` count."""
    file, colons, rest = path.partition("::")
    found = context.workspace.existing(file)
    if colons and found.is_dir():
        raise ToolFailure(f"{path!r} names a test in a folder: give its file")
    if not found.is_dir() and not found.is_file():
        raise ToolFailure(f"{path!r} is neither a file nor a folder: it holds no tests")
    return [] if found == context.workspace.root else [f"{found}{colons}{rest}"]


def _problem(context: Context, path: str, run: Run) -> str | None:
    """Why the results are incomplete, or None. Raises `ToolFailure` when there are none."""
    report = run.report
    if report.status is None and (run.done.timed_out or report.root is not None):
        code = run.done.exit_code
        how = f"pytest_run took longer than its limit of {context.settings.test_seconds:g} s"
        if not run.done.timed_out:
            ended = f"signal {-code}" if code < 0 else f"exit status {code}"
            how = f"pytest_run: pytest broke off with {ended}"
        what = f" in {' and '.join(list(report.running)[:3])}" if report.running else ""
        what = what or (f" while collecting {report.collecting}" if report.collecting else "")
        return f"{how}{what}; {len(report.cases)} results before that"
    if report.root is None and run.done.exit_code < 0:
        raise ToolFailure(f"pytest was ended by signal {-run.done.exit_code} before it began")
    if report.root is None:
        raise ToolFailure(f"pytest could not start: {run.words()}")
    if report.status == 4:
        raise ToolFailure(_not_found(context, path) or f"pytest refused {path!r}: {run.words()}")
    left_out = f" ({report.deselected} deselected by its options)" if report.deselected else ""
    if report.status == 5 and not report.cases:
        raise ToolFailure(f"no tests were found under {path!r}{left_out}")
    if report.status in (2, 3):
        return f"pytest_run: pytest was interrupted: {run.words()}"
    if report.running:
        silent = " and ".join(list(report.running)[:3])
        return f"pytest_run: pytest told no outcome of {len(report.running)} tests, as of {silent}"
    if not report.cases:
        raise ToolFailure(f"pytest ran no test under {path!r}{left_out}: {run.words()}")
    return None


def _untold(run: Run) -> str | None:
    """What the counts leave out, as pytest's own do."""
    left_out, parts = run.report.deselected, run.report.skipped_parts
    shown = ", ".join(parts[:3]) + (", …" if len(parts) > 3 else "")
    return notes(
        f"not run: {left_out} deselected by pytest's options (-k, -m, --deselect)"
        if left_out
        else "",
        f"not counted: {len(parts)} skipped subtests of tests that count by themselves: {shown}"
        if parts
        else "",
    )


def _not_found(context: Context, path: str) -> str | None:
    """The message for tests that do not exist, with those that do; None for other troubles."""
    file, colons, rest = path.partition("::")
    target = context.workspace.existing(file)
    if not colons:
        plain = target.is_file() and target.suffix != ".py"
        return f"{path!r} is no Python file, and pytest finds no tests in it" if plain else None
    names = _tests_of(target.read_text("utf-8", errors="replace"))
    wanted = rest.partition("[")[0]
    same = [n for n in names if n.rpartition("::")[2] == wanted.rpartition("::")[2]]
    near = same[:3] or difflib.get_close_matches(wanted, names, n=3) or names[:3]
    there = f"; there are {', '.join(near)}" if near else ""
    return f"no test {rest!r} in {file!r}{there}"


def _tests_of(source: str) -> list[str]:
    """Tests that a text seems to define, as pytest names them: `Class::test`."""
    found: list[str] = []
    owners: list[tuple[int, str]] = []
    for indent, kind, name in re.findall(r"^([ \t]*)(?:async )?(def|class) (\w+)", source, re.M):
        owners = [(depth, owner) for depth, owner in owners if depth < len(indent)]
        if kind == "def" and name.startswith("test"):
            found.append("::".join([*(owner for _, owner in owners), name]))
        elif kind == "class":
            owners.append((len(indent), name))
    return found


def finished(context: Context, run: Run) -> Iterable[TestCase]:
    """The report's entries, with paths relative to the workspace instead of pytest's root."""
    root = run.report.root or context.workspace.root

    @cache
    def place(given: str) -> tuple[Path, str]:
        """A file of pytest's as a path, and relative to the workspace."""
        absolute = Path(os.path.normpath(root / given))
        return absolute, context.workspace.relative(absolute)

    for case in run.report.cases:
        given, colons, rest = (case.node or "").partition("::")
        absolute, file = place(given)
        defined, line = case.defined
        same = given == defined or place(defined)[0] == absolute
        yield TestCase(
            name=f"{file}{colons}{rest}" + (f" {case.part}" if case.part else ""),
            file=file,
            line=line + 1 if same and line is not None else 0,
            outcome=case.outcome,
            duration=round(case.duration, 6),
            message=case.message,
        )
