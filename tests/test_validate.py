"""What a validation adds up: samples, groups, the ladder, baselines, a paired test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from punie import demo
from punie.commands.validate import command
from punie.engine.scripted import ScriptedEngine
from punie.errors import UsageError
from punie.factory import measures, validate
from punie.factory.baselines import open_baseline
from punie.factory.baselines.keywords import route, rules
from punie.factory.baselines.nearest import Nearest
from punie.factory.baselines.words import words
from punie.factory.sampling import Draw, Sampled, draws
from punie.factory.suite import Case, Suite, Verdict
from punie.models.spec import Model
from punie.prompt import COMPACT, Message
from punie.sandbox import Sandbox
from punie.settings import Settings
from punie.terminal import Progress
from punie.tool import load_tools

AUTHORS = "for c in git_log(count=2).commits:\n    print(c.author)"
CASE = Case(
    id="authors",
    category="git",
    workspace="shop",
    query="authors of the last 2 commits",
    kind="tool",
    references=(AUTHORS,),
    fields=("GitCommit.author",),
    expect=("Linus Ek", "Ada Lovelace"),
    reject=("Grace Hopper",),
)
AGAIN = replace(CASE, id="authors-again", query="who made the 2 newest commits?")
DIRECT = Case("concept", "direct", "shop", "what is a rebase?", "direct", expect=("re:commits?",))
SUITE = Suite("small", "0" * 64, ("shop",), (CASE, AGAIN, DIRECT))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo.create(tmp_path_factory.mktemp("demo") / "shop")


def scripted(reply: dict[str, str], name: str = "scripted") -> Model:
    def answer(messages: Sequence[Message]) -> str:
        asked = next(m["content"] for m in messages if m["role"] == "user")
        return reply[asked]

    return Model(ScriptedEngine(answer, name), COMPACT, "tuned", "")


def graded(shop: Path, cases: Sequence[Case], *models: Model) -> list[list[Verdict]]:
    """The verdicts by model."""

    async def run() -> list[list[Verdict]]:
        rows = [row async for row in validate.graded(cases, shop, models, Settings(repairs=0))]
        return [list(column) for column in zip(*rows, strict=True)]

    return asyncio.run(run())


def test_models_are_graded_side_by_side_and_added_up(shop: Path) -> None:
    right = f"<jupyter_code>{AUTHORS}"
    good = scripted({CASE.query: right, AGAIN.query: right, DIRECT.query: "It moves commits."})
    poor = scripted({CASE.query: right, AGAIN.query: "Ada did.", DIRECT.query: right})
    first, second = graded(shop, SUITE.cases, good, poor)
    assert [v.passed for v in first] == [True, True, True]
    assert [v.passed for v in second] == [True, False, False]
    samples = {Draw(0.7, 0): second, Draw(0.7, 1): first}
    model = {"name": "poor", "engine": "scripted", "sha256": ""}
    report = validate.Report(SUITE, model, second, 1.0, samples, {"good": first}).as_json()
    assert report["ladder"] == {"cases": 2} | dict.fromkeys(measures.RUNGS, 1)
    assert report["field_access"] == [1, 2]
    assert report["false_calls"] == [1, 1]
    assert report["false_refusals"] == [1, 2]
    # The two questions have one reference program: they are one group.
    assert report["groups"] | {"consistency": 0} == {
        "groups": 1, "cases": 2, "all": 0, "some": 1, "none": 0, "consistency": 0
    }  # fmt: skip
    (stability,) = report["samples"]
    assert stability["passed"] == [1, 3]
    assert (stability["all"], stability["any"], stability["samples"]) == (1, 3, 2)
    beside = report["baselines"]["good"]
    assert (beside["passed"], beside["paired"]["won"], beside["paired"]["lost"]) == (3, 0, 2)
    assert json.loads(json.dumps(report)) == report
    assert set(report["generate_ms"]) == {"median", "max", "p50", "p95"}


@pytest.mark.parametrize(
    ("reply", "rung"),
    [
        ("in words", 0),
        ("<jupyter_code>print(", 1),
        ("<jupyter_code>print(git_authors())", 2),
        ("<jupyter_code>print(git_status())", 3),
        ("<jupyter_code>" + AUTHORS.replace("2", "3"), 4),
        ("<jupyter_code>" + AUTHORS + "\nprint(1 // 0)", 5),
        ("<jupyter_code>" + AUTHORS.replace("c.author", "c.author[:2]"), 6),
        ("<jupyter_code>" + AUTHORS, 7),
    ],
)
def test_every_rung_of_the_ladder_can_be_missed(shop: Path, reply: str, rung: int) -> None:
    ((verdict,),) = graded(shop, [CASE], scripted({CASE.query: reply}))
    assert measures.height(verdict, load_tools()) == rung


def test_a_sample_has_its_own_temperature_and_seed() -> None:
    asked_at: list[tuple[float, int]] = []

    class Noting(ScriptedEngine):
        async def generate(self, messages, *, temperature=0.0, seed=0, **more):  # type: ignore[no-untyped-def]
            asked_at.append((temperature, seed))
            return await super().generate(messages, **more)

    engine = Noting(["a", "b"])
    sampled = Sampled(engine, Draw(0.5, 2))
    asyncio.run(sampled.generate([], max_tokens=5))
    asyncio.run(sampled.generate([], max_tokens=5, temperature=0.7, seed=1))
    assert asked_at == [(0.5, 2000), (0.7, 2001)]
    assert draws([0, 0.7, 0.7], 2) == [Draw(0.0, 0), Draw(0.7, 0), Draw(0.7, 1)]


def test_an_earlier_report_must_be_of_the_same_suite(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    for text, told in (
        ('{"sha256": "1", "cases": []}', "another suite"),
        ('{"sha256": "1"}', "write one with --transcripts"),
        ("[", "write one with --transcripts"),
    ):
        report.write_text(text)
        with pytest.raises(UsageError, match=told):
            command.main(["everyday", "--against", str(report)], standalone_mode=False)
    with pytest.raises(UsageError, match="needs training rows"):
        command.main(["everyday", "--baseline", "nearest"], standalone_mode=False)


# --- baselines


@pytest.mark.parametrize(
    ("question", "path", "name", "number"),
    [
        ("who calls get_user?", [], ["get_user"], []),
        ("Show `area` in shop/pricing.py", ["shop/pricing.py"], ["area"], []),
        ("authors of the last 12 commits", [], [], ["12"]),
        ("where is Order.total, in v2?", [], ["Order.total"], []),
        ("Which tests fail", [], [], []),
    ],
)
def test_what_a_question_names(
    question: str, path: list[str], name: list[str], number: list[str]
) -> None:
    found = words(question)
    assert (found.path, found.name, found.number) == (path, name, number)


def test_the_router_fills_its_rules() -> None:
    assert route("who calls get_user?")[0].startswith("r = find_references(symbol='get_user')")
    assert "git_log(count=3)" in route("the last 3 commits")[0]
    assert route("what is a monad?") == ("", "I do not know.")


def test_every_rule_of_the_router_is_a_program_that_type_checks() -> None:
    async def check() -> list[str | None]:
        async with Sandbox(load_tools().values(), Settings()) as sandbox:
            values = {"{path}": "'a.py'", "{name}": "'a'", "{number}": "3"}
            found = []
            for _, program in rules():
                for slot, value in values.items():
                    program = program.replace(slot, value)
                found.append(await sandbox.check(program))
            return found

    assert asyncio.run(check()) == [None] * len(rules())


def test_the_nearest_example_is_filled_with_what_the_question_names() -> None:
    nearest = Nearest(
        [
            ("who calls get_user?", 'print(find_references(symbol="get_user"))', ""),
            ("last 5 commits of shop/api.py", 'print(git_log(path="shop/api.py", count=5))', ""),
            ("what is a rebase?", "", "It moves commits."),
        ]
    )
    assert nearest.reply("who calls `total`?") == ('print(find_references(symbol="total"))', "")
    asked = "commits of lib/x.py, last 20"
    assert nearest.reply(asked) == ('print(git_log(path="lib/x.py", count=20))', "")
    assert nearest.reply("so what is a rebase") == ("", "It moves commits.")


def test_a_baseline_is_a_model(shop: Path, tmp_path: Path) -> None:
    rows = tmp_path / "train.jsonl"
    messages = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "authors of the last 9 commits"},
        {"role": "assistant", "content": "", "code": AUTHORS.replace("2", "9")},
    ]
    rows.write_text(json.dumps({"messages": messages}) + "\n")

    async def models() -> list[Model]:
        with Progress() as progress:
            names = ("keywords", "nearest")
            return [await open_baseline(name, Settings(), progress, rows) for name in names]

    by_words, by_example = graded(shop, [CASE], *asyncio.run(models()))
    assert by_example[0].passed
    assert by_words[0].passed
    rows.write_text("")
    with pytest.raises(UsageError, match="no single-turn example"):
        Nearest.read(rows)
