"""The MLX path on a tiny random Qwen3-MoE: train, fuse, quantize, load, answer."""

from __future__ import annotations

import asyncio
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from punie import demo
from punie.engine.folder import FolderTokenizer, read_card
from punie.errors import ContextError, EngineError, ModelUnavailable, UsageError
from punie.models import sha256_of
from punie.models.spec import open_model
from punie.prompt import QWEN3_CODER, Message, Piece, render
from punie.settings import Settings
from punie.terminal import Progress
from tiny_llama import write_rows
from tiny_moe import SHAPE, write_moe, write_tokenizer

pytestmark = [pytest.mark.mlx]
mx = pytest.importorskip("mlx.core", reason="needs the extra `mlx`")
pytest.importorskip("mlx_lm", reason="needs the extra `mlx`")

from punie.engine.mlx import MlxEngine, load  # noqa: E402
from punie.factory import recipes  # noqa: E402
from punie.factory.mlx import fuse, model, quantize, train  # noqa: E402
from punie.factory.mlx.batches import batch_of, order  # noqa: E402
from punie.factory.mlx.card import write_card  # noqa: E402
from punie.factory.mlx.options import (  # noqa: E402
    MlxFuseOptions,
    MlxQuantizeOptions,
    MlxTrainOptions,
)
from punie.factory.training.rows import read_rows  # noqa: E402

RECIPE = Path(__file__).parent.parent / "recipes" / "phase27.toml"


def quiet(done: int, total: int, text: str) -> None:
    """Show nothing."""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_moe(tmp_path_factory.mktemp("moe") / "base")


@pytest.fixture(scope="module")
def make(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., MlxTrainOptions]:
    folder = tmp_path_factory.mktemp("rows")
    data, held_out = write_rows(folder / "a.jsonl", 24), write_rows(folder / "b.jsonl", 6, seed=1)

    def options(out: Path, **given: Any) -> MlxTrainOptions:
        chosen: dict[str, Any] = {
            "iterations": 24, "layers": 2, "learning_rate": 2e-3, "scale": 4.0, "validate_every": 6,
            "report_every": 6, "save_every": 6, "base": str(base), "tools_hash": "abc",
        }  # fmt: skip
        return MlxTrainOptions.model_validate(
            chosen | {"data": data, "validation": held_out, "out": out} | given
        )

    return options


