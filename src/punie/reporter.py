"""A pytest plug-in that writes what happens to a file, one JSON object a line, as it happens.

`pytest_run` copies this file to a folder of its own and loads it with `-p`; nothing imports it.
It runs under the workspace's interpreter and pytest (3.8 and 6.1 or later), so it uses the
standard library only. Objects: `{"root"}`, `{"start"}`, `{"deselected"}`, `{"exit"}` and the
fields of a finished test.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Report from the main process only: pytest-xdist sends it what its workers report."""
    if not hasattr(config, "workerinput"):
        reporter = Reporter(os.environ["PUNIE_REPORT"])
        config.pluginmanager.register(reporter, "punie-reports")


class Reporter:
    """Writes a line for each thing that happens; each is on disk before the next test runs."""

    def __init__(self, path: str) -> None:
        self.file = open(path, "a", encoding="ascii")  # noqa: SIM115
        self.process = os.getpid()
        self.phases: dict[str, list[Any]] = {}

    def write(self, **record: Any) -> None:
        """Append an object; a forked child that came back into pytest writes nothing."""
        if os.getpid() == self.process:
            self.file.write(json.dumps(record) + "\n")
            self.file.flush()

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """The folder that node ids are relative to."""
        self.write(root=str(session.config.rootpath))

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """The run has ended by itself."""
        self.write(exit=int(exitstatus))

    def pytest_deselected(self, items: list[Any]) -> None:
        """Tests that options left out."""
        self.write(deselected=len(items))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that cannot be collected, or is skipped as a whole."""
        if not report.passed:
            outcome = "error" if report.failed else "skipped"
            self.case(report, outcome, reason(report), 0.0)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A test starts."""
        self.write(start=nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One phase of a test; all are judged together, since pytest revises earlier ones."""
        if hasattr(report, "_sub_test_description"):
            # As pytest counts: a failed subtest counts beside its test, the others do not.
            if report.failed:
                self.case(report, "failed", reason(report), 0.0, report._sub_test_description())
            return
        phases = self.phases.setdefault(report.nodeid, [])
        phases.append(report)
        if report.when not in ("setup", "call"):
            self.finish(self.phases.pop(report.nodeid))

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
        name = report.nodeid + (" " + part if part else "")
        self.write(
            name=name,
            node=report.nodeid,
            defined=[str(location[0]), location[1]],
            outcome=outcome,
            message=message,
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
    text = str(why)
    marked = [line[1:].strip() for line in text.splitlines() if line.startswith("E ")]
    return "\n".join(marked) or text


def _without(text: str, prefix: str) -> str:
    return text[len(prefix) :] if text.startswith(prefix) else text
