"""Tests: pytest with a report of our own, written as tests finish."""

from __future__ import annotations

import difflib
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from punie.errors import ToolFailure
from punie.tool import Doc, Effect, Item, Result, tool
from punie.workspace import QUIET, Completed
from punie.wrap import Context, middle_cut

PLUGIN = Path(__file__).parent.parent / "reporter.py"
MESSAGE_CHARS = 2000
WITHOUT = ["-o", "addopts=", "-o", "required_plugins="]
WITHOUT += ["-o", "strict=false", "-o", "strict_config=false"]
"""Options for suites whose own options need plug-ins that are not installed."""


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
        return "\n".join([*lines, *(str(t) for t in self.tests if t.outcome != "passed")])


@dataclass
class _Run:
    """One run of pytest and what its report says."""

    done: Completed
    root: Path | None = None
    """The folder that node ids are relative to; None when pytest did not start."""
    status: int | None = None
    """pytest's exit status; None when it did not come to its end."""
    deselected: int = 0
    running: dict[str, None] = field(default_factory=dict)
    """Tests that started and did not finish."""
    cases: list[dict[str, Any]] = field(default_factory=list)

    def words(self) -> str:
        """What pytest said itself."""
        said = [*self.done.err.splitlines(), *self.done.out.splitlines()]
        if inner := [s for s in said if s.startswith("INTERNALERROR>")]:
            return inner[-1]  # the exception; above it is pytest's own traceback
        marked = [s for s in said if re.match(r"E  |ERROR|!!!|[\w.]+Error\b", s)]
        return middle_cut("\n".join(marked or said).strip(), MESSAGE_CHARS)


def _preview(context: Context, path: str = ".") -> str:
    return f"runs the workspace's own code: python -m pytest {path}\nin {context.workspace.root}"


@tool(effect=Effect.TEST, preview=_preview)
async def pytest_run(
    context: Context,
    path: Annotated[str, Doc("File, folder or node id, relative to the workspace.")] = ".",
) -> TestResult:
    """Run tests and report each one's outcome."""
    target = _target(context, path)
    deadline = time.monotonic() + context.settings.test_seconds
    with tempfile.TemporaryDirectory(prefix="punie-tests-", ignore_cleanup_errors=True) as name:
        aside = Path(name)
        command, env = await _command(context, aside)
        run = await _pytest(context, [*command, *target], env, aside, deadline)
        refused = run.status == 4 and "::" not in path
        if refused or (run.root is None and not run.done.timed_out):
            run = await _pytest(context, [*command, *WITHOUT, *target], env, aside, deadline)
    problem = _problem(context, path, run)
    tests = sorted(_cases(context, run), key=lambda t: t.outcome not in ("failed", "error"))
    outcomes = [t.outcome for t in tests]
    return TestResult(
        success=problem is None,
        parse_error=problem,
        passed=outcomes.count("passed") + outcomes.count("xpassed"),
        failed=outcomes.count("failed"),
        errors=outcomes.count("error"),
        skipped=outcomes.count("skipped") + outcomes.count("xfailed"),
        duration=round(run.done.duration, 3),
        tests=tests,
    )


def _target(context: Context, path: str) -> list[str]:
    """pytest's argument; none for the whole workspace, so that its `testpaths` count."""
    file, colons, rest = path.partition("::")
    found = context.workspace.existing(file)
    if colons and found.is_dir():
        raise ToolFailure(f"{path!r} names a test in a folder: give its file")
    return [] if found == context.workspace.root else [f"{found}{colons}{rest}"]


async def _command(context: Context, aside: Path) -> tuple[list[str], dict[str, str | None]]:
    """pytest's command line and environment; what it writes goes to the folder `aside`."""
    root = context.workspace.root
    source = root / "src"
    packages = {p.stem for p in source.iterdir()} if source.is_dir() else set()
    names = sorted(p for p in packages if p.isidentifier())
    local = root / ".venv/bin/python"
    chosen = context.settings.python
    candidates = [chosen] if chosen else [*([str(local)] if local.exists() else []), sys.executable]
    for python in candidates:
        importable = await _importable(context, python, ["pytest", "pytest_cov", *names])
        if "pytest" in importable:
            break
    else:
        raise ToolFailure(f"no pytest for {python!r}: run `{python} -m pip install pytest`")
    plugin = aside / "plugin"
    plugin.mkdir()
    shutil.copy(PLUGIN, plugin / "punie_reporter.py")
    paths = [str(plugin)]
    # Another interpreter than the workspace's may hold a released copy of the package.
    if python != str(local) or not importable.issuperset(names):
        paths += [str(p) for p in (source, root) if p.is_dir()]
    paths += [p for p in [os.environ.get("PYTHONPATH")] if p]
    env: dict[str, str | None] = {name: os.environ.get(name) for name in QUIET}
    env |= {name: None for name in os.environ if name.startswith("PYTEST_")}
    env |= {
        "PYTHONPATH": os.pathsep.join(paths),
        "PUNIE_REPORT": str(aside / "report.jsonl"),
        "PYTEST_DEBUG_TEMPROOT": str(aside),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(aside / "hypothesis"),
        "COVERAGE_FILE": str(aside / "coverage"),
    }
    if python == str(local):
        folders = os.pathsep.join([str(local.parent), os.environ.get("PATH", os.defpath)])
        env |= {"VIRTUAL_ENV": str(root / ".venv"), "PATH": folders}
    command = [python, "-m", "pytest", "-p", "punie_reporter", "--color=no", "--maxfail=0"]
    command += ["--continue-on-collection-errors", "-o", f"cache_dir={aside / 'cache'}"]
    command += ["--junit-xml=", "--log-file="]
    # Settings of plug-ins that are missing are no error, even where warnings are.
    command += ["-W", "ignore::pytest.PytestConfigWarning"]
    command += ["--no-cov"] if "pytest_cov" in importable else []
    return command, env


