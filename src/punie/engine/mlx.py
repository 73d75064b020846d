"""MLX in process: a model folder on Apple silicon, CUDA or (slowly) a plain processor.

Everything of MLX happens in one thread of its own, since its streams belong to threads. As in the
llama.cpp engine, the cache is reused in whole turns only. The literals of a program are held to
what the model may write (`Copying`); its answers in words are not held to a list, since a dialect
whose marker spans several tokens may begin a program with any word.
"""

from __future__ import annotations

import asyncio
import importlib
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from punie.engine import Generation, Written
from punie.engine.copying import Copying
from punie.engine.decoding import Chooser, End, Told, relay, reused, turns_of
from punie.engine.folder import FolderTokenizer
from punie.engine.guide import Guide
from punie.errors import EngineError, ModelUnavailable
from punie.mentioned import Mentioned
from punie.prompt import Dialect, Message, Piece

BATCH = 256
"""Tokens of a prompt computed at once; cancelling waits for one batch."""


def require(module: str) -> Any:
    """A module of MLX. Raises ModelUnavailable that names the extra when it is missing."""
    try:
        return importlib.import_module(module)
    except (ImportError, OSError) as error:
        raise ModelUnavailable(
            f"MLX needs the extra 'mlx' ({error}): pip install 'punie[mlx]', or 'punie[mlx-cuda]'"
            " for an NVIDIA card"
        ) from None


class MlxEngine:
    """A model in a folder that mlx-lm can load. It is never downloaded, and no code that a folder
    holds is run."""

    kind = "mlx"

    def __init__(
        self,
        folder: Path,
        dialect: Dialect,
        *,
        name: str = "",
        sha256: str = "",
        context: int = 4096,
        literals: Iterable[str] | None = None,
    ) -> None:
        """Load the model. `context` is in tokens; `literals` are the only strings that a program
        may hold beside words of the conversation; None = any. Raises ModelUnavailable."""
        self.name, self.sha256 = name or folder.name, sha256
        self.dialect, self.context = dialect, context
        self._literals = None if literals is None else tuple(literals)
        self._mx = require("mlx.core")
        self._caches = require("mlx_lm.models.cache")
        self._tokenizer = FolderTokenizer(folder)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mlx")
        try:
            self._model = self._thread.submit(load, folder).result()[0]
        except ModelUnavailable:
            self._thread.shutdown()
            raise
        stops = [self.tokenize([Piece(stop, True, False)]) for stop in dialect.stops]
        self._stop_ids = {ids[0] for ids in stops if len(ids) == 1} | self._tokenizer.ends
        pairs = zip(dialect.stops, stops, strict=True)
        self._stop_texts = [stop.encode() for stop, ids in pairs if len(ids) > 1]
        self._cache: Any = None
        self._past: list[int] = []
        self._closed = False
        self._lock = asyncio.Lock()

    def tokenize(self, pieces: Iterable[Piece]) -> list[int]:
        """Token ids of rendered pieces; control tokens are recognised in control pieces only."""
        return self._tokenizer.encode(pieces)[0]

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
        """See `Engine.generate`. A cancelled call ends within one batch."""
        began = time.perf_counter()
        cancelled = threading.Event()
        async with self._lock:
            if self._closed:
                raise EngineError("the engine is closed")
            turns = turns_of(messages, self.dialect, self._tokenizer.ids, self.context)
            copying = None
            if self._literals is not None:
                copying = Copying(messages, self._literals, mentioned)
            guide = Guide(self.dialect.code_open, copying, None)
            chooser = Chooser(guide, self._ends, self._tokenizer.bytes_of, temperature, seed)
            told = relay(written)
            job = self._thread.submit(self._run, turns, max_tokens, chooser, cancelled, told)
            work = asyncio.wrap_future(job)
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
        chooser: Chooser,
        cancelled: threading.Event,
        told: Told | None,
    ) -> tuple[str, int, End]:
        """(reply, its tokens, how it ended)."""
        try:
            return self._reply(turns, max_tokens, chooser, cancelled, told)
        except (RuntimeError, ValueError) as error:
            self._past.clear()
            self._cache = None
            raise EngineError(f"MLX failed: {error}") from error

    def _reply(
        self,
        turns: list[list[int]],
        max_tokens: int,
        chooser: Chooser,
        cancelled: threading.Event,
        told: Told | None,
    ) -> tuple[str, int, End]:
        logits = self._prefill(turns, cancelled)
        room = min(max_tokens, self.context - len(self._past))

        def feed(token: int) -> None:
            nonlocal logits
            logits = self._decode([token])

        return chooser.reply(lambda: logits, feed, room, self._stop_texts, cancelled, told)

    def _ends(self, token: int) -> bool:
        return token in self._stop_ids

    def _prefill(
        self, turns: list[list[int]], cancelled: threading.Event
    ) -> npt.NDArray[np.float32]:
        """Bring the cache to the end of the prompt, reusing whole turns but never the last; gives
        the logits after it."""
        number, kept = reused(turns, self._past)
        if self._cache is None or not self._caches.can_trim_prompt_cache(self._cache):
            number = kept = 0
        if kept:
            self._caches.trim_prompt_cache(self._cache, len(self._past) - kept)
        else:
            self._cache = self._caches.make_prompt_cache(self._model)
        del self._past[kept:]
        batches = [
            turn[start : start + BATCH]
            for turn in turns[number:]
            for start in range(0, len(turn), BATCH)
        ]
        for ids in batches[:-1]:
            if cancelled.is_set():
                return np.zeros(0, dtype=np.float32)
            self._model(self._mx.array([ids]), cache=self._cache)
            self._mx.eval([entry.state for entry in self._cache])  # so no logits are computed
            self._past += ids
        return self._decode(batches[-1])

    def _decode(self, ids: list[int]) -> npt.NDArray[np.float32]:
        """Feed tokens; the logits (vocab,) after the last one."""
        logits = self._model(self._mx.array([ids]), cache=self._cache)[0, -1]
        self._past += ids
        found: npt.NDArray[np.float32] = np.array(logits.astype(self._mx.float32))
        return found

    def logits(self, ids: list[int]) -> npt.NDArray[np.float32]:
        """Logits after `ids` alone, for tests and measurements."""
        return self._thread.submit(self._prefill, [ids], threading.Event()).result()

    async def close(self) -> None:
        """Free the model; waits for a call that is under way."""
        async with self._lock:
            if not self._closed:
                self._closed = True
                self._model = self._cache = None
                self._thread.shutdown()


def load(folder: Path, lazy: bool = False) -> tuple[Any, dict[str, Any]]:
    """The model of a folder and its configuration; Python files in the folder are not run.

    A plain processor multiplies experts that are not quantized in float32 only, so there such a
    model is widened. Raises ModelUnavailable."""
    try:
        model, config = require("mlx_lm.utils").load_model(folder, lazy=lazy)
    except Exception as error:  # a configuration of wrong values fails anywhere in mlx-lm
        raise ModelUnavailable(
            f"MLX cannot load {str(folder)!r} ({type(error).__name__}: {error})"
        ) from error
    mx, switch = require("mlx.core"), require("mlx_lm.models.switch_layers").SwitchLinear
    experts = any(isinstance(module, switch) for module in model.modules())
    if experts and mx.default_device().type == mx.DeviceType.cpu:
        model.set_dtype(mx.float32)
    return model, config
