"""A program's second run in CPython, on what the second ways found."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from punie import demo
from punie.factory.examples import second_way
from punie.factory.examples.comparison import Like
from punie.factory.examples.inventory import Inventory
from punie.factory.examples.rerun import Rerun, rerun
from punie.factory.examples.workshop import OTHERWISE, Workshop
from punie.sandbox import Outcome, Sandbox
from punie.tool import load_tools
from punie.wrap import Context

STAGED = "for f in git_status().files:\n    if f.staged:\n        print(f.status, f.file)"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("corpus") / "shop"
    demo.create(root)
    return root


def ran(root: Path, program: str) -> Outcome:
    async def run() -> Outcome:
        async with Workshop(root, Inventory(root)) as workshop:
            outcome, fault = await workshop.run(program)
            assert fault == ""
            return outcome

    return asyncio.run(run())


def again(root: Path, program: str, outcome: Outcome) -> Rerun:
    place = Inventory(root)
    calls = [(c.tool, c.args, second_way.expected(c.tool, place, c.args)) for c in outcome.calls]
    return rerun(program, load_tools().values(), calls)


@pytest.mark.parametrize(
    "program",
    [
        STAGED,
        "print(len([f for f in git_status().files if f.staged]))",
        "for c in sorted(git_log(count=3).commits, key=lambda c: c.author):\n    print(c.hash[:8])",
        "print(f\"{read_file('shop/orders.py').line_count / 7:.2f}\")",
    ],
)
def test_the_same_program_gives_the_same_text(shop: Path, program: str) -> None:
    outcome = ran(shop, program)
    found = again(shop, program, outcome)
    assert (found.lacks, found.fault, found.text) == ("", "", outcome.stdout)
    assert outcome.stdout


def test_an_output_that_was_tampered_with_is_found(shop: Path) -> None:
    outcome = ran(shop, STAGED)
    found = again(shop, STAGED, outcome)
    assert found.differs(outcome.stdout) == ""
    assert found.differs(outcome.stdout + "one more\n").startswith("second run: ")


def test_a_filter_that_went_wrong_is_found(shop: Path) -> None:
    wrong = ran(shop, STAGED.replace("if f.staged", "if not f.staged"))
    assert again(shop, STAGED, wrong).differs(wrong.stdout).startswith("second run: ")


def test_what_no_second_way_computes_is_not_taken_from_the_tool() -> None:
    tools = load_tools().values()
    call = ("git_status", {"path": "."}, {"clean": Like(bool, "true"), "file_count": 2})
    assert rerun("print(git_status().file_count)", tools, [call]).text == "2\n"
    for read, lacks in {
        ".clean": "GitStatusResult.clean",
        ".files": "GitStatusResult.files",
        "": "GitStatusResult as a whole",
    }.items():
        found = rerun(f"print(git_status(){read})", tools, [call])
        assert (found.lacks, found.differs("anything")) == (lacks, "")
    assert rerun("print(git_log())", tools, [call]).lacks == "git_log: another call"


def test_a_second_run_that_does_not_end_is_ended_and_one_that_fails_differs() -> None:
    tools = load_tools().values()
    assert rerun("while True:\n    pass", tools, [], seconds=1.0).lacks == "time"
    assert "ZeroDivisionError" in rerun("print(1 / 0)", tools, []).differs("")
    assert "open" in rerun("open('x')", tools, []).differs("")


class Tampering:
    """A sandbox that prints in capitals."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    async def run(self, code: str, context: Context) -> Outcome:
        outcome = await self.sandbox.run(code, context)
        return replace(outcome, stdout=outcome.stdout.upper())


def test_an_example_whose_second_run_says_otherwise_is_dropped(shop: Path) -> None:
    async def run() -> list[str]:
        async with Workshop(shop, Inventory(shop)) as workshop:
            faults = [(await workshop.run(STAGED))[1]]
            workshop.sandbox = Tampering(workshop.sandbox)  # type: ignore[assignment]
            return [*faults, (await workshop.run(STAGED))[1]]

    assert asyncio.run(run()) == ["", OTHERWISE]


def test_what_two_runs_cannot_share_says_nothing(shop: Path) -> None:
    async def run() -> list[str]:
        async with Workshop(shop, Inventory(shop)) as workshop:
            found = []
            for code in ("print(pytest_run().duration)", "print(run_command('echo a').stdout)"):
                outcome, fault = await workshop.run(code)
                assert fault == ""
                found.append(workshop.again(code, outcome).lacks)
            return found

    assert all(asyncio.run(run()))
