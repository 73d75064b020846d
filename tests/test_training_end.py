"""When a training ends, and what is said of its losses then."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tiny_llama import write_tiny

pytestmark = [pytest.mark.train]
torch = pytest.importorskip("torch", reason="needs the extra `train`")

from punie.factory.train import run  # noqa: E402
from punie.factory.training.options import TrainOptions  # noqa: E402
from punie.factory.training.signs import signs  # noqa: E402
from tiny_training import maker, quiet  # noqa: E402


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., TrainOptions]:
    folder = tmp_path_factory.mktemp("data")
    return maker(write_tiny(folder / "tiny.gguf"), folder)


def test_training_ends_when_validation_no_longer_gains(
    make: Callable[..., TrainOptions], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    still = make(
        tmp_path / "still", patience=2, validate_every=1, learning_rate=1e-12, checkpoint_minutes=0
    )
    meta = json.loads((run(still, quiet) / "meta.json").read_text())["training"]
    assert meta["stopped_early"]
    assert 3 <= meta["steps"] < meta["steps_planned"]
    assert meta["kept_step"] <= meta["steps"] - 2
    assert 0 < meta["epochs"] < 1
    said = capfd.readouterr().err
    assert "beside attn_q, attn_k" in said
    assert any("little was learnt" in each for each in meta["warnings"])
    assert "warning: the best validation loss is" in said


def test_a_checkpoint_from_before_patience_is_gone_on_from(
    make: Callable[..., TrainOptions], tmp_path: Path
) -> None:
    whole = run(make(tmp_path / "whole"), quiet)
    options = make(tmp_path / "older", checkpoint_minutes=0)

    def stop(done: int, total: int, text: str) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(options, stop)
    state = torch.load(options.out / "checkpoint.pt", weights_only=True)
    del state["mark"]["options"]["patience"], state["stale"]
    torch.save(state, options.out / "checkpoint.pt")
    run(options, quiet)
    assert (options.out / "adapter.gguf").read_bytes() == (whole / "adapter.gguf").read_bytes()


def test_patience_without_validation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="patience = 2 needs validation rows"):
        TrainOptions(
            data=tmp_path / "rows.jsonl", out=tmp_path / "out", patience=2, learning_rate=1e-3
        )


@pytest.mark.parametrize(
    ("losses", "warned"),
    [
        ([(0.5, 0.6), (0.4, 0.5), (0.3, 0.4), (0.2, 0.3)], ""),
        ([(0.5, 0.6), (0.4, 0.55), (0.3, 0.5), (0.2, 0.45)], "grows (0.100, 0.150, 0.200, 0.250)"),
        ([(0.5, 0.6), (0.4, 0.55), (0.3, 0.5)], ""),
        ([(0.9, 0.8), (0.8, 0.7)], "0.700"),
        ([(0.9, 0.8), (0.8, 0.69)], ""),
    ],
)
def test_losses_that_bode_ill_are_told(
    tmp_path: Path, losses: list[tuple[float, float]], warned: str
) -> None:
    log = tmp_path / "log.jsonl"
    rows = [{"loss": loss, "validation_loss": held_out} for loss, held_out in losses]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = "; ".join(signs(log))
    assert (warned in said) if warned else not said
