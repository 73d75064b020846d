"""Other ways to train: fewer blocks, whole weights, several processes, trackers, a judge."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from punie.errors import UsageError
from punie.factory.fuse import FuseOptions
from punie.factory.fuse import run as run_fuse
from punie.models.adapter import read_adapter
from punie.models.fuse import retention
from punie.models.weights import dequantize, open_gguf
from tiny_llama import write_tiny

pytestmark = [pytest.mark.train]
torch = pytest.importorskip("torch", reason="needs the extra `train`")

from punie.factory.suite import FOLDER as SUITES  # noqa: E402
from punie.factory.suite import load_suite  # noqa: E402
from punie.factory.train import Trainer, run  # noqa: E402
from punie.factory.training.options import TrainOptions  # noqa: E402
from punie.factory.training.scored import thinned  # noqa: E402
from tiny_training import maker, quiet  # noqa: E402

Maker = Callable[..., TrainOptions]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("base") / "tiny.gguf")


@pytest.fixture(scope="module")
def make(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Maker:
    return maker(base, tmp_path_factory.mktemp("data"))


def facts(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "meta.json").read_text())["training"]
    return found


def losses(out: Path) -> list[list[float]]:
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [[row["loss"], row.get("validation_loss", 0.0)] for row in rows]


def changed(base: Path, fused: Path) -> set[str]:
    """Tensors whose values differ."""
    before = {tensor.name: dequantize(tensor) for tensor in open_gguf(base).tensors}
    return {
        tensor.name
        for tensor in open_gguf(fused).tensors
        if not np.allclose(dequantize(tensor), before[tensor.name], atol=1e-3)
    }


@pytest.mark.parametrize("method", ["lora", "full"])
def test_the_last_blocks_alone_are_trained(
    make: Maker, base: Path, tmp_path: Path, method: str
) -> None:
    out = run(make(tmp_path / "out", layers=1, method=method), quiet)
    assert losses(out)[-1][1] < losses(out)[2][1]
    assert facts(out)["layers"] == 1
    last = max(int(name.split(".")[1]) for name in read_adapter(out / "adapter.gguf").names)
    fused = run_fuse(FuseOptions(adapter=out, out=tmp_path / "fused", base=base, kind="F32"))
    blocks = {name for name in changed(base, fused / "model.gguf") if name.startswith("blk.")}
    assert {name.split(".")[1] for name in blocks} == {str(last)}
    assert len(blocks) == 7


def test_a_full_fine_tuning_survives_fusing_and_is_gone_on_from(
    make: Maker, base: Path, tmp_path: Path
) -> None:
    options = make(tmp_path / "out", method="full", learning_rate=3e-3, checkpoint_minutes=0)

    def stop(done: int, total: int, text: str) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(options, stop)
    out = run(options, quiet)
    whole = run(make(tmp_path / "whole", method="full", learning_rate=3e-3), quiet)
    assert (out / "adapter.gguf").read_bytes() == (whole / "adapter.gguf").read_bytes()
    assert facts(out)["method"] == "full"
    assert losses(out)[-1][1] < losses(out)[2][1]
    update = read_adapter(out / "adapter.gguf")
    fused = run_fuse(FuseOptions(adapter=out, out=tmp_path / "fused", base=base, kind="F16"))
    kept = retention(base, update, fused / "model.gguf")
    assert kept.keys() == update.names
    assert all(share == pytest.approx(1, abs=0.01) for share, _ in kept.values())
    again = Trainer(make(tmp_path / "again", method="full", init_adapter=out / "adapter-f32.gguf"))
    assert again.held_out is not None
    assert again.mean_loss(again.held_out) == pytest.approx(losses(out)[-1][1], abs=1e-4)


def test_a_full_fine_tuning_may_start_from_a_lora_adapter(make: Maker, tmp_path: Path) -> None:
    out = run(make(tmp_path / "lora"), quiet)
    start = make(tmp_path / "full", method="full", init_adapter=out / "adapter-f32.gguf")
    trainer = Trainer(start)
    assert trainer.held_out is not None
    best = facts(out)["validation_loss"]["best"]
    assert trainer.mean_loss(trainer.held_out) == pytest.approx(best, abs=1e-4)


def test_an_adapter_of_other_blocks_is_refused(make: Maker, tmp_path: Path) -> None:
    out = run(make(tmp_path / "all"), quiet)
    options = make(tmp_path / "last", layers=1, init_adapter=out / "adapter-f32.gguf")
    with pytest.raises(UsageError, match="`layers` must be what it was trained with"):
        Trainer(options)
    with pytest.raises(UsageError, match="layers = 99: the base has"):
        Trainer(make(tmp_path / "many", layers=99))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


WORKER = """
import sys
from pathlib import Path
from punie.factory.train import run
from punie.factory.training.options import TrainOptions
run(TrainOptions.model_validate_json(Path(sys.argv[1]).read_text()), lambda *_: None)
"""


def in_processes(count: int, options: TrainOptions, folder: Path) -> list[str]:
    """Train in so many processes, as torchrun starts them; gives what each said."""
    given = folder / f"options-{count}.json"
    given.write_text(options.model_dump_json())
    meet = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
    meet |= {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(given)],
            env=os.environ | meet | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(count)
    ]
    said = [process.communicate(timeout=300)[0] for process in started]
    assert [process.returncode for process in started] == [0] * count, said
    return said


def test_two_processes_have_the_loss_curve_of_one(make: Maker, tmp_path: Path) -> None:
    alone = run(make(tmp_path / "alone", threads=2), quiet)
    options = make(tmp_path / "together", threads=1)
    said = in_processes(2, options, tmp_path)
    assert "; 2 processes" in said[0]
    assert np.allclose(losses(options.out), losses(alone), atol=2e-4)
    assert facts(options.out)["tokens"] == facts(alone)["tokens"]
    assert in_processes(2, options, tmp_path)  # complete: nothing is done again


def test_processes_that_cannot_meet_are_told(
    make: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match=r"2 processes .* start them with torchrun"):
        run(make(tmp_path / "out"), quiet)


def test_losses_go_to_a_tracker(make: Maker, tmp_path: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    out = run(make(tmp_path / "out", loggers=("tensorboard",)), quiet)
    read = events.EventAccumulator(str(out / "punie"))
    read.Reload()
    told = [event.value for event in read.Scalars("loss")]
    assert told == pytest.approx([loss for loss, _ in losses(out)])
    assert {"lr", "norm", "validation_loss", "tok_s"} <= set(read.Tags()["scalars"])


def test_an_unknown_tracker_is_refused(make: Maker, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"loggers: notebook is not known; there are: .*mlflow"):
        run(make(tmp_path / "out", loggers=("notebook",)), quiet)


def test_the_candidate_that_answers_most_is_kept(make: Maker, tmp_path: Path) -> None:
    scores, asked = iter([0.25, 0.75, 0.75, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]), list[int]()

    def judge(trainer: Trainer) -> float:
        asked.append(trainer.step)
        return next(scores)

    out = run(make(tmp_path / "out", score_every=2), quiet, judge)
    assert facts(out)["score"] == 0.75
    assert facts(out)["kept_step"] == asked[1] == 4
    assert asked[-1] == facts(out)["steps"]
    kept = read_adapter(out / "adapter-f32.gguf")
    stopped = Trainer(make(tmp_path / "four"))
    for _ in range(4):
        stopped._step(stopped.share())
    for name, (a, b) in stopped.network.adapter().pairs.items():
        assert np.array_equal(kept.pairs[name][0], a)
        assert np.array_equal(kept.pairs[name][1], b)


def test_a_suite_that_is_only_reported_chooses_nothing(make: Maker, tmp_path: Path) -> None:
    copied = tmp_path / "mine.toml"
    shutil.copy(SUITES / "forty.toml", copied)
    for suite in ("forty", "test", str(copied)):
        with pytest.raises(UsageError, match="only reports"):
            run(make(tmp_path / "out", score_suite=suite), quiet)


def test_scores_of_another_suite_are_not_gone_on_with(make: Maker, tmp_path: Path) -> None:
    suite = tmp_path / "mine.toml"
    shutil.copy(Path(__file__).parent.parent / "recipes" / "smoke-suite.toml", suite)
    options = make(tmp_path / "out", score_suite=str(suite), checkpoint_minutes=0)

    def stop(done: int, total: int, text: str) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(options, stop, lambda trainer: 0.5)
    suite.write_text(suite.read_text() + "# changed\n")
    with pytest.raises(UsageError, match=r"inputs\.score_suite"):
        run(options, quiet, lambda trainer: 0.5)


def test_a_suite_is_thinned_evenly() -> None:
    suite = load_suite("development")
    few = thinned(suite, 100)
    assert few.cases == suite.cases[::3]
    assert {case.workspace for case in few.cases} == set(few.workspaces)
    assert thinned(suite, 1000) == suite


def test_candidates_are_fused_and_asked(make: Maker, tmp_path: Path) -> None:
    suite = str(Path(__file__).parent.parent / "recipes" / "smoke-suite.toml")
    options = make(tmp_path / "out", epochs=1, score_suite=suite, score_cases=2, score_every=100)
    out = run(options, quiet)
    last = json.loads((out / "log.jsonl").read_text().splitlines()[-1])
    assert facts(out)["score"] == last["score"] == 0.0  # a network of random numbers
    assert facts(out)["kept_step"] == last["step"]
    assert not list(out.glob("candidate-*"))
