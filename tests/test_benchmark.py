"""The benchmark: figures of real processes, and a model that cannot be had beside one that can."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from punie import demo
from punie.factory import benchmark, watched
from punie.factory.benchmark import Subject
from punie.models import base_file


def test_memory_is_that_of_the_process_and_all_below_it() -> None:
    inner = "import time; held = bytearray(60_000_000); print(1, flush=True); time.sleep(30)"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    process = subprocess.Popen([sys.executable, "-c", outer], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        found = watched.resident(process.pid)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    finally:
        process.kill()
        process.wait()
    for child in children:
        os.kill(int(child), 9)
    assert sum(found.values()) > 60_000_000
    assert watched.resident(process.pid) == {}


def test_pages_of_a_child_that_runs_no_program_of_its_own_count_once() -> None:
    forked = (
        "import os, time; held = bytearray(60_000_000); child = os.fork()\n"
        "print(1, flush=True) if child else None; time.sleep(30)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", forked], stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    try:
        found = sum(watched.resident(process.pid).values())
    finally:
        os.killpg(process.pid, 9)
        process.wait()
    assert 60_000_000 < found < 110_000_000


def test_a_command_is_timed_with_what_stands_beside_it() -> None:
    big = "held = bytearray(50_000_000); print('up', flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", big], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    script = "import time, sys; time.sleep(0.5); print(sys.stdin.read())"
    try:
        seconds, out, alone = watched.run([sys.executable, "-c", script], "hello")
        _, _, both = watched.run([sys.executable, "-c", script], "", [process.pid])
    finally:
        process.kill()
        process.wait()
    assert out.strip() == "hello"
    assert seconds >= 0.5
    assert sum(both.values()) - sum(alone.values()) > 40_000_000


def test_models_are_measured_in_turn_and_one_that_fails_says_so(tmp_path: Path) -> None:
    replies = tmp_path / "replies.json"
    replies.write_text(
        json.dumps(["<jupyter_code>print(git_status().file_count)"] * 2 + ["Words."])
    )
    good, gone = Subject(f"scripted:{replies}"), Subject(str(tmp_path / "gone.gguf"))
    root = demo.create(tmp_path / "shop")
    asked = demo.QUESTIONS[:2]
    report = benchmark.run([good, gone], tmp_path / "out", 2, asked, root)
    assert report == json.loads((tmp_path / "out" / "report.json").read_text())
    first, second = report["models"]
    assert first["error"] is None
    assert first["ok"] == [4, 4]
    assert first["memory"] > 10_000_000
    assert first["first_ms"] >= first["load_ms"] > 0
    assert first["tool_ms"]["max"] > 0
    assert first["direct_ms"]["max"] > 0
    assert len(good.loads) == 2
    assert "gone.gguf" in second["error"]
    told = (tmp_path / "out" / "report.md").read_text()
    assert "answers that are ok | 4 of 4 | –" in told
    assert "could not be measured" in told


@pytest.mark.model
@pytest.mark.slow
def test_an_untuned_model_is_asked_over_http(tmp_path: Path) -> None:
    if lacking := watched.missing():
        pytest.skip(f"not installed: {', '.join(lacking)} (pip install 'punie[dev]')")
    began = time.monotonic()
    root = demo.create(tmp_path / "shop")
    subject = Subject(str(base_file()), served=True)
    report = benchmark.run([subject], tmp_path / "out", 1, demo.QUESTIONS[-1:], root)
    (found,) = report["models"]
    assert found["error"] is None
    assert found["name"].endswith("(served, general)")
    assert found["disk"] == base_file().stat().st_size
    assert found["prompt_tokens"] > 1000, "the stubs stand in its prompt"
    assert found["tokens_per_second"] > 0
    assert 0 < found["load_ms"] < 1000 * (time.monotonic() - began)
    assert any("python" in name for name in found["memory_by_program"])


def test_an_interrupt_ends_the_command_and_what_watches_it(tmp_path: Path) -> None:
    sleeper = f"import os, pathlib, time; pathlib.Path({str(tmp_path / 'pid')!r}).write_text("
    sleeper += "str(os.getpid())); time.sleep(60)"
    script = "import sys\nfrom punie.factory import watched\n"
    script += f"watched.run([sys.executable, '-c', {sleeper!r}])"
    measuring = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        time.sleep(0.05)
    measuring.send_signal(signal.SIGINT)
    _, said = measuring.communicate(timeout=30)
    assert "KeyboardInterrupt" in said
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text()}").exists()
