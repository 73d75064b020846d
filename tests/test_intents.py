"""Intents files: what is there can be used, and what cannot is refused with all its mistakes."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest

from punie.errors import UsageError
from punie.factory.examples.options import GenerateOptions
from punie.factory.intents import Direct, Intent, brought, load, load_asides, load_followups, plain
from punie.factory.intents.wordings import collisions, glued, wording
from punie.tool import own_tools, tools_in


def intent(name: str, program: str, phrasing: str, **slots: str) -> Intent:
    return Intent(name, "", program, "group", slots, phrasings=(phrasing,))


def test_all_intents_and_what_goes_with_them_can_be_used() -> None:
    intents, direct = load()
    assert intents
    assert direct
    assert load_followups(intents)
    assert load_asides().before


def test_a_wording_is_the_same_whatever_its_slots_are_called() -> None:
    assert wording("Who calls {symbol}?") == wording("who calls {function}")
    assert wording("{file}:{line}, types") != wording("{file} types")


def test_one_wording_of_two_programs_is_found() -> None:
    """61 examples asked who calls a symbol: with the imports, and without them."""
    uses = intent("uses", "find_references(symbol={symbol})", "who calls {symbol}", symbol="symbol")
    calls = intent("calls", "only_calls({f})", "Who calls {f}?", f="function")
    assert collisions([uses, calls], [])
    same = intent("same", "find_references(symbol={f})", "Who calls {f}?", f="function")
    assert collisions([uses, same], []) == []
    of_file = intent("of_file", "other({file})", "who calls {file}", file="python_file")
    assert collisions([uses, of_file], []) == []
    folder = intent("folder", "another({path})", "Who calls {path}", path="folder")
    either = intent("either", "one({path})", "Who calls {path}", path="python_path")
    assert collisions([of_file, folder], []) == []
    assert len(collisions([of_file, folder, either], [])) == 2


def test_slots_in_another_order_are_another_program() -> None:
    kinds = {"a": "symbol", "b": "symbol"}
    ahead = intent("ahead", "print({a}, {b})", "{a} and {b}", **kinds)
    behind = intent("behind", "print({a}, {b})", "{b} and {a}", **kinds)
    assert collisions([ahead, behind], [])


def test_a_question_with_a_program_and_an_answer_is_found() -> None:
    tests = intent("tests", "print(pytest_run())", "pytest")
    assert collisions([tests], [Direct("testing", ("Pytest?",), "A test framework.")])
    assert not collisions([tests], [Direct("testing", ("what is pytest?",), "A framework.")])


def test_a_letter_at_a_name_is_found_and_one_at_a_number_is_not() -> None:
    assert glued(intent("default", "", "{symbol}s default", symbol="function"))
    assert glued(intent("default", "", "my{symbol} default", symbol="function"))
    assert not glued(intent("default", "", "{symbol}'s default", symbol="function"))
    assert not glued(intent("line", "", "what is at L{line}", line="start_line"))


def test_a_broken_file_is_refused_with_all_its_mistakes(tmp_path: Path) -> None:
    (tmp_path / "phrasings").mkdir()
    (tmp_path / "phrasings" / "hand.toml").write_text('[nobody]\nphrasings = ["x"]\n[b]\nc = 1\n')
    (tmp_path / "cut.toml").write_text('[[intent]]\nname = "cut')
    (tmp_path / "odd.toml").write_text(
        '[[intent]]\nname = "a"\nabout = "x"\nprogram = "p"\nslot = 1\nphrasings = ["{what}?"]\n'
        '[[intent]]\nname = "empty"\nabout = "x"\n'
        '[[direct]]\ntopic = "git"\nquestions = ["?"]\n'
    )
    with pytest.raises(UsageError) as found:
        load(tmp_path)
    for part in (
        "cut.toml: ",
        "odd.toml: a: unknown key 'slot'",
        "odd.toml: a: phrasings name an unknown slot 'what'",
        "odd.toml: empty: no program",
        "odd.toml: a direct entry needs topic, questions, answer only",
        "hand.toml: b has no list of phrasings",
        "phrasings for an unknown intent 'nobody'",
    ):
        assert part in str(found.value)


def test_an_intent_may_hold_its_phrasings_itself(tmp_path: Path) -> None:
    text = '[[intent]]\nname = "a"\nabout = "x"\nprogram = "p()"\nphrasings = ["how many?"]\n'
    (tmp_path / "own.toml").write_text(text)
    intents, _ = load(tmp_path)
    assert intents["a"].phrasings == ("how many?",)
    assert intents["a"].group == "own"


def test_followups_and_asides_that_lack_something_are_refused(tmp_path: Path) -> None:
    (tmp_path / "followups.toml").write_text('[[followup]]\nto = "a"\n')
    (tmp_path / "asides.toml").write_text("before = []\n")
    with pytest.raises(UsageError, match=r"to 'a' lacks \['after', 'phrasings'\]"):
        load_followups({}, tmp_path)
    with pytest.raises(UsageError, match="lacks 'after'"):
        load_asides(tmp_path)


TOOL = """
from punie.tool import Effect, Result, tool
from punie.wrap import Context


