"""Generation on a small real repository: what is kept ran and agrees with its second way."""

from __future__ import annotations

import asyncio
import json
import random
import re
import shutil
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import repos
from punie import demo
from punie.engine.copying import literals
from punie.errors import UsageError
from punie.factory import generate
from punie.factory.audit import registers
from punie.factory.examples import drafts, repairs, selection, wording
from punie.factory.examples.inventory import Inventory
from punie.factory.examples.plain_slots import NoValue
from punie.factory.examples.slots import Slots
from punie.factory.examples.workshop import Workshop
from punie.factory.generate import GenerateOptions
from punie.factory.intents import load, plain
from punie.factory.suite import load_suite
from punie.prompt import COMPACT, render
from punie.tools.quality import RuffResult, ruff_check

EACH = {"git": 3, "quality": 2, "navigation": 2, "files": 3, "workflows": 2}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    demo.create(folder / "shop")
    findings = {
        "lint": [{"file": "shop/report.py", "code": "F401"}],
        "types": [{"file": "shop/pricing.py", "code": "invalid-explicit-return"}],
        "tests": [{"file": "tests/test_orders.py", "symbol": "test_tax", "code": "failed"}],
    }
    (folder / "shop.state.json").write_text(json.dumps({"findings": findings}))
    return folder


@pytest.fixture(scope="module")
def made(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data")
    options = GenerateOptions(
        examples=EACH, direct=1.0, repairs=0.5, unknown=0.3, followups=0.3, empty=1.0
    )
    generate.run(options, corpus, ["shop"], out, workers=1, progress=lambda text: None)
    return out


def rows(out: Path, split: str = "train") -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / f"{split}.jsonl").read_text().splitlines()]


def test_every_row_can_be_rendered_and_trained(made: Path) -> None:
    found = rows(made) + rows(made, "validation")
    assert len(found) > 600
    for row in found:
        pieces = render(row["messages"], COMPACT)  # type: ignore[arg-type]
        assert any(piece.trained for piece in pieces)


def test_the_report_adds_up_and_says_what_was_dropped(made: Path) -> None:
    report = json.loads((made / "meta.json").read_text())
    assert report["train"]["examples"] == len(rows(made))
    assert report["validation"]["examples"] == len(rows(made, "validation"))
    assert set(report["train"]["tools"]) >= {"git_status", "find_references", "pytest_run"}
    told = (made / "disagreements.jsonl").read_text().splitlines()
    dropped = {k: n for k, n in report["rejects"].items() if "." in k.split(": ")[-1]}
    assert sum(dropped.values()) <= len(told)
    assert report["rejects"]
    odd = [
        reason for reason in report["rejects"] if not re.fullmatch(r"[\w ,-]+(: [\w.]+)?", reason)
    ]
    assert odd == [], "a reason names no place and no value"
    tried, same = report["mutations"]["checked"], report["mutations"]["same"]
    assert tried
    assert all(0 <= same[intent] <= number for intent, number in tried.items())


def test_splits_share_no_phrasing_and_no_question(made: Path) -> None:
    train = {str(r["phrasing"]) for r in rows(made) if r["kind"] == "tool"}
    held_out = {str(r["phrasing"]) for r in rows(made, "validation") if r["kind"] == "tool"}
    assert held_out
    assert not train & held_out


def test_a_repair_shows_the_wrong_program_and_does_not_train_it(made: Path) -> None:
    repaired = [r for r in rows(made) if r["kind"] == "repair"]
    assert repaired
    for row in repaired:
        wrong = row["messages"][2]  # type: ignore[index]
        assert wrong["wrong"]
        assert row["messages"][3]["role"] == "tool"  # type: ignore[index]
        trained = "".join(p.text for p in render(row["messages"], COMPACT) if p.trained)  # type: ignore[arg-type]
        assert wrong["code"] not in trained


def test_repairs_are_of_slips_and_of_misread_words(made: Path) -> None:
    told = [str(r["messages"][3]["content"]) for r in rows(made) if r["kind"] == "repair"]  # type: ignore[index]
    assert any("unresolved-attribute" in text for text in told)
    assert any("no symbol" in text for text in told)


