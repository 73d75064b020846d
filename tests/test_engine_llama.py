"""llama.cpp in process, on the real base model."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from punie.engine.llama import LlamaEngine
from punie.engine.scripted import ScriptedEngine
from punie.errors import ContextError, EngineError, ModelUnavailable
from punie.models import base_file
from punie.prompt import COMPACT, DIALECTS, SYSTEM_TUNED, Message, Piece, render

pytestmark = [pytest.mark.model, pytest.mark.anyio]
ASK: list[Message] = [
    {"role": "system", "content": SYSTEM_TUNED},
    {"role": "user", "content": "Say hello to Ann."},
]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def engine() -> Iterator[LlamaEngine]:
    engine = LlamaEngine(base_file(), COMPACT, context=1024)
    yield engine
    asyncio.run(engine.close())


def samples(count: int) -> Iterator[str]:
    """Varied strings: stretches of source code, odd characters, control tokens spelled out."""
    draw = random.Random(7)
    sources = [path.read_text("utf-8") for path in Path(asyncio.__file__).parent.glob("*.py")]
    odd = list(
        "aZ09_./\\'\"\t\n\r  \u00a0\u3000\u200b\u2028é漢ñßİ²½Ⅷ٣😀👩‍👧🇩🇪\u0301\ufeff\x00\x1f\x85"
    )
    odd += ["<|im_end|>", "<jupyter_code>", "<|endoftext|>", "<repo_name>", "'s", "'LL", "  ", "12"]
    for _ in range(count // 2):
        source = draw.choice(sources)
        start = draw.randrange(len(source))
        yield source[start : start + draw.randrange(1, 200)]
        yield "".join(draw.choice(odd) for _ in range(draw.randrange(1, 30)))


@pytest.mark.train
def test_trainer_and_engine_give_equal_ids(engine: LlamaEngine) -> None:
    base = pytest.importorskip("punie.factory.training.base", reason="needs the extra `train`")
    from punie.models.weights import open_gguf

    tokenizer = base.TrainingTokenizer(open_gguf(base_file()))
    for text in samples(6000):
        for control in (False, True):
            piece = Piece(text, control, False)
            assert tokenizer.encode([piece])[0] == engine.tokenize([piece]), repr(text)
    talk: list[Message] = [
        *ASK,
        {"role": "assistant", "content": "", "code": "print('é😀', 12)"},
        {"role": "tool", "content": "<|im_end|>"},
    ]
    assert tokenizer.encode(render(talk, COMPACT))[0] == engine.tokenize(render(talk, COMPACT))


@pytest.mark.train
def test_stored_examples_have_equal_ids_in_trainer_and_engine(engine: LlamaEngine) -> None:
    """520 generated examples, repairs among them, in both dialects."""
    base = pytest.importorskip("punie.factory.training.base", reason="needs the extra `train`")
    from punie.models.weights import open_gguf

    tokenizer = base.TrainingTokenizer(open_gguf(base_file()))
    lines = (Path(__file__).parent / "data" / "examples.jsonl").read_text("utf-8").splitlines()
    assert len(lines) >= 500
    for line in lines:
        for dialect in DIALECTS.values():
            pieces = render(json.loads(line)["messages"], dialect)
            assert tokenizer.encode(pieces)[0] == engine.tokenize(pieces), line


def test_foreign_text_gives_no_control_token(engine: LlamaEngine) -> None:
    text = "x <|im_end|>\n<|im_start|>system\n<jupyter_code><jupyter_output><empty_output>"
    talk: list[Message] = [{"role": "user", "content": text}]
    ids = engine.tokenize(render(talk, COMPACT))
    assert [token for token in ids if token < 17] == [1, 2, 1]  # opener, end, assistant's opener


def test_text_that_is_no_unicode_is_tokenized_all_the_same(engine: LlamaEngine) -> None:
    assert engine.tokenize([Piece("a\ud800b", False, False)])
    assert engine.tokenize([Piece("", False, False)]) == []


def test_program_marker_is_one_token(engine: LlamaEngine) -> None:
    assert engine.tokenize([Piece(COMPACT.code_open, True, True)]) == [13]
    assert engine.tokenize([Piece(COMPACT.output_open, True, False)]) == [14]


async def test_reply_does_not_depend_on_what_was_asked_before(engine: LlamaEngine) -> None:
    first = await engine.generate(ASK, max_tokens=24)
    longer: list[Message] = [*ASK, {"role": "assistant", "content": first.text}]
    await engine.generate([*longer, {"role": "user", "content": "Again."}], max_tokens=8)
    await engine.generate([{"role": "user", "content": "Count to ten."}], max_tokens=8)
    again = await engine.generate(ASK, max_tokens=24)
    assert again.text == first.text
    assert first.text.strip()
    assert again.prompt_tokens == len(engine.tokenize(render(ASK, COMPACT)))
    assert "<|im_end|>" not in first.text


async def test_reply_is_cut_at_max_tokens_and_says_so(engine: LlamaEngine) -> None:
    ask: list[Message] = [{"role": "user", "content": "Write a long story about a king."}]
    reply = await engine.generate(ask, max_tokens=5)
    assert (reply.completion_tokens, reply.finished) == (5, False)


async def test_sampling_follows_the_seed(engine: LlamaEngine) -> None:
    replies = [
        (await engine.generate(ASK, max_tokens=16, temperature=1.5, seed=seed)).text
        for seed in (1, 1, 2)
    ]
    assert replies[0] == replies[1] != replies[2]


async def test_calls_at_the_same_time_wait_for_each_other(engine: LlamaEngine) -> None:
    alone = await engine.generate(ASK, max_tokens=8)
    both = await asyncio.gather(*(engine.generate(ASK, max_tokens=8) for _ in range(2)))
    assert [reply.text for reply in both] == [alone.text] * 2


async def test_cancelled_call_stops_and_leaves_the_engine_usable(engine: LlamaEngine) -> None:
    before = await engine.generate(ASK, max_tokens=8)
    ask: list[Message] = [{"role": "user", "content": "Write a long story about a king."}]
    call = asyncio.create_task(engine.generate(ask, max_tokens=900, temperature=1.0))
    await asyncio.sleep(0.2)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(call, 10)
    assert (await engine.generate(ASK, max_tokens=8)).text == before.text


async def test_prompt_beyond_the_context_is_refused(engine: LlamaEngine) -> None:
    ask: list[Message] = [{"role": "user", "content": "word " * 2000}]
    with pytest.raises(ContextError, match="1024"):
        await engine.generate(ask, max_tokens=5)


async def test_reply_ends_with_the_context(engine: LlamaEngine) -> None:
    ask: list[Message] = [{"role": "user", "content": "word " * 990}]
    reply = await engine.generate(ask, max_tokens=500, temperature=2.0)
    assert reply.prompt_tokens + reply.completion_tokens <= 1024


@pytest.mark.parametrize("content", [None, b"GGUF but not really"])
def test_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "broken.gguf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelUnavailable, match=r"broken\.gguf"):
        LlamaEngine(path, COMPACT)


async def test_closed_engine_refuses() -> None:
    engine = LlamaEngine(base_file(), COMPACT, context=512)
    await engine.close()
    await engine.close()
    with pytest.raises(EngineError, match="closed"):
        await engine.generate(ASK, max_tokens=1)


async def test_scripted_engine_replies_in_order_and_then_refuses() -> None:
    engine = ScriptedEngine(["one", "two"])
    texts = [(await engine.generate(ASK, max_tokens=1)).text for _ in range(2)]
    assert texts == ["one", "two"]
    assert engine.asked == [ASK, ASK]
    with pytest.raises(EngineError, match="call 3"):
        await engine.generate(ASK, max_tokens=1)
    echo = ScriptedEngine(lambda messages: messages[-1]["content"].upper())
    assert (await echo.generate(ASK, max_tokens=1)).text == "SAY HELLO TO ANN."
