"""Training and fusing, on a tiny random Llama in the real file formats."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from punie.engine.llama import LlamaEngine
from punie.errors import UsageError
from punie.factory.fuse import FuseOptions
from punie.factory.fuse import run as run_fuse
from punie.factory.huggingface import config
from punie.models.adapter import read_adapter
from punie.models.fuse import fuse
from punie.models.weights import open_gguf, shape_of
from punie.prompt import COMPACT, Message, Piece, render
from tiny_llama import write_rows, write_tiny

pytestmark = [pytest.mark.train]
torch = pytest.importorskip("torch", reason="needs the extra `train`")

from punie.factory.intents import load  # noqa: E402
from punie.factory.train import Trainer, run  # noqa: E402
from punie.factory.training.base import TrainingTokenizer, weights  # noqa: E402
from punie.factory.training.lora import LoraLlama, pack  # noqa: E402
from punie.factory.training.options import TrainOptions  # noqa: E402
from punie.factory.training.rows import (  # noqa: E402
    balanced,
    fixed_answers,
    read_rows,
    steps_of,
)
from tiny_training import maker, quiet  # noqa: E402


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("base") / "tiny.gguf")


@pytest.fixture(scope="module")
def make(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., TrainOptions]:
    return maker(base, tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def trained(make: Callable[..., TrainOptions], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(make(tmp_path_factory.mktemp("runs") / "whole"), quiet)


def log_of(out: Path) -> list[dict[str, Any]]:
    """The log without what the clock says."""
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in ("tok_s", "elapsed")} for row in rows]


def test_loss_counts_each_reply_and_nothing_else(base: Path, tmp_path: Path) -> None:
    tokenizer = TrainingTokenizer(open_gguf(base))
    rows = read_rows(write_rows(tmp_path / "rows.jsonl", 8), tokenizer, COMPACT, 500)
    for row, line in zip(
        rows.rows, (tmp_path / "rows.jsonl").read_text().splitlines(), strict=True
    ):
        messages = [m for m in json.loads(line)["messages"] if m["role"] == "assistant"]
        replies = "".join(
            ("<jupyter_code>" + m["code"] if m.get("code") else m["content"]) + "<|im_end|>"
            for m in messages
        )
        wanted = [token for token, mark in zip(row.ids, row.trained, strict=True) if mark]
        assert tokenizer.decode(wanted) == replies
        batch = pack([(row.ids, row.trained)])
        assert batch.targets.tolist() == wanted
        assert [row.ids[place + 1] for place in batch.answers.tolist()] == wanted


def test_packed_rows_do_not_see_each_other(
    trained: Path, make: Callable[..., TrainOptions]
) -> None:
    trainer = Trainer(make(trained))
    rows = [(row.ids, row.trained) for row in trainer.data.rows[:5]]
    batch = pack(rows)
    assert batch.shared > 0
    together = float(trainer.network.loss(batch).detach())
    alone = sum(float(trainer.network.loss(pack([row])).detach()) for row in rows)
    assert together == pytest.approx(alone, rel=1e-5)


@pytest.mark.parametrize(("rank", "layers"), [(4, 0), (4, 1), (0, 0), (0, 1)])
def test_network_and_gradients_agree_with_transformers(
    base: Path, tmp_path: Path, rank: int, layers: int
) -> None:
    transformers = pytest.importorskip("transformers", reason="needs the extra `train`")
    reader = open_gguf(base)
    shape = shape_of(reader)
    state = {name: torch.tensor(values) for name, values in weights(reader).items()}
    embedding = state["model.embed_tokens.weight"]
    reference = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(**config(reader, tied=True))
    ).float()
    network = LoraLlama(
        shape,
        state,
        rank=rank,
        alpha=8,
        seed=1,
        dtype=torch.float32,
        rows={2: embedding[2].clone()},
        layers=layers,
    )
    trained_blocks = layers or shape.layers
    assert {name.split(".")[1] for name in network.names} == {
        str(block) for block in range(shape.layers - trained_blocks, shape.layers)
    }
    noise = torch.Generator().manual_seed(0)
    for values in network.parameters:
        values.data += 0.05 * torch.randn(values.shape, generator=noise)
    network.merge()
    rows = read_rows(write_rows(tmp_path / "r.jsonl", 3), TrainingTokenizer(reader), COMPACT, 500)
    ours = network.loss(pack([(row.ids, row.trained) for row in rows.rows]))
    copies = [values.detach().clone().requires_grad_() for values in network.parameters]
    theirs = reference_loss(reference, state, network, copies, rows.rows)
    assert float(ours.detach()) == pytest.approx(float(theirs.detach()), rel=1e-5)
    grads = zip(
        torch.autograd.grad(ours, network.parameters),
        torch.autograd.grad(theirs, copies),
        strict=True,
    )
    for number, (mine, wanted) in enumerate(grads):
        assert float((mine - wanted).norm() / wanted.norm()) < 1e-3, number


def reference_loss(
    reference: Any, state: dict[str, Any], network: LoraLlama, copies: list[Any], rows: list[Any]
) -> Any:
    """The loss by transformers and plain autograd, with W + scale·B·A or whole weights, and the
    trained row."""
    from punie.factory.training.base import LINEARS
    from punie.factory.training.lora import GROUPS

    used, queue = dict(state), iter(copies)
    for block in range(network.shape.layers):
        for group in GROUPS:
            names = [f"model.layers.{block}.{LINEARS[part]}.weight" for part in group]
            if f"blk.{block}.{group[0]}.weight" not in network.names:
                continue
            if not network.rank:
                heights = [len(state[name]) for name in names]
                used |= zip(names, next(queue).split(heights), strict=True)
                continue
            for name, a in zip(names, next(queue).chunk(len(group)), strict=True):
                used[name] = state[name] + network.scale * next(queue) @ a
    mask = torch.zeros(network.shape.vocab, 1)
    mask[2] = 1
    embedding = state["model.embed_tokens.weight"] * (1 - mask) + mask * next(queue)
    used |= {"model.embed_tokens.weight": embedding, "lm_head.weight": embedding}
    total = 0
    for row in rows:
        logits = torch.func.functional_call(reference, used, (torch.tensor([row.ids]),)).logits[0]
        losses = torch.nn.functional.cross_entropy(
            logits[:-1], torch.tensor(row.ids[1:]), reduction="none"
        )
        total += losses[torch.tensor(row.trained[1:])].sum()
    return total


def test_training_lowers_the_loss_and_says_what_it_did(trained: Path) -> None:
    meta = json.loads((trained / "meta.json").read_text())
    card = json.loads((trained / "adapter.json").read_text())
    log = log_of(trained)
    assert [row["step"] for row in log] == list(range(1, len(log) + 1))
    assert log[-1]["loss"] < 0.6 * log[0]["loss"]
    assert log[-1]["lr"] < 0.1 * max(row["lr"] for row in log)
    losses = meta["training"]["validation_loss"]
    assert losses["stored"] == pytest.approx(losses["best"], rel=0.02)
    assert (card["dialect"], card["rank"], card["storage"]) == ("compact", 32, "F16")
    assert card["base_sha256"] == meta["inputs"]["base"]
    assert meta["training"]["rows"] == 40
    assert not (trained / "checkpoint.pt").exists()


def test_interrupted_run_ends_as_an_unbroken_one(
    trained: Path, make: Callable[..., TrainOptions], tmp_path: Path
) -> None:
    options = make(tmp_path / "broken", checkpoint_minutes=0)

    def interrupt(at: int) -> Callable[[int, int, str], None]:
        def stop(done: int, total: int, text: str) -> None:
            if done == at:
                raise KeyboardInterrupt

        return stop

    for at in (3, 5):
        with pytest.raises(KeyboardInterrupt):
            run(options, interrupt(at))
        assert not (options.out / "meta.json").exists()
    run(options, quiet)
    assert log_of(options.out) == log_of(trained)
    for name in ("adapter-f32.gguf", "adapter.gguf"):
        assert (options.out / name).read_bytes() == (trained / name).read_bytes()


def test_folder_of_another_run_is_refused_by_name_of_the_difference(
    trained: Path, make: Callable[..., TrainOptions]
) -> None:
    before = (trained / "meta.json").read_bytes()
    assert run(make(trained), quiet) == trained  # complete: nothing is done again
    with pytest.raises(UsageError, match=r"options\.seed: there 42, now 7"):
        run(make(trained, seed=7), quiet)
    assert (trained / "meta.json").read_bytes() == before


def test_budget_of_minutes_ends_the_schedule(
    make: Callable[..., TrainOptions], tmp_path: Path
) -> None:
    out = run(make(tmp_path / "short", max_minutes=0.05, epochs=2000), quiet)
    meta, log = json.loads((out / "meta.json").read_text()), log_of(out)
    assert meta["training"]["steps"] < meta["training"]["steps_planned"]
    assert meta["training"]["seconds"] < 60  # a step may take long on a busy machine
    if len(log) > 3:
        assert log[-1]["lr"] < max(line["lr"] for line in log)
    assert "validation_loss" in log[-1]


def test_training_goes_on_from_an_adapter(
    trained: Path, make: Callable[..., TrainOptions], tmp_path: Path
) -> None:
    out = run(make(tmp_path / "on", init_adapter=trained / "adapter-f32.gguf"), quiet)
    assert log_of(out)[0]["loss"] < 0.6 * log_of(trained)[0]["loss"]
    with pytest.raises(UsageError, match="rank 32"):
        run(make(tmp_path / "no", init_adapter=trained / "adapter.gguf", rank=16), quiet)


def test_steps_that_the_leg_before_has_seen_come_last(
    trained: Path, make: Callable[..., TrainOptions]
) -> None:
    whole, rest = Trainer(make(trained)).steps, Trainer(make(trained, seen_steps=3)).steps
    assert len(whole) > 3
    assert rest == [*whole[3:], *whole[:3]]


def test_answers_in_words_are_kept_with_all_questions_that_are_known_for_them(
    tmp_path: Path,
) -> None:
    entry = load()[1][0]
    said = [
        (entry.questions[0], entry.answer),
        ("what is up?", "The sky."),
        ("and above?", "The sky."),
    ]
    rows = [
        {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]}
        for q, a in said
    ]
    rows.append(
        {"messages": [rows[0]["messages"][0], {"role": "assistant", "content": "", "code": "x"}]}
    )
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert fixed_answers(path) == {
        entry.answer: list(entry.questions),
        "The sky.": ["what is up?", "and above?"],
    }
    earlier = next(one for one in load()[1] if one.answer != entry.answer)
    both = fixed_answers(path, [earlier.answer, "An answer that nothing gives any more."])
    assert both.keys() == {entry.answer, earlier.answer, "The sky."}


def test_rows_that_cannot_be_used_are_counted_or_named(base: Path, tmp_path: Path) -> None:
    tokenizer = TrainingTokenizer(open_gguf(base))
    path = write_rows(tmp_path / "rows.jsonl", 4)
    ask: list[Message] = [{"role": "user", "content": "x" * 900}]
    long = {"id": "long", "messages": [*ask, {"role": "assistant", "content": "no"}]}
    with path.open("a") as file:
        file.write("\n".join(map(json.dumps, ({"id": "mute", "messages": ask[:1]}, long))) + "\n\n")
    rows = read_rows(path, tokenizer, COMPACT, 300)
    assert (len(rows.rows), rows.too_long) == (4, 2)
    rows = read_rows(path, tokenizer, COMPACT, 3000)
    assert (len(rows.rows), rows.without_answer) == (5, 1)
    with path.open("a") as file:
        file.write('{"messages": 3}\nnot json\n{"id": "z"}\n')
    with pytest.raises(UsageError, match=r"(?s)3 bad rows.*line 8.*line 9.*line 10"):
        read_rows(path, tokenizer, COMPACT, 300)


def test_every_epoch_holds_every_row_once() -> None:
    lengths = [10 + 7 * n % 50 for n in range(101)]
    steps = steps_of(lengths, 300, 3, seed=1)
    seen = [number for step in steps for number in step]
    assert sorted(seen) == sorted([*range(101)] * 3)
    assert seen[:101] != seen[101:202]
    for step in steps:
        parts = balanced(step, lengths, 4)
        assert sorted(number for part in parts for number in part) == sorted(step)
        sizes = [sum(lengths[number] for number in part) for part in parts]
        assert max(sizes) - min(sizes) <= max(lengths)


@pytest.mark.parametrize(("kind", "most"), [("F16", 0.02), ("Q8_0", 0.05)])
def test_fused_model_in_llama_cpp_agrees_with_torch(
    trained: Path,
    base: Path,
    make: Callable[..., TrainOptions],
    tmp_path: Path,
    kind: Any,
    most: float,
) -> None:
    shutil.copytree(trained, tmp_path / "adapter")
    out = run_fuse(FuseOptions(adapter=tmp_path / "adapter", base=base, out=tmp_path, kind=kind))
    meta = json.loads((out / "meta.json").read_text())
    assert meta["update_kept"]["worst"] == pytest.approx(1.0, abs=0.02)
    assert meta["update_kept"]["mean_error"] < 0.1
    trainer = Trainer(make(trained))
    trainer.network.load(read_adapter(trained / "adapter.gguf"))
    engine = LlamaEngine(out / "model.gguf", COMPACT, context=512)
    for row in trainer.data.rows[:4]:
        network = trainer.network
        with torch.no_grad():
            states = network.states(pack([(row.ids, row.trained)]))[-1]
            states = torch.nn.functional.rms_norm(
                states, (network.shape.hidden,), network.final_norm, network.shape.norm_eps
            )
            wanted = (network.embedding @ states).numpy()
        engine.feed(row.ids)
        error = np.linalg.norm(engine.logits() - wanted) / np.linalg.norm(wanted)
        assert error < most


async def _reply(engine: LlamaEngine, messages: list[Message]) -> str:
    return (await engine.generate(messages, max_tokens=60)).text


@pytest.mark.anyio
async def test_fused_model_gives_back_what_it_was_trained_on(
    base: Path, make: Callable[..., TrainOptions], tmp_path: Path, anyio_backend: str
) -> None:
    # With frozen embeddings the marker of programs could not be learned at all: SmolLM2 has one
    # and the same vector for eleven of its control tokens.
    out = run(make(tmp_path / "run", epochs=25, validate_every=100), quiet)
    fuse(
        base, read_adapter(out / "adapter.gguf"), tmp_path / "m.gguf", facts={"dialect": "compact"}
    )
    engine = LlamaEngine(tmp_path / "m.gguf", COMPACT, context=512)
    follow_up: list[Message] = [
        {"role": "system", "content": "Be Punie."},
        {"role": "user", "content": "who calls item_1?"},
        {"role": "assistant", "content": "", "code": "r = find_references('item_1')"},
        {"role": "tool", "content": "3"},
        {"role": "user", "content": "and its types?"},
    ]
    assert await _reply(engine, follow_up) == "<jupyter_code>print(typecheck())"
    await engine.close()
    reader = open_gguf(tmp_path / "m.gguf")
    assert reader.fields["punie.dialect"].contents() == "compact"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_unchanged_tensors_are_copied_byte_for_byte(
    base: Path, trained: Path, tmp_path: Path
) -> None:
    adapter = read_adapter(trained / "adapter.gguf")
    fuse(base, adapter, tmp_path / "m.gguf")
    before = {tensor.name: np.asarray(tensor.data) for tensor in open_gguf(base).tensors}
    for tensor in open_gguf(tmp_path / "m.gguf").tensors:
        if tensor.name in adapter.pairs:
            assert tensor.tensor_type.name == "Q8_0"
            continue
        same = (np.asarray(tensor.data) == before[tensor.name]).reshape(len(tensor.data), -1).all(1)
        changed = set(np.flatnonzero(~same).tolist()) if "token_embd" in tensor.name else set()
        assert same.all() or changed <= set(adapter.rows)
        assert set(adapter.rows) == {1, 2, 13, 14}


def test_tokenizer_survives_fusing(base: Path, trained: Path, tmp_path: Path) -> None:
    fuse(base, read_adapter(trained / "adapter.gguf"), tmp_path / "m.gguf")
    talk: list[Message] = [{"role": "user", "content": "naïve 123 <|im_end|>"}]
    engine = LlamaEngine(tmp_path / "m.gguf", COMPACT, context=512)
    wanted = TrainingTokenizer(open_gguf(base)).encode(render(talk, COMPACT))[0]
    assert engine.tokenize(render(talk, COMPACT)) == wanted
    assert engine.tokenize([Piece("<|im_end|>", True, True)]) == [2]
