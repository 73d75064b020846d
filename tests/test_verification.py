"""What no text shows: results that are not true are found by running and by a second way."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from punie import demo
from punie.factory.audit import deaf, executed
from punie.factory.audit.data import Data, Example
from punie.factory.audit.norms import Norms
from punie.factory.audit.subject import Subject
from punie.factory.examples import wording
from punie.factory.examples.inventory import Inventory
from punie.factory.examples.mutation import Mutations, another
from punie.factory.examples.workshop import SETTINGS, Workshop
from punie.factory.intents import Intent, load
from punie.tool import Tool, load_tools


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    demo.create(folder / "shop")
    return folder


def lying(name: str, lie: Callable[[Any], None]) -> list[Tool]:
    """All tools, one of which changes its results."""
    tool = load_tools()[name]

    async def function(context: Any, **arguments: Any) -> Any:
        result = await tool.function(context, **arguments)
        lie(result)
        return result

    return [t for t in load_tools().values() if t is not tool] + [
        dataclasses.replace(tool, function=function)
    ]


def fault(corpus: Path, tools: list[Tool] | None, program: str) -> str:
    async def run() -> str:
        root = corpus / "shop"
        async with Workshop(root, Inventory(root), tools) as workshop:
            _, found = await workshop.run(program)
            return found

    return asyncio.run(run())


def wrong_author(log: Any) -> None:
    log.commits[0].author = log.commits[0].author[::-1]


def wrong_date(log: Any) -> None:
    log.commits[-1].date = log.commits[0].date


def wrong_file(found: Any) -> None:
    found.references[0].file = "README.md"


def wrong_line(found: Any) -> None:
    found.locations[0].line += 1


def wrong_text(read: Any) -> None:
    read.text = read.text.replace("def", "class")


def wrong_state(status: Any) -> None:
    status.files[0].status = "added"


def one_less(lint: Any) -> None:
    lint.violations.pop()


def no_changes(diff: Any) -> None:
    diff.additions = 0


def no_uses(found: Any) -> None:
    found.references.clear()
    found.reference_count = 0


LOG, USES = "print(git_log(count=3).commits)", 'find_references(symbol="apply_discount")'
DEFINED = 'print(goto_definition(symbol="apply_discount").locations)'
LIES: dict[str, tuple[str, Callable[[Any], None], str, str]] = {
    "wrong author": ("git_log", wrong_author, LOG, "GitCommit.author"),
    "wrong date": ("git_log", wrong_date, LOG, "GitCommit.date"),
    "wrong file": (
        "find_references",
        wrong_file,
        f"print({USES}.references)",
        "FindReferencesResult.references",
    ),
    "missed uses": (
        "find_references",
        no_uses,
        f"print({USES}.reference_count)",
        "FindReferencesResult.reference_count",
    ),
    "wrong line": ("goto_definition", wrong_line, DEFINED, "SymbolLocation.line"),
    "wrong text": (
        "read_file",
        wrong_text,
        'print(read_file("shop/orders.py"))',
        "ReadFileResult.text",
    ),
    "wrong state": ("git_status", wrong_state, "print(git_status().files)", "GitFileStatus.status"),
    "a finding too few": (
        "ruff_check",
        one_less,
        "print(ruff_check().violations)",
        "RuffResult.violations",
    ),
    "lines not counted": (
        "git_diff",
        no_changes,
        "print(git_diff().additions)",
        "GitDiffResult.additions",
    ),
}


@pytest.mark.parametrize("kind", LIES)
def test_a_result_that_is_not_true_is_found(kind: str, corpus: Path) -> None:
    tool, lie, program, reason = LIES[kind]
    assert fault(corpus, None, program) == ""
    assert fault(corpus, lying(tool, lie), program) == f"{tool}: {reason}"


def test_a_disagreement_is_kept_with_both_values(corpus: Path) -> None:
    async def run() -> list[dict[str, Any]]:
        root = corpus / "shop"
        async with Workshop(root, Inventory(root), lying("git_diff", no_changes)) as workshop:
            outcome, found = await workshop.run("print(git_diff().additions)")
            assert found == "git_diff: GitDiffResult.additions"
            return workshop.disagreements(outcome)

    (case,) = asyncio.run(run())
    assert case["args"] == {"path": ".", "staged": False}
    assert (case["tool"], case["field"], case["says"]) == (
        "git_diff",
        "GitDiffResult.additions",
        "0",
    )
    assert int(case["second"]) > 0


def example(number: int, program: str, *fields: str, **values: Any) -> Example:
    message: Any = {"role": "assistant", "content": "", "code": program}
    tools = tuple(sorted(name for name in load_tools() if name in program))
    known: dict[str, Any] = {
        "kind": "tool",
        "intent": "",
        "group": "",
        "phrasing": "",
        "workspace": "shop",
    }
    known |= {"split": "train", "file": "train", "tools": tools, "fields": fields}
    return Example(**({"id": str(number), "messages": (message,)} | known | values))


def test_stored_rows_that_no_longer_hold_are_found(corpus: Path) -> None:
    clean, count = "GitStatusResult.clean", "ReadFileResult.line_count"
    rows = [
        example(0, "print(git_status().clean)", clean),
        example(1, 'print(read_file("shop/gone.py").line_count)', count),
        example(2, "print(git_status().tidy)", clean),
        example(3, "print(git_status().clean)", clean, tools=("git_log",)),
        example(4, "print(git_status().clean)", "GitStatusResult.files"),
        example(5, 'print(read_file("shop/gone.py").line_count)', count, kind="unknown"),
        example(6, 'print(read_file("shop/orders.py").line_count)', count, kind="unknown"),
        example(7, "print(git_status().clean)", clean, workspace="not built here"),
    ]
    subject = Subject(Data(rows), Norms(), load_tools(), workspaces=corpus)
    (finding,) = asyncio.run(executed.check(subject, 100))
    assert finding.ids == ("1", "2", "3", "4", "6")
    assert finding.text.startswith("5 of 7 programs")
    assert asyncio.run(executed.check(Subject(Data(rows[:1]), Norms(), load_tools()), 9)) == []


def test_a_conversation_is_run_as_a_whole(corpus: Path) -> None:
    first = example(0, "print(git_status().clean)", "GitStatusResult.clean")
    second = example(1, 'print(read_file("shop/orders.py").line_count)')
    talk = dataclasses.replace(
        first,
        messages=(*first.messages, *second.messages),
        tools=("git_status", "read_file"),
        fields=("GitStatusResult.clean", "ReadFileResult.line_count"),
    )
    half = dataclasses.replace(talk, id="half", tools=second.tools)
    subject = Subject(Data([talk, half]), Norms(), load_tools(), workspaces=corpus)
    (finding,) = asyncio.run(executed.check(subject, 9))
    assert finding.ids == ("half",)


def mutated(corpus: Path, intent: Intent, values: dict[str, Any]) -> Mutations:
    async def run() -> Mutations:
        root, mutations = corpus / "shop", Mutations()
        async with Workshop(root, Inventory(root)) as workshop:
            outcome, found = await workshop.run(wording.program(intent, values))
            assert found == ""
            for seed in range(3):
                await mutations.check(intent, values, outcome, workshop, random.Random(seed))
        return mutations

    return asyncio.run(run())


def test_a_program_that_ignores_its_slot_is_counted(corpus: Path) -> None:
    hears = Intent("hears", "", "print(read_file({file}))", "files", {"file": "python_file"})
    deaf = Intent("deaf", "", "{file}\nprint(git_status().clean)", "git", {"file": "python_file"})
    values = {"file": "shop/orders.py"}
    assert mutated(corpus, hears, values).as_json() == {
        "checked": {"hears": 3},
        "same": {"hears": 0},
        "silent": {},
        "unchecked": {},
    }
    assert mutated(corpus, deaf, values).as_json()["same"] == {"deaf": 3}


def test_programs_that_print_nothing_tell_nothing(corpus: Path) -> None:
    quiet = "for v in ruff_check({file}).violations:\n    if v.code == 'X999':\n        print(1)"
    intent = Intent("quiet", "", quiet, "files", {"file": "python_file"})
    found = mutated(corpus, intent, {"file": "shop/orders.py"}).as_json()
    assert (found["silent"], found["checked"]) == ({"quiet": 3}, {})


SLOW = "total = 0\nfor n in range(10**12):\n    total += n\nprint(git_status().clean, total)"
HURRIED = SETTINGS.model_copy(update={"program_seconds": 0.4})


def test_a_try_that_runs_out_of_time_is_made_again_and_never_counted(corpus: Path) -> None:
    """The value decides whether it ends: as a machine's load would, but each time."""
    program = "file = {file}\nif file == 'shop/orders.py':\n    print(git_status().clean)\nelse:\n"
    program += "\n".join(f"    {line}" for line in SLOW.splitlines())
    intent = Intent("slow", "", program, "git", {"file": "python_file"})
    mutations = Mutations()

    async def run() -> None:
        root = corpus / "shop"
        values: dict[str, Any] = {"file": "shop/orders.py"}
        async with Workshop(root, Inventory(root), settings=HURRIED) as workshop:
            outcome, found = await workshop.run(wording.program(intent, values))
            assert found == ""
            await mutations.check(intent, values, outcome, workshop, random.Random(1))
            assert mutations.as_json()["unchecked"] == {}, "it is not given up at once"
            await mutations.finish(workshop)

    asyncio.run(run())
    assert mutations.as_json()["unchecked"] == {"slow": 1}
    assert mutations.checked == {}


