"""Suites as people have them: what they print, leave, start, kill and forget to install."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from punie.testrun import read_report
from punie.tools.testing import TestResult, pytest_run
from workbench import ask, output, write


def by_name(result: TestResult) -> dict[str, tuple[str, str]]:
    """Outcome and first line of the message, by the last part of the node id."""
    return {
        t.name.partition("::")[2] or t.name: (t.outcome, (t.message.splitlines() or [""])[0])
        for t in result.tests
    }


def test_kinds_of_tests_are_told_as_pytest_counts_them(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    write(
        tmp_path,
        {
            "pytest.ini": "[pytest]\naddopts = --doctest-modules --doctest-glob=*.txt\n"
            "pythonpath = src\ndisable_test_id_escaping_and_forfeit_all_rights_to_community_support"
            " = true\n",
            "src/mine/__init__.py": '''
            def same(x):
                """Text before it.

                >>> same(1)
                2
                """
                return x

            def raises():
                """
                >>> raises()
                """
                raise OSError("no")
            ''',
            "guide.txt": ">>> 1 + 1\n2\n",
            "tests/test_kinds.py": """
            import unittest
            import pytest

            def test_sub(subtests):
                for i in range(3):
                    with subtests.test("half", i=i):
                        assert i != 1
                with subtests.test():
                    pytest.skip("not counted")

            def test_sub_passes(subtests):
                with subtests.test(): ...

            class TestBroken(unittest.TestCase):
                @classmethod
                def setUpClass(cls):
                    raise ValueError("class")
                def test_one(self): ...
                def test_two(self): ...

            class TestOld(unittest.TestCase):
                @unittest.expectedFailure
                def test_fails(self): assert 0
                @unittest.expectedFailure
                def test_passes(self): ...
                @unittest.skip("why not")
                def test_skip(self): ...

            class TestNew(unittest.IsolatedAsyncioTestCase):
                async def test_async(self): assert 1 == 2

            async def test_no_plugin(): ...

            def test_group():
                raise ExceptionGroup("both", [ValueError("a"), TypeError("b")])

            @pytest.mark.parametrize("x", ["a/b", "::", "[x]", "\\n", "😀", "", "é"])
            def test_ids(x): ...
            """,
        },
    )
    result: TestResult = ask(pytest_run, tmp_path)
    told = by_name(result)
    assert result.success
    assert told == {
        "mine.same": ("failed", ">>> same(1)"),
        "mine.raises": ("failed", ">>> raises()"),
        "guide.txt": ("passed", ""),
        "test_sub [half] (i=1)": ("failed", "assert 1 != 1"),
        "test_sub": ("failed", "contains 1 failed subtest"),
        "test_sub_passes": ("passed", ""),
        "TestBroken::test_one": ("error", "ValueError: class"),
        "TestBroken::test_two": ("error", "ValueError: class"),
        "TestOld::test_fails": ("xfailed", ""),
        "TestOld::test_passes": ("failed", "Failed: Unexpected success"),
        "TestOld::test_skip": ("skipped", "why not"),
        "TestNew::test_async": ("failed", "assert 1 == 2"),
        "test_no_plugin": ("failed", told["test_no_plugin"][1]),
        "test_group": ("failed", "ExceptionGroup: both (2 sub-exceptions)"),
        **{f"test_ids[{x}]": ("passed", "") for x in ("a/b", "::", "[x]", "\n", "😀", "", "é")},
    }
    examples = {t.name.rpartition("::")[2]: t.message for t in result.tests}
    assert examples["mine.same"] == ">>> same(1)\nExpected:\n    2\nGot:\n    1"
    assert examples["mine.raises"] == ">>> raises()\nUNEXPECTED EXCEPTION: OSError('no')"

    xml = tmp_path_factory.mktemp("xml") / "out.xml"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--junit-xml={xml}"]
    said = output(tmp_path, *command).splitlines()[-1]
    counts = {word.rstrip("s"): int(n) for n, word in re.findall(r"(\d+) (\w+)", said)}
    report = next(iter(ElementTree.parse(xml).getroot())).attrib
    assert result.passed == counts["passed"]
    assert result.failed == counts["failed"] == int(report["failures"])
    assert result.errors == counts["error"] == int(report["errors"])
    assert result.skipped == counts["skipped"] + counts["xfailed"]


def test_what_plugins_and_options_print_changes_nothing(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "test_a.py": "def test_a(): ...\ndef test_b(): assert 0\n",
            "conftest.py": """
            import sys
            def pytest_report_teststatus(report):
                if report.when == "call":
                    return "sweet", "♥", ("SWEET", {"green": True})
            def pytest_terminal_summary(terminalreporter):
                terminalreporter.stats.clear()
                terminalreporter.write("99 passed in 0.01s\\n" * 1000, green=True)
            def pytest_sessionfinish(session):
                sys.__stdout__.write('{"outcome": "passed"}\\n')
            """,
        },
    )
    told = []
    for options in ("-qq --color=yes -s -rA --tb=long", "-p no:terminal", "-vv -n 1", "-x --co"):
        (tmp_path / "pytest.ini").write_text(f"[pytest]\naddopts = {options}\n")
        result = ask(pytest_run, tmp_path)
        told.append((result.success, by_name(result)))
    expected = (True, {"test_a": ("passed", ""), "test_b": ("failed", "assert 0")})
    assert told[:3] == [expected] * 3
    assert told[3] == (False, {})
    assert result.parse_error.startswith("pytest ran no test under '.'")


def test_options_of_missing_plugins_go_and_the_others_stay(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "src/mine.py": 'def two():\n    """\n    >>> two()\n    2\n    """\n    return 2\n',
            "test_a.py": """
            import pytest
            def test_fast(): ...
            @pytest.mark.slow
            def test_slow(): ...
            def test_other(): ...
            """,
        },
    )
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nmarkers = slow\npythonpath = src\n"
        "addopts = --cov src --no-such=3 -Z 4 -m 'not slow' --doctest-modules --cov-report=xml "
        "-k 'not other'\n"
    )
    result = ask(pytest_run, tmp_path)
    assert [t.name for t in result.tests] == ["src/mine.py::mine.two", "test_a.py::test_fast"]


RERUNS = """
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for attempt in range(3):
        for report in runtestprotocol(item, nextitem=nextitem, log=False):
            again = attempt < 2 and report.failed
            report.outcome = "rerun" if again else report.outcome
            item.ihook.pytest_runtest_logreport(report=report)
            if again:
                break
        else:
            break
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
"""


def test_a_test_that_is_repeated_counts_once_as_it_ended(tmp_path: Path) -> None:
    """Such plug-ins end an attempt without its tear-down: all repeated tests were lost."""
    write(
        tmp_path,
        {
            "conftest.py": RERUNS,
            "test_a.py": """
            TRIES = []
            def test_second_time():
                TRIES.append(1)
                assert len(TRIES) > 1
            def test_never(): assert 0
            """,
        },
    )
    told = by_name(ask(pytest_run, tmp_path))
    assert told == {"test_second_time": ("passed", ""), "test_never": ("failed", "assert 0")}


def test_a_test_whose_outcome_is_never_told_is_no_success(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "conftest.py": """
            def pytest_runtest_protocol(item):
                if item.name != "test_b":
                    return None
                item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
                return True
            """,
            "test_a.py": "def test_a(): ...\ndef test_b(): ...\n",
        },
    )
    result = ask(pytest_run, tmp_path)
    assert result.passed == 1
    assert result.parse_error == (
        "pytest_run: pytest told no outcome of 1 tests, as of test_a.py::test_b"
    )


def test_nothing_that_options_write_stays_in_the_workspace(tmp_path: Path) -> None:
    write(tmp_path, {"test_a.py": "def test_a(tmp_path): (tmp_path / 'x').write_text('x')\n"})
    (tmp_path / "keep").mkdir()
    (tmp_path / "keep/it.txt").write_text("a basetemp is emptied first")
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\naddopts = --basetemp=keep --junit-xml=a.xml --log-file=a.log --cov=. --html a\n"
        " --debug\n"
        "cache_dir = cache\nlog_file = b.log\n"
    )
    assert ask(pytest_run, tmp_path).passed == 1  # `ask` compares the workspace
    assert (tmp_path / "keep/it.txt").exists()


def test_megabytes_of_output_and_names_are_cut_and_counted(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "test_a.py": """
            import pytest
            @pytest.mark.parametrize("x", [pytest.param(0, id="n" * 5000), 1])
            def test_name(x): ...
            def test_output():
                for _ in range(20):
                    print("o" * 1_000_000)
                raise ValueError("m" * 5_000_000 + "end")
            """
        },
    )
    result = ask(pytest_run, tmp_path)
    assert (result.success, result.passed, result.failed) == (True, 2, 1)
    long = next(t for t in result.tests if "characters cut" in t.name)
    assert long.name.startswith("test_a.py::test_name[nnn")
    assert "\n" not in long.name
    message = next(t.message for t in result.tests if t.outcome == "failed")
    assert message.startswith("ValueError: mmm")
    assert message.endswith("mend")
    assert "[4998015 characters cut]" in message
    assert max(len(t.name) + len(t.message) for t in result.tests) < 2200


def test_of_more_tests_than_a_result_lists_the_telling_ones_stay(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "test_a.py": """
            import time
            import pytest
            @pytest.mark.parametrize("n", range(300))
            def test_a(n):
                time.sleep(0.3 if n == 295 else 0)
                if n == 298:
                    pytest.skip("late")
                assert n != 299
            """
        },
    )
    result = ask(pytest_run, tmp_path)
    assert (result.passed, result.skipped, result.failed) == (298, 1, 1)
    assert (result.truncated, len(result.tests)) == (True, 200)
    numbers = [int(re.findall(r"\[(\d+)\]", t.name)[0]) for t in result.tests]
    assert numbers == [299, *sorted(numbers[1:])]
    assert {295, 298} <= set(numbers)


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


HANGING = """
import asyncio, sys
from pathlib import Path
from punie.tools.testing import pytest_run
from punie.wrap import call
from repos import context
asyncio.run(call(pytest_run, context(Path(sys.argv[1])), {}))
"""


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


def test_a_conftest_that_fails_in_a_folder_does_not_hide_the_others(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "a/test_a.py": "def test_a(): ...\n",
            "b/conftest.py": "1 / 0\n",
            "b/test_b.py": "def test_b(): ...\n",
        },
    )
    result = ask(pytest_run, tmp_path)
    assert (result.success, result.passed, result.errors) == (True, 1, 1)
    assert "ZeroDivisionError" in result.tests[0].message


def test_what_is_no_test_file_is_said_so(tmp_path: Path) -> None:
    write(tmp_path, {"README.md": "Text\n", "test_a.py": "def test_a(): ...\n"})
    os.mkfifo(tmp_path / "test_pipe.py")
    reasons = {
        path: ask(pytest_run, tmp_path, path=path).parse_error
        for path in ("README.md", "test_pipe.py", ".")
    }
    assert reasons == {
        "README.md": "'README.md' is no Python file, and pytest finds no tests in it",
        "test_pipe.py": "'test_pipe.py' is neither a file nor a folder: it holds no tests",
        ".": None,
    }


def test_an_environment_without_pytest_is_not_passed_over(tmp_path: Path) -> None:
    write(tmp_path, {"test_a.py": "def test_a(): ...\n"})
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / ".venv"], check=True)
    result = ask(pytest_run, tmp_path)
    python = tmp_path.resolve() / ".venv/bin/python"
    assert result.parse_error == (
        f"the workspace's `.venv` has no pytest: run `{python} -m pip install pytest` (or "
        f"`uv pip install --python {python} pytest`), or give another interpreter with the "
        "setting `python`"
    )
    assert ask(pytest_run, tmp_path, {"python": sys.executable}).passed == 1
    python.unlink()
    python.symlink_to("/nowhere/python")
    assert ask(pytest_run, tmp_path).parse_error == (
        f"cannot start '{python}': No such file or directory (the workspace's `.venv`)"
    )


LINES = st.fixed_dictionaries(
    {
        "node": st.text(max_size=20),
        "part": st.text(max_size=5),
        "defined": st.tuples(st.text(max_size=5), st.none() | st.integers(0, 10**6)),
        "outcome": st.sampled_from(["passed", "failed", "error", "skipped", "xfailed", "xpassed"]),
        "message": st.text(max_size=20),
        "duration": st.floats(0, 1e9),
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
