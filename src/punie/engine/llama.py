"""llama.cpp in process: a GGUF file, memory-mapped, on the CPU (or what llama.cpp was built for).

A prompt is decoded turn by turn, and what an earlier call left in the cache is reused in whole
turns only: so the work for a prompt has the same shape, and greedy replies are the same bit for
bit, whatever was asked before.
"""

from __future__ import annotations

import asyncio
import ctypes
import importlib
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from punie.engine import Generation, Written
from punie.engine.copying import Copying
from punie.engine.decoding import Chooser, End, Told, relay, reused, turns_of
from punie.engine.guide import Bank, Guide
from punie.errors import EngineError, ModelUnavailable
from punie.mentioned import Mentioned
from punie.prompt import Dialect, Message, Piece

BATCH = 256
"""Tokens decoded at once: more costs memory, and cancelling waits for one batch."""
_errors: deque[str] = deque(maxlen=5)
_log_callback: Any = None


def library() -> Any:
    """The llama_cpp module, its log kept off standard error (errors go to `_errors`)."""
    global _log_callback
    try:
        found = importlib.import_module("llama_cpp")
    except (ImportError, OSError, RuntimeError) as error:
        message = f"llama-cpp-python cannot be loaded ({error}); pip install llama-cpp-python"
        raise ModelUnavailable(message) from error
    if _log_callback is None:

        def keep(level: int, text: bytes, _: object) -> None:
            if level == 4:  # GGML_LOG_LEVEL_ERROR
                _errors.append(text.decode("utf-8", "replace").strip())

        _log_callback = found.llama_log_callback(keep)
        found.llama_log_set(_log_callback, ctypes.c_void_p(0))
        found.llama_backend_init()
    return found


def last_errors() -> str:
    """What llama.cpp complained of last, oldest first."""
    return "; ".join(_errors)


