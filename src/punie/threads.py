"""Work that may block, such as on a file system that does not answer, beside the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
ENDING = 1.0
"""Seconds that a cancelled call of `settled` waits for its thread."""


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The function's outcome, from a thread of its own.

    When this is cancelled the thread goes on, and its outcome is dropped. Unlike those of
    `asyncio.to_thread` it keeps neither the event loop nor the process from ending.
    """
    return await _started(function, *args, **kwargs)


async def settled(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """As `in_thread`, for what changes files: a cancelled call waits up to `ENDING` seconds, so
    that nothing is written after it has ended, unless the file system hangs.
    """
    running = _started(function, *args, **kwargs)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait({running}, timeout=ENDING)
        raise


def _started(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()
    outcome.add_done_callback(lambda done: done.cancelled() or done.exception())  # is looked at
    variables = contextvars.copy_context()

    def run() -> None:
        told: Callable[[], None]
        try:
            value = variables.run(function, *args, **kwargs)
            told = partial(outcome.set_result, value)
        except BaseException as error:  # whoever waits for it raises it
            told = partial(outcome.set_exception, error)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens
            loop.call_soon_threadsafe(lambda: None if outcome.done() else told())

    threading.Thread(target=run, daemon=True).start()
    return outcome
