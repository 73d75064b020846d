"""A fused model is held against base + adapter, which llama.cpp puts together by itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from punie.errors import ModelUnavailable
from punie.factory import fused
from punie.factory.fuse import FuseOptions
from punie.factory.fuse import run as run_fuse
from punie.models.adapter import Adapter, read_adapter
from punie.models.fuse import fuse
from tiny_llama import write_tiny

pytestmark = [pytest.mark.train]
torch = pytest.importorskip("torch", reason="needs the extra `train`")

from punie.factory.train import run  # noqa: E402
from tiny_training import maker, quiet  # noqa: E402


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("base") / "tiny.gguf")


@pytest.fixture(scope="module")
def trained(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    return run(maker(base, folder)(folder / "out"), quiet)


@pytest.mark.parametrize("kind", ["F32", "BF16", "Q8_0"])
def test_what_was_fused_answers_as_base_and_adapter_do(
    base: Path, trained: Path, tmp_path: Path, kind: str
) -> None:
    given = {"adapter": trained, "out": tmp_path / "out", "base": base, "kind": kind}
    out = run_fuse(FuseOptions.model_validate(given))
    figures = json.loads((out / "meta.json").read_text())["beside_adapter"]
    assert figures["reference"] == "base + LoRA by llama.cpp"
    assert figures["divergence"] < 0.01
    alike, asked = figures["probes_written_alike"]
    assert alike >= asked - 1
    assert sorted(path.name for path in out.iterdir()) == ["meta.json", "model.gguf"]


def other_order(adapter: Adapter) -> Adapter:
    """The adapter with q's rows in transformers' order: a mistake that no shape gives away."""
    pairs = dict(adapter.pairs)
    for name, (a, b) in adapter.pairs.items():
        if "attn_q" in name:
            half = b.reshape(-1, 2, b.shape[0] // 4, b.shape[1])
            pairs[name] = a, np.ascontiguousarray(half.swapaxes(1, 2).reshape(b.shape))
    return replace(adapter, pairs=pairs)


@pytest.mark.parametrize(
    "spoilt",
    [
        other_order,
        lambda adapter: replace(adapter, pairs={}),
        lambda adapter: replace(adapter, alpha=2 * adapter.alpha),
        lambda adapter: replace(adapter, rows={}),
    ],
    ids=["order of rows", "lost", "scaled twice", "rows lost"],
)
def test_an_update_that_went_wrong_is_seen(
    base: Path, trained: Path, tmp_path: Path, spoilt: Callable[[Adapter], Adapter]
) -> None:
    adapter = read_adapter(trained / "adapter-f32.gguf")
    fuse(base, spoilt(adapter), tmp_path / "model.gguf", "F32")
    figures = fused.beside(base, adapter, tmp_path / "model.gguf", "compact")
    assert "differs from base + adapter by" in fused.fault(figures, "F32")


def test_a_fusion_that_is_too_far_off_is_not_called_done(
    base: Path, trained: Path, tmp_path: Path
) -> None:
    options = FuseOptions(adapter=trained, out=tmp_path / "out", base=base, most_divergence=0)
    with pytest.raises(ModelUnavailable, match=r"differs .* left in .*model\.part\.gguf"):
        run_fuse(options)
    assert not (tmp_path / "out" / "model.gguf").exists()
    assert not (tmp_path / "out" / "meta.json").exists()


def test_a_model_that_writes_otherwise_is_at_fault() -> None:
    figures = {"divergence": 0.01, "probes_written_alike": [3, 5]}
    assert not fused.fault(figures, "F16")
    assert "for 2 of 5 prompts" in fused.fault(figures | {"probes_written_alike": [2, 5]}, "F16")
    assert not fused.fault(figures | {"probes_written_alike": [0, 5]}, "Q4_0")
    assert "nan nats" in fused.fault(figures | {"divergence": float("nan")}, "F16")


def test_a_full_fine_tuning_is_held_against_float32(base: Path, tmp_path: Path) -> None:
    options = maker(base, tmp_path)(tmp_path / "full", method="full", learning_rate=3e-3)
    trained = run(options, quiet)
    out = run_fuse(FuseOptions(adapter=trained, out=tmp_path / "out", base=base, kind="F16"))
    figures = json.loads((out / "meta.json").read_text())["beside_adapter"]
    assert figures["reference"] == "the same in float32"
    assert figures["divergence"] < 0.01
