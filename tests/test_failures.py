"""Data that follows failures: by kind, from the development suite only."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from punie.errors import UsageError
from punie.factory import failures
from punie.factory.generate import GenerateOptions
from punie.factory.intents import Intent
from punie.factory.suite import Case, Suite, load_suite

TOOLS = ("git_status", "git_log", "ruff_check")
LOG = "for c in git_log(count=3).commits:\n    print(c.author)"
STAGED = "for f in git_status().files:\n    print(ruff_check(f.file).violation_count)"
INTENTS = {
    name: Intent(name, "", program, "git")
    for name, program in {"log": LOG, "who": LOG.replace("3", "1"), "staged": STAGED}.items()
}


def case(number: int, program: str) -> Case:
    return Case(str(number), "git", "w", "a question", "tool", (program,), expect=("x",))


SUITE = Suite(
    "development",
    "",
    ("w",),
    (case(1, LOG), case(2, LOG), case(3, STAGED), case(4, "git_status()"), case(5, LOG)),
)


def test_what_failed_is_counted_by_its_tools() -> None:
    found = failures.growth(SUITE, {"1", "2", "4"}, INTENTS.values(), TOOLS)
    assert found == [
        failures.Growth(("git_log",), 2, 3, ("log", "who")),
        failures.Growth(("git_status",), 1, 1, ()),
    ]


def test_intents_grow_by_the_share_that_failed() -> None:
    options = GenerateOptions(examples={"git": 30, "who": 12})
    found = failures.growth(SUITE, {"1", "2", "4"}, INTENTS.values(), TOOLS)
    grown = failures.grown(options, found, INTENTS)
    assert [grown.wanted(name, "git") for name in INTENTS] == [50, 20, 30]
    assert options.examples == {"git": 30, "who": 12}


@pytest.mark.parametrize("suite", ["forty", "test", "everyday"])
def test_suites_that_only_report_are_refused(tmp_path: Path, suite: str) -> None:
    report = {"suite": suite, "sha256": load_suite(suite).sha256, "cases": []}
    (tmp_path / "r.json").write_text(json.dumps(report))
    with pytest.raises(UsageError, match="only reports"):
        failures.read_report(tmp_path / "r.json")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be used"),
        ('{"suite": "development"}', "punie validate development --transcripts FILE"),
        ('{"suite": "development", "sha256": "old", "cases": []}', "another version"),
    ],
)
def test_a_report_that_cannot_serve_says_why(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(UsageError, match=said):
        failures.read_report(tmp_path / "r.json")


def test_a_report_of_the_suite_as_it_is_serves(tmp_path: Path) -> None:
    suite = load_suite("development")
    first, second = suite.cases[:2]
    cases = [{"id": first.id, "passed": False}, {"id": second.id, "passed": True}]
    report = {"suite": "development", "sha256": suite.sha256, "cases": cases}
    (tmp_path / "r.json").write_text(json.dumps(report))
    assert failures.read_report(tmp_path / "r.json") == (suite, {first.id})
