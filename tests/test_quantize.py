"""Quantizing: levels told by what stands in their files, the update's fate, the rule's choice."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from punie.errors import UsageError
from punie.factory import quantize
from punie.factory.paired import mcnemar, paired, quantile
from punie.factory.quantizing.levels import Written, check_levels, written
from punie.factory.quantizing.levels import quantize as write_level
from punie.factory.quantizing.picture import picture
from punie.factory.quantizing.report import table
from punie.factory.quantizing.rule import Measured, Rule, choose
from punie.models.adapter import write_adapter
from punie.models.fuse import fuse
from punie.settings import Settings
from punie.terminal import Progress
from tiny_llama import tiny_adapter, write_rows, write_tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny base, an adapter of it, both fused to F16, and rows."""
    folder = tmp_path_factory.mktemp("fused")
    base = write_tiny(folder / "base.gguf")
    adapter = tiny_adapter()
    (folder / "adapter").mkdir()
    write_adapter(adapter, folder / "adapter" / "adapter.gguf", "F32")
    facts = {"name": "tiny", "dialect": "compact", "literals": "null", "answers": "null"}
    fuse(base, adapter, folder / "model.gguf", "F16", facts)
    write_rows(folder / "rows.jsonl", 6)
    return folder


def options(folder: Path, out: Path, **more: Any) -> quantize.QuantizeOptions:
    given: dict[str, Any] = {
        "model": folder / "model.gguf",
        "rows": folder / "rows.jsonl",
        "out": out,
    }
    given |= {"adapter": folder / "adapter", "base": folder / "base.gguf", "suite": ""}
    return quantize.QuantizeOptions.model_validate(given | more)


def run(chosen: quantize.QuantizeOptions) -> Path:
    async def main() -> Path:
        with Progress() as progress:
            return await quantize.run(chosen, Settings(), progress)

    return asyncio.run(main())


def test_levels_are_measured_labelled_and_one_is_picked(folder: Path, tmp_path: Path) -> None:
    loose = Rule(most_divergence=1e-3, least_agreement=0.5)
    chosen = options(folder, tmp_path, levels=("Q4_0", "Q6_K", "Q8_0"), held_out=4, rule=loose)
    run(chosen)
    report = json.loads((tmp_path / "report.json").read_text())
    four, six, eight = report["levels"]
    # Rows of 64 and 128 values divide into no block of 256: llama.cpp writes 8 bits instead.
    assert (four["label"], six["label"], eight["label"]) == ("Q4_0", "Q8_0", "Q8_0")
    assert four["bytes"] < eight["bytes"] < report["reference"]["bytes"]
    assert report["reference"]["divergence"] == 0
    assert report["reference"]["agreement"] == 1
    assert eight["divergence"] < four["divergence"]
    assert eight["update"]["error"] < four["update"]["error"]
    assert len(four["layers"]) == 2
    assert report["chosen"] in ("Q6_K", "Q8_0")
    assert "divergence" in four["objections"][0]
    assert (tmp_path / "model.gguf").read_bytes() == (tmp_path / "Q8_0.gguf").read_bytes()
    ElementTree.fromstring((tmp_path / "picture.svg").read_text())
    assert "| Q6_K | Q8_0 |" in (tmp_path / "report.md").read_text()
    # A second run finds all done: nothing is written or measured again.
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "parts").iterdir()}
    (tmp_path / "meta.json").unlink()
    run(chosen)
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "parts").iterdir()} == before
    assert json.loads((tmp_path / "meta.json").read_text())["chosen"] == report["chosen"]


def test_a_level_on_the_bases_own_grid_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="14 adapted tensors back on the base's own grid"):
        run(options(folder, tmp_path, levels=("Q4_1",)))
    assert not (tmp_path / "meta.json").exists()
    assert not (tmp_path / "Q4_1.gguf").exists()


