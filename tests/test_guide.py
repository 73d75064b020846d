"""What a tuned model may write: copied literals, checked answers, or nothing."""

from __future__ import annotations

import asyncio

import pytest

from punie.engine.guide import FIRST, TRIES, UNSURE, Answers, Bank, Guide
from punie.engine.llama import LlamaEngine
from punie.models import base_file
from punie.prompt import COMPACT, Message

TEXTS = ("Fetch gets.", "Fetch gets and merges.", "Stash saves.")


def test_answers_know_what_they_begin_with() -> None:
    answers = Answers(TEXTS)
    begun = (b"", b"F", b"Fetch gets", b"Stash", b"Fetch gets and", b"Fetch x", b"Z")
    assert [answers.beginning(b) for b in begun] == [2, 2, 2, 1, 1, 0, 0]
    assert b"Fetch gets." in answers
    assert b"Fetch gets" not in answers


def test_words_are_checked_answers_and_programs_are_free() -> None:
    guide = Guide("<code>", None, Answers(TEXTS))
    assert guide.allows(b"Stash s")
    assert not guide.allows(b"Stash is")
    assert guide.may_end(b"Stash saves.")
    assert not guide.may_end(b"Stash")
    assert guide.allows(b"<code>print(1)")
    assert guide.may_end(b"<code>print(1)")
    assert Guide("<code>", None, None).may_end(b"anything")


def test_a_model_is_unsure_where_answers_part_and_at_the_beginning() -> None:
    guide = Guide("<code>", None, Answers(TEXTS))
    far = UNSURE + 0.1
    assert guide.unsure(b"", 0, far)
    assert not guide.unsure(b"", 0, UNSURE - 0.1)
    assert guide.unsure(b"Fetch gets", FIRST, far)  # two answers go on from here
    assert guide.unsure(b"Stash s", FIRST - 1, far)
    assert not guide.unsure(b"Stash s", FIRST, far)  # its own words for the only one left
    assert not guide.unsure(b"<code>print(", 2, far)
    assert not Guide("<code>", None, None).unsure(b"", 0, far)


KNOWN = {
    "Rebase replays.": ["what is a rebase", "explain rebasing"],
    "Stash saves.": ["what is git stash good for", "put my edits aside?"],
    "Stash is no archive.": ["is git stash an archive"],
}


@pytest.mark.parametrize(
    ("asked", "offered"),
    [
        ("wat is rebaseing??", {"Rebase replays."}),
        ("so what's git stash good for", {"Stash saves."}),
        ("git stash?", {"Stash saves.", "Stash is no archive."}),
    ],
)
def test_a_question_gets_the_answers_to_those_most_like_it(asked: str, offered: set[str]) -> None:
    answers = Bank(KNOWN).to(asked)
    assert {text for text in KNOWN if text.encode() in answers} == offered
    assert answers.fitting


def test_a_question_like_none_that_is_known_fits_none() -> None:
    assert not Bank(KNOWN).to("why do cats purr").fitting
    assert all(text.encode() in Bank(dict.fromkeys(KNOWN, ())).to("rebase?") for text in KNOWN)


def test_words_exclude_a_program_and_end_where_no_choice_is_left() -> None:
    bank = Bank(KNOWN)

    def guide(asked: str) -> Guide:
        return Guide("<code>", None, bank.all, lambda: bank.to(asked))

    words, program = guide("git stash?"), guide("git stash?")
    words.begin(b"Sta")
    program.begin(b"<co")
    assert not words.allows(b"<code>print(1)")
    assert program.allows(b"<code>print(1)")
    assert words.whole(b"Stash", 1) is None  # two go on from here
    assert words.whole(b"Stash s", 2) == b"Stash saves."
    assert program.whole(b"", 0) is None
    strange = guide("why do cats purr")
    strange.begin(b"Cats")
    assert strange.whole(b"Rebase", FIRST - 1) is None
    assert not words.unsure(b"Stash", 0, UNSURE + 1)


def test_a_reply_is_given_up_after_many_refusals() -> None:
    guide = Guide("<code>", None, None)
    assert [guide.lost() for _ in range(TRIES + 1)] == [False] * TRIES + [True]


@pytest.mark.model
@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_a_model_says_a_checked_answer_or_nothing(temperature: float) -> None:
    """The untuned base is made to say one of two texts; what it is told to say it does not say."""

    def reply(ask: str, answers: list[str]) -> tuple[str, bool]:
        messages: list[Message] = [{"role": "user", "content": ask}]
        bank: dict[str, list[str]] = {answer: [] for answer in answers}
        engine = LlamaEngine(base_file(), COMPACT, context=512, answers=bank)
        generate = engine.generate(messages, max_tokens=60, temperature=temperature, seed=3)
        done = asyncio.run(generate)
        asyncio.run(engine.close())
        return done.text, done.sure

    asked = "What is the capital of France? Answer in one sentence."
    assert reply(asked, ["The capital of France is Paris.", "The dog is an animal."]) == (
        "The capital of France is Paris.",
        True,
    )
    assert reply(asked, ["\u2603\u2603\u2603 qqq"]) == ("", False)
