"""The default model: fused once, then found; and what happens when a part is missing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from punie.errors import ModelUnavailable
from punie.models import ModelFiles, default_model, describe_gguf, sha256_of
from punie.models.adapter import Adapter, write_adapter
from tiny_llama import write_tiny


@pytest.fixture
def parts(tmp_path: Path) -> tuple[Path, Path, Path]:
    """(adapter folder, base, cache) with an adapter of rank 4."""
    base, folder = write_tiny(tmp_path / "tiny.gguf"), tmp_path / "adapter"
    folder.mkdir()
    random = np.random.default_rng(0)
    a, b, row = (random.normal(size=n).astype(np.float32) for n in ((4, 64), (64, 4), (64,)))
    adapter = Adapter(4, 8.0, {"blk.0.attn_q.weight": (a, b)}, {13: row})
    write_adapter(adapter, folder / "adapter.gguf")
    card = {
        "name": "tiny-punie",
        "dialect": "compact",
        "tools_hash": "abc",
        "literals": ["failed", "not staged"],
        "sha256": sha256_of(folder / "adapter.gguf"),
        "base_sha256": sha256_of(base),
    }
    (folder / "adapter.json").write_text(json.dumps(card))
    return folder, base, tmp_path / "cache"


def get(parts: tuple[Path, Path, Path], seen: list[int] | None = None) -> ModelFiles:
    folder, base, cache = parts

    def progress(done: int, total: int, text: str) -> None:
        if seen is not None:
            seen.append(100 * done // total)

    return default_model(progress, folder=folder, base=base, cache=cache)


def test_fused_once_then_only_looked_up(parts: tuple[Path, Path, Path]) -> None:
    seen: list[int] = []
    model = get(parts, seen)
    assert seen == sorted(seen)
    assert seen[-1] == 100
    assert (model.name, model.dialect, model.tools_hash) == ("tiny-punie", "compact", "abc")
    assert model.literals == ("failed", "not staged")
    assert model.sha256 == sha256_of(model.path)
    parts[1].unlink()  # the base is not needed any more
    assert get(parts) == model
    assert describe_gguf(model.path, parts[2]) == model


def test_truncated_file_is_made_again(parts: tuple[Path, Path, Path]) -> None:
    model = get(parts)
    content = model.path.read_bytes()
    for broken in (content[:-100], b""):
        model.path.write_bytes(broken)
        assert get(parts) == model
        assert model.path.read_bytes() == content
    model.path.with_suffix(".json").unlink()
    assert get(parts) == model


def test_two_processes_make_one_model(parts: tuple[Path, Path, Path]) -> None:
    folder, base, cache = map(str, parts)
    program = (
        "import sys; from pathlib import Path; from punie.models import default_model\n"
        "folder, base, cache = map(Path, sys.argv[1:])\n"
        "steps = []\n"
        "m = default_model(lambda *a: steps.append(a), folder=folder, base=base, cache=cache)\n"
        "print(m.sha256, len(steps))"
    )
    command = [sys.executable, "-c", program, folder, base, cache]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    answers = [process.communicate(timeout=60)[0].split() for process in running]
    assert len({answer[0] for answer in answers}) == 1
    assert sum(answer[1] != "0" for answer in answers) == 1  # one fused, the others waited
    assert not list(Path(cache).glob("*.part"))


@pytest.mark.parametrize(
    ("missing", "words"),
    [("adapter/adapter.json", "README"), ("adapter/adapter.gguf", "reinstall"),
     ("tiny.gguf", "reinstall")],
)  # fmt: skip
def test_missing_part_is_named_with_the_way_out(
    parts: tuple[Path, Path, Path], tmp_path: Path, missing: str, words: str
) -> None:
    (tmp_path / missing).unlink()
    with pytest.raises(ModelUnavailable, match=words):
        get(parts)


def test_other_base_is_refused(parts: tuple[Path, Path, Path]) -> None:
    write_tiny(parts[1], seed=5)
    with pytest.raises(ModelUnavailable, match=r"tiny\.gguf.*expected"):
        get(parts)


def test_cache_that_cannot_be_written_is_named(parts: tuple[Path, Path, Path]) -> None:
    parts[2].write_text("a file where the folder should be")
    with pytest.raises(ModelUnavailable, match="PUNIE_CACHE"):
        get(parts)


def test_foreign_gguf_says_nothing_of_dialect_and_tools(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "other.gguf")
    facts = describe_gguf(path, tmp_path / "cache")
    assert (facts.name, facts.dialect, facts.tools_hash) == ("other", "", "")
    assert facts.sha256 == sha256_of(path)
    with pytest.raises(ModelUnavailable, match=r"none\.gguf"):
        describe_gguf(tmp_path / "none.gguf", tmp_path / "cache")
