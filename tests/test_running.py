"""How a pipeline goes through its stages, with stages of a few lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from punie.errors import StageFailed, UsageError
from punie.factory.pipeline.recipe import Recipe
from punie.factory.pipeline.running import Log, Plan, Stage, run
from punie.settings import Settings
from punie.terminal import Progress


class Chain:
    """fuse → quantize → release on text files; notes what ran."""

    def __init__(self, root: Path) -> None:
        self.root, self.ran = root, list[str]()
        self.options: dict[str, dict[str, Any]] = {"fuse": {}, "quantize": {"bits": 5}}
        self.options["release"] = {"pass": True}

    def stages(self) -> Sequence[Stage]:
        return (
            Stage("fuse", "fused", ("model.gguf",), self.fuse, model="fused/model.gguf"),
            Stage(
                "quantize",
                "quantized",
                ("model.gguf",),
                self.quantize,
                reads=lambda plan: [plan.model("quantize")],
                model="quantized/model.gguf",
            ),
            Stage(
                "release",
                "release",
                ("card",),
                self.release,
                reads=lambda plan: [plan.model("release")],
            ),
        )

    def plan(self) -> Plan:
        self.root.mkdir(exist_ok=True)
        recipe = Recipe(Path("trial.toml"), {}, dict(self.options), (), {}, ())
        log = Log(self.root / "pipeline.log", Progress())
        return Plan(recipe, self.root, Settings(), self.stages(), log)

    def __call__(self, **given: Any) -> list[str]:
        """Run the pipeline; gives the stages that did something."""
        self.ran.clear()
        run(self.plan(), lambda plan: "<p>page</p>", **given)
        return list(self.ran)

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def fuse(self, plan: Plan) -> dict[str, Any]:
        self.ran.append("fuse")
        self.write("fused/model.gguf", "sixteen bits" * 100)
        return {}

    def quantize(self, plan: Plan) -> dict[str, Any]:
        self.ran.append("quantize")
        whole = (plan.root / plan.model("quantize")).read_text()
        self.write("quantized/model.gguf", whole[: 2 * self.options["quantize"]["bits"]])
        return {}

    def release(self, plan: Plan) -> dict[str, Any]:
        self.ran.append("release")
        assert plan.model("release") == "quantized/model.gguf"
        if not self.options["release"]["pass"]:
            raise StageFailed("the gate is not passed")
        self.write("release/card", "a card")
        return {}


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    return Chain(tmp_path / "out")


def test_the_large_model_goes_once_the_quantized_one_is_released(chain: Chain) -> None:
    assert chain() == ["fuse", "quantize", "release"]
    assert not (chain.root / "fused" / "model.gguf").exists()
    assert (chain.root / "quantized" / "model.gguf").exists()
    assert chain() == []
    assert "removed" in (chain.root / "pipeline.log").read_text()


def test_it_stays_as_long_as_the_gate_is_not_passed(chain: Chain) -> None:
    chain.options["release"]["pass"] = False
    with pytest.raises(StageFailed, match="stage release: the gate is not passed"):
        chain()
    assert (chain.root / "fused" / "model.gguf").exists()
    assert (chain.root / "report.html").read_text() == "<p>page</p>"
    chain.options["release"]["pass"] = True
    assert chain() == ["release"]
    assert not (chain.root / "fused" / "model.gguf").exists()


def test_what_was_removed_is_made_again_where_it_is_needed(chain: Chain) -> None:
    chain()
    chain.options["quantize"]["bits"] = 4
    assert chain() == ["fuse", "quantize", "release"]
    assert not (chain.root / "fused" / "model.gguf").exists()


def test_one_stage_alone_runs_on_what_the_others_left(chain: Chain) -> None:
    with pytest.raises(StageFailed, match=r"stage fuse is not done.*punie pipeline trial\.toml"):
        chain(only="release")
    assert chain.ran == []
    assert chain(until="quantize") == ["fuse", "quantize"]
    assert chain(only="release") == ["release"]
    assert not (chain.root / "fused" / "model.gguf").exists()
    assert chain(only="release") == []
    chain.options["quantize"]["bits"] = 4
    with pytest.raises(StageFailed, match="stage quantize is not done"):
        chain(only="release")
    assert chain.ran == []


def test_a_stage_is_done_when_its_mark_is_there(chain: Chain) -> None:
    assert chain(until="quantize") == ["fuse", "quantize"]
    assert (chain.root / "fused" / "model.gguf").exists()
    (chain.root / "stages" / "quantize.json").write_text('{"stage": "quan')  # cut short
    assert chain() == ["quantize", "release"]


def test_a_damaged_or_missing_output_is_named(chain: Chain) -> None:
    chain(until="quantize")
    model = chain.root / "quantized" / "model.gguf"
    for change in (lambda: model.write_text("other"), model.unlink):
        change()
        with pytest.raises(StageFailed, match=r"(?s)stage quantize.*model\.gguf.*--again quantize"):
            chain()
        assert chain.ran == []
    assert chain(again=["quantize"]) == ["quantize", "release"]
    assert (chain.root / "quantized.old").is_dir()


def test_a_stage_that_leaves_nothing_is_no_success(chain: Chain) -> None:
    plan = chain.plan()
    idle = Stage("fuse", "fused", ("*.gguf",), lambda plan: {})
    object.__setattr__(plan, "stages", (idle,))
    with pytest.raises(StageFailed, match=r"stage fuse left no \*\.gguf"):
        run(plan, lambda plan: "")
    assert not (chain.root / "stages" / "fuse.json").exists()


def test_an_unknown_stage_is_named_with_the_known_ones(chain: Chain) -> None:
    with pytest.raises(UsageError, match="no stage 'fuze'; there are: fuse, quantize, release"):
        chain(until="fuze")
