"""The suites as committed, and a judge that can fail."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

from punie import demo
from punie.agent import Agent
from punie.engine.scripted import ScriptedEngine
from punie.errors import UsageError
from punie.factory.corpus import load_recipe
from punie.factory.suite import FOLDER, Case, Judge, Verdict, holds, load_suite, unmet, wilson
from punie.navigation.lsp import Server
from punie.sandbox import Sandbox
from punie.settings import Settings
from punie.tool import load_tools
from punie.workspace import Workspace
from punie.wrap import Allow, Context

AUTHORS = "for c in git_log(count=2).commits:\n    print(c.author)"
CASE = Case(
    id="authors",
    category="git",
    workspace="shop",
    query="authors of the last 2 commits",
    kind="tool",
    references=(AUTHORS,),
    fields=("GitCommit.author",),
    expect=("Linus Ek", "Ada Lovelace"),
    reject=("Grace Hopper",),
    forbid=("run_command",),
)
DIRECT = Case("concept", "direct", "shop", "what is a rebase?", "direct", expect=("re:commits?",))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo.create(tmp_path_factory.mktemp("demo") / "shop")


def grade(shop: Path, case: Case, *replies: str) -> Verdict:
    async def run() -> Verdict:
        settings = Settings(yes=True, repairs=0)
        workspace = Workspace(shop)
        server = Server(workspace, settings)
        context = Context(workspace, settings, server, Allow(), trusted=True)
        async with Sandbox(load_tools().values(), settings) as sandbox:
            agent = Agent(ScriptedEngine(replies), sandbox, context)
            verdict = await Judge(sandbox, context).grade(case, await agent.ask(case.query))
        await server.close()
        return verdict

    return asyncio.run(run())


def program(code: str) -> str:
    return f"<jupyter_code>{code}"


def test_a_right_answer_passes(shop: Path) -> None:
    assert grade(shop, CASE, program(AUTHORS)).faults == []
    otherwise = 'print(", ".join([c.author for c in git_log(".", 2).commits]))'
    assert grade(shop, CASE, program(otherwise)).faults == []
    assert grade(shop, DIRECT, "It moves commits onto another base.").faults == []


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        (AUTHORS.replace("author", "authr"), "error"),
        (AUTHORS.replace("count=2", "count=3"), "argument"),
        (AUTHORS.replace("count=2", "count=3"), "fact: 'Grace Hopper' is wrong"),
        ('print("Linus Ek, Ada Lovelace")', "call: git_log was not called"),
        ("print(git_log(count=2))", "field: GitCommit.author"),
        (AUTHORS.replace("c.author", "c.author[:3]"), "fact: 'Linus Ek' is missing"),
        (AUTHORS + "\nrun_command('true')", "forbidden: run_command"),
    ],
)
def test_every_kind_of_fault_is_found(shop: Path, code: str, fault: str) -> None:
    assert any(found.startswith(fault) for found in grade(shop, CASE, program(code)).faults)


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (AUTHORS, None),
        (AUTHORS.replace("count=2", "count=3"), "fact 'Grace Hopper' is wrong"),
        (AUTHORS.replace("count=2", "count=1"), "fact 'Ada Lovelace' is missing"),
        ("for c in git_log(count=2).commits:\n    print(c.email)", "GitCommit.author was not read"),
        (AUTHORS + "\nrun_command('true')", "run_command is forbidden"),
        ("print(git_log(count='2'))", "error: "),
    ],
)
def test_a_suite_is_checked_by_its_references(shop: Path, code: str, problem: str | None) -> None:
    async def run() -> list[str]:
        settings = Settings(yes=True)
        workspace = Workspace(shop)
        server = Server(workspace, settings)
        context = Context(workspace, settings, server, Allow(), trusted=True)
        async with Sandbox(load_tools().values(), settings) as sandbox:
            outcome = await sandbox.run(code, context)
        await server.close()
        return unmet(CASE, outcome)

    found = asyncio.run(run())
    assert (found == []) if problem is None else any(problem in fault for fault in found)


def test_a_tool_for_a_concept_fails_and_words_for_a_fact_fail(shop: Path) -> None:
    assert grade(shop, DIRECT, program("print('commits', git_log().commit_count)")).faults == [
        "kind: tool, not direct"
    ]
    told = grade(shop, CASE, "Linus Ek and Ada Lovelace made them.")
    assert "kind: direct, not tool" in told.faults
    assert "call: git_log was not called" in told.faults


@pytest.mark.parametrize(
    ("text", "fact", "found"),
    [
        ("12 files", "12", True),
        ("a.py:12", "12", True),
        ("+12 -3", "12", True),
        ("112 files", "12", False),
        ("12.5 s", "12", False),
        ("v12", "12", False),
        ("Ada", "ada", False),
        ("Ada", "re:ada", True),
    ],
)
def test_numbers_stand_by_themselves(text: str, fact: str, found: bool) -> None:
    assert holds(text, fact) is found


def test_the_interval_is_wilsons() -> None:
    assert wilson(38, 40) == pytest.approx((0.835, 0.986), abs=0.0005)
    assert wilson(34, 40) == pytest.approx((0.709, 0.929), abs=0.0005)
    assert wilson(0, 0) == (0.0, 1.0)


def test_the_frozen_suite_is_as_it_was_committed() -> None:
    for line in (FOLDER / "SHA256SUMS").read_text("utf-8").splitlines():
        digest, name = line.split()
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == digest
    forty = load_suite("forty")
    counts = Counter(case.category for case in forty.cases)
    assert len(counts) == 8
    assert set(counts.values()) == {5}


def test_suites_have_their_own_workspaces_and_questions() -> None:
    suites = [load_suite(name) for name in ("forty", "development", "test")]
    for one, other in combinations(suites, 2):
        assert not set(one.workspaces) & set(other.workspaces)
        asked = {case.query.lower() for case in one.cases}
        assert not asked & {case.query.lower() for case in other.cases}


def test_suites_are_as_large_as_they_must_be_and_train_on_nothing() -> None:
    sources = load_recipe()
    for name, least, splits in (("development", 300, {"dev"}), ("test", 200, {"test"})):
        suite = load_suite(name)
        assert len(suite.cases) >= least
        assert {sources[workspace].split for workspace in suite.workspaces} == splits


def test_mistakes_of_a_suite_are_all_named(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(
        'name = "bad"\nworkspaces = ["a"]\n'
        '[[case]]\nid = "1"\ncategory = "git"\nworkspace = "b"\nquery = "q"\nkind = "tool"\n'
        '[[case]]\nid = "2"\n'
    )
    with pytest.raises(UsageError) as error:
        load_suite(str(file))
    for part in ("case 1: kind 'tool'", "workspace 'b'", "nothing is expected", "case 2"):
        assert part in str(error.value)
    with pytest.raises(UsageError, match="there are: development, everyday, forty, test"):
        load_suite("fifty")