def test_a_name_that_does_not_exist_ends_with_the_failed_program(made: Path) -> None:
    unknown = [r for r in rows(made) if r["kind"] == "unknown"]
    assert unknown
    for row in unknown:
        asked, program, told, end = row["messages"][1:]  # type: ignore[index]
        assert any(
            value.decode() in asked["content"] for value, *_ in literals(program["code"].encode())
        )
        assert re.search("no symbol|no file|no name|nor uses|declares no", told["content"]), told
        assert "code" not in end


def test_a_wrong_result_is_found_by_the_second_way(corpus: Path) -> None:
    async def faults() -> list[str]:
        async with Workshop(corpus / "shop", Inventory(corpus / "shop")) as workshop:
            code = "print(git_log(count=2).commits, ruff_check().violations, git_status().files)"
            outcome, fault = await workshop.run(code)
            assert fault == ""
            log, lint, status = outcome.results
            log.commits[0].author = "Nobody"  # type: ignore[attr-defined]
            lint.violations.pop()  # type: ignore[attr-defined]
            status.files[0].staged = not status.files[0].staged  # type: ignore[attr-defined]
            from punie.factory.examples import second_way

            return [
                second_way.check(call.tool, workshop.inventory, call.args, result)
                for call, result in zip(outcome.calls, outcome.results, strict=True)
            ]

    assert [fault.split(":")[0] for fault in asyncio.run(faults())] == [
        "GitCommit.author",
        "RuffResult.violations",
        "GitFileStatus.staged",
    ]


def test_what_a_second_way_rejects_is_told_with_both_values(corpus: Path, tmp_path: Path) -> None:
    """The report's check of what was dropped held for a run that dropped nothing."""
    shutil.copytree(corpus / "shop", tmp_path / "shop")
    repos.git(tmp_path / "shop", "stash", "--include-untracked")

    async def ask() -> tuple[str, list[dict[str, Any]]]:
        async with Workshop(corpus / "shop", Inventory(tmp_path / "shop")) as workshop:
            outcome, fault = await workshop.run("print(git_status().clean)")
            return fault, workshop.disagreements(outcome)

    fault, told = asyncio.run(ask())
    assert re.fullmatch(r"git_status: GitStatusResult\.\w+", fault)
    clean = [each for each in told if each["field"] == "GitStatusResult.clean"]
    assert [(each["tool"], each["says"], each["second"]) for each in clean] == [
        ("git_status", "False", "True")
    ]


def test_the_second_way_knows_lines_commits_and_branches(corpus: Path) -> None:
    from punie.factory.examples import second_way

    code = "print(git_blame('README.md'), git_show('HEAD'), git_branch())"

    async def faults() -> list[str]:
        async with Workshop(corpus / "shop", Inventory(corpus / "shop")) as workshop:
            outcome, fault = await workshop.run(code)
            assert fault == ""
            blame, show, branch = outcome.results
            blame.lines[0].author = "Nobody"  # type: ignore[attr-defined]
            show.additions += 1  # type: ignore[attr-defined]
            branch.branches[0].ahead += 1  # type: ignore[attr-defined]
            return [
                second_way.check(call.tool, workshop.inventory, call.args, result)
                for call, result in zip(outcome.calls, outcome.results, strict=True)
            ]

    assert [fault.split(":")[0] for fault in asyncio.run(faults())] == [
        "GitBlameLine.author",
        "GitShowResult.additions",
        "GitBranch.ahead",
    ]


def test_the_second_way_agrees_about_a_file_that_ruff_cannot_read(tmp_path: Path) -> None:
    from punie.factory.examples import second_way

    text = "x = '\xe9'\n".encode("latin-1")
    files: dict[str, str | bytes] = {
        "latin.py": text,
        "fine.py": "x = 1\n",
        "ruff.toml": '[lint]\nselect = ["F"]\n',
    }
    root = repos.repository(tmp_path / "odd", files)

    def fault(result: Any, **args: str) -> str:
        return second_way.check("ruff_check", Inventory(root), args, result)

    whole = repos.ask(ruff_check, root)
    alone = repos.ask(ruff_check, root, path="latin.py")
    assert [v.code for v in whole.violations] == ["E902"]
    assert not alone.success
    assert fault(whole) == ""
    assert fault(alone, path="latin.py") == ""
    assert fault(alone, path="fine.py").startswith("failed")
    assert fault(RuffResult()).startswith("RuffResult.violation_count")


