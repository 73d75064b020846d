"""What a recipe may not say, so that no model comes into use that nothing was compared with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from punie.errors import StageFailed, UsageError
from punie.factory.pipeline import stages
from punie.factory.pipeline.recipe import read
from punie.factory.pipeline.running import Plan
from punie.factory.suite import frozen, load_suite
from punie.models import releases
from tiny_pipeline import Bench, bench

pytest.importorskip("torch", reason="needs the extra `train`")

TABLES = [stage.name for stage in stages.STAGES]


@pytest.fixture
def made(tmp_path: Path) -> Bench:
    return bench(tmp_path / "bench")


def refused(made: Bench) -> str:
    with pytest.raises(UsageError) as caught:
        read(made.recipe, TABLES)
    return str(caught.value)


def test_a_weaker_gate_does_not_promote(made: Bench) -> None:
    assert read(made.recipe, TABLES).options["release"].gate.overall == 0
    made.change(r"\[release\]", "[release]\npromote = true")
    assert "promote = true: the gate asks for less than the specification" in refused(made)


def test_a_regression_needs_something_to_compare_with(made: Bench) -> None:
    made.change("regression = false", "regression = true")
    assert '[validate] against must be "released"' in refused(made)


def test_a_suite_with_the_name_of_a_frozen_one_is_that_one(made: Bench) -> None:
    assert all(load_suite(name).sha256 == sha256 for name, sha256 in frozen().items())
    assert set(frozen()) >= {"forty", "test"}
    suite = made.folder / "smoke-suite.toml"
    suite.write_text(suite.read_text("utf-8").replace('name = "smoke"', 'name = "forty"'), "utf-8")
    made.change('suite = "smoke"', 'suite = "forty"')
    assert "suite 'forty' is not the one of that name that is frozen" in refused(made)


def test_a_damaged_model_in_use_is_not_passed_over(
    made: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUNIE_DATA", str(tmp_path / "data"))

    plan = cast(Plan, SimpleNamespace(model=lambda stage: "model.gguf", sha=lambda file: "ab"))
    assert stages._released(plan)["name"] == releases.SHIPPED
    releases.home().mkdir(parents=True)
    (releases.home() / "active.json").write_text('{"names": ["shipped", "gone"]}')
    with pytest.raises(StageFailed, match="'gone'"):
        stages._released(plan)
    shutil.rmtree(releases.home())


COMPOSITION = """
[composition]
validation = 2
preambles = 0.0

[[composition.parts]]
source = "core"
intents = ["status_all", "log_authors"]
single = 6

[train]
"""


def test_a_composition_is_data_too_and_part_of_what_it_is_made_of(made: Bench) -> None:
    made.change(r"\[train\]\n", COMPOSITION)
    status, text = made.run("out", "--until", "generate")
    assert status == 0, text
    report = json.loads((made.folder / "out" / "data" / "meta.json").read_text("utf-8"))
    counts = [report[split]["examples"] for split in ("train", "validation")]
    assert counts == [4, 2]
    status, text = made.run("out", "--until", "generate")
    assert (status, "generate: done before" in text) == (0, True), text
    made.change("single = 6", "single = 5")
    status, text = made.run("out", "--until", "generate")
    assert (status, "generate: done in" in text) == (0, True), text


def test_a_composition_that_cannot_be_is_refused_before_any_work(made: Bench) -> None:
    made.change(r"\[train\]\n", COMPOSITION.replace("log_authors", "none_such"))
    assert "[composition]" in refused(made)
    assert "unknown intents ['none_such']" in refused(made)


def test_a_recipe_for_mlx_is_told_how_to_go_on(made: Bench) -> None:
    made.change(r"\[train\]\n", '[train]\nbackend = "mlx"\n')
    assert "[train] backend 'mlx': a pipeline trains with torch; run the stages" in refused(made)
    made.change('backend = "mlx"', 'backend = "torch"')
    assert read(made.recipe, TABLES).options["train"].rank == 4
