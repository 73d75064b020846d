"""A shell command gives the whole answer a second time: programs agree with it, and what a wrong
filter prints is dropped and counted."""

from __future__ import annotations

import asyncio
import json
import random
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from punie import demo
from punie.factory.examples import making, twins, wording
from punie.factory.examples.drafts import Draft
from punie.factory.examples.inventory import Inventory
from punie.factory.examples.options import GenerateOptions
from punie.factory.examples.plain_slots import NoValue
from punie.factory.examples.workshop import Workshop
from punie.factory.intents import Intent, load, load_asides

INTENTS = load()[0]
WRONG = {
    "status_untracked": ('== "untracked"', '!= "untracked"'),
    "author_commit_count": ("count=0", "count=1"),
    "lint_and_types_files": ("lint & types", "lint | types"),
    "commits_before": ("c.date <", "c.date >="),
    "status_twice": ("not f.staged and", "f.staged and"),
}
"""Intent → how its program goes wrong, with every call still right."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("twins") / "shop"
    demo.create(root)
    return root


def test_commands_are_of_intents_and_name_their_slots_only() -> None:
    assert len(twins.commands()) >= 60
    for name, command in twins.commands().items():
        slots = {each.partition(":")[0] for each in wording_slots(command)}
        assert slots <= set(INTENTS[name].slots), name


def wording_slots(command: str) -> set[str]:
    """Names in braces that are slots: braces of awk hold more than a word."""
    return set(re.findall(r"\{([a-z_]+(?::bare)?)\}", command))


def test_programs_print_what_the_commands_print(shop: Path) -> None:
    said: dict[str, str | None] = {}

    async def run() -> None:
        inventory = Inventory(shop)
        async with Workshop(shop, inventory) as workshop:
            for name in twins.commands():
                try:
                    values = making.fill(INTENTS[name], inventory, random.Random(name))
                except NoValue:
                    continue
                outcome, fault = await workshop.run(wording.program(INTENTS[name], values))
                if not fault:
                    said[name] = twins.differs(name, values, outcome, shop)

    asyncio.run(run())
    assert {name: told for name, told in said.items() if told} == {}
    assert sum(told == "" for told in said.values()) >= 50


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_program_over_right_calls_is_dropped_and_counted(
    shop: Path, tmp_path: Path, name: str
) -> None:
    old, new = WRONG[name]
    right = INTENTS[name]
    wrong = replace(right, program=right.program.replace(old, new))
    assert wrong.program != right.program
    for intent, kept in ((right, 1), (wrong, 0)):
        made = part(shop, tmp_path / f"{kept}.json", intent)
        assert len(made["rows"]) == kept
        assert made["counts"].get("answered twice", 0) == kept
        assert made["rejects"] == ({} if kept else {"another way to the answer": 1})
        assert len(made["disagreements"]) == 1 - kept


def part(root: Path, target: Path, intent: Intent) -> dict[str, Any]:
    """What becomes of one draft of an intent."""
    options = replace(GenerateOptions(), repairs=0.0, unknown=0.0, mutations=0.0)
    draft = Draft(intent, intent.phrasings[0], 7, False)
    making.part(target, root, [draft], options, making.Material({}, [], load_asides()))
    made: dict[str, Any] = json.loads(target.read_text("utf-8"))
    return made


def test_a_cut_list_says_nothing(shop: Path) -> None:
    class Cut:
        results = (type("Result", (), {"truncated": True})(),)
        stdout = "nothing like it\n"

    assert twins.differs("status_untracked", {}, Cut(), shop) is None  # type: ignore[arg-type]
