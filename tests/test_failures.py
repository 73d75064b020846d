"""Data that follows failures: by their kind, from the development suite only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from punie.errors import UsageError
from punie.factory import failures
from punie.factory.examples import nearmiss, selection
from punie.factory.failures import Failure, Growth
from punie.factory.generate import GenerateOptions
from punie.factory.intents import Asides, Direct, Intent, load
from punie.factory.suite import Case, Suite, load_suite
from punie.tool import load_tools

TOOLS = ("git_status", "git_log", "ruff_check")
LOG = "for c in git_log(count=3).commits:\n    print(c.author)"
STAGED = "for f in git_status().files:\n    print(ruff_check(f.file).violation_count)"
INTENTS = {
    name: Intent(name, "", program, "git")
    for name, program in {
        "log": LOG,
        "who": LOG.replace("3", "1"),
        "staged": STAGED,
        "last": "print(git_log(count={count}).commits[0].message)",
    }.items()
}


def case(number: int, program: str) -> Case:
    return Case(str(number), "git", "w", "a question", "tool", (program,), expect=("x",))


SUITE = Suite(
    "development",
    "",
    ("w",),
    (case(1, LOG), case(2, LOG), case(3, STAGED), case(4, "git_status()"), case(5, LOG)),
)


LOGS = frozenset({"git_log"})


def failed(kind: str, told: str = "", tools: frozenset[str] = LOGS) -> Failure:
    return Failure("1", kind, told, tools)


def grow(*found: Failure) -> list[Growth]:
    return failures.growth(SUITE, found, INTENTS.values(), TOOLS)


def test_what_failed_is_counted_by_kind_and_tools() -> None:
    status = frozenset({"git_status"})
    assert grow(failed("fact"), failed("fact"), failed("fact", tools=status)) == [
        Growth("fact", ("git_log",), 2, 3, ("log", "who", "last")),
        Growth("fact", ("git_status",), 1, 1, ()),
    ]


def test_each_kind_of_failure_has_its_own_remedy() -> None:
    both = frozenset({"git_status", "ruff_check"})
    assert grow(failed("argument", "git_log({'count': 3}) was called otherwise"))[0].intents == (
        "last",
    ), "only its program takes a value there"
    assert grow(failed("field", "GitCommit.message was not read"))[0].intents == ("last",)
    assert grow(failed("field", "GitCommit.no_one_reads was not read"))[0].intents == (
        "log",
        "who",
        "last",
    )
    assert grow(failed("call", "ruff_check was not called", both))[0].intents == ("staged",)
    assert grow(failed("forbidden", "", frozenset({"ruff_check"})))[0].intents == ()
    options = GenerateOptions(examples={"git": 30}, repairs=0.1)

    def after(kind: str, told: str = "") -> GenerateOptions:
        return failures.grown(options, grow(failed(kind, told)), INTENTS)

    assert after("fact").contrasts == after("fact").repairs_of == after("fact").near_misses == {}
    argument = after("argument", "git_log({'count': 3}) was called otherwise")
    assert argument.contrasts == {"last": pytest.approx(1 / 3)}
    assert after("error").repairs_of["log"] == pytest.approx(0.1 + 1 / 3)
    assert after("kind").near_misses == {"git_log": 2}
    assert after("kind").wanted("log", "git") == 40
    assert after("forbidden").near_misses == {"git_log": 2}
    assert after("forbidden").examples == {"git": 30}


def test_intents_grow_by_the_share_that_failed_and_at_most_twofold() -> None:
    options = GenerateOptions(examples={"git": 30, "who": 12})
    growths = grow(failed("fact"), failed("fact"))
    grown = failures.grown(options, growths, INTENTS)
    assert [grown.wanted(name, "git") for name in INTENTS] == [50, 20, 30, 50]
    assert options.examples == {"git": 30, "who": 12}
    every = grow(*[failed(kind) for kind in ("fact", "call", "error", "kind")])
    assert failures.grown(options, every, INTENTS).wanted("log", "git") == 60


def test_general_questions_beside_a_tool_come_first() -> None:
    beside = Direct("git", ("what does git log show", "git log, what for", "git log?"), "Commits.")
    apart = Direct("python", ("what is a tuple", "tuples?", "a tuple is what"), "A fixed list.")
    assert nearmiss.beside("git_log", beside.questions)
    assert not nearmiss.beside("git_log", apart.questions)
    assert nearmiss.beside("shout_loud", ["when do I use shout loud?"])

    def answers(**more: Any) -> list[str]:
        rows = selection.direct_rows([apart, beside], GenerateOptions(**more), 12, Asides())
        return [str(row["messages"][-1]["content"]) for row in rows]

    both = {"A fixed list.": 1, "Commits.": 1}
    assert {each: answers(direct=1).count(each) for each in both} == both
    more = answers(direct=1, near_misses={"git_log": 2})
    assert {each: more.count(each) for each in both} == {"A fixed list.": 1, "Commits.": 3}
    shared = answers(direct_share=0.25, near_misses={"git_log": 2})
    assert {each: shared.count(each) for each in both} == {"A fixed list.": 1, "Commits.": 3}
    assert len(set(answers(direct_share=0.25))) == 2


def test_every_tool_has_general_questions_beside_it() -> None:
    _, direct = load()
    counts = {
        tool: sum(nearmiss.beside(tool, entry.questions) for entry in direct)
        for tool in load_tools()
    }
    assert set(nearmiss.SPOKEN) == set(load_tools())
    assert min(counts.values()) >= 3, counts
    assert max(counts.values()) < len(direct) / 4, counts


@pytest.mark.parametrize("suite", ["forty", "test", "everyday"])
def test_suites_that_only_report_are_refused(tmp_path: Path, suite: str) -> None:
    report = {"suite": suite, "sha256": load_suite(suite).sha256, "cases": []}
    (tmp_path / "r.json").write_text(json.dumps(report))
    with pytest.raises(UsageError, match="only reports"):
        failures.read_report(tmp_path / "r.json", load_tools())


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
        failures.read_report(tmp_path / "r.json", load_tools())


def test_a_report_of_the_suite_as_it_is_serves(tmp_path: Path) -> None:
    suite = load_suite("development")
    cases = [{"id": case.id, "passed": True, "faults": [], "steps": []} for case in suite.cases[:4]]
    tool = next(case for case in suite.cases if case.kind == "tool")
    called = [{"calls": [{"tool": "git_log"}, {"tool": "no_tool_of_ours"}]}]
    cases[0] |= {"passed": False, "faults": ["kind: tool, not direct"], "steps": called}
    cases[1] |= {"passed": False, "faults": ["forbidden: run_command", "fact: '1' is missing"]}
    cases.append({"id": tool.id, "passed": False, "faults": ["fact: '3' is missing", "x"]})
    report = {"suite": "development", "sha256": suite.sha256, "cases": cases}
    path = tmp_path / "r.json"
    path.write_text(json.dumps(report))
    read, found = failures.read_report(path, load_tools())
    assert read == suite
    by_id = {failure.case: failure for failure in found}
    first, second = suite.cases[:2]
    assert by_id[first.id].tools == {"git_log"}
    assert by_id[second.id].kind == "forbidden"
    assert by_id[second.id].tools == {"run_command"}
    assert by_id[tool.id].tools
    assert all(name + "(" in tool.references[0] for name in by_id[tool.id].tools)
    path.write_text(json.dumps(report | {"cases": [cases[0] | {"faults": ["mood: bad"]}]}))
    with pytest.raises(UsageError, match="faults that are none of fact, call"):
        failures.read_report(path, load_tools())
