"""Suites that hang, die, are killed or leave processes: what was told before counts."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from punie.testrun import read_report
from punie.tools.testing import pytest_run
from workbench import ask, by_name, output, write

HANGING = """
import asyncio, sys
from pathlib import Path
from punie.tools.testing import pytest_run
from punie.wrap import call
from repos import context
asyncio.run(call(pytest_run, context(Path(sys.argv[1])), {}))
"""


def working_in(folder: Path) -> list[str]:
    """Processes whose current folder it is."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            found += [entry.name] * ((entry / "cwd").readlink() == folder)
    return found


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_file_that_hangs_at_import_is_named(tmp_path: Path) -> None:
    write(tmp_path, {"test_a.py": "import time\ntime.sleep(60)\n", "test_b.py": ""})
    result = ask(pytest_run, tmp_path, {"test_seconds": 2.0})
    assert not result.success
    assert result.parse_error in (
        "pytest_run took longer than its limit of 2 s while collecting test_a.py; "
        "0 results before that",
        # On a busy machine it does not come so far.
        "pytest_run took longer than its limit of 2 s; 0 results before that",
    )


def test_what_a_test_detached_is_ended(tmp_path: Path) -> None:
    mark = f"punie-{os.getpid()}-{time.monotonic_ns()}"
    write(
        tmp_path,
        {
            "test_a.py": f"""
            import subprocess, sys
            def test_a():
                code = "import time; time.sleep(60)"
                subprocess.Popen([sys.executable, "-c", code, "{mark}"], start_new_session=True)
            """
        },
    )
    assert ask(pytest_run, tmp_path).passed == 1
    assert mark not in output(tmp_path, "ps", "-eo", "args")


def test_nothing_is_left_of_the_tests_when_punie_is_killed(tmp_path: Path) -> None:
    """pytest went on for ever, since nobody was left to end it."""
    write(
        tmp_path,
        {
            "test_a.py": """
            import subprocess, sys, time
            def test_a():
                code = "import time; time.sleep(600)"
                subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
                open("started", "w").close()
                time.sleep(600)
            """
        },
    )
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    punie = subprocess.Popen([sys.executable, "-c", HANGING, str(tmp_path)], env=env)
    try:
        wait_for((tmp_path / "started").exists)
        assert len(working_in(tmp_path)) >= 2
    finally:
        punie.kill()
        punie.wait()
    wait_for(lambda: not working_in(tmp_path))


def test_a_pytest_that_is_killed_is_not_run_without_its_options(tmp_path: Path) -> None:
    """It ran all tests then, also those that the options leave out, and said nothing of it."""
    write(
        tmp_path,
        {
            "pytest.ini": "[pytest]\naddopts = --deselect test_a.py::test_left_out\n",
            "test_a.py": "def test_a(): ...\ndef test_left_out(): ...\n",
            "conftest.py": """
            import os, signal, sys
            if any("deselect" in o for o in open("pytest.ini")) and "addopts=" not in sys.argv:
                os.kill(os.getpid(), signal.SIGKILL)
            """,
        },
    )
    result = ask(pytest_run, tmp_path)
    assert (result.success, result.passed) == (False, 0)
    assert result.parse_error == "pytest was ended by signal 9 before it began"


def test_a_test_that_closes_our_file_loses_no_result_and_gets_no_line(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "test_a.py": """
            import os
            FILES = []
            def test_closes(tmp_path_factory):
                os.closerange(3, 64)
                FILES.extend(tmp_path_factory.mktemp("x") / str(n) for n in range(64))
                for file in FILES:
                    os.open(file, os.O_CREAT | os.O_WRONLY)
            def test_empty():
                assert not any("{" in f.read_text() for f in FILES)
            """
        },
    )
    result = ask(pytest_run, tmp_path)
    assert by_name(result) == {"test_closes": ("passed", ""), "test_empty": ("passed", "")}


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import ctypes\ndef test_b(): ctypes.string_at(0)\n",
         "pytest broke off with signal 11 in test_b.py::test_b; 1 results before that"),
        ("import os, signal\ndef test_b(): os.kill(os.getpid(), signal.SIGKILL)\n",
         "pytest broke off with signal 9 in test_b.py::test_b; 1 results before that"),
        ("import sys\nsys.exit(0)\n", "pytest was interrupted: "),
        ("def test_b(): raise KeyboardInterrupt\n", "pytest was interrupted: "),
    ],
)  # fmt: skip
def test_a_suite_that_ends_early_says_how_and_where(tmp_path: Path, code: str, reason: str) -> None:
    write(tmp_path, {"test_a.py": "def test_a(): ...\n", "test_b.py": code})
    result = ask(pytest_run, tmp_path)
    assert not result.success
    assert reason in result.parse_error
    assert result.failed == 0


def test_a_worker_that_dies_is_a_failed_test(tmp_path: Path) -> None:
    write(tmp_path, {"test_a.py": "import os\ndef test_a(): ...\ndef test_b(): os._exit(3)\n"})
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -n 1\n")
    told = by_name(ask(pytest_run, tmp_path))
    assert told["test_a"] == ("passed", "")
    assert told["test_b"][0] == "failed"
    assert "crashed while running" in told["test_b"][1]


# --- the report


LINES = st.fixed_dictionaries(
    {
        "node": st.text(max_size=20),
        "part": st.text(max_size=5),
        "defined": st.tuples(st.text(max_size=5), st.none() | st.integers(0, 10**6)),
        "outcome": st.sampled_from(["passed", "failed", "error", "skipped", "xfailed", "xpassed"]),
        "message": st.text(max_size=20),
        "duration": st.floats(0, 1e9, allow_subnormal=False),
    }
) | st.one_of(
    st.fixed_dictionaries({"start": st.text(max_size=20)}),
    st.fixed_dictionaries({"collecting": st.text(max_size=20)}),
    st.fixed_dictionaries({"exit": st.integers(0, 9)}),
    st.fixed_dictionaries({"deselected": st.integers(0, 99)}),
    st.fixed_dictionaries({"root": st.text(max_size=20)}),
)


@given(st.lists(LINES, max_size=8), st.data())
def test_a_report_that_breaks_off_anywhere_keeps_what_was_whole(
    lines: list[dict[str, object]], data: st.DataObject
) -> None:
    text = b"".join(json.dumps(line).encode("ascii") + b"\n" for line in lines)
    end = data.draw(st.integers(0, len(text)))
    report = read_report(text[:end])
    whole = lines[: text[:end].count(b"\n")]
    if text[end : end + 1] == b"\n":  # only the line's end is missing
        whole = lines[: len(whole) + 1]
    tests = [line for line in whole if "node" in line]
    assert [c.model_dump(include=set(t)) for c, t in zip(report.cases, tests, strict=True)] == tests
    assert report.deselected == sum(line.get("deselected", 0) for line in whole)  # type: ignore[misc]
    ended = {line["node"] for line in tests if not line["part"]}
    started = {line["start"] for line in whole if "start" in line}
    assert started - ended <= set(report.running) <= started
    statuses = [line["exit"] for line in whole if "exit" in line]
    assert report.status == (statuses[-1] if statuses else None)


@given(st.lists(st.binary(max_size=30) | st.sampled_from([b"{}", b"[]", b'{"exit": "x"}', b"\n"])))
@settings(max_examples=200)
def test_a_report_of_any_bytes_is_read(parts: list[bytes]) -> None:
    report = read_report(b"\n".join(parts))
    assert report.status is None
    assert report.cases == []
