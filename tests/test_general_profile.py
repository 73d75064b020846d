"""A model that was not trained on the tools: programs until it answers in prose."""

from __future__ import annotations

from pathlib import Path

from programs import BAD, COUNT, ask, converse, verdict, xml
from punie.agent import GENERAL_STEPS
from punie.engine.scripted import ScriptedEngine


def test_a_general_model_reads_the_output_and_answers_in_prose(shop: Path) -> None:
    engine = ScriptedEngine([xml(COUNT, "Let me see."), "There are 4 changed files."])
    (answer,) = converse(shop, engine, "a question", profile="general")
    assert verdict(answer) == ("tool", True, None, 0)
    assert answer.answer == "There are 4 changed files."
    assert [s.code for s in answer.steps] == [COUNT, ""]
    assert engine.asked[1][-1] == {"role": "tool", "content": "4"}
    system = engine.asked[0][0]["content"]
    assert "def git_status(path: str = '.') -> GitStatusResult:" in system
    assert "punie_" not in system


def test_a_general_model_may_fence_its_program(shop: Path) -> None:
    answer = ask(shop, [f"```python\n{COUNT}\n```", "Four."], profile="general")
    assert (answer.kind, answer.answer) == ("tool", "Four.")


def test_prose_after_a_failed_program_is_the_answer(shop: Path) -> None:
    answer = ask(shop, [xml(BAD), xml(COUNT), "Four."], profile="general")
    assert verdict(answer) == ("tool", True, None, 0)
    assert answer.answer == "Four."


def test_a_general_model_has_a_step_limit(shop: Path) -> None:
    engine = ScriptedEngine(lambda messages: xml(f"print({len(messages)})"))
    (answer,) = converse(shop, engine, "a question", profile="general")
    assert len(engine.asked) == GENERAL_STEPS
    said = f"the model gave no final answer within {GENERAL_STEPS} replies"
    assert verdict(answer) == ("tool", False, said, 1)
    assert answer.answer == str(2 * GENERAL_STEPS)
