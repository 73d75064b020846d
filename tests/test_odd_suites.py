"""Suites as people have them: what they hold, print, leave, configure and forget to install."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from punie.tools.testing import TestResult, pytest_run
from workbench import ask, by_name, output, write


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


@pytest.mark.parametrize("options", ["", " -n 2"])
def test_what_pytest_leaves_out_of_its_counts_is_told(tmp_path: Path, options: str) -> None:
    """Three tests and two subtests did not run, and the result looked complete."""
    write(
        tmp_path,
        {
            "pytest.ini": "[pytest]\naddopts = -k 'not slow' --deselect test_a.py::test_c"
            f"{options}\n",
            "test_a.py": """
            import pytest
            def test_slow_a(): ...
            def test_slow_b(): ...
            def test_c(): ...
            def test_d(subtests):
                for n in range(3):
                    with subtests.test("part", n=n):
                        if n: pytest.skip("not here")
            """,
        },
    )
    result: TestResult = ask(pytest_run, tmp_path)
    assert (result.success, result.passed, result.skipped) == (True, 1, 0)
    assert result.parse_error == (
        "not run: 3 deselected by pytest's options (-k, -m, --deselect); not counted: "
        "2 skipped subtests of tests that count by themselves: "
        "test_a.py::test_d [part] (n='1'), test_a.py::test_d [part] (n='2')"
    ).replace("'1'", told(result, 1)).replace("'2'", told(result, 2))
    assert str(result).splitlines()[-1] == result.parse_error


def told(result: TestResult, n: int) -> str:
    """The value as this pytest writes it, with or without quotes."""
    return f"'{n}'" if f"'{n}'" in (result.parse_error or "") else str(n)