def test_a_stored_row_that_runs_out_of_time_is_no_breach(corpus: Path) -> None:
    rows = [example(0, SLOW, "GitStatusResult.clean"), example(1, "print(git_status().tidy)")]
    subject = Subject(Data(rows), Norms(), load_tools(), workspaces=corpus)
    found = asyncio.run(executed.check(subject, 9, settings=HURRIED))
    assert [(f.name, f.severity, f.ids) for f in found] == [
        ("execution", "breach", ("1",)),
        ("execution not checked", "remark", ("0",)),
    ]


def test_exceptions_to_deafness_are_intents_with_a_reason() -> None:
    intents, _ = load()
    assert set(deaf.EXCEPTIONS) <= set(intents)
    assert len(deaf.EXCEPTIONS) <= 10
    assert all(len(reason) > 20 for reason in deaf.EXCEPTIONS.values())
    for name in deaf.EXCEPTIONS:
        assert intents[name].slots


def test_programs_that_act_or_have_no_slot_are_not_tried(corpus: Path) -> None:
    slotless = Intent("slotless", "", "print(git_status().clean)", "git")
    acting = Intent(
        "acting", "", 'print(write_file("a.txt", {text}).created)', "files", {"text": "text"}
    )
    assert mutated(corpus, slotless, {}).as_json()["checked"] == {}
    assert mutated(corpus, acting, {"text": "hello"}).as_json()["checked"] == {}


def test_another_value_is_of_the_same_kind_and_differs(corpus: Path) -> None:
    intent = Intent("i", "", "", "git", {"count": "count", "file": "python_file"})
    values: dict[str, Any] = {"count": 5, "file": "shop/orders.py"}
    workshop = Workshop(corpus / "shop", Inventory(corpus / "shop"))
    for seed in range(9):
        other = another(intent, values, workshop, random.Random(seed))
        changed = [name for name in values if other[name] != values[name]]
        assert len(changed) == 1
        assert isinstance(other["count"], int)
        assert str(other["file"]).endswith(".py")
