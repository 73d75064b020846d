"""One run of pytest in the workspace's interpreter, and the report that our plug-in writes.

What pytest and its plug-ins would leave in the workspace (caches, bytecode, coverage, reports)
goes to a folder that is deleted; what the tests themselves write there is theirs. What they start
ends with the run, also when we are killed.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, ValidationError

from punie.errors import ToolFailure
from punie.workspace import QUIET, Completed
from punie.wrap import Context, middle_cut

PLUGIN = Path(__file__).parent / "reporter.py"
WITHOUT = ["-o", "addopts=", "-o", "required_plugins="]
WITHOUT += ["-o", "strict=false", "-o", "strict_config=false"]
"""Options for suites whose own options need plug-ins that are not installed."""
WORDS = 2000
"""Characters of pytest's own words that a message quotes."""


class Record(BaseModel):
    """One line of the report: only the fields of what it tells are there."""

    root: str | None = None
    collecting: str | None = None
    start: str | None = None
    deselected: int = 0
    exit: int | None = None
    node: str | None = None
    """Node id of a finished test, relative to `root`."""
    part: str = ""
    """Description of a subtest."""
    skipped_part: str | None = None
    """A subtest that was skipped: its test's node id and its description."""
    defined: tuple[str, int | None] = ("", None)
    """File where the test is written, and its line, 0-based."""
    outcome: Literal["passed", "failed", "error", "skipped", "xfailed", "xpassed"] = "error"
    message: str = ""
    duration: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Seconds."""


@dataclass
class Report:
    """What the lines tell together."""

    root: Path | None = None
    """The folder that node ids are relative to; None when pytest did not start."""
    status: int | None = None
    """pytest's exit status; None when it did not come to its end."""
    deselected: int = 0
    skipped_parts: list[str] = field(default_factory=list)
    """Subtests that were skipped; they are no cases."""
    collecting: str = ""
    """What was being imported last; empty when all was."""
    running: dict[str, None] = field(default_factory=dict)
    """Tests that started and did not finish."""
    cases: list[Record] = field(default_factory=list)


def read_report(data: bytes) -> Report:
    """Read a report, also one that breaks off anywhere: a line that is not whole is left out."""
    report = Report()
    for line in data.split(b"\n"):
        try:
            record = Record.model_validate_json(line)
        except ValidationError:
            continue
        if record.root is not None:
            report.root = Path(record.root)
        if record.collecting is not None:
            report.collecting = record.collecting
        if record.start is not None:
            report.running[record.start] = None
            report.collecting = ""
        if record.exit is not None:
            report.status = record.exit
        report.deselected += record.deselected
        if record.skipped_part is not None:
            report.skipped_parts.append(record.skipped_part)
        if record.node is not None:
            report.cases.append(record)
            if not record.part:
                report.running.pop(record.node, None)
    return report


@dataclass(frozen=True)
class Run:
    """One run of pytest and what its report says."""

    done: Completed
    report: Report

    def words(self) -> str:
        """What pytest said itself."""
        said = [*self.done.err.splitlines(), *self.done.out.splitlines()]
        if inner := [s for s in said if s.startswith("INTERNALERROR>")]:
            return inner[-1]  # the exception; above it is pytest's own traceback
        marked = [s for s in said if re.match(r"E  |ERROR|!!!|[\w.]+Error\b|mainloop caught", s)]
        return middle_cut("\n".join(marked or said).strip(), WORDS)


@dataclass(frozen=True)
class Interpreter:
    """The Python that runs the tests."""

    command: str
    origin: str
    """Where the choice comes from, for messages."""
    venv: Path | None
    """Its virtual environment, if it has one that is not Punie's."""


def interpreter(context: Context) -> Interpreter:
    """The setting `python`, else the workspace's `.venv`, else the Python that runs Punie."""
    folder = context.workspace.root / ".venv"
    local = folder / "bin/python"
    if chosen := context.settings.python:
        venv = Path(chosen).parent.parent
        own = venv if (venv / "pyvenv.cfg").is_file() and Path(chosen).is_absolute() else None
        return Interpreter(chosen, "the setting `python`", own)
    if (folder / "pyvenv.cfg").is_file() or os.path.lexists(local):
        return Interpreter(str(local), "the workspace's `.venv`", folder)
    return Interpreter(sys.executable, "the Python that runs Punie", None)