class LlamaEngine:
    """A model in a GGUF file."""

    kind = "llama.cpp"

    def __init__(
        self,
        path: Path,
        dialect: Dialect,
        *,
        name: str = "",
        sha256: str = "",
        context: int = 4096,
        threads: int = 0,
        literals: Iterable[str] | None = None,
        answers: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Load the model (a few tenths of a second: the weights are mapped, not read). `context`
        is in tokens; `threads` 0 = by the cores; `literals` are the only strings that a program
        may hold beside words of the conversation (`Copying`), `answers` all that it may say in
        words, each with the questions that it answers (`Guide`); None = any. Raises
        ModelUnavailable if it cannot be loaded."""
        self.name, self.sha256 = name or path.stem, sha256
        self._literals = None if literals is None else tuple(literals)
        self._answers = None if answers is None else Bank(answers)
        self.dialect, self.context = dialect, context
        self._llama = llama = library()
        if not path.is_file():
            raise ModelUnavailable(f"there is no model file {str(path)!r}")
        _errors.clear()
        self._model = llama.llama_model_load_from_file(
            os.fsencode(path), llama.llama_model_default_params()
        )
        if not self._model:
            raise ModelUnavailable(f"llama.cpp cannot load {str(path)!r}: {last_errors()}")
        params = llama.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = context, BATCH, BATCH
        params.n_outputs_max = 1
        # Generation leaves a core free: its threads wait for each other 300 times a token, and
        # one kept from its core stalls all (busy 2 cores: 61 tok/s against 96; quiet: 156, 135).
        params.n_threads, params.n_threads_batch = threads or max(1, _cores() - 1), _cores()
        self._context = llama.llama_init_from_model(self._model, params)
        if not self._context:
            llama.llama_model_free(self._model)
            raise ModelUnavailable(f"no context of {context} tokens: {last_errors()}")
        self._closed = False
        self._vocab = llama.llama_model_get_vocab(self._model)
        self._vocab_size = int(llama.llama_vocab_n_tokens(self._vocab))
        stops = [self.tokenize([Piece(stop, True, False)]) for stop in dialect.stops]
        self._stop_ids = {ids[0] for ids in stops if len(ids) == 1}
        pairs = zip(dialect.stops, stops, strict=True)
        self._stop_texts = [stop.encode() for stop, ids in pairs if len(ids) > 1]
        self._past: list[int] = []
        self._lock = asyncio.Lock()

    def adapt(self, path: Path) -> None:
        """Add a LoRA adapter in llama.cpp's format to what the model computes, its weights left as
        they are. Raises ModelUnavailable when it is none or does not fit."""
        _errors.clear()
        adapter = self._llama.llama_adapter_lora_init(self._model, os.fsencode(path))
        if not adapter:
            raise ModelUnavailable(f"llama.cpp cannot load {str(path)!r}: {last_errors()}")
        several, scales = (type(adapter) * 1)(adapter), (ctypes.c_float * 1)(1.0)
        if self._llama.llama_set_adapters_lora(self._context, several, 1, scales):
            raise ModelUnavailable(f"llama.cpp cannot use {str(path)!r}: {last_errors()}")

    def tokenize(self, pieces: Iterable[Piece]) -> list[int]:
        """Token ids of rendered pieces; special tokens are recognised in control pieces only."""
        ids: list[int] = []
        for piece in pieces:
            ids += self._tokenize(piece)
        return ids

    def _tokenize(self, piece: Piece) -> list[int]:
        if self._closed:
            raise EngineError("the engine is closed")
        text = piece.text.encode("utf-8", "replace")
        room = len(text) + 8
        found = (self._llama.llama_token * room)()
        tokenize = self._llama.llama_tokenize
        count = tokenize(self._vocab, text, len(text), found, room, False, piece.control)
        if count < 0:
            raise EngineError(f"llama.cpp cannot tokenize {piece.text[:80]!r}")
        return list(found[:count])

    async def generate(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int = 0,
        mentioned: Mentioned | None = None,
        written: Written | None = None,
    ) -> Generation:
        """See `Engine.generate`. Works in a thread; a cancelled call ends within one batch."""
        began = time.perf_counter()
        cancelled = threading.Event()
        async with self._lock:
            turns = turns_of(messages, self.dialect, self._tokenize, self.context)
            guide = self._guide(messages, mentioned)
            job = asyncio.to_thread(
                self._run, turns, max_tokens, temperature, seed, cancelled, guide, relay(written)
            )
            work = asyncio.create_task(job)
            try:
                text, count, end = await asyncio.shield(work)
            except asyncio.CancelledError:
                cancelled.set()
                await asyncio.wait([work])
                raise
        spent = 1000 * (time.perf_counter() - began)
        sizes = sum(map(len, turns))
        return Generation(text, sizes, count, spent, end != "cut", end != "unsure")

    def _run(
        self,
        turns: list[list[int]],
        max_tokens: int,
        temperature: float,
        seed: int,
        cancelled: threading.Event,
        guide: Guide,
        told: Told | None,
    ) -> tuple[str, int, End]:
        """(reply, its tokens, how it ended)."""
        chooser = Chooser(guide, self._ends, self._bytes_of, temperature, seed)
        self._prefill(turns, cancelled)
        room = min(max_tokens, self.context - len(self._past))

        def feed(token: int) -> None:
            self._decode([token])

        return chooser.reply(self.logits, feed, room, self._stop_texts, cancelled, told)

    def _ends(self, token: int) -> bool:
        """Whether a token ends a reply."""
        return token in self._stop_ids or self._llama.llama_vocab_is_eog(self._vocab, token)

    def feed(self, ids: list[int]) -> None:
        """Forget everything and feed `ids`, for tests and measurements: then read `logits`."""
        self._prefill([ids], threading.Event())

    def append(self, ids: list[int]) -> None:
        """Feed more after `feed`, for measurements."""
        for start in range(0, len(ids), BATCH):
            self._decode(ids[start : start + BATCH])

    def _prefill(self, turns: list[list[int]], cancelled: threading.Event) -> None:
        """Bring the cache to the end of the prompt, reusing whole turns but never the last."""
        number, kept = reused(turns, self._past)
        memory = self._llama.llama_get_memory(self._context)
        self._llama.llama_memory_seq_rm(memory, 0, kept, -1)
        del self._past[kept:]
        for turn in turns[number:]:
            for start in range(0, len(turn), BATCH):
                if cancelled.is_set():
                    return
                self._decode(turn[start : start + BATCH])

    def _decode(self, ids: list[int]) -> None:
        """Feed tokens; the logits of the last one can be read afterwards."""
        array = (self._llama.llama_token * len(ids))(*ids)
        batch = self._llama.llama_batch_get_one(array, len(ids))
        status = self._llama.llama_decode(self._context, batch)
        if status:
            self._llama.llama_memory_clear(self._llama.llama_get_memory(self._context), True)
            self._past.clear()
            raise EngineError(f"llama.cpp failed with status {status}: {last_errors()}")
        self._past += ids

    def _guide(self, messages: Sequence[Message], mentioned: Mentioned | None) -> Guide:
        """What a reply to `messages` may be; words after a program's run are free."""
        copying = answers = narrowed = None
        if self._literals is not None:
            copying = Copying(messages, self._literals, mentioned)
        if (bank := self._answers) and messages[-1]["role"] == "user":
            answers, narrowed = bank.all, partial(bank.to, messages[-1]["content"])
        return Guide(self.dialect.code_open, copying, answers, narrowed)

    def logits(self) -> npt.NDArray[np.float32]:
        """Logits (vocab,) after the last token fed; a view that the next token overwrites."""
        pointer = self._llama.llama_get_logits_ith(self._context, -1)
        return np.ctypeslib.as_array(pointer, shape=(self._vocab_size,))

    def _bytes_of(self, token: int) -> bytes:
        """A token's text, control tokens visible."""
        buffer = ctypes.create_string_buffer(256)
        size = self._llama.llama_token_to_piece(self._vocab, token, buffer, 256, 0, True)
        return buffer.raw[: max(size, 0)]

    async def close(self) -> None:
        """Free the model; waits for a call that is under way."""
        async with self._lock:
            self.free()

    def free(self) -> None:
        """Free the model at once: only where no call can be under way."""
        if not self._closed:
            self._closed = True
            self._llama.llama_free(self._context)
            self._llama.llama_model_free(self._model)


def _cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
