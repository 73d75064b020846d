"""Registers are told by code: by the surface of a question, and by shares of the data."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from audited import clean, found
from punie.factory.audit import registers, surface
from punie.factory.audit.norms import PRESETS, Norms
from punie.factory.intents import load

SAID = {
    "imperative": ("Show the commits of {author}", "hey, please list all files", "ok now run it"),
    "question": ("who calls {symbol}", "Is my tree clean?", "wat changed in {file}"),
    "telegraphic": ("ruff codes + counts", "{file}: last changed by", "staged files"),
    "chatty": (
        "Rosa nitpicks every import. So before she looks, what would ruff say",
        "i have been away for two whole weeks now and would like to know what my team did here",
    ),
    "indirect": ("I need the uses of {symbol}", "wondering how long {file} is", "we want counts"),
    "with a purpose": ("before I write the notes: recent commits", "who, for the meeting?"),
    "polite": ("the tests of {path}, please", "could you show it", "list them, thx"),
    "careless": ("who calls {symbol}", "show me the diff"),
    "misspelt": ("wich files changed", "the last commti", "teh diff of {file}"),
    "names a tool": ("git diff of {file}", "does ruff complain", "pytest, run it"),
    "names no tool": ("what changed in {file}", "the digits of it", "is it mighty slow"),
}
NOT_SAID = {
    "imperative": ("Showing off", "who lists files", "check the tests?"),
    "question": ("Tell me who calls it.", "whole file", "isolated tests"),
    "telegraphic": (
        "Show staged files",
        "who calls it",
        "all of the files I have changed now",
    ),
    "chatty": ("Show git_log. ", "e.g. staged"),
    "indirect": ("Show my files", "Who needs this", "list want.py"),
    "with a purpose": ("what came before commit {hash}", "show it for {file}"),
    "polite": ("show it", "pleased users", "what can it do"),
    "careless": ("Who calls it", "who calls it?", "hm"),
    "misspelt": ("which files changed", "the last commit", "{wich} files"),
    "names a tool": ("what changed", "digits", "{git} state"),
    "names no tool": ("git state", "linting of {file}"),
}


@pytest.mark.parametrize("name", SAID)
def test_a_register_is_told_from_the_surface(name: str) -> None:
    rule = registers.known_rules()[name]
    assert [text for text in SAID[name] if not rule(text)] == []
    assert [text for text in NOT_SAID[name] if rule(text)] == []


def test_a_question_with_values_tells_whether_it_has_a_place_a_number_or_a_kind() -> None:
    counts = registers.counted(
        ["uses of a/b.py", "line 12 of the function total", "what changed in setup.cfg", "why v1.2"]
    )
    assert {name: counts[name] for name in surface.PLACES} == {
        "names a file": 2,
        "names no file": 2,
        "has a number": 1,
        "names a kind": 1,
    }
    assert set(counts) == set(registers.known_rules()) | set(surface.PLACES)
    assert len(counts) == 15


def test_a_slip_is_one_letter_from_a_common_word_and_rare() -> None:
    spelling = surface.Spelling(["the changed files"] * surface.COMMON + ["charged once"] * 5)
    assert spelling.slip("all chagned files") == "chagned"
    assert spelling.slip("all channged") == "channged"
    assert spelling.slip("changd files") == "changd"
    assert spelling.slip("charged files changed file") == "", "words of their own are no slips"


def test_every_intent_of_the_package_has_most_registers() -> None:
    rules = registers.known_rules()
    few = {
        intent.name: lacking
        for intent in load()[0].values()
        if len(lacking := {n for n, r in rules.items() if not any(map(r, intent.phrasings))})
        > len(rules) - Norms().registers_each
    }
    assert few == {}


def test_every_register_has_its_share_of_all_phrasings() -> None:
    bank = [text for intent in load()[0].values() for text in intent.phrasings]
    counts = registers.counted(bank)
    few = {name for name in registers.known_rules() if counts[name] < Norms().registers * len(bank)}
    assert few == set()


def test_data_in_one_tone_is_a_breach(tmp_path: Path) -> None:
    subject = found(tmp_path, *clean())
    strict = dataclasses.replace(
        subject, norms=Norms(), bank={"authors": ("who?", "authors?"), "none": ("x",)}
    )
    (share,) = registers.shares(strict)
    assert (share.name, share.severity) == ("norm: registers", "breach")
    assert "polite: 0 of 9 (0.0%)" in share.sample
    (intent,) = registers.of_intents(strict)
    assert (intent.ids, intent.severity) == (("authors",), "breach")
    assert "none of its 2 is imperative" in intent.sample[0]
    assert registers.shares(subject) == [] == registers.of_intents(subject)
    assert PRESETS["phase27"]["registers"] == 0.0
