"""Folders for a while: gone when done with, and after a kill when the next one is made."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from punie.scratch import YOUNG, scratch

HOLD = """
import sys, time
from punie.scratch import scratch
with scratch("trial") as folder:
    print(folder, flush=True)
    time.sleep(float(sys.argv[1]))
"""


@pytest.fixture
def place(tmp_path: Path) -> dict[str, str]:
    """An environment whose folder for temporary things is empty."""
    return os.environ | {"TMPDIR": str(tmp_path)}


def held(place: dict[str, str]) -> tuple[subprocess.Popen[str], Path]:
    """A process that holds a folder, and the folder."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, "60"], env=place, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    return child, Path(child.stdout.readline().strip())


def age(folder: Path) -> None:
    long_ago = folder.stat().st_mtime - YOUNG - 1
    os.utime(folder, (long_ago, long_ago))


def test_a_folder_goes_with_what_is_in_it() -> None:
    with scratch("trial") as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "file").write_text("x")
    assert not folder.exists()


def test_what_a_killed_process_left_goes_and_what_is_in_use_stays(place: dict[str, str]) -> None:
    killed, left = held(place)
    living, used = held(place)
    try:
        (left / "file").write_text("x")
        killed.kill()
        killed.wait()
        age(left)
        age(used)
        strange = left.parent / "punie-other-1"
        strange.mkdir()
        age(strange)
        subprocess.run([sys.executable, "-c", HOLD, "0"], env=place, check=True)
        assert not left.exists()
        assert used.exists()
        assert strange.exists()
    finally:
        living.kill()
        living.wait()


def test_a_young_folder_stays_since_it_may_not_be_locked_yet(place: dict[str, str]) -> None:
    killed, left = held(place)
    killed.kill()
    killed.wait()
    subprocess.run([sys.executable, "-c", HOLD, "0"], env=place, check=True)
    assert left.exists()


def test_a_link_of_that_name_is_not_followed(place: dict[str, str], tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "file").write_text("x")
    age(target)
    link = tmp_path / "punie-trial-link"
    link.symlink_to(target)
    os.utime(link, (0, 0), follow_symlinks=False)
    subprocess.run([sys.executable, "-c", HOLD, "0"], env=place, check=True)
    assert (target / "file").read_text() == "x"