def test_slots_speak_of_what_is_there(corpus: Path) -> None:
    inventory = Inventory(corpus / "shop")
    intents, _ = load()
    for intent in intents.values():
        rng = random.Random(1)
        for _ in range(3):
            try:
                values = Slots(inventory, rng).fill(intent.slots)
            except Exception as error:  # the workspace is small: only `NoValue` may come
                assert type(error).__name__ == "NoValue", (intent.name, error)  # noqa: PT017
                continue
            compile(wording.program(intent, values), intent.name, "exec")
            asked = wording.question(intent.phrasings[0], values, rng)
            assert "{" not in asked or "{" in "".join(map(str, values.values()))


def test_a_count_is_now_and_then_a_word_and_never_quoted() -> None:
    asked = {
        wording.question(phrasing, {"count": value}, random.Random(seed))
        for phrasing in ("the last {count} commits", "git log -{count}")
        for value in (3, 12, 25)
        for seed in range(200)
    }
    words = {word for text in asked for word in re.findall(r"[-`'\"\w]+", text)}
    assert {"3", "three", "twelve", "25", "-3", "-12"} <= words
    assert not any(re.search(r"-[a-z]|[`'\"]", word) for word in words)


def test_conflicts_are_asked_about_where_a_merge_stopped() -> None:
    """Four workspaces of 25 have conflicts: drawn evenly, most answers were empty."""
    intents, _ = load()
    places = ["plain", "also_plain", "more", "yet_more", "stopped"]
    options = GenerateOptions(each=100, validation=0.0)
    chosen = {name: intents[name] for name in ("conflict_places", "status_all")}
    found = drafts.drafts(options, chosen, places, ["stopped"])
    share = {
        name: [d.intent.name for d in found["stopped"]].count(name)
        / sum(d.intent.name == name for each in found.values() for d in each)
        for name in chosen
    }
    assert share == {"conflict_places": pytest.approx(0.8, abs=0.05), "status_all": 0.2}
    nowhere = drafts.drafts(options, chosen, places)
    assert all(len(each) == 50 for each in nowhere.values())


@pytest.mark.parametrize("kind", ["author_or_stranger", "branch_or_none"])
def test_people_and_branches_are_asked_for_that_are_not_there(corpus: Path, kind: str) -> None:
    inventory = Inventory(corpus / "shop")
    draws = [str(getattr(Slots(inventory, random.Random(n)), kind)()) for n in range(200)]
    known = inventory.branches if kind == "branch_or_none" else inventory.authors
    there = [any(draw.lower() in name.lower() for name in known) for draw in draws]
    assert 60 < sum(there) < 140


def test_every_intent_has_forty_phrasings_by_three_hands() -> None:
    """Seven intents had the words of one writer alone, and 25 fewer than forty wordings."""
    intents, direct = load()
    written = registers.hands()
    words = {name: {plain(p) for p in i.phrasings} for name, i in intents.items()}
    hands = {name: {written.get(p) for p in i.phrasings} for name, i in intents.items()}
    assert len(intents) >= 250
    assert {name: len(found) for name, found in words.items() if len(found) < 40} == {}
    assert {name: found for name, found in hands.items() if len(found - {None}) < 3} == {}
    assert len(direct) >= 500


def test_mistakes_of_a_recipe_are_named(tmp_path: Path) -> None:
    recipe = tmp_path / "bad.toml"
    recipe.write_text("[generate]\nsede = 1\n")
    with pytest.raises(UsageError, match="sede"):
        generate.read_options(recipe)


def test_a_question_of_a_suite_is_never_trained() -> None:
    rejects: Counter[str] = Counter()
    graded = load_suite("everyday").cases[0].query
    asked = [graded.upper() + " ?!", "a question that no suite has"]
    offered = [{"messages": [{}, {"content": text}]} for text in asked]
    assert selection.without_suites(offered, rejects) == offered[1:]
    assert rejects == {"a question of a suite": 1}


def test_a_question_has_one_answer(tmp_path: Path) -> None:
    entry = '[[direct]]\ntopic = "git"\nquestions = ["%s"]\nanswer = "%s"\n'
    (tmp_path / "direct_a.toml").write_text(entry % ("what is a tag", "A name."))
    (tmp_path / "direct_b.toml").write_text(entry % ("What is a tag?", "A label."))
    with pytest.raises(UsageError, match=r"'What is a tag\?' has two answers: 'A name\.'"):
        load(tmp_path)