async def _importable(context: Context, python: str, names: list[str]) -> set[str]:
    """Those of the modules that an interpreter has, without importing them."""
    code = (
        "import sys; from importlib.util import find_spec as f; "
        "print(*(n for n in sys.argv[1:] if n not in sys.modules and f(n)), sep='\\n')"
    )
    try:
        done = await context.workspace.run([python, "-I", "-c", code, *names], timeout=20)
    except ToolFailure:  # a `.venv` whose interpreter is gone
        return set()
    return set(done.out.split())


async def _pytest(
    context: Context,
    command: list[str],
    env: dict[str, str | None],
    aside: Path,
    deadline: float,
) -> _Run:
    report = aside / "report.jsonl"
    report.write_bytes(b"")
    left = max(0.1, deadline - time.monotonic())
    run = _Run(await context.workspace.run(command, timeout=left, env=env))
    for line in report.read_text("ascii").splitlines():
        try:
            record = json.loads(line)
        except ValueError:  # the line at which the process was killed
            continue
        if "root" in record:
            run.root = Path(record["root"])
        elif "start" in record:
            run.running[record["start"]] = None
        elif "deselected" in record:
            run.deselected += record["deselected"]
        elif "exit" in record:
            run.status = record["exit"]
        else:
            run.cases.append(record)
            if record["name"] == record["node"]:
                run.running.pop(record["node"], None)
    return run


def _problem(context: Context, path: str, run: _Run) -> str | None:
    """Why the results are incomplete, or None. Raises `ToolFailure` when there are none."""
    if run.status is None and (run.done.timed_out or run.root is not None):
        code = run.done.exit_code
        how = f"pytest_run took longer than its limit of {context.settings.test_seconds:g} s"
        if not run.done.timed_out:
            ended = f"signal {-code}" if code < 0 else f"exit status {code}"
            how = f"pytest_run: pytest broke off with {ended}"
        what = f" in {' and '.join(list(run.running)[:3])}" if run.running else ""
        return f"{how}{what}; {len(run.cases)} results before that"
    if run.root is None:
        raise ToolFailure(f"pytest could not start: {run.words()}")
    if run.status == 4:
        raise ToolFailure(_not_found(context, path) or f"pytest refused {path!r}: {run.words()}")
    if run.status == 5 and not run.cases:
        left_out = f" ({run.deselected} deselected by its options)" if run.deselected else ""
        raise ToolFailure(f"no tests were found under {path!r}{left_out}")
    if run.status in (2, 3):
        return f"pytest_run: pytest was interrupted: {run.words()}"
    return None


def _not_found(context: Context, path: str) -> str | None:
    """The message for a node id that does not exist, with those that do."""
    file, colons, rest = path.partition("::")
    if not colons:
        return None
    names = re.findall(r"def (test\w*)", context.workspace.read_text(context.workspace.path(file)))
    wanted = rest.rpartition("::")[2].partition("[")[0]
    near = difflib.get_close_matches(wanted, names, n=3) or names[:3]
    there = f"; there are {', '.join(near)}" if near else ""
    return f"no test {rest!r} in {file!r}{there}"


def _cases(context: Context, run: _Run) -> Iterable[TestCase]:
    """The report's entries, with paths relative to the workspace instead of pytest's root."""
    root = run.root or context.workspace.root
    for case in run.cases:
        given, colons, rest = case["node"].partition("::")
        absolute = Path(os.path.normpath(root / given))
        file = context.workspace.relative(absolute)
        defined, line = case["defined"]
        same = Path(os.path.normpath(root / defined)) == absolute
        message = case["message"].encode("utf-8", "replace").decode()
        yield TestCase(
            name=f"{file}{colons}{rest}" + case["name"].removeprefix(case["node"]),
            file=file,
            line=line + 1 if same and line is not None else 0,
            outcome=case["outcome"],
            duration=round(case["duration"], 6),
            message=middle_cut(message, MESSAGE_CHARS),
        )
