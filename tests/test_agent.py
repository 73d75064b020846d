"""From a question to an answer, with a scripted model on the demo repository."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path
from typing import Any

import pytest

from programs import BAD, COUNT, ask, converse, program, verdict
from punie.agent import SHOWN
from punie.contract import ANSWER, CALL, STEP
from punie.engine import Generation
from punie.engine.scripted import ScriptedEngine
from punie.errors import UsageError
from punie.prompt import SYSTEM_TUNED
from punie.trace import Store
from repos import snapshot

MISSING = "print(read_file('none.py').line_count)"
NO_FILE = "no file or folder 'none.py' in the workspace"
WRITE = "print(write_file('new.txt', 'x').created)"


# --- one reply


def test_words_are_a_direct_answer(shop: Path) -> None:
    answer = ask(shop, ["  Fetch gets, pull gets and merges.\n"])
    assert verdict(answer) == ("direct", True, None, 0)
    assert answer.answer == "Fetch gets, pull gets and merges."
    assert [(s.code, s.calls) for s in answer.steps] == [("", [])]


def test_what_a_program_prints_is_the_answer(shop: Path) -> None:
    answer = ask(shop, [program(COUNT, "I'll count.")])
    assert verdict(answer) == ("tool", True, None, 0)
    assert answer.answer == "4"
    (step,) = answer.steps
    assert (step.code, step.stdout, step.error) == (COUNT, "4\n", None)
    assert [c.tool for c in step.calls] == ["git_status"]
    assert step.calls[0].fields == ["GitStatusResult.file_count"]
    assert answer.messages == [
        {"role": "system", "content": SYSTEM_TUNED},
        {"role": "user", "content": "a question"},
        {"role": "assistant", "content": "I'll count.", "code": COUNT},
        {"role": "tool", "content": "4"},
    ]


@pytest.mark.parametrize("reply", ["", "  \n", "<|im_end|>"])
def test_an_empty_reply_is_a_failure_with_a_way_out(shop: Path, reply: str) -> None:
    answer = ask(shop, [reply])
    said = "the model gave an empty reply: ask in other words"
    assert verdict(answer) == ("direct", False, said, 1)


def test_a_reply_that_was_cut_is_shown_and_is_a_failure(shop: Path) -> None:
    class Cut(ScriptedEngine):
        async def generate(self, *args: Any, **kwargs: Any) -> Generation:
            whole = await super().generate(*args, **kwargs)
            return Generation(whole.text, 1, 320, 0.0, finished=False)

    (answer,) = converse(shop, Cut(["A long story"]), "a question")
    assert answer.answer == "A long story"
    assert (answer.ok, answer.exit_status) == (False, 1)
    assert "did not end within 320 tokens: ask in other words, or raise max_tokens" in str(
        answer.error
    )


def test_a_model_that_knows_no_answer_says_so(shop: Path) -> None:
    class Unsure(ScriptedEngine):
        async def generate(self, *args: Any, **kwargs: Any) -> Generation:
            whole = await super().generate(*args, **kwargs)
            return Generation(whole.text, 1, 0, 0.0, sure=False)

    (answer,) = converse(shop, Unsure([""]), "why is the sky blue?")
    assert (answer.answer, answer.ok, answer.exit_status) == ("", False, 1)
    assert "knows no checked answer to that" in str(answer.error)


@pytest.mark.parametrize("query", ["", " \n\t"])
def test_an_empty_question_never_reaches_the_model(shop: Path, query: str) -> None:
    engine = ScriptedEngine(["x"])
    with pytest.raises(UsageError, match="the question is empty"):
        converse(shop, engine, query)
    assert engine.asked == []


def test_a_program_that_prints_nothing_is_described(shop: Path) -> None:
    answer = ask(shop, [program("r = git_log('shop', count=2)\nread_file('README.md')")])
    assert verdict(answer) == ("tool", True, None, 0)
    log, file = answer.answer.splitlines()
    assert log.startswith("git_log(path='shop', count=2): commit_count 2")
    assert file.startswith("read_file(path='README.md'): ")
    assert "line_count 3" in file


def test_a_program_that_does_nothing_is_described_too(shop: Path) -> None:
    answer = ask(shop, [program("x = 1")])
    assert verdict(answer) == ("tool", True, None, 0)
    assert answer.answer == "The program printed nothing and called no tool."


def test_a_failure_that_the_program_did_not_look_at_is_told(shop: Path) -> None:
    answer = ask(shop, [program(MISSING), "That is not there."])
    assert verdict(answer) == ("tool", False, NO_FILE, 1)
    assert answer.answer == f"0\n{NO_FILE}"


def test_a_failure_that_the_program_tells_is_an_answer(shop: Path) -> None:
    answer = ask(shop, [program("r = read_file('none.py')\nprint(r.success or r.parse_error)")])
    assert verdict(answer) == ("tool", True, None, 0)
    assert answer.answer == NO_FILE


def test_a_refused_effect_ends_the_question(shop: Path) -> None:
    before = snapshot(shop)
    answer = ask(shop, [program(WRITE), program(COUNT)])
    said = (
        "write_file(path='new.txt', content='x') was refused: "
        "approve it in a terminal, or give --yes"
    )
    assert verdict(answer) == ("tool", False, said, 3)
    assert answer.answer == said
    assert snapshot(shop) == before


# --- conversations


def test_a_second_turn_sees_the_first(shop: Path) -> None:
    engine = ScriptedEngine([program(COUNT), program(BAD), program(COUNT), "You are welcome."])
    first, second, third = converse(shop, engine, "how many?", "again?", "thanks")
    assert (first.answer, second.answer, third.answer) == ("4", "4", "You are welcome.")
    assert engine.asked[1] == [*first.messages, {"role": "user", "content": "again?"}]
    assert engine.asked[3] == [*second.messages, {"role": "user", "content": "thanks"}]
    assert [m["role"] for m in third.messages].count("system") == 1
    assert third.messages[-1] == {"role": "assistant", "content": "You are welcome."}
    assert [len(a.steps) for a in (first, second, third)] == [1, 2, 1]


def test_long_output_goes_back_cut_and_is_answered_whole(shop: Path) -> None:
    engine = ScriptedEngine([program("print('a' * 9000)"), "Next."])
    first, _ = converse(shop, engine, "one", "two")
    assert first.answer == "a" * 9000
    shown = engine.asked[1][-2]
    assert shown["role"] == "tool"
    start, cut, end = re.split(r"\n… \[(\d+) characters cut\] …\n", shown["content"])
    assert start + "a" * int(cut) + end == first.answer
    assert len(shown["content"].encode()) <= SHOWN["tuned"]


def test_only_the_latest_whole_turns_go_back(shop: Path) -> None:
    engine = ScriptedEngine(lambda messages: program("print('b' * 900)"))
    converse(shop, engine, "one", "two", "three", "four", "five", "six")
    roles = [message["role"] for message in engine.asked[-1]]
    assert roles == ["system", *["user", "assistant", "tool"] * 4, "user"]
    assert engine.asked[-1][1]["content"] == "two"


# --- records


def test_the_json_of_an_answer_is_that_of_the_contract(shop: Path) -> None:
    answer = ask(shop, [program(BAD), program(COUNT)])
    value = json.loads(json.dumps(answer.as_json()))
    assert set(value) == set(ANSWER)
    assert [set(step) for step in value["steps"]] == [set(STEP)] * 2
    assert [set(call) for step in value["steps"] for call in step["calls"]] == [set(CALL)]
    assert set(value["ms"]) == {"load", "generate", "tools", "total"}
    assert 0 < value["ms"]["tools"] < value["ms"]["total"]
    assert value["query"] == "a question"
    assert value["steps"][0]["prompt_tokens"] > 0


@pytest.mark.parametrize("query", ["ä 漢 😀", 'a "b" \\ \t', "x" * 50_000, "--help"])
def test_a_question_comes_back_as_it_was(shop: Path, query: str) -> None:
    (answer,) = converse(shop, ScriptedEngine(["yes"]), query)
    assert answer.as_json()["query"] == query


def test_trajectories_are_stored_for_their_owner_and_read_back(shop: Path, tmp_path: Path) -> None:
    engine = ScriptedEngine([program(BAD), program(COUNT), program(MISSING), "Not there."])
    good, bad = converse(shop, engine, "how ä many?", "how long?")
    store = Store(tmp_path / "data" / "traces.sqlite")
    assert [store.add(good, shop), store.add(bad, shop)] == [1, 2]
    newest, oldest = Store(store.path).last()
    assert (newest["query"], newest["ok"], newest["error"]) == ("how long?", False, NO_FILE)
    assert oldest["id"] == 1
    assert oldest["workspace"] == str(shop)
    stored = {name: oldest[name] for name in ANSWER}
    assert stored == json.loads(json.dumps(good.as_json()))
    assert oldest["messages"] == good.messages
    assert [m["role"] for m in oldest["messages"]] == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
        "tool",
    ]
    assert Store(store.path).last(1)[0]["id"] == 2
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700