def test_a_followup_leans_on_the_turn_before(made: Path) -> None:
    talks = [r for r in rows(made) if r["kind"] == "followup"]
    assert talks
    leaning = 0
    for row in talks:
        first, program, told, second, after = row["messages"][1:]  # type: ignore[index]
        assert [m["role"] for m in (program, told, second)] == ["assistant", "tool", "user"]
        assert program["code"] != after["code"]
        copied = [v.decode() for v, *_ in literals(after["code"].encode()) if v]
        named = [v for v in copied if v in first["content"] and v in program["code"]]
        leaning += any(v not in second["content"] for v in named)
    assert leaning


def test_an_earlier_leg_gives_programs_under_ids_of_their_own(made: Path) -> None:
    options = GenerateOptions(replay=10**6, replay_from=str(made))
    earlier = [row for row in rows(made) if row["kind"] != "direct"]
    held = {str(earlier[0]["phrasing"])}
    again = selection.replayed(options, set(), held)
    kept = [f"replayed-{row['id']}" for row in earlier if row["phrasing"] not in held]
    assert sorted(row["id"] for row in again) == sorted(kept)
    assert 0 < len(again) < len(earlier)
    with pytest.raises(UsageError, match="generate that leg first"):
        selection.replayed(GenerateOptions(replay=1, replay_from="nowhere"), set(), set())


def test_why_a_test_fails_is_asked_of_tests_that_fail_and_now_and_then_of_others(
    corpus: Path,
) -> None:
    """53 of 66 examples asked why a test fails that passes."""
    inventory = Inventory(corpus / "shop")
    inventory.state["tests"] = [
        {"file": "tests/test_orders.py", "symbol": "test_tax", "code": "failed"},
        *({"file": "tests/test_orders.py", "symbol": f"t{n}", "code": "passed"} for n in range(9)),
        {"file": "tests/test_pricing.py", "symbol": "test_all", "code": "passed"},
    ]
    drawn = Counter(Slots(inventory, random.Random(n)).failing_named_test() for n in range(300))
    assert 250 < drawn["test_tax"] < 300
    kinds = {"path": "failing_test_path", "test": "failing_test_of_path"}
    pairs = Counter(
        tuple(Slots(inventory, random.Random(n)).fill(kinds).values()) for n in range(99)
    )
    assert 80 < pairs["tests/test_orders.py", "test_tax"] < 99


def test_texts_to_write_have_numbers_names_colons_and_quotes(corpus: Path) -> None:
    inventory = Inventory(corpus / "shop")
    found = []
    for number in range(300):
        with suppress(NoValue):
            found.append(str(Slots(inventory, random.Random(number)).text()))
    for pattern in (r"\d", r"\w\.py\b", ":", '"', "'", "[-=>]"):
        assert sum(bool(re.search(pattern, text)) for text in found) > 15, pattern
    assert len(set(found)) > 150
    draws = [random.Random(n) for n in range(99)]
    asked = [wording.question("write {text}", {"text": """say "it's" `x`"""}, r) for r in draws]
    assert all("""say "it's" `x`""" in text for text in asked)
    assert not [t for t in asked if re.search("""['"`]say|x`['"`]""", t)]


def test_checkers_are_not_called_on_files_of_the_history_that_are_gone() -> None:
    """A commit's file may have been deleted since; the whole program failed on it."""
    for intent in load()[0].values():
        reads = re.search(
            r"(typecheck|ruff_check|document_symbols|read_file)\((file|f\.file)", intent.program
        )
        if reads and re.search(r"in c\.files|git_diff\(", intent.program):
            guarded = "list_files(" in intent.program or '!= "deleted"' in intent.program
            assert guarded, intent.name


def test_unknown_commits_folders_and_test_ids_are_asked_for_too() -> None:
    """Only symbols and some files were ever unknown: a made-up commit never was."""
    for kind, value in (
        ("hash", "12ab34c"),
        ("folder", "src/shop"),
        ("test_id", "tests/test_orders.py::test_tax"),
        ("python_path", "shop/orders.py"),
        ("failing_test_path", "tests/test_orders.py"),
    ):
        wrong = [repairs.misspelt({"x": value}, {"x": kind}, random.Random(n)) for n in range(20)]
        assert all(values["x"] != value for values in wrong), kind
    assert repairs.misspelt({"x": 3}, {"x": "count"}, random.Random(1)) == {}
