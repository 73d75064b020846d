"""Processes that work for one that may be killed: they end with it, and what they started too."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import connection, get_context


def pool(workers: int) -> ProcessPoolExecutor:
    """A pool of fresh processes: a fork of one that has threads (torch, llama.cpp) may hang for
    ever."""
    return ProcessPoolExecutor(workers, get_context("spawn"), initializer=_end_with_parent)


def _end_with_parent() -> None:
    """End this process at once when its parent has ended; its own watcher (`punie.strays`) then
    ends what it has started."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()
