"""A file system that never answers: each call that names a path in it ends at its limit.

The file system is real, mounted with FUSE; what should answer for it reads nothing but the hello.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import repos
from punie.threads import in_thread, settled
from punie.tool import Tool, load_tools
from punie.wrap import PATHS, call

TOOLS = {
    name: tool
    for name, tool in load_tools().items()
    if any(p.name in PATHS for p in tool.parameters)
}
HELLO = struct.Struct("<IIQQIIII")
"""The head of a request: length, kind, number, node, user, group, process, nothing."""
LAZILY = 2
"""`MNT_DETACH`."""


@pytest.fixture
def hung(tmp_path: Path) -> Iterator[Path]:
    """A workspace; nothing answers for what is below its folder `far`."""
    root = repos.repository(tmp_path / "work", {"app.py": "x = 1\n"})
    far = root / "far"
    far.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        device = os.open("/dev/fuse", os.O_RDWR)
    except OSError:
        pytest.skip("there is no FUSE here")
    options = f"fd={device},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}"
    if libc.mount(b"hung", os.fsencode(far), b"fuse", 0, options.encode()):
        os.close(device)
        pytest.skip("mounting is not allowed here")
    try:
        number = HELLO.unpack_from(os.read(device, 2**16))[2]
        os.write(device, struct.pack("<IiQ", 80, 0, number) + struct.pack("<II", 7, 31) + bytes(56))
        yield root
    finally:
        os.close(device)  # whoever waits gets an error
        libc.umount2(os.fsencode(far), LAZILY)


def arguments(tool: Tool) -> dict[str, Any]:
    """The path in the hung folder, and a text for what else is required."""
    given = {p.name: "x = 2\n" for p in tool.parameters if p.required}
    return given | {p.name: "far/app.py" for p in tool.parameters if p.name in PATHS}


@pytest.mark.parametrize("name", TOOLS)
def test_a_path_that_never_answers_ends_at_the_limit(hung: Path, name: str) -> None:
    tool = TOOLS[name]
    result = repos.ask(tool, hung, {"tool_seconds": 0.3, "test_seconds": 0.3}, **arguments(tool))
    assert not result.success
    assert f"{name} took longer than its limit of 0.3 s" in result.parse_error


@pytest.mark.parametrize("name", TOOLS)
def test_a_call_that_waits_for_such_a_path_can_be_cancelled(hung: Path, name: str) -> None:
    tool = TOOLS[name]

    async def run() -> bool:
        here = repos.context(hung)
        running = asyncio.create_task(call(tool, here, tool.bind((), arguments(tool))))
        await asyncio.wait({running}, timeout=0.1)
        running.cancel()
        await asyncio.wait({running}, timeout=10)
        return running.cancelled()

    assert asyncio.run(run())


def test_a_cancelled_write_is_whole_before_the_call_ends() -> None:
    """What is written after a call has ended would be written behind the user's back."""
    written = threading.Event()

    def write() -> None:
        time.sleep(0.2)
        written.set()

    async def run() -> bool:
        running = asyncio.create_task(settled(write))
        await asyncio.sleep(0.05)
        running.cancel()
        await asyncio.wait({running})
        return running.cancelled() and written.is_set()

    assert asyncio.run(run())


def test_what_a_thread_raises_is_raised_to_the_caller() -> None:
    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        asyncio.run(in_thread(fail))
