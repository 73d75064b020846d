"""Processes that work for one that is killed end with it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

MAIN = """
import time
from punie.factory.workers import pool

def work(seconds):
    import os
    print(os.getpid(), flush=True)
    time.sleep(seconds)

if __name__ == "__main__":
    with pool(2) as makers:
        list(makers.map(work, [60, 60]))
"""


def alive(pid: int) -> bool:
    """Whether it runs; what has ended and is not yet waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


def test_workers_end_with_the_process_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "main.py"
    script.write_text(MAIN)
    main = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    assert main.stdout is not None
    workers = [int(main.stdout.readline()) for _ in range(2)]
    assert all(map(alive, workers))
    main.kill()
    main.wait()
    deadline = time.monotonic() + 20
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, workers))
