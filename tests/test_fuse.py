"""Storing adapters and fusing them, without torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from punie.errors import ModelUnavailable
from punie.models.adapter import Adapter, read_adapter, write_adapter
from punie.models.fuse import fuse, retention
from tiny_llama import write_tiny


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("base") / "tiny.gguf")


def test_stored_adapter_and_its_size(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    a = random.normal(size=(64, 576)).astype(np.float32)
    b = random.normal(size=(1536, 64)).astype(np.float32)
    row = random.normal(size=576).astype(np.float32)
    few = Adapter(64, 128.0, {"blk.0.ffn_up.weight": (a, b)}, {13: row})
    assert write_adapter(few, tmp_path / "few.gguf") == "F16"
    many = Adapter(64, 128.0, {f"blk.{n}.ffn_up.weight": (a, b) for n in range(100)}, {13: row})
    assert write_adapter(many, tmp_path / "many.gguf") == "Q8_0"
    assert (tmp_path / "many.gguf").stat().st_size < 25_000_000
    stored = read_adapter(tmp_path / "many.gguf")
    assert (stored.rank, stored.alpha, len(stored.pairs)) == (64, 128.0, 100)
    assert np.array_equal(stored.rows[13], row)
    wanted = many.update("blk.7.ffn_up.weight")
    error = stored.update("blk.7.ffn_up.weight") - wanted
    assert np.linalg.norm(error) / np.linalg.norm(wanted) < 0.01


def test_adapter_of_another_base_is_refused(base: Path, tmp_path: Path) -> None:
    wide = np.zeros((4, 96), dtype=np.float32), np.zeros((64, 4), dtype=np.float32)
    adapter = Adapter(4, 8.0, {"blk.0.attn_q.weight": wide, "blk.9.attn_q.weight": wide}, {})
    with pytest.raises(ModelUnavailable, match=r"(?s)blk\.0\.attn_q.*\(64, 96\).*blk\.9.*None"):
        fuse(base, adapter, tmp_path / "out.gguf")
    assert not list(tmp_path.iterdir())


def test_rounding_that_drowns_an_update_is_seen(base: Path, tmp_path: Path) -> None:
    # The base lies on a 4-bit grid: going back to 4 bits rounds a small update away.
    random = np.random.default_rng(0)
    a = random.normal(size=(4, 64)).astype(np.float32)
    b = 1e-4 * random.normal(size=(64, 4)).astype(np.float32)
    adapter = Adapter(4, 4.0, {"blk.0.attn_output.weight": (a, b)}, {})
    errors: dict[str, float] = {}
    for kind in ("F32", "Q8_0", "Q4_0"):
        fuse(base, adapter, tmp_path / f"{kind}.gguf", kind)
        found = retention(base, adapter, tmp_path / f"{kind}.gguf")
        errors[kind] = found["blk.0.attn_output.weight"][1]
    assert errors["F32"] < 1e-3
    assert errors["F32"] < errors["Q8_0"] < errors["Q4_0"]
    assert errors["Q4_0"] > 10
