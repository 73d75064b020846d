"""From a question to an answer, with a scripted model on the demo repository."""

from __future__ import annotations

import asyncio
import json
import re
import stat
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from punie import demo
from punie.agent import AFRESH, GENERAL_STEPS, SHOWN, Agent, Answer, Profile
from punie.contract import ANSWER, CALL, STEP
from punie.engine import Generation
from punie.engine.scripted import ScriptedEngine
from punie.errors import UsageError
from punie.prompt import COMPACT, QWEN3_CODER, SYSTEM_TUNED, Message
from punie.sandbox import Sandbox
from punie.tool import load_tools
from punie.trace import Store
from punie.wrap import Allow, Approver, Refuse
from repos import context, snapshot

TOOLS = load_tools()
COUNT = "print(git_status().file_count)"
MISSING = "print(read_file('none.py').line_count)"
NO_FILE = "no file or folder 'none.py' in the workspace"
WRITE = "print(write_file('new.txt', 'x').created)"


def program(code: str, preamble: str = "") -> str:
    """A reply of a tuned model that is a program."""
    return f"{preamble}{COMPACT.code_open}{code}"


def xml(code: str, preamble: str = "") -> str:
    """A reply of a general model that is a program."""
    return f"{preamble}\n\n{QWEN3_CODER.code_open}{code}{QWEN3_CODER.code_close}"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo repository; tests that write make their own."""
    return demo.create(tmp_path_factory.mktemp("agent") / "shop")


Replies = Iterable[str] | Callable[[Sequence[Message]], str]


def converse(
    root: Path,
    engine: ScriptedEngine,
    *queries: str,
    profile: Profile = "tuned",
    approver: Approver | None = None,
    **settings: Any,
) -> list[Answer]:
    """Ask one question after the other, each with the history of those before."""
    here = context(root, **settings)
    here.approver = approver or Refuse()
    answers: list[Answer] = []

    async def main() -> list[Answer]:
        async with Sandbox(TOOLS.values(), here.settings) as sandbox:
            dialect = COMPACT if profile == "tuned" else QWEN3_CODER
            model = {"name": engine.name, "engine": engine.kind, "sha256": "", "tools": "abc"}
            agent = Agent(engine, sandbox, here, dialect=dialect, profile=profile, model=model)
            for query in queries:
                history = answers[-1].messages if answers else ()
                answers.append(await agent.ask(query, history))
        return answers

    return asyncio.run(main())


def ask(root: Path, replies: Replies, **options: Any) -> Answer:
    return converse(root, ScriptedEngine(replies), "a question", **options)[0]


def verdict(answer: Answer) -> tuple[str, bool, str | None, int]:
    return answer.kind, answer.ok, answer.error, answer.exit_status


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


def test_a_failure_that_the_program_did_not_look_at_is_repaired(shop: Path) -> None:
    engine = ScriptedEngine([program(MISSING), program(COUNT)])
    (answer,) = converse(shop, engine, "how many?")
    assert answer.ok
    assert [step.code for step in answer.steps] == [MISSING, COUNT]
    assert engine.asked[1][-1] == {"role": "tool", "content": f"0\n{NO_FILE}"}


def test_a_failure_that_the_program_tells_is_an_answer(shop: Path) -> None:
    answer = ask(shop, [program("r = read_file('none.py')\nprint(r.success or r.parse_error)")])
    assert verdict(answer) == ("tool", True, None, 0)
    assert answer.answer == NO_FILE


# --- repairs

BAD = "print(git_status().file_cont)"
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


# --- effects


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


# --- the general profile


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