class %(name)sResult(Result):
    \"\"\"A thing.\"\"\"

    thing: str = ""
    \"\"\"The thing.\"\"\"


@tool(effect=Effect.READ)
async def %(name)s(context: Context) -> %(name)sResult:
    \"\"\"A thing.\"\"\"
    return %(name)sResult()
"""
ASKED = """
[[intent]]
name = "%(name)s_asked"
about = "A thing"
program = "print(%(name)s().thing)"
phrasings = ["%(name)s of what?"]
"""


def test_intents_stand_beside_the_tools_of_a_module_or_a_package(tmp_path: Path) -> None:
    """A module that is alone names its file, else it would be that of all its neighbours."""
    (tmp_path / "wide_pack").mkdir()
    (tmp_path / "wide_pack" / "__init__.py").write_text("")
    (tmp_path / "wide_pack" / "acts.py").write_text(TOOL % {"name": "wide"})
    (tmp_path / "lone_act.py").write_text(TOOL % {"name": "lone"})
    (tmp_path / "intents.toml").write_text("this is not read")
    (tmp_path / "wide_pack" / "intents.toml").write_text(ASKED % {"name": "wide"})
    (tmp_path / "lone_act.intents.toml").write_text(ASKED % {"name": "lone"})
    sys.path.insert(0, str(tmp_path))
    try:
        modules = [importlib.import_module(name) for name in ("wide_pack.acts", "lone_act")]
        tools = [tool for module in modules for tool in tools_in(module)]
        found = brought.files(tools)
        assert {path.name: group for path, group in found.items()} == {
            "intents.toml": "wide_pack",
            "lone_act.intents.toml": "lone_act",
        }
        intents, _ = load(tmp_path / "none", found)
        assert {i.name: i.group for i in intents.values()} == {
            "wide_asked": "wide_pack",
            "lone_asked": "lone_act",
        }
        options = GenerateOptions(examples={"git": 3})
        assert all(options.wanted(i.name, i.group, i.brought) == 8 for i in intents.values())
        assert GenerateOptions(each=20).wanted("lone_asked", "lone_act", True) == 20
        (tmp_path / "lone_act.intents.toml").write_text("[[intent]]\nname = 'half'\n")
        with pytest.raises(UsageError, match=r"lone_act\.intents\.toml: half: no program"):
            load(tmp_path / "none", found)
    finally:
        sys.path.remove(str(tmp_path))


def test_no_tool_of_the_package_brings_what_the_folder_has() -> None:
    assert brought.files(own_tools().values()) == {}


def test_a_question_without_its_name_is_answered_with_what_is_missing_in_forty_wordings() -> None:
    """Five wordings each of "who calls it?" and the like; none of what a function returns."""
    _, direct = load()
    missing = {entry.answer: entry.questions for entry in direct if entry.topic == "missing"}
    asked = ("who calls it?", "where is it defined?", "what does the function return?")
    for question in (*asked, "which parameters does it have?"):
        (answer,) = [answer for answer, found in missing.items() if question in found]
        assert len({plain(text) for text in missing[answer]}) >= 40
        assert re.match(r"Which|Of which", answer), answer
