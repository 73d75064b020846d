"""Workflows composed from parts: enough kinds and combinations, each a program that runs and
questions that carry what it needs."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from punie import demo
from punie.errors import UsageError
from punie.factory.audit import registers
from punie.factory.examples import making, wording
from punie.factory.examples.inventory import Inventory
from punie.factory.examples.plain_slots import NoValue
from punie.factory.examples.workshop import Workshop
from punie.factory.intents import FOLDER, Intent, composing, load
from punie.factory.intents.parts import Ask, Parts, Source, called, conditional, read_parts
from punie.factory.intents.wordings import LOOKS

KINDS = {i.name: i for i in load()[0].values() if i.group == composing.GROUP}
PARTS = read_parts(FOLDER / "composed", [])


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    demo.create(folder / "shop")
    findings = {
        "lint": [{"file": "shop/report.py", "code": "F401"}],
        "types": [{"file": "shop/pricing.py", "code": "invalid-explicit-return"}],
        "tests": [{"file": "tests/test_orders.py", "symbol": "test_tax", "code": "failed"}],
    }
    (folder / "shop.state.json").write_text(json.dumps({"findings": findings}))
    return folder / "shop"


def test_there_are_sixty_kinds_over_thirty_combinations_of_tools() -> None:
    assert len(KINDS) >= 60
    combinations = {frozenset(called(intent.program)) for intent in KINDS.values()}
    assert len(combinations) >= 30
    assert all(len(tools) >= 2 for tools in combinations)


def test_loops_filters_joins_and_conclusions_are_among_them() -> None:
    shapes = {
        "a loop": r"^for ",
        "a filter": r"^ +if |\bif .*\}",
        "a join of two sets": r"(&|-) others",
        "a count": r"len\(|_count|sum\(",
        "a group": r"counts\.get",
        "the top one": r"\[:1\]|\[-1:\]",
        "a conclusion": r'print\("(yes|no)" if',
    }
    found = Counter(
        shape
        for intent in KINDS.values()
        for shape, pattern in shapes.items()
        if re.search(pattern, intent.program, re.M)
    )
    assert {shape: found[shape] for shape in shapes if found[shape] < 10} == {}


def test_every_part_is_in_some_kind() -> None:
    pairs = composing.chosen(PARTS)
    assert {source.name for source, _ in pairs} == {source.name for source in PARTS.sources}
    used = {part for _, ask in pairs for part in ask.name.split(".")}
    assert used >= {part for ask in PARTS.asks for part in ask.name.split(".")} - {"untracked"}


def test_a_question_only_fits_what_it_takes_and_another_tool() -> None:
    source = Source("s", "file", ("the {x}",), ("{x}",), {"x": "word"}, over="git_status().files")
    ask = Ask("a", "file", "ruff_check(file)", {})
    assert composing.fits(source, ask, Parts())
    assert not composing.fits(source, replace(ask, takes="line"), Parts())
    assert not composing.fits(source, replace(ask, program="git_status(file)"), Parts())
    assert not composing.fits(source, replace(ask, slots={"x": "word"}), Parts())
    assert not composing.fits(source, ask, Parts(odd=(("s", "*"),)))


def test_a_condition_stands_inside_its_loop() -> None:
    program = "for s in <list>:\n    a(s)\n    b(s)\nc()"
    wanted = "for s in <list>:\n    if s.ok:\n        a(s)\n        b(s)\nc()"
    assert conditional(program, "for s in <list>:", "s.ok") == wanted
    assert conditional(program, "for s in <list>:", "") == program


def test_every_kind_is_asked_in_five_voices_and_names_its_slots() -> None:
    voices = registers.hands()
    for intent in KINDS.values():
        own = Counter(voices.get(p, "") for p in intent.phrasings)
        assert {voice for voice in own if voice.startswith("composed")} == {
            f"composed, {voice}" for voice in composing.MOST
        }, intent.name
        assert not [p for p in intent.phrasings if re.search(r"<\w+>|  |\bthe the\b", p)]
    # A kind that no table knows would look like no other, and two wordings of it would never meet.
    slots = {kind for intent in KINDS.values() for kind in intent.slots.values()}
    assert slots - set(LOOKS) <= {"author", "hash"}


def test_every_kind_type_checks_and_most_run_on_a_small_repository(shop: Path) -> None:
    """All programs pass the check that precedes a run; those whose slots the demo can fill run."""

    async def tried() -> tuple[dict[str, str], dict[str, str], list[str]]:
        wrong: dict[str, str] = {}
        dropped: dict[str, str] = {}
        ran = []
        inventory = Inventory(shop)
        async with Workshop(shop, inventory) as workshop:
            for intent in KINDS.values():
                code = wording.program(intent, sample(intent))
                if fault := await workshop.sandbox.check(code):
                    wrong[intent.name] = fault
                    continue
                try:
                    values = making.fill(intent, inventory, random.Random(intent.name))
                except NoValue:
                    continue
                _, fault = await workshop.run(wording.program(intent, values))
                if fault.startswith("program"):
                    wrong[intent.name] = fault
                elif fault:
                    dropped[intent.name] = fault
                else:
                    ran.append(intent.name)
        return wrong, dropped, ran

    wrong, dropped, ran = asyncio.run(tried())
    assert wrong == {}
    assert len(dropped) <= len(KINDS) // 10, dropped
    assert len(ran) >= len(KINDS) * 0.8


def sample(intent: Intent) -> dict[str, int | str]:
    """Some value for each slot, of the right type."""
    return {slot: 2 if LOOKS.get(kind) == "number" else "x" for slot, kind in intent.slots.items()}


def test_parts_that_cannot_be_used_are_all_named(tmp_path: Path) -> None:
    (tmp_path / "composed").mkdir()
    (tmp_path / "composed" / "cut.toml").write_text("[sources.a")
    (tmp_path / "composed" / "odd.toml").write_text(
        '[leads]\nchatty = []\n[sources.b]\ngives = "soup"\nitem = "f"\nover = "f in nothing()"\n'
        'items = ["the {x} files"]\nshort = ["files"]\nslots = { x = "word" }\n'
        '[asks.c]\ntakes = "file"\nprogram = "print(<source>)"\nclear = ["what?"]\nterse = []\n'
        "chatty = []\nabroad = []\n"
    )
    with pytest.raises(UsageError) as found:
        load(tmp_path)
    for part in (
        "composed/cut.toml: TOMLDecodeError",
        "composed: b: 'files' must name each of ['x'] once",
        "b gives 'soup', which is none of file, line, symbol, commit, test",
        "b calls no tool",
        "c: clear 'what?' needs <items> and its other places once",
    ):
        assert part in str(found.value)
