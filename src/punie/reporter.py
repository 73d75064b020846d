"""A pytest plug-in that writes what happens to a file, one JSON object a line, as it happens.

`pytest_run` copies this file to a folder of its own and loads it with `-p`; nothing imports it.
It runs under the workspace's interpreter and pytest (3.8 and 6.1 or later), so it uses the
standard library and pytest only. Objects: `{"root"}`, `{"collecting"}`, `{"start"}`,
`{"deselected"}`, `{"skipped_part"}`, `{"exit"}` and the fields of a finished test.

PYTEST_DONT_REWRITE: without assertions, rewriting them is time lost.
"""

from __future__ import annotations

import copy
import json
import os
import re
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

WRITES = frozenset(
    {"--html", "--report-log", "--json-report-file", "--alluredir", "--benchmark-save"}
    | {"--benchmark-json", "--md-report-output", "--csv", "--nunit-xml", "--excelreport"}
    | {"--pastebin", "--inline-snapshot", "--memray-bin-path", "--pstats-dir"}
)
"""Options with a value that make pytest or a plug-in write files, or send results away."""
SWITCHES = frozenset(
    {"--json-report", "--benchmark-autosave", "--testmon", "--snapshot-update", "--profile"}
    | {"--profile-svg", "--md-report", "--debug"}
)
"""The like without a value."""
MOST = 2000
"""Characters of a message, and of a node id, that are written whole."""


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: Any, args: list[str]
) -> Iterator[None]:
    """Find the checkout's packages; then drop options that are unknown or leave traces."""
    add_paths()
    yield
    args[:] = usable(early_config, parser, args)


def pytest_configure(config: pytest.Config) -> None:
    """Report from the main process: pytest-xdist sends it what its workers report, but not what
    options left out, which is the same in each of them.
    """
    worker = getattr(config, "workerinput", {}).get("workerid")
    if worker in (None, "gw0"):
        reporter = Reporter(os.environ["PUNIE_REPORT"])
        plugin = Selection(reporter) if worker else reporter
        config.pluginmanager.register(plugin, "punie-reports")


def add_paths() -> None:
    """Put `PUNIE_PATHS` on the module path where a package among `PUNIE_NAMES` is missing."""
    paths = os.environ.get("PUNIE_PATHS", "")
    if not paths or all(map(found, os.environ.get("PUNIE_NAMES", "").split())):
        return
    sys.path[1:1] = paths.split(os.pathsep)
    given = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([paths, given] if given else [paths])


def found(name: str) -> bool:
    """Whether a module of that name can be imported; looks without importing it."""
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def usable(config: Any, parser: Any, args: list[str]) -> list[str]:
    """The arguments without those that leave traces, or whose plug-ins are not installed."""
    try:
        options = copy.copy(config.option)
        unknown = set(parser.parse_known_and_unknown_args(list(args), namespace=options)[1])
    except (Exception, SystemExit):  # pytest says itself what is wrong with them
        return args
    configured = len(args) - len(config.invocation_params.args)
    kept, value = [], False
    for number, arg in enumerate(args):
        name, equals, _ = arg.partition("=")
        theirs = number < configured
        if theirs and ((value and not arg.startswith("-")) or name in SWITCHES):
            value = False
        elif arg in unknown or (theirs and name in WRITES):
            # Its value may follow; `-n4` and `--cov=src` hold theirs.
            value = not equals and (arg.startswith("--") or len(arg) == 2)
        else:
            kept.append(arg)
            value = False
    return kept