async def run_pytest(context: Context, target: list[str], aside: Path, *, node: bool) -> Run:
    """Run pytest on `target` (nothing = what the configuration says) within `test_seconds`.

    `aside` is an empty folder that the caller deletes; `node` says that the target names tests
    inside a file. Raises `ToolFailure` when there is no interpreter, or no pytest for it.
    """
    deadline = time.monotonic() + context.settings.test_seconds
    python = interpreter(context)
    command, env = _command(context, python, aside)
    run = await _once(context, python, [*command, *target], env, aside, deadline)
    if run.report.root is None and b"No module named pytest" in run.done.stderr:
        raise ToolFailure(
            f"{python.origin} has no pytest: run `{python.command} -m pip install pytest` (or "
            f"`uv pip install --python {python.command} pytest`), or give another interpreter "
            "with the setting `python`"
        )
    missing = re.search(rb"ERROR: (file or directory )?not found: ", run.done.stderr)
    refused = run.report.status == 4 and not node and not missing
    # Killed is not refused: without its options it may run other tests than it was asked to.
    unable = run.report.root is None and not run.done.timed_out and run.done.exit_code >= 0
    if refused or unable:
        run = await _once(context, python, [*command, *WITHOUT, *target], env, aside, deadline)
    return run


def _command(
    context: Context, python: Interpreter, aside: Path
) -> tuple[list[str], dict[str, str | None]]:
    """pytest's command line and environment; what it writes goes to the folder `aside`."""
    root = context.workspace.root
    source = root / "src"
    packages = {p.stem for p in source.iterdir()} if source.is_dir() else set()
    names = sorted(p for p in packages if p.isidentifier())
    checkout = [str(p) for p in (source, root) if p.is_dir()]
    plugin = aside / "plugin"
    plugin.mkdir()
    shutil.copy(PLUGIN, plugin / "punie_reporter.py")
    paths = [str(plugin)]
    env: dict[str, str | None] = {name: os.environ.get(name) for name in QUIET}
    env |= {name: None for name in os.environ if name.startswith("PYTEST_")}
    if python.venv == root / ".venv":
        # What it has installed counts; the checkout's folders help only where that is missing.
        env |= {"PUNIE_NAMES": " ".join(names), "PUNIE_PATHS": os.pathsep.join(checkout)}
    else:
        paths += checkout  # it may hold a released copy of the package
    paths += [p for p in [os.environ.get("PYTHONPATH")] if p]
    env |= {
        "PYTHONPATH": os.pathsep.join(paths),
        "PUNIE_REPORT": str(aside / "report.jsonl"),
        "PYTEST_DEBUG_TEMPROOT": str(aside),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(aside / "hypothesis"),
        "COVERAGE_FILE": str(aside / "coverage"),
    }
    if python.venv:
        folders = [str(python.venv / "bin"), os.environ.get("PATH", os.defpath)]
        env |= {"VIRTUAL_ENV": str(python.venv), "PATH": os.pathsep.join(folders)}
    command = [python.command, "-m", "pytest", "-p", "punie_reporter", "--color=no"]
    command += ["--maxfail=0", "--continue-on-collection-errors", "--no-cov"]
    command += ["-o", f"cache_dir={aside / 'cache'}", f"--basetemp={aside / 'base'}"]
    command += ["--junit-xml=", "--log-file="]
    # Settings of plug-ins that are missing are no error, even where warnings are.
    command += ["-W", "ignore::pytest.PytestConfigWarning"]
    return command, env


async def _once(
    context: Context,
    python: Interpreter,
    command: list[str],
    env: dict[str, str | None],
    aside: Path,
    deadline: float,
) -> Run:
    path = aside / "report.jsonl"
    path.write_bytes(b"")
    left = max(0.1, deadline - time.monotonic())
    try:
        done = await context.workspace.run(command, timeout=left, env=env, leash=True)
    except ToolFailure as error:
        raise ToolFailure(f"{error} ({python.origin})") from None
    return Run(done, read_report(_bytes(path)))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # a test has cleaned up more than its own
        return b""
