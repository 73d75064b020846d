"""Child processes of a workspace: started, cancelled at any moment, never left behind."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from punie.errors import ToolFailure
from punie.workspace import Workspace


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8, 20])
def test_a_child_can_be_cancelled_while_it_starts(tmp_path: Path, turns: int) -> None:
    """CPython 3.11 waits for ever when `create_subprocess_exec` itself is cancelled."""

    async def cancel() -> bool:
        running = asyncio.create_task(Workspace(tmp_path).run(["sleep", "30"], timeout=60))
        for _ in range(turns):
            await asyncio.sleep(0)
        running.cancel()
        done, _ = await asyncio.wait({running}, timeout=10)
        return bool(done) and running.cancelled()

    start = time.monotonic()
    assert asyncio.run(cancel())
    assert time.monotonic() - start < 20  # far from the child's own 30 s


def test_a_program_that_cannot_start_is_named(tmp_path: Path) -> None:
    with pytest.raises(ToolFailure, match="cannot start 'nowhere'"):
        asyncio.run(Workspace(tmp_path).run(["nowhere"], timeout=5))
