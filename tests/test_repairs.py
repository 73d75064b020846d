"""A program that failed goes back to the model: when, with what, how often, and when never."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from programs import BAD, COUNT, ask, converse, program, verdict
from punie import demo
from punie.agent import AFRESH
from punie.engine import Generation
from punie.engine.scripted import ScriptedEngine
from punie.wrap import Allow

MISSING = "print(read_file('none.py').line_count)"
NO_FILE = "no file or folder 'none.py' in the workspace"
WRITE = "print(write_file('new.txt', 'x').created)"
WORSE = "print(git_status().count)"
WORST = "print(git_status().number)"


def diagnostic(code: str) -> str:
    field = code.rpartition(".")[2].rstrip(")")
    return (
        "unresolved-attribute: Object of type `GitStatusResult` has no attribute "
        f"`{field}` in `{code}`"
    )


@pytest.mark.parametrize("wrong", [[BAD], [BAD, WORSE]], ids=["once", "twice"])
def test_a_failed_program_goes_back_with_its_diagnostic(shop: Path, wrong: list[str]) -> None:
    engine = ScriptedEngine([program(code) for code in [*wrong, COUNT]])
    (answer,) = converse(shop, engine, "a question")
    assert verdict(answer) == ("tool", True, None, 0)
    assert answer.answer == "4"
    assert [s.error for s in answer.steps] == [*map(diagnostic, wrong), None]
    for number, code in enumerate(wrong, 1):
        assert engine.asked[number][-2:] == [
            {"role": "assistant", "content": "", "code": code},
            {"role": "tool", "content": diagnostic(code)},
        ]


def test_a_failure_that_the_program_did_not_look_at_is_repaired(shop: Path) -> None:
    engine = ScriptedEngine([program(MISSING), program(COUNT)])
    (answer,) = converse(shop, engine, "how many?")
    assert answer.ok
    assert [step.code for step in answer.steps] == [MISSING, COUNT]
    assert engine.asked[1][-1] == {"role": "tool", "content": f"0\n{NO_FILE}"}


def test_a_program_that_stays_wrong_is_shown_as_failed(shop: Path) -> None:
    answer = ask(shop, map(program, [BAD, WORSE, WORST, COUNT]))
    assert verdict(answer) == ("tool", False, diagnostic(WORST), 1)
    assert answer.answer == diagnostic(WORST)
    assert len(answer.steps) == 3


def test_without_repairs_one_reply_is_all(shop: Path) -> None:
    answer = ask(shop, map(program, [BAD, COUNT]), repairs=0)
    assert verdict(answer) == ("tool", False, diagnostic(BAD), 1)


def test_the_same_wrong_program_is_not_run_again(shop: Path) -> None:
    answer = ask(shop, map(program, [BAD, BAD, BAD, COUNT]))
    assert verdict(answer) == ("tool", False, diagnostic(BAD), 1)
    assert [bool(step.error) for step in answer.steps] == [True, False, False]


def test_a_model_that_repeats_a_failed_program_is_asked_afresh(shop: Path) -> None:
    class Temperatures(ScriptedEngine):
        used: ClassVar[list[float]] = []

        async def generate(self, *args: Any, **kwargs: Any) -> Generation:
            self.used.append(kwargs.get("temperature", 0.0))
            return await super().generate(*args, **kwargs)

    engine = Temperatures([program(MISSING), program(MISSING), program(COUNT)])
    (answer,) = converse(shop, engine, "how many?")
    assert answer.ok
    assert answer.answer == "4"
    assert engine.used == [0.0, 0.0, AFRESH]
    assert [m["role"] for m in engine.asked[2]] == ["system", "user"]


def test_words_instead_of_a_repair_leave_the_program_failed(shop: Path) -> None:
    answer = ask(shop, [program(BAD), "I think there are 4."])
    assert verdict(answer) == ("tool", False, diagnostic(BAD), 1)
    assert answer.answer == diagnostic(BAD)
    assert len(answer.steps) == 2


def test_what_was_printed_before_an_error_is_kept(shop: Path) -> None:
    code = "print('one')\nprint([][0])"
    answer = ask(shop, [program(code)], repairs=0)
    error = "IndexError: list index out of range in `print([][0])`"
    assert verdict(answer) == ("tool", False, error, 1)
    assert answer.answer == f"one\n{error}"


def test_an_engine_that_fails_leaves_what_was_reached(shop: Path) -> None:
    answer = ask(shop, [program(BAD)])
    assert verdict(answer) == ("tool", False, "the script has no reply for call 2", 1)
    assert [s.code for s in answer.steps] == [BAD]


@pytest.mark.parametrize(
    "code",
    [
        "print(write_file('new.txt', 'x').created)\nprint([][0])",
        "print(run_command('echo x >> new.txt').exit_code)\nprint([][0])",
    ],
)
def test_a_program_that_acted_is_never_run_again(tmp_path: Path, code: str) -> None:
    root = demo.create(tmp_path / "shop")
    answer = ask(root, [program(code), program(code + "\n")], approver=Allow())
    assert verdict(answer) == (
        "tool",
        False,
        "IndexError: list index out of range in `print([][0])`",
        1,
    )
    assert len(answer.steps) == 1
    assert (root / "new.txt").read_text().strip() == "x"


def test_a_write_that_failed_may_be_repaired(tmp_path: Path) -> None:
    root = demo.create(tmp_path / "shop")
    outside = "r = write_file('../new.txt', 'x')\nprint(r.parse_error)\nprint([][0])"
    answer = ask(root, [program(outside), program(WRITE)], approver=Allow())
    assert (answer.ok, answer.answer) == (True, "True")
    assert (root / "new.txt").read_text() == "x"
    assert not (tmp_path / "new.txt").exists()
