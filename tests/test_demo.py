"""The main job with the shipped model: the nine questions of `punie demo`, answered and graded."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from punie import cli, demo
from punie.agent import Answer
from punie.factory.suite import holds
from punie.settings import Settings
from punie.terminal import Progress

pytestmark = pytest.mark.model
FACTS: dict[str, tuple[str, list[str]]] = {
    "what did I change?": (
        "git_status",
        ["shop/pricing.py", "shop/report.py", "tests/test_orders.py", "shop/gifts.py"],
    ),
    "who calls apply_discount?": (
        "find_references",
        ["shop/orders.py", "31", "tests/test_orders.py", "14"],
    ),
    "where is Order defined?": ("goto_definition", ["shop/orders.py", "18"]),
    "give me an outline of shop/orders.py": ("document_symbols", ["Line", "Order"]),
    "type errors in shop": ("typecheck", ["shop/pricing.py", "16", "expected `int`"]),
    "lint problems in shop/report.py": ("ruff_check", ["F401", "3"]),
    "which tests fail?": ("pytest_run", ["tests/test_orders.py::test_tax"]),
    "authors of the last 3 commits": (
        "git_log",
        ["Linus Ek", "Ada Lovelace", "Grace Hopper"],
    ),
    "what is the difference between git fetch and git pull?": ("", ["re:pull"]),
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Answer]:
    root = demo.create(tmp_path_factory.mktemp("demo") / "shop")

    async def ask() -> dict[str, Answer]:
        with Progress() as progress:
            async with cli.open_agent(root, Settings(trust=True), progress) as agent:
                return {q: await agent.ask(q) for q in demo.QUESTIONS}

    return asyncio.run(ask())


def test_every_question_has_its_facts() -> None:
    assert set(FACTS) == set(demo.QUESTIONS)


def right(question: str, answer: Answer) -> bool:
    tool, facts = FACTS[question]
    called = {c.tool for s in answer.steps for c in s.calls}
    fits = answer.kind == ("tool" if tool else "direct") and called == ({tool} if tool else set())
    return answer.ok and fits and all(holds(answer.answer, fact) for fact in facts)


def test_the_shipped_model_answers_every_question(answers: dict[str, Answer]) -> None:
    assert [question for question, answer in answers.items() if not right(question, answer)] == []


def test_every_answer_says_what_it_rests_on(answers: dict[str, Answer]) -> None:
    for answer in answers.values():
        assert answer.answer
        assert answer.ok == (answer.error is None)
        assert answer.kind == ("tool" if any(s.code for s in answer.steps) else "direct")


def test_the_demo_is_the_same_every_time(tmp_path: Path) -> None:
    one, two = (demo.create(tmp_path / name) for name in ("one", "two"))
    assert (one / ".git/refs/heads/main").read_text() == (two / ".git/refs/heads/main").read_text()