@pytest.fixture(scope="module")
def chain(make: Callable[..., MlxTrainOptions], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the outputs of all three stages: adapter, fused, model."""
    out = tmp_path_factory.mktemp("chain")
    train.run(make(out / "adapter"), quiet)
    fuse.run(MlxFuseOptions(adapter=out / "adapter", out=out / "fused"))
    quantize.run(MlxQuantizeOptions(fused=out / "fused", out=out / "model", bits=5))
    return out


def meta_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "meta.json").read_text("utf-8"))
    return found


def log_of(out: Path) -> list[dict[str, Any]]:
    """The log without what the clock says."""
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in ("tok_s", "elapsed")} for row in rows]


def test_loss_counts_each_reply_and_nothing_else(base: Path, tmp_path: Path) -> None:
    tokenizer = FolderTokenizer(base)
    path = write_rows(tmp_path / "rows.jsonl", 8)
    rows = read_rows(path, tokenizer, QWEN3_CODER, 2000).rows
    call = "<tool_call>\n<function=execute_code>\n<parameter=code>\n{}\n</parameter>\n</function>\n"
    for row, line in zip(rows, path.read_text().splitlines(), strict=True):
        replies = [m for m in json.loads(line)["messages"] if m["role"] == "assistant"]
        said = [
            (call.format(m["code"]) + "</tool_call>" if "code" in m else m["content"])
            + "<|im_end|>"
            for m in replies
        ]
        ids, trained = batch_of([row])
        marked = np.array(ids)[np.array(trained) > 0].tolist()
        assert tokenizer.decode(marked) == "".join(said)
    assert sum(sum(row.trained) for row in rows) > len(rows) * 10


def test_the_mean_is_over_trained_tokens_whatever_the_batch(base: Path, tmp_path: Path) -> None:
    network, _ = load(base)
    path = write_rows(tmp_path / "rows.jsonl", 4)
    rows = read_rows(path, FolderTokenizer(base), QWEN3_CODER, 2000).rows
    together = train.summed_loss(network, *batch_of(rows)).item()
    single = sum(train.summed_loss(network, *batch_of([row])).item() for row in rows)
    assert together == pytest.approx(single, rel=5e-3)
    assert len({len(row.ids) for row in rows}) > 1  # so the batch is padded


def test_every_epoch_is_a_new_shuffle_of_all_rows() -> None:
    steps = order(10, 2, 10, seed=42)
    flat = [number for step in steps for number in step]
    assert sorted(flat[:10]) == sorted(flat[10:]) == list(range(10))
    assert flat[:10] != flat[10:]
    assert steps == order(10, 2, 10, seed=42) != order(10, 2, 10, seed=43)


def test_training_lowers_the_loss_and_says_what_it_did(chain: Path) -> None:
    done = meta_of(chain / "adapter")["training"]
    rows = log_of(chain / "adapter")
    losses = [row["validation_loss"] for row in rows if "validation_loss" in row]
    assert len(losses) == 4
    assert losses[-1] < rows[0]["loss"] - 0.5
    assert done["validation_loss"]["best"] == pytest.approx(min(losses), abs=1e-4)
    assert done["steps"] == 24
    assert done["epochs"] == 1.0
    assert done["adapted_layers"] == 2
    assert {"self_attn.q_proj", "mlp.gate", "mlp.switch_mlp.down_proj"} <= set(
        done["adapted_modules"]
    )
    assert max(row["lr"] for row in rows) == pytest.approx(2e-3, rel=0.02)
    assert rows[-1]["lr"] < 2e-4


def test_a_killed_run_ends_as_an_unbroken_one(
    chain: Path, make: Callable[..., MlxTrainOptions], tmp_path: Path
) -> None:
    class Killed(Exception):
        """The process went away."""

    def kill(done: int, total: int, text: str) -> None:
        if done == 18:
            raise Killed

    options = make(tmp_path / "adapter")
    with pytest.raises(Killed):  # the last checkpoint is of step 12
        train.run(options, kill)
    assert not (tmp_path / "adapter" / "meta.json").exists()
    train.run(options, quiet)
    whole, broken = (
        mx.load(str(place / "adapter" / "adapters.safetensors")) for place in (chain, tmp_path)
    )
    assert all(mx.array_equal(whole[name], broken[name]).item() for name in whole)
    assert whole.keys() == broken.keys()
    assert log_of(chain / "adapter") == log_of(tmp_path / "adapter")


def test_a_folder_of_another_run_is_refused(
    chain: Path, make: Callable[..., MlxTrainOptions], tmp_path: Path
) -> None:
    assert train.run(make(chain / "adapter"), quiet) == chain / "adapter"  # done: nothing to do
    with pytest.raises(UsageError, match=r"options\.rank: there 8, now 4"):
        train.run(make(chain / "adapter", rank=4), quiet)
    with pytest.raises(ModelUnavailable, match=r"no model 'nobody/nothing'.*give its folder"):
        train.run(make(tmp_path, base="nobody/nothing"), quiet)


def test_the_best_adapter_is_kept_not_the_last(
    base: Path, make: Callable[..., MlxTrainOptions], tmp_path: Path
) -> None:
    options = make(tmp_path)
    trainer = train.Trainer(options, base)
    good = trainer.validate()
    worse = {n: mx.ones_like(a) for n, a in model.trainable(trainer.model).items()}
    trainer.model.load_weights(list(worse.items()), strict=False)
    trainer.step = 6
    assert trainer.validate() > good
    train.finish(trainer, train.fingerprint(options, base))
    assert meta_of(tmp_path)["training"]["kept_step"] == 0
    kept = mx.load(str(tmp_path / "adapters.safetensors"))
    assert all(mx.all(a == 0).item() for name, a in kept.items() if name.endswith("lora_b"))


def test_mlx_lm_itself_reads_the_adapter(chain: Path, base: Path) -> None:
    from mlx_lm import utils

    network, _ = utils.load(str(base), adapter_path=str(chain / "adapter"))
    arrays = mx.load(str(chain / "adapter" / "adapters.safetensors"))
    here = model.trainable(network) | dict(network.named_modules())
    assert np.abs(np.array(arrays["model.layers.2.self_attn.q_proj.lora_b"])).max() > 0
    pair = here["model.layers.2.mlp.switch_mlp.up_proj"]
    assert mx.array_equal(
        pair.lora_b, arrays["model.layers.2.mlp.switch_mlp.up_proj.lora_b"]
    ).item()


def test_fusing_keeps_what_the_adapter_does(chain: Path, base: Path) -> None:
    done = meta_of(chain / "fused")
    assert done["fused_modules"] == 16  # 8 modules, experts and router too, of two layers
    assert done["divergence"] < 0.005
    assert done["base"]["quantization"]["bits"] == 4
    config = json.loads((chain / "fused" / "config.json").read_text())
    assert "quantization" not in config
    assert config["torch_dtype"] == "float16"
    fused, plain = (load(place)[0] for place in (chain / "fused", base))
    ids = mx.array([list(range(20, 60))])
    assert mx.abs(fused(ids) - plain(ids)).max().item() > 0.1  # the adapter is in it


def test_a_lost_or_strange_adapter_is_found(chain: Path, base: Path, tmp_path: Path) -> None:
    lost = shutil.copytree(chain / "adapter", tmp_path / "lost")
    arrays = mx.load(str(lost / "adapters.safetensors"))
    name = "model.layers.2.mlp.switch_mlp.up_proj.lora_b"
    mx.save_safetensors(
        str(lost / "adapters.safetensors"), {k: v for k, v in arrays.items() if k != name}
    )
    options = MlxFuseOptions(adapter=lost, out=tmp_path / "fused")
    with pytest.raises(ModelUnavailable, match="not the one that its card names"):
        fuse.run(options)
    card = json.loads((lost / "adapter.json").read_text())
    card["sha256"] = sha256_of(lost / "adapters.safetensors")
    (lost / "adapter.json").write_text(json.dumps(card))
    with pytest.raises(ModelUnavailable, match=r"does not fit the base:\n +" + name):
        fuse.run(options)
    assert not (tmp_path / "fused" / "meta.json").exists()
    (lost / "adapters.safetensors").write_bytes(b"cut")
    card["sha256"] = sha256_of(lost / "adapters.safetensors")
    (lost / "adapter.json").write_text(json.dumps(card))
    with pytest.raises(ModelUnavailable, match="cannot read the adapter"):
        fuse.run(options)


def test_quantizing_says_what_the_file_holds(chain: Path) -> None:
    done = meta_of(chain / "model")
    assert done["tensors"]["5 bits, groups of 64"] > done["tensors"]["8 bits, groups of 64"] == 3
    assert done["update_kept"]["layers"] == 16
    assert 0.8 < done["update_kept"]["mean"] < 1.2
    assert (
        done["bytes"] < sum(p.stat().st_size for p in (chain / "fused").glob("*.safetensors")) / 2
    )


def test_a_model_that_gives_no_numbers_is_not_passed_on(chain: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(chain / "fused", tmp_path / "fused")
    arrays = mx.load(str(broken / "model.safetensors"))
    arrays["model.norm.weight"] *= math.inf
    mx.save_safetensors(str(broken / "model.safetensors"), arrays, {"format": "mlx"})
    with pytest.raises(ModelUnavailable, match="weights are not those that its card names"):
        quantize.run(MlxQuantizeOptions(fused=broken, out=tmp_path / "model"))
    write_card(broken, json.loads((broken / "punie.json").read_text()))
    with pytest.raises(ModelUnavailable, match="gives no numbers"):
        quantize.run(MlxQuantizeOptions(fused=broken, out=tmp_path / "model"))
    assert not (tmp_path / "model" / "meta.json").exists()


@pytest.mark.parametrize("bits", [6, 8])
def test_more_bits_stay_nearer(chain: Path, tmp_path: Path, bits: Any) -> None:
    options = MlxQuantizeOptions(fused=chain / "fused", out=tmp_path / "model", bits=bits)
    done, five = meta_of(quantize.run(options)), meta_of(chain / "model")
    assert done["tensors"][f"{bits} bits, groups of 64"] >= 23
    assert done["divergence"] < five["divergence"]
    assert done["bits_per_weight"] > five["bits_per_weight"]


def test_the_base_s_own_grid_is_refused(chain: Path, tmp_path: Path) -> None:
    options = MlxQuantizeOptions(fused=chain / "fused", out=tmp_path / "model", bits=4)
    with pytest.raises(UsageError, match="the base's own grid"):
        quantize.run(options)
    finer = options.model_copy(update={"group_size": 32})
    assert meta_of(quantize.run(finer))["tensors"]["4 bits, groups of 32"] == 23


def ask(engine: MlxEngine, messages: list[Message], **given: Any) -> Any:
    return asyncio.run(engine.generate(messages, **({"max_tokens": 12} | given)))


QUESTION: list[Message] = [
    {"role": "system", "content": "Be Punie."},
    {"role": "user", "content": "who calls item_12?"},
]


@pytest.fixture(scope="module")
def engine(chain: Path) -> MlxEngine:
    card = read_card(chain / "model")
    return MlxEngine(chain / "model", QWEN3_CODER, name=card.name, sha256=card.sha256, context=300)


def test_the_engine_answers_from_the_quantized_folder(engine: MlxEngine, chain: Path) -> None:
    card = read_card(chain / "model")
    assert (card.name, card.dialect, card.tools_hash) == ("punie-mlx", "qwen3_coder", "abc")
    assert len(engine.sha256) == 64
    first = ask(engine, QUESTION)
    assert first.completion_tokens > 0
    assert first.prompt_tokens == len(engine.tokenize(render(QUESTION, QWEN3_CODER)))
    longer = ask(engine, [*QUESTION, {"role": "assistant", "content": "None."}, *QUESTION[1:]])
    again = ask(engine, QUESTION)
    assert again.text == first.text  # what was asked between leaves nothing behind
    assert longer.prompt_tokens > first.prompt_tokens
    drawn = {ask(engine, QUESTION, temperature=1.5, seed=seed).text for seed in range(4)}
    assert len(drawn) > 1
    assert ask(engine, QUESTION, temperature=1.5, seed=1).text in drawn


def test_greedy_is_the_likeliest_token(engine: MlxEngine) -> None:
    ids = engine.tokenize(render(QUESTION, QWEN3_CODER))
    likeliest = int(engine.logits(ids).argmax())
    text = ask(engine, QUESTION, max_tokens=1).text
    tokenizer = engine._tokenizer
    assert text == tokenizer.bytes_of(likeliest).decode("utf-8", "replace") or (
        likeliest in tokenizer.ends and text == ""
    )


def test_a_prompt_that_does_not_fit_is_refused(engine: MlxEngine) -> None:
    with pytest.raises(ContextError, match="the model's context 300"):
        ask(engine, [{"role": "user", "content": "why? " * 300}])


def test_cancelling_ends_the_work_and_a_closed_engine_says_so(chain: Path) -> None:
    async def cancelled() -> None:
        own = MlxEngine(chain / "model", QWEN3_CODER, context=2000)
        task = asyncio.create_task(own.generate(QUESTION, max_tokens=1900, temperature=2.0))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        again = await own.generate(QUESTION, max_tokens=2)
        assert again.completion_tokens <= 2
        await own.close()
        with pytest.raises(EngineError, match="closed"):
            await own.generate(QUESTION, max_tokens=2)

    asyncio.run(cancelled())


def test_the_folder_is_a_model_that_ask_takes(chain: Path, base: Path, tmp_path: Path) -> None:
    demo.create(tmp_path / "shop")
    command = [sys.executable, "-m", "punie", "ask", "which files?", "--json", "--read-only"]
    done = subprocess.run(
        [*command, "--model", str(chain / "model"), "--workspace", str(tmp_path / "shop")],
        capture_output=True,
        env=os.environ | {"PUNIE_TRACES": "false"},
    )
    answer = json.loads(done.stdout)  # of a random model: what it says is nothing
    assert answer["model"]["engine"] == "mlx"
    assert answer["model"]["sha256"] == read_card(chain / "model").sha256
    assert answer["steps"][0]["completion_tokens"] > 0

    async def opened(folder: Path) -> tuple[str, str, str]:
        with Progress() as progress:
            found = await open_model(Settings(model=str(folder)), progress)
        await found.engine.close()
        return found.dialect.name, found.profile, found.tools

    assert asyncio.run(opened(chain / "model")) == ("qwen3_coder", "tuned", "abc")
    assert asyncio.run(opened(base)) == ("qwen3_coder", "general", "")


def test_a_folder_without_weights_or_with_broken_ones_is_told(chain: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"tokenizer\.json"):
        MlxEngine(tmp_path, QWEN3_CODER)
    broken = shutil.copytree(chain / "model", tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(ModelUnavailable, match="MLX cannot load"):
        MlxEngine(broken, QWEN3_CODER)
    assert read_card(broken).sha256 == ""  # the card speaks of other files


@pytest.mark.parametrize(
    "text", ["<|im_end|>", "<tool_call>", "</tool_response>\n<|im_start|>system", "< |im_end|>"]
)
def test_text_is_never_a_control_token(tmp_path: Path, text: str) -> None:
    write_tokenizer(tmp_path)
    tokenizer = FolderTokenizer(tmp_path)
    controls = set(tokenizer.controls.values())
    assert controls.isdisjoint(tokenizer.ids(Piece(text, False, False)))
    assert tokenizer.decode(tokenizer.ids(Piece(text, False, False))) == text
    said = f"before {text} after ünïcode 🦊"
    ids, _ = tokenizer.encode(render([{"role": "user", "content": said}], QWEN3_CODER))
    assert [t for t in ids if t in controls] == [
        tokenizer.controls[t] for t in ("<|im_start|>", "<|im_end|>", "<|im_start|>")
    ]
    assert said in tokenizer.decode(ids)
    assert tokenizer.ids(Piece("<|im_end|>", True, False)) == [tokenizer.controls["<|im_end|>"]]


def test_a_tokenizer_that_cannot_promise_that_is_refused(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    source = json.loads((tmp_path / "tokenizer.json").read_text())
    source |= {"decoder": None, "pre_tokenizer": None}
    (tmp_path / "tokenizer.json").write_text(json.dumps(source))
    with pytest.raises(ModelUnavailable, match="only byte-level"):
        FolderTokenizer(tmp_path)


def test_two_processes_give_the_loss_curve_of_one(
    base: Path, make: Callable[..., MlxTrainOptions], tmp_path: Path
) -> None:
    options = make(tmp_path / "one", batch=2, iterations=4, validate_every=2)
    train.run(options, quiet)
    recipe = _recipe(tmp_path / "two.toml", options)
    data = tmp_path / "data"
    data.mkdir()
    shutil.copy(options.data, data / "train.jsonl")
    assert options.validation
    shutil.copy(options.validation, data / "validation.jsonl")
    (data / "meta.json").write_text('{"tools": "abc"}')
    _launch(2, recipe, data, tmp_path / "two")
    one, two = log_of(tmp_path / "one"), log_of(tmp_path / "two")
    assert [r["targets"] for r in one] == [r["targets"] for r in two]
    assert [r["loss"] for r in one] == pytest.approx([r["loss"] for r in two], rel=2e-3)
    assert one[-1]["validation_loss"] == pytest.approx(two[-1]["validation_loss"], rel=2e-3)


def _recipe(path: Path, options: MlxTrainOptions) -> Path:
    shown = options.model_dump(exclude={"data", "validation", "out", "tools_hash", "modules"})
    lines = [f"{k} = {json.dumps(v)}" for k, v in shown.items() if v is not None]
    path.write_text("[train]\n" + "\n".join(lines) + "\n", "utf-8")
    return path


def _launch(processes: int, recipe: Path, data: Path, out: Path) -> None:
    """`punie train` in several processes, as mlx.launch starts them."""
    launcher = Path(sys.executable).parent / "mlx.launch"
    command = [sys.executable, str(launcher), "-n", str(processes), "--"]
    command += [sys.executable, "-m", "punie", "train", str(recipe)]
    done = subprocess.run(
        [*command, "--data", str(data), "--out", str(out)], capture_output=True, timeout=300
    )
    assert (out / "meta.json").exists(), done.stderr.decode()[-3000:]


def test_the_reference_configuration_trains_what_the_reference_did() -> None:
    """70.5 million of 30.5 billion, 0.231 %: counted on the real shape without its weights."""
    from mlx import nn
    from mlx_lm.models.qwen3_moe import Model, ModelArgs

    table = recipes.table(RECIPE, "train")
    shape = SHAPE | {
        "hidden_size": 2048, "num_hidden_layers": 48, "intermediate_size": 5472,
        "num_attention_heads": 32, "num_key_value_heads": 4, "head_dim": 128, "num_experts": 128,
        "num_experts_per_tok": 8, "moe_intermediate_size": 768, "vocab_size": 151936,
    }  # fmt: skip
    network = Model(ModelArgs.from_dict(shape))

    def grid(path: str, module: Any) -> Any:
        if path.endswith("mlp.gate"):
            return {"group_size": 64, "bits": 8}
        return hasattr(module, "to_quantized")

    nn.quantize(network, 64, 4, class_predicate=grid)
    options = MlxTrainOptions.model_validate(table | {"data": RECIPE, "out": RECIPE})
    model.adapt(network, train._lora_config(options, 48))
    counted = model.counts(network)
    assert (counted["trainable_parameters"], counted["parameters"]) == (70_459_392, 30_532_122_624)
    assert counted["trainable_share"] == 0.00231
    assert counted["adapted_layers"] == 8
    assert (options.iterations, options.batch, options.learning_rate) == (800, 1, 1e-4)
    assert (options.validate_every, options.report_every) == (50, 10)
    assert recipes.table(RECIPE, "quantize")["bits"] == 5
