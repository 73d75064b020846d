"""Damaged files of the MLX path: a clear error, and what an earlier run made stays as it was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from punie.factory.training.records import write_json
from test_damaged import DAMAGES, cut, listed, punie, refused, scrambled
from tiny_llama import write_rows
from tiny_moe import write_moe

pytestmark = [pytest.mark.mlx]
pytest.importorskip("mlx.core", reason="needs the extra `mlx`")
pytest.importorskip("mlx_lm", reason="needs the extra `mlx`")

RECIPE = """\
[train]
backend = "mlx"
base = "moe"
iterations = 2
layers = 1
[quantize]
bits = 5
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which all three commands have run."""
    folder = tmp_path_factory.mktemp("made")
    write_moe(folder / "moe")
    data = folder / "out" / "m" / "data"
    data.mkdir(parents=True)
    write_rows(data / "train.jsonl", 4)
    write_rows(data / "validation.jsonl", 2)
    write_json(data / "meta.json", {"tools": "abc"})
    (folder / "m.toml").write_text(RECIPE)
    with pytest.MonkeyPatch.context() as set_to:
        set_to.chdir(folder)
        for verb in ("train", "fuse", "quantize"):
            assert punie(verb, "m.toml") == 0
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, as the current folder."""
    folder = shutil.copytree(made, tmp_path / "copy")
    monkeypatch.chdir(folder)
    return folder


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_fuse_reads_is_damaged(
    place: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[Path], None]
) -> None:
    out = place / "out" / "m"
    before = weights(out / "model")
    read = [out / "adapter" / name for name in ("adapter.json", "adapters.safetensors")]
    # An adapter's settings count when it is fused anew.
    (out / "model" / "meta.json").unlink()
    read += [out / "adapter" / "adapter_config.json"]
    read += [place / "moe" / name for name in ("config.json", "model.safetensors")]
    read += [place / "moe" / "tokenizer.json"]
    for path in read:
        whole = path.read_bytes()
        damage(path)
        told = refused(capsys, "fuse", "m.toml")
        assert path.name in told or path.parent.name in told
        path.write_bytes(whole)
    assert weights(out / "model") == before
    assert punie("fuse", "m.toml") == 0


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_quantize_reads_is_damaged(
    place: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[Path], None]
) -> None:
    out = place / "out" / "m"
    before = weights(out / "quantized")
    (out / "quantized" / "meta.json").unlink()
    for name in ("config.json", "meta.json", "model.safetensors", "punie.json", "tokenizer.json"):
        path = out / "model" / name
        whole = path.read_bytes()
        damage(path)
        told = refused(capsys, "quantize", "m.toml")
        assert name in told or str(Path("out") / "m" / "model") in told
        path.write_bytes(whole)
    assert weights(out / "quantized") == before
    assert punie("quantize", "m.toml") == 0


@pytest.mark.parametrize("damage", [cut, scrambled])
def test_damaged_outputs_are_made_anew(place: Path, damage: Callable[[Path], None]) -> None:
    for verb, folder in (("fuse", "model"), ("quantize", "quantized")):
        out = place / "out" / "m" / folder
        before = weights(out)
        for name in ("meta.json", "model.safetensors"):
            damage(out / name)
            assert punie(verb, "m.toml") == 0
            assert weights(out) == before
            assert isinstance(json.loads((out / "meta.json").read_text())["inputs"], dict)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "punie.json"])
def test_a_damaged_folder_that_is_asked(
    place: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    folder = place / "out" / "m" / "quantized"
    for damage in (cut, listed, scrambled):
        whole = (folder / name).read_bytes()
        damage(folder / name)
        assert "quantized" in refused(capsys, "ask", "how?", "--model", str(folder))
        (folder / name).write_bytes(whole)
