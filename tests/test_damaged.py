"""Damaged files and recipes of wrong types, as a user meets them: a clear error, nothing made."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from punie.cli import main
from punie.factory.training.records import write_json
from punie.models import sha256_of
from punie.models.adapter import write_adapter
from tiny_llama import tiny_adapter, write_rows, write_tiny

RECIPE = """\
[train]
base = "base.gguf"
[fuse]
kind = "F16"
[quantize]
levels = ["Q4_0"]
suite = ""
held_out = 1
[quantize.rule]
most_divergence = 10.0
least_agreement = 0.0
"""


def cut(path: Path) -> None:
    """Half of the file, as a full disk leaves it."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path: Path) -> None:
    """No byte."""
    path.write_bytes(b"")


def listed(path: Path) -> None:
    """JSON of another kind."""
    path.write_text("[]")


def filled(path: Path) -> None:
    """JSON of the right kind whose values are of the wrong kind."""
    known = json.loads(path.read_text("utf-8")) if path.suffix == ".json" else {}
    path.write_text(json.dumps(dict.fromkeys(known, 7)))


def overwritten(path: Path) -> None:
    """The head is that of nothing."""
    path.write_bytes(b"\xff" * 64 + path.read_bytes()[64:])


def scrambled(path: Path) -> None:
    """The head is right, what follows is not."""
    content = bytearray(path.read_bytes())
    content[24 : min(400, len(content))] = b"\xfe" * len(content[24:400])
    path.write_bytes(bytes(content))


DAMAGES = (cut, emptied, listed, filled, overwritten, scrambled)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `punie fuse r.toml` and `punie quantize r.toml` have run."""
    folder = tmp_path_factory.mktemp("made")
    base = write_tiny(folder / "base.gguf")
    adapter = folder / "out" / "r" / "adapter"
    adapter.mkdir(parents=True)
    write_adapter(tiny_adapter(), adapter / "adapter.gguf", "F32")
    card = {"name": "tiny", "dialect": "compact", "tools_hash": "abc", "literals": None}
    hashes = {"sha256": sha256_of(adapter / "adapter.gguf"), "base_sha256": sha256_of(base)}
    write_json(adapter / "adapter.json", card | hashes)
    (folder / "out" / "r" / "data").mkdir()
    write_rows(folder / "out" / "r" / "data" / "validation.jsonl", 4)
    (folder / "r.toml").write_text(RECIPE)
    with pytest.MonkeyPatch.context() as set_to:
        set_to.chdir(folder)
        set_to.setenv("PUNIE_CACHE", str(folder / "cache"))
        assert punie("fuse", "r.toml") == 0
        assert punie("quantize", "r.toml") == 0
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, as the current folder."""
    folder = shutil.copytree(made, tmp_path / "copy")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PUNIE_CACHE", str(tmp_path / "cache"))
    return folder


def punie(*args: str) -> int:
    """Exit status; what is no error of Punie's is raised."""
    with pytest.raises(SystemExit) as left:
        main(args)
    return int(left.value.code or 0)


def refused(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    """What is said by a command that must fail."""
    capsys.readouterr()
    status = punie(*args)
    told = capsys.readouterr().err
    assert status in (1, 2, 4), told
    assert "punie: " in told
    return told[told.index("punie: ") :]


def test_fuse_and_quantize_share_their_paths_and_the_recipe(place: Path) -> None:
    out = place / "out" / "r"
    fused = json.loads((out / "model" / "meta.json").read_text())
    assert fused["options"]["kind"] == "F16"
    assert fused["inputs"]["base"] == sha256_of(place / "base.gguf")
    quantized = json.loads((out / "quantized" / "meta.json").read_text())
    assert quantized["inputs"]["model"] == fused["outputs"]["model.gguf"]
    assert quantized["inputs"]["base"] == fused["inputs"]["base"]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    "name", ["base.gguf", "out/r/adapter/adapter.gguf", "out/r/adapter/adapter.json"]
)
def test_what_fuse_reads_is_damaged(
    place: Path, capsys: pytest.CaptureFixture[str], name: str, damage: Callable[[Path], None]
) -> None:
    model = place / "out" / "r" / "model" / "model.gguf"
    before = sha256_of(model)
    damage(place / name)
    told = refused(capsys, "fuse", "r.toml")
    assert Path(name).parent.name in told or name in told
    assert sha256_of(model) == before


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["adapter/adapter.gguf", "data/validation.jsonl", "model"])
def test_what_quantize_reads_is_damaged(
    place: Path, capsys: pytest.CaptureFixture[str], name: str, damage: Callable[[Path], None]
) -> None:
    level = place / "out" / "r" / "quantized" / "model.gguf"
    before = sha256_of(level)
    read = place / "out" / "r" / name
    read = read / "model.gguf" if read.is_dir() else read
    damage(read)
    assert read.name in refused(capsys, "quantize", "r.toml")
    assert sha256_of(level) == before


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_parts_of_an_earlier_quantizing_are_made_anew(
    place: Path, damage: Callable[[Path], None]
) -> None:
    out = place / "out" / "r" / "quantized"
    before = (out / "model.gguf").read_bytes()
    parts = [*(out / "parts").iterdir(), out / "Q4_0.gguf", out / "meta.json"]
    assert len(parts) == 6
    for part in parts:
        damage(part)
    assert punie("quantize", "r.toml") == 0
    assert (out / "model.gguf").read_bytes() == before
    for path in [*(out / "parts").iterdir(), out / "meta.json"]:
        assert isinstance(json.loads(path.read_text()), dict)


@pytest.mark.parametrize(
    ("recipe", "args", "named"),
    [
        ("[fuse]\nkind = 3\n", (), r"[fuse] cannot be used:"),
        ("fuse = 3\n", (), "fuse = 3 must be a table"),
        ("train = 3\n", (), "train = 3 must be a table"),
        ("[train]\nbase = 3\n", (), "base: "),
        ("[train", (), "cannot be read"),
        ("", ("--kind", "Q3"), "kind: Input should be 'F32', 'F16'"),
        (
            "",
            ("--kind", "F16"),
            "is damaged or not the one",
        ),  # not the base that the adapter was trained on
    ],
)
def test_recipes_and_options_of_fuse_that_cannot_be_used(
    place: Path,
    capsys: pytest.CaptureFixture[str],
    recipe: str,
    args: tuple[str, ...],
    named: str,
) -> None:
    before = sha256_of(place / "out" / "r" / "model" / "model.gguf")
    (place / "r.toml").write_text(recipe)
    assert named in refused(capsys, "fuse", "r.toml", *args)
    assert sha256_of(place / "out" / "r" / "model" / "model.gguf") == before


@pytest.mark.parametrize(
    "table", ['levels = "Q4_0"', "levels = [4]", "rule = 1", "held_out = 0", "seed = []"]
)
def test_recipes_of_quantize_that_cannot_be_used(
    place: Path, capsys: pytest.CaptureFixture[str], table: str
) -> None:
    (place / "r.toml").write_text(f"[quantize]\n{table}\n")
    told = refused(capsys, "quantize", "r.toml")
    assert "[quantize] cannot be used" in told
    assert table.split()[0] in told
