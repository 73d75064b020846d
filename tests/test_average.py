"""Several legs' adapters become one: the mean of their weights, with a card that says so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from punie.cli import main
from punie.commands.average import command
from punie.errors import ModelUnavailable, UsageError
from punie.factory.average import AverageOptions, run
from punie.models import sha256_of
from punie.models.adapter import Adapter, read_adapter, write_adapter

BASE = "0" * 64


def leg(folder: Path, shift: float, **card: object) -> Path:
    """An outputs folder of stage `train`: all weights are `shift` more than those at 0."""
    random = np.random.default_rng(7)
    a = random.normal(size=(32, 64)).astype(np.float32) + np.float32(shift)
    b = random.normal(size=(64, 32)).astype(np.float32) - np.float32(shift)
    row = np.full(64, shift, dtype=np.float32)
    adapter = Adapter(32, 64.0, {"blk.0.attn_q.weight": (a, b)}, {5: row})
    folder.mkdir()
    write_adapter(adapter, folder / "adapter-f32.gguf", "F32")
    write_adapter(adapter, folder / "adapter.gguf")
    facts = {"dialect": "compact", "rank": 32, "alpha": 64.0, "base_sha256": BASE}
    facts |= {"name": folder.name, "tools_hash": "abc", "literals": [str(shift)], "answers": {}}
    facts |= {"sha256": sha256_of(folder / "adapter.gguf")} | card
    (folder / "adapter.json").write_text(json.dumps(facts))
    return folder


def test_weights_are_the_mean_and_the_card_names_the_legs(tmp_path: Path) -> None:
    legs = (leg(tmp_path / "one", 0.0), leg(tmp_path / "two", 1.0))
    recipe = tmp_path / "mean.toml"
    recipe.write_text(f"[average]\nadapters = {[str(each) for each in legs]}\n")
    out = tmp_path / "out"
    done = CliRunner().invoke(command, [str(recipe), "--out", str(out)])
    assert done.exit_code == 0, done.output
    whole, first = (
        read_adapter(out / "adapter-f32.gguf"),
        read_adapter(legs[0] / "adapter-f32.gguf"),
    )
    for found, start, shift in zip(
        whole.pairs["blk.0.attn_q.weight"],
        first.pairs["blk.0.attn_q.weight"],
        (0.5, -0.5),
        strict=True,
    ):
        assert np.allclose(found, start + np.float32(shift), atol=1e-5)
    assert np.allclose(whole.rows[5], 0.5)
    card = json.loads((out / "adapter.json").read_text())
    assert card["sha256"] == sha256_of(out / "adapter.gguf")
    assert card["literals"] == ["0.0", "1.0"]
    assert card["averaged"] == [sha256_of(each / "adapter.gguf") for each in legs]
    assert card["name"] == "two"


def test_a_shipped_adapter_is_a_leg_as_well(tmp_path: Path) -> None:
    legs = (leg(tmp_path / "shipped", 0.0), leg(tmp_path / "two", 1.0))
    exact = read_adapter(legs[0] / "adapter-f32.gguf").pairs["blk.0.attn_q.weight"][0]
    (legs[0] / "adapter-f32.gguf").unlink()
    out = run(AverageOptions(adapters=legs, out=tmp_path / "out"))
    found = read_adapter(out / "adapter-f32.gguf").pairs["blk.0.attn_q.weight"][0]
    assert np.allclose(found, exact + np.float32(0.5), atol=0.05)


def test_legs_of_other_models_are_refused(tmp_path: Path) -> None:
    legs = (leg(tmp_path / "one", 0.0, base_sha256="1" * 64), leg(tmp_path / "two", 1.0))
    with pytest.raises(ModelUnavailable, match=r"one' has base_sha256 '1+', .*only legs of one"):
        run(AverageOptions(adapters=legs, out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_recipe_without_legs_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "none.toml"
    recipe.write_text("[train]\n")
    done = CliRunner().invoke(command, [str(recipe)])
    assert isinstance(done.exception, UsageError)
    assert "[average] cannot be used:\n  adapters: Field required" in str(done.exception)
    recipe.write_text("[average]\nadapters = ['one']\nweights = 2\n")
    with pytest.raises(SystemExit) as ended:
        main(["average", str(recipe)])
    assert ended.value.code == 2
    said = capfd.readouterr().err
    assert "at least 2 items" in said
    assert "weights: Extra inputs are not permitted" in said
