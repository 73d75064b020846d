"""The generated test set: unseen wordings, facts that a run showed, the same bytes each time."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from punie import demo
from punie.errors import UsageError
from punie.factory import compose, generate
from punie.factory.corpus import RECIPE
from punie.factory.examples.inventory import Inventory
from punie.factory.examples.workshop import Workshop
from punie.factory.expected import direct_facts, facts
from punie.factory.intents import load, load_unseen, plain
from punie.factory.suite import holds, load_suite, unmet
from punie.tool import load_tools

CASES, DIRECT = 24, 4


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    demo.create(folder / "shop")
    (folder / "shop.state.json").write_text(json.dumps({"findings": {}}))
    (folder / "train.toml").write_text(
        f"[generate]\nseed = 3\ncorpus = {json.dumps(str(RECIPE))}\ndirect = 5.0\n"
        "[generate.examples]\ngit = 8\n"
    )
    return folder


def composed(corpus: Path, out: Path, **more: Any) -> dict[str, Any]:
    options = compose.ComposeOptions(
        seed=5, unseen_by=("train.toml",), groups=("git",), cases=CASES, direct=DIRECT, **more
    )
    quiet: Any = lambda text: None  # noqa: E731
    return compose.run(options, corpus, corpus, ["shop"], out, 1, quiet)


@pytest.fixture(scope="module")
def made(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("suite") / "suite.toml"
    report = composed(corpus, out)
    assert report["cases"] == CASES
    assert report["categories"] == {"git": CASES - DIRECT, "direct": DIRECT}
    return out


def test_no_case_is_asked_in_words_that_were_trained_on(corpus: Path, made: Path) -> None:
    known = compose.seen([corpus / "train.toml"])
    options = generate.read_options(corpus / "train.toml")
    assert options.examples == {"git": 8}
    intents, direct = load()
    names = {case.id.rpartition("-")[0] for case in load_suite(str(made)).cases}
    assert any(
        plain(p) in known for name in names & intents.keys() for p in intents[name].phrasings
    )
    for case in load_suite(str(made)).cases:
        if case.kind == "direct":
            assert plain(case.query) not in known
            assert any(case.query in entry.questions for entry in direct)


def test_every_reference_passes_and_a_group_has_one_program(corpus: Path, made: Path) -> None:
    suite = load_suite(str(made))
    groups = defaultdict(set)

    async def faults() -> list[str]:
        found: list[str] = []
        async with Workshop(corpus / "shop", Inventory(corpus / "shop")) as workshop:
            for case in suite.cases:
                groups[case.group].add(case.references)
                assert case.expect
                for reference in case.references:
                    outcome, _ = await workshop.run(reference)
                    found += unmet(case, outcome)
        return found

    assert asyncio.run(faults()) == []
    assert all(len(references) == 1 for name, references in groups.items() if name)
    assert sum(bool(case.group) for case in suite.cases) > CASES / 2
    assert len({case.id for case in suite.cases}) == CASES
    acting = {t.name for t in load_tools().values() if t.effect in ("write", "run")}
    assert all(set(case.forbid) == acting for case in suite.cases)


def test_the_same_recipe_gives_the_same_bytes(corpus: Path, made: Path, tmp_path: Path) -> None:
    report = composed(corpus, tmp_path / "again.toml")
    assert (tmp_path / "again.toml").read_bytes() == made.read_bytes()
    assert report["sha256"] == load_suite(str(made)).sha256


def test_a_hand_on_which_nothing_trains(corpus: Path, tmp_path: Path) -> None:
    intents, direct = load()
    unseen, answers = load_unseen("greybeard", intents, direct)
    written = {plain(text) for intent in unseen.values() for text in intent.phrasings}
    written |= {plain(text) for entry in answers for text in entry.questions}
    assert len(written) > 900
    assert not written & compose.seen([corpus / "train.toml"])
    report = composed(corpus, tmp_path / "suite.toml", hand="greybeard")
    assert report["categories"]["git"] == CASES - DIRECT
    asked = {case.query for case in load_suite(str(tmp_path / "suite.toml")).cases}
    known = {text for intent in intents.values() for text in intent.phrasings}
    assert not asked & known


def test_mistakes_of_a_hand_are_named(tmp_path: Path) -> None:
    intents, direct = load()
    (tmp_path / "unseen").mkdir()
    (tmp_path / "unseen" / "odd.toml").write_text(
        "[status_al]\nphrasings = []\n[status_all]\nphrasings = ['{x} now']\n"
        "[log_recent]\nphrasings = ['git log']\n"
        "[[direct]]\nanswer = 'No.'\nquestions = ['why?']\n"
    )
    with pytest.raises(UsageError) as raised:
        load_unseen("odd", intents, direct, tmp_path)
    for part in ("'status_al'", "unknown slot 'x'", "'git log' is trained on", "1 answers"):
        assert part in str(raised.value)


def test_facts_are_what_was_printed_and_what_a_filter_left_out(corpus: Path) -> None:
    code = 'for f in git_status().files:\n    if f.status == "modified":\n        print(f.file)'

    async def run() -> Any:
        async with Workshop(corpus / "shop", Inventory(corpus / "shop")) as workshop:
            return (await workshop.run(code))[0]

    outcome = asyncio.run(run())
    expect, reject = facts(outcome, str(corpus / "shop"))
    status = outcome.results[0].files
    modified = {f.file for f in status if f.status == "modified"}
    assert set(expect) == modified
    assert set(reject) <= {f.file for f in status} - modified
    assert reject
    assert facts(outcome, str(expect[0]))[0] != expect, "a place of this machine is no fact"
    # Two runs once gave two suites: lists of tests come in the order of how long they took.
    outcome.results[0].files.reverse()
    assert facts(outcome, str(corpus / "shop")) == (expect, reject)
    outcome.results[0].truncated = True
    assert facts(outcome, str(corpus / "shop")) == (expect, ())


def test_words_tell_an_answer_from_all_others() -> None:
    _, direct = load()
    answers = [entry.answer for entry in direct]
    expected = direct_facts(answers)
    told = {e.answer: expected(e.answer, " ".join(e.questions)) for e in direct}
    known = {answer: fact for answer, fact in told.items() if fact}
    assert len(known) > 0.8 * len(told)
    for answer, fact in list(known.items())[:100]:
        assert holds(answer, fact)
        assert sum(holds(other, fact) for other in known) < 0.05 * len(known)


def test_a_recipe_must_say_what_was_seen(tmp_path: Path) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text("[compose]\nseed = 1\n")
    with pytest.raises(UsageError, match="neither a hand nor recipes"):
        compose.read_options(recipe)
    recipe.write_text("[compose]\nsize = 1\n")
    with pytest.raises(UsageError, match=r"unknown keys \['size'\]"):
        compose.read_options(recipe)