class Selection:
    """Writes what a worker of pytest-xdist was told to leave out."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter

    def pytest_deselected(self, items: list[Any]) -> None:
        """Tests that options left out."""
        self.reporter.pytest_deselected(items)


class Reporter:
    """Writes a line for each thing that happens; each is on disk before the next test runs."""

    def __init__(self, path: str) -> None:
        self.os = os  # tests with a fake file system replace the names in modules, not this
        self.path = path
        self.process = os.getpid()
        self.phases: dict[tuple[str, int], list[Any]] = {}
        self.file = self.open()
        self.mark = self.identity()

    def open(self) -> int:
        """A descriptor that appends to the report."""
        flags = self.os.O_WRONLY | self.os.O_APPEND | self.os.O_CREAT
        return self.os.open(self.path, flags, 0o600)

    def identity(self) -> tuple[int, int] | None:
        """Device and inode behind the descriptor; None when a test has closed it."""
        try:
            status = self.os.fstat(self.file)
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def write(self, **record: Any) -> None:
        """Append an object; a forked child that came back into pytest writes nothing.

        A test may have closed the descriptor, and its number may be another file's by now.
        """
        if self.os.getpid() == self.process:
            if self.identity() != self.mark:
                self.file = self.open()
                self.mark = self.identity()
            self.os.write(self.file, (json.dumps(record) + "\n").encode("ascii"))

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """The folder that node ids are relative to."""
        self.write(root=str(session.config.rootpath))

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """The run has ended by itself."""
        self.write(exit=int(exitstatus))

    def pytest_deselected(self, items: list[Any]) -> None:
        """Tests that options left out."""
        self.write(deselected=len(items))

    def pytest_collectstart(self, collector: Any) -> None:
        """A file or class is about to be imported or read."""
        self.write(collecting=short(collector.nodeid))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that cannot be collected, or is skipped as a whole."""
        if not report.passed:
            outcome = "error" if report.failed else "skipped"
            self.case(report, outcome, reason(report), 0.0)

    def pytest_collection_finish(self) -> None:
        """Everything is collected."""
        self.write(collecting="")

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A test starts."""
        self.write(start=short(nodeid))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One phase of a test; all are judged together, since pytest revises earlier ones."""
        if hasattr(report, "_sub_test_description"):
            # As pytest counts: a failed subtest counts beside its test, the others do not.
            part = report._sub_test_description()
            if report.failed:
                self.case(report, "failed", reason(report), 0.0, part)
            elif report.skipped:
                self.write(skipped_part=short(f"{report.nodeid} {part}"))
            return
        # Workers of pytest-xdist may run the same test at the same time.
        key = report.nodeid, id(getattr(report, "node", None))
        if report.when == "setup":  # an attempt that is repeated may end without its tear-down
            self.phases.pop(key, None)
        phases = self.phases.setdefault(key, [])
        phases.append(report)
        if report.when not in ("setup", "call"):
            self.finish(self.phases.pop(key))

    def finish(self, phases: list[Any]) -> None:
        """Write a test's outcome; an error in its tear-down is an entry of its own."""
        last = phases[-1]
        body = phases[:-1] if last.when == "teardown" else phases
        decisive = next((p for p in body if p.outcome != "passed" or hasattr(p, "wasxfail")), None)
        seconds = sum(p.duration for p in body)
        if decisive is None:
            self.case(last, "passed", "", seconds)
        elif outcome := judged(decisive):
            self.case(decisive, outcome, reason(decisive), seconds)
        if last.when == "teardown" and last.failed:
            self.case(last, "error", reason(last), last.duration)

    def case(
        self, report: Any, outcome: str, message: str, duration: float, part: str = ""
    ) -> None:
        """Write one finished test."""
        location = getattr(report, "location", None) or ("", None, "")
        self.write(
            node=short(report.nodeid),
            part=short(part),
            defined=[short(str(location[0])), location[1]],
            outcome=outcome,
            message=short(message),
            duration=duration,
        )


def judged(report: Any) -> str:
    """The outcome in pytest's words; empty for an attempt that will be repeated."""
    if report.outcome in ("passed", "skipped") and hasattr(report, "wasxfail"):
        return "xpassed" if report.outcome == "passed" else "xfailed"
    if report.outcome == "failed":
        return "error" if report.when == "setup" else "failed"
    return report.outcome if report.outcome in ("passed", "skipped") else ""


def reason(report: Any) -> str:
    """Why it failed or was skipped, without the traceback."""
    if hasattr(report, "wasxfail"):
        return _without(str(report.wasxfail), "reason: ")
    why = report.longrepr
    if why is None:
        return ""
    if isinstance(why, tuple):
        return _without(str(why[2]), "Skipped: ")
    crash = getattr(why, "reprcrash", None)
    if crash is not None:
        return str(crash.message)
    if examples := getattr(why, "reprlocation_lines", None):
        return "\n".join(doctest_reason(list(lines)) for _, lines in examples)
    text = str(why)
    marked = [line[1:].strip() for line in text.splitlines() if line.startswith("E ")]
    return "\n".join(marked) or text


def doctest_reason(lines: list[str]) -> str:
    """The example that failed and what it gave, without the text before it and the traceback."""
    numbered = [n for n, line in enumerate(lines) if re.match(r"(\d{3,}|\?\?\?) ", line)]
    lines = lines[numbered[-1] :] if numbered else lines
    ends = [n for n, line in enumerate(lines) if line.startswith("UNEXPECTED EXCEPTION: ")]
    lines = lines[: ends[0] + 1] if ends else lines
    first = re.sub(r"^(\d{3,}|\?\?\?) +", "", lines[0]) if lines else ""
    return "\n".join([first, *lines[1:]]).strip()


def short(text: str) -> str:
    """The text, or its start, a note of what was cut, and its end; as text that can be written."""
    if len(text) > MOST:
        half = MOST // 2
        text = f"{text[:half]} … [{len(text) - MOST} characters cut] … {text[-half:]}"
    return text.encode("utf-8", "replace").decode()


def _without(text: str, prefix: str) -> str:
    return text[len(prefix) :] if text.startswith(prefix) else text
