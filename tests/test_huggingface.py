"""A fused model for other programs: a Hugging Face folder, and the chat template in both forms."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from punie.factory.fuse import FuseOptions
from punie.factory.fuse import run as run_fuse
from punie.models.chat_template import chat_template
from punie.models.weights import field, open_gguf
from punie.prompt import COMPACT, DIALECTS, Dialect, Message, render
from tiny_llama import write_tiny

pytestmark = [pytest.mark.train]
torch = pytest.importorskip("torch", reason="needs the extra `train`")
jinja2 = pytest.importorskip("jinja2", reason="comes with the extras `train` and `mlx`")
transformers = pytest.importorskip("transformers", reason="needs the extra `dev`")

from punie.factory.train import run  # noqa: E402
from punie.factory.training.base import TrainingTokenizer, weights  # noqa: E402
from tiny_training import maker, quiet  # noqa: E402

CONVERSATION: list[Message] = [
    {"role": "system", "content": "Be Punie."},
    {"role": "user", "content": "who calls get_user?\nand since when?"},
    {"role": "assistant", "content": " I look. ", "code": 'print("a\\n", {1: 2})'},
    {"role": "tool", "content": "3\n4"},
    {"role": "assistant", "content": "Three."},
    {"role": "user", "content": "show them"},
    {"role": "assistant", "content": "", "code": "print(1)"},
    {"role": "tool", "content": "1"},
]


def served(messages: list[Message]) -> list[dict[str, Any]]:
    """The messages as a chat server has them."""
    return [
        {"role": m["role"], "content": m["content"]}
        | (
            {"tool_calls": [{"function": {"name": "run", "arguments": {"code": m["code"]}}}]}
            if "code" in m
            else {}
        )
        for m in messages
    ]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("base") / "tiny.gguf")


@pytest.fixture(scope="module")
def made(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    trained = run(maker(base, folder)(folder / "adapter"), quiet)
    given = {"adapter": trained, "out": folder / "out", "base": base, "kind": "F32"}
    return run_fuse(FuseOptions.model_validate(given | {"huggingface": True}))


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
@pytest.mark.parametrize("turns", range(1, len(CONVERSATION) + 1))
def test_the_template_writes_what_punie_writes(dialect: Dialect, turns: int) -> None:
    messages = CONVERSATION[:turns]
    environment = jinja2.Environment(autoescape=False, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(chat_template(dialect))
    opened = messages[-1]["role"] != "assistant"
    text = template.render(messages=served(messages), add_generation_prompt=opened)
    assert text == "".join(piece.text for piece in render(messages, dialect))


def test_the_gguf_carries_dialect_and_template(made: Path) -> None:
    reader = open_gguf(made / "model.gguf")
    assert field(reader, "punie.dialect") == "compact"
    assert field(reader, "tokenizer.chat_template") == chat_template(COMPACT)


def test_transformers_computes_what_the_gguf_says(made: Path) -> None:
    model = transformers.AutoModelForCausalLM.from_pretrained(
        made / "huggingface", dtype=torch.float32
    )
    state = {name: torch.tensor(v) for name, v in weights(open_gguf(made / "model.gguf")).items()}
    stored = model.state_dict()
    for name, values in state.items():
        assert np.allclose(stored[name].numpy(), values.numpy(), atol=2e-3), name
    tokenizer = TrainingTokenizer(open_gguf(made / "model.gguf"))
    ids, _ = tokenizer.encode(render(CONVERSATION, COMPACT))
    from punie.engine.llama import LlamaEngine

    engine = LlamaEngine(made / "model.gguf", COMPACT, context=512)
    engine.feed(ids)
    ours = engine.logits().copy()
    engine.free()
    with torch.no_grad():
        theirs = model(torch.tensor([ids])).logits[0, -1].numpy()
    assert np.abs(ours - theirs).max() < 0.05 * np.abs(theirs).max()
    assert ours.argmax() == theirs.argmax()


def test_its_tokenizer_and_template_give_the_ids_of_training(made: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(made / "huggingface")
    text = tokenizer.apply_chat_template(
        served(CONVERSATION), tokenize=False, add_generation_prompt=True
    )
    wanted, _ = TrainingTokenizer(open_gguf(made / "model.gguf")).encode(
        render(CONVERSATION, COMPACT)
    )
    assert tokenizer(text, add_special_tokens=False)["input_ids"] == wanted
    assert json.loads((made / "huggingface" / "punie.json").read_text())["dialect"] == "compact"


def test_a_folder_that_was_there_is_replaced_as_a_whole(made: Path, base: Path) -> None:
    (made / "huggingface" / "old.txt").write_text("old")
    (made / "meta.json").unlink()
    given = {"adapter": made.parent / "adapter", "out": made, "base": base, "kind": "F32"}
    run_fuse(FuseOptions.model_validate(given | {"huggingface": True}))
    assert not (made / "huggingface" / "old.txt").exists()
    assert not list(made.glob("huggingface-*"))


@pytest.mark.parametrize("lost", ["the folder", "the weights", "a part of the weights"])
def test_a_folder_that_is_gone_or_damaged_is_made_anew(made: Path, base: Path, lost: str) -> None:
    weights = made / "huggingface" / "model.safetensors"
    whole = weights.read_bytes()
    if lost == "the folder":
        shutil.rmtree(weights.parent)
    elif lost == "the weights":
        weights.unlink()
    else:
        weights.write_bytes(whole[:-9])
    given = {"adapter": made.parent / "adapter", "out": made, "base": base, "kind": "F32"}
    run_fuse(FuseOptions.model_validate(given | {"huggingface": True}))
    assert weights.read_bytes() == whole


def test_all_may_read_what_was_written(made: Path) -> None:
    modes = {path.name: path.stat().st_mode & 0o444 for path in (made / "huggingface").iterdir()}
    assert set(modes.values()) == {0o444}, modes


def test_without_the_extra_nothing_is_begun(made: Path, base: Path, tmp_path: Path) -> None:
    program = """
import sys
sys.modules["safetensors"] = None
from pathlib import Path
from punie.errors import ModelUnavailable
from punie.factory.fuse import FuseOptions, run
adapter, out, base = map(Path, sys.argv[1:])
try:
    run(FuseOptions(adapter=adapter, out=out, base=base, huggingface=True))
except ModelUnavailable as error:
    print(error)
"""
    places = [str(made.parent / "adapter"), str(tmp_path / "out"), str(base)]
    done = subprocess.run(
        [sys.executable, "-c", program, *places], capture_output=True, text=True, check=True
    )
    assert "needs the extra 'train'" in done.stdout
    assert not (tmp_path / "out").exists()
