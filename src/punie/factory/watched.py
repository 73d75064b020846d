"""Run a program and watch its memory, and serve a model with llama.cpp's own server."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from punie.errors import ModelUnavailable
from punie.strays import MARK, new_mark

NEEDED = ("llama_cpp", "fastapi", "uvicorn", "sse_starlette", "starlette_context")
"""Modules that the server needs; all but the first come with the extra `dev`."""
PAGE = os.sysconf("SC_PAGE_SIZE")
"""Bytes of a page of memory."""
PATIENCE = 120.0
"""Seconds in which a server must answer."""


def resident(root: int) -> dict[str, int]:
    """Resident bytes of a process and all below it, by program name. Empty where there is no
    /proc.

    A child that has been forked and does not run its own program yet has its parent's pages, which
    count once."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir() if Path("/proc").is_dir() else ():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
    found: dict[str, int] = {}
    sizes: dict[int, tuple[bytes, int]] = {}
    for pid in sorted(parents):
        above = pid
        while above in parents and above != root:
            above = parents[above]
        if above == root:
            try:
                name = Path(f"/proc/{pid}/comm").read_text().strip()
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
                size = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
            except OSError:
                continue
            sizes[pid] = command, size
            of, most = sizes.get(parents[pid], (b"", 0))
            if command != of or not 0.9 * most < size < 1.1 * most:
                found[name] = found.get(name, 0) + size
    return found


def run(
    command: Sequence[str], text: str = "", beside: Sequence[int] = ()
) -> tuple[float, str, dict[str, int]]:
    """Seconds, standard output, and resident bytes by program at the largest sum over the command
    and the processes `beside` it, with all below them, sampled every 20 ms."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=dict(os.environ) | {"PUNIE_TRACES": "false", MARK: new_mark()},
    )
    peak: dict[str, int] = {}
    done = threading.Event()

    def sample() -> None:
        nonlocal peak
        while not done.wait(0.02):
            now: dict[str, int] = {}
            for pid in (process.pid, *beside):
                for name, size in resident(pid).items():
                    now[name] = now.get(name, 0) + size
            if sum(now.values()) > sum(peak.values()):
                peak = now

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        out, _ = process.communicate(text)
        seconds = time.perf_counter() - start
    finally:  # interrupted: neither the command nor the thread may stay
        process.kill()
        process.wait()
        done.set()
        sampler.join()
    return seconds, out, peak


def missing() -> list[str]:
    """Modules that llama.cpp's server lacks here."""
    return [name for name in NEEDED if importlib.util.find_spec(name) is None]


@contextmanager
def served(
    model: Path, log: Path, *, name: str = "", context: int = 8192, threads: int = 0
) -> Iterator[tuple[str, subprocess.Popen[bytes], float]]:
    """(address, process, seconds until it answered) of a llama.cpp server on this machine that
    serves `model` under `name`, else that of its file, and ends with the block. `threads` 0 = as
    many as it likes. Raises ModelUnavailable when it is not installed or does not come up."""
    if lacking := missing():
        raise ModelUnavailable(
            f"llama.cpp's server needs {', '.join(lacking)}: pip install 'punie[dev]'"
        )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    address = f"http://127.0.0.1:{port}/v1"
    options = {
        "model": str(model),
        "model_alias": name or model.stem,
        "host": "127.0.0.1",
        "port": str(port),
        "n_ctx": str(context),
        "verbose": "false",
    }
    if threads:
        options |= {"n_threads": str(threads), "n_threads_batch": str(threads)}
    command = [sys.executable, "-m", "llama_cpp.server"]
    command += [text for name, value in options.items() for text in (f"--{name}", value)]
    began = time.monotonic()
    with log.open("wb") as output:
        env = dict(os.environ) | {MARK: new_mark()}
        process = subprocess.Popen(command, stdout=output, stderr=output, env=env)
    try:
        while True:
            try:
                httpx.get(f"{address}/models", trust_env=False).raise_for_status()
                break
            except httpx.HTTPError:
                if process.poll() is not None or time.monotonic() - began > PATIENCE:
                    told = log.read_text("utf-8", "replace")[-600:]
                    raise ModelUnavailable(
                        f"the server of {model.name} did not come up: {told}"
                    ) from None
                time.sleep(0.1)
        yield address, process, time.monotonic() - began
    finally:
        process.kill()
        process.wait()