def test_what_is_quantized_already_or_unknown_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"base\.gguf' is quantized already \(Q4_1\)"):
        write_level(folder / "base.gguf", tmp_path / "out.gguf", "Q4_0")
    with pytest.raises(UsageError, match=r"'Q7'.*known: Q4_0"):
        check_levels(["Q8_0", "Q7"])
    with pytest.raises(UsageError, match="'forty' only reports"):
        run(options(folder, tmp_path, suite="forty"))
    assert not list(tmp_path.glob("*.gguf"))


def test_a_file_says_its_true_type(folder: Path, tmp_path: Path) -> None:
    import gguf

    write_level(folder / "model.gguf", tmp_path / "six.gguf", "Q6_K")
    assert written(tmp_path / "six.gguf").kinds == {"Q8_0": 14}
    stated = gguf.GGUFReader(str(tmp_path / "six.gguf")).get_field("general.file_type")
    assert stated is not None
    assert stated.contents() == gguf.LlamaFileType.MOSTLY_Q8_0


def test_a_recipe_is_read_whole_or_refused(tmp_path: Path) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text('[quantize]\nlevels = ["Q5_1"]\n[quantize.rule]\nmost_divergence = 0.5\n')
    files = {"model": "m", "rows": "r", "out": "o", "suite": None}
    read = quantize.read_options(recipe, files)
    assert (read.levels, read.rule.most_divergence, read.suite) == (("Q5_1",), 0.5, "development")
    recipe.write_text("[quantize]\nbits = 5\nseed = 'x'\n")
    with pytest.raises(UsageError, match=r"(?s)seed.*bits|bits.*seed"):
        quantize.read_options(recipe, files)


# --- the rule


def measured(level: str, size: int, passed: int = 100, **values: float) -> Measured:
    figures = {"divergence": 0.001, "divergence_p99": 0.1, "agreement": 0.99}
    figures |= {"tokens_per_second": 1.0, "prompt_tokens_per_second": 1.0}
    suite = {
        "passed": passed,
        "total": 200,
        "cases": [{"id": str(n), "passed": n < passed} for n in range(200)],
    }
    kinds = Written({level: 210}, 4.5, size)
    return Measured(level, f"{level}.gguf", "", kinds, figures | values, [(0.9, 0.5)], suite)


def test_the_smallest_level_without_a_loss_is_picked() -> None:
    reference = measured("F16", 250)
    four, five, eight = measured("Q4_0", 90, 80), measured("Q5_1", 100, 96), measured("Q8_0", 140)
    assert choose([eight, five, four], reference, Rule()) is five
    assert four.objections == ["loses 20, wins 0 cases (p = 1.91e-06)"]
    five.divergence["divergence"] = 0.5
    assert choose([eight, five, four], reference, Rule()) is eight
    eight.divergence["agreement"] = 0.5
    assert choose([eight, five, four], reference, Rule()) is None
    told = table(reference, [four, five, eight], None)
    assert "none. Every level has an objection" in told
    assert "0, 20, 1.91e-06" in told
    drawn = picture(reference, [four, five, eight], None)
    assert "Q4_0: 80 of 200, 33 % to 47 %".replace(" %", "%") in drawn


def test_a_paired_comparison_is_exact() -> None:
    assert mcnemar(0, 0) == 1
    assert mcnemar(0, 5) == pytest.approx(0.0625)
    assert mcnemar(6, 0) == pytest.approx(0.03125)
    assert mcnemar(3, 3) == 1
    found = paired({"a": True, "b": False, "c": True}, {"a": False, "b": True, "x": True})
    assert (found.cases, found.won, found.lost) == (2, 1, 1)
    better = paired(dict.fromkeys("abcdef", True), dict.fromkeys("abcdef", False))
    assert not better.worse(0.05)
    assert paired(dict.fromkeys("abcdef", False), dict.fromkeys("abcdef", True)).worse(0.05)


def test_quantiles_are_values_that_were_measured() -> None:
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2
    assert quantile(list(range(1, 101)), 0.95) == 95
    assert quantile([7.0], 0.95) == 7
    assert quantile([], 0.5) == 0
