"""What a user without the extra `mlx` is told, and that nothing needs it on the way there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from punie.errors import ModelUnavailable, UsageError
from punie.factory.mlx import stages

RECIPE = Path(__file__).parent.parent / "recipes" / "phase27.toml"
WITHOUT = "import sys; sys.modules['mlx'] = sys.modules['mlx.core'] = None; "


def punie(*args: str, folder: Path) -> tuple[int, str]:
    """Exit status and standard error of a run in which MLX is not there."""
    code = WITHOUT + f"from punie.cli import main; main({list(args)!r})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, stdin=subprocess.DEVNULL
    )
    return done.returncode, done.stderr.decode()


def test_the_missing_extra_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    for args in (
        ("ask", "how?", "--model", str(tmp_path)),
        ("train", str(RECIPE)),
        ("fuse", str(RECIPE)),
    ):
        status, told = punie(*args, folder=tmp_path)
        assert (status, "pip install 'punie[mlx]'" in told) == (4, True), told


def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    status, told = punie("ask", "how?", "--model", str(tmp_path), folder=tmp_path)
    assert status == 4
    assert "holds no model: an MLX folder has config.json" in told


def test_a_recipe_says_its_backend(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("[train]\nrank = 4\n")
    assert not stages.chosen(recipe)
    assert stages.chosen(RECIPE)
    recipe.write_text('[train]\nbackend = "jax"\n')
    with pytest.raises(UsageError, match="no backend 'jax'; known: torch, mlx"):
        stages.chosen(recipe)


def test_options_that_cannot_be_used_are_listed(tmp_path: Path) -> None:
    pytest.importorskip("mlx.core", reason="needs the extra `mlx`")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[train]\nbackend = "mlx"\nrank = 0\nmood = 1\n[quantize]\nbits = 7\n')
    (tmp_path / "meta.json").write_text('{"tools": "abc"}')
    with pytest.raises(UsageError, match=r"(?s)base: Field required.*rank: .*mood: Extra"):
        stages.train(recipe, tmp_path, tmp_path)
    with pytest.raises(UsageError, match=r"\[quantize\] cannot be used:\n  bits: "):
        stages.quantize(recipe)
    with pytest.raises(UsageError, match=r"no data of .*run `punie generate` first"):
        stages.train(recipe, tmp_path / "none", tmp_path)
    with pytest.raises(ModelUnavailable, match="no finished MLX adapter"):
        stages.fuse(recipe, tmp_path / "none", tmp_path / "out")
