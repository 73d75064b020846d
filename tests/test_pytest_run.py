"""Test runs of small real suites, against what pytest itself prints and writes."""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from punie.tools.testing import TestResult, pytest_run
from workbench import add_venv, ask, output, write


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    return write(
        tmp_path,
        {
            "src/calc/__init__.py": "def add(a, b):\n    return a + b\n",
            "tests/test_calc.py": """
            import unittest
            import pytest
            from calc import add

            @pytest.mark.parametrize("a", [1, "é::/x y"])
            def test_kinds(a):
                assert isinstance(a, int)

            class TestAdd:
                def test_add(self):
                    assert add(1, 2) == 3

            @pytest.mark.skip(reason="not today")
            def test_skipped(): ...

            @pytest.mark.xfail(reason="known")
            def test_xfails():
                assert add(1, 1) == 3

            @pytest.mark.xfail(reason="was known")
            def test_xpasses(): ...

            @pytest.mark.xfail(strict=True)
            def test_xpasses_strictly(): ...

            @pytest.fixture
            def bad():
                raise ValueError("no such thing")

            def test_error(bad): ...

            def test_unknown_fixture(nothing): ...

            @pytest.fixture
            def late():
                yield
                raise OSError("too late")

            def test_teardown(late): ...

            class TestOld(unittest.TestCase):
                def test_old(self):
                    for i in range(3):
                        with self.subTest("half", i=i):
                            self.assertEqual(i % 2, 0)
            """,
            "tests/test_import.py": "import nowhere_at_all\n",
            "tests/test_syntax.py": "def f(:\n",
            "tests/test_module.py": """
                import pytest
                pytest.skip('all of it', allow_module_level=True)
                """,
        },
    )


def test_every_outcome_is_told_with_place_and_reason(suite: Path) -> None:
    result: TestResult = ask(pytest_run, suite)
    assert result.success
    file = "tests/test_calc.py"
    lines = (suite / file).read_text("utf-8").splitlines()
    where = {t.name: (t.outcome, t.message.splitlines()[:1]) for t in result.tests}
    assert where == {
        f"{file}::test_kinds[1]": ("passed", []),
        f"{file}::test_kinds[\\xe9::/x y]": (
            "failed",
            ["AssertionError: assert False"],
        ),
        f"{file}::TestAdd::test_add": ("passed", []),
        f"{file}::test_skipped": ("skipped", ["not today"]),
        f"{file}::test_xfails": ("xfailed", ["known"]),
        f"{file}::test_xpasses": ("xpassed", ["was known"]),
        f"{file}::test_xpasses_strictly": ("failed", ["[XPASS(strict)] "]),
        f"{file}::test_error": ("error", ["ValueError: no such thing"]),
        f"{file}::test_unknown_fixture": ("error", ["fixture 'nothing' not found"]),
        # It passed, then its tear-down failed: two entries, the later one stands here.
        f"{file}::test_teardown": ("passed", []),
        f"{file}::TestOld::test_old": ("passed", []),
        f"{file}::TestOld::test_old [half] (i=1)": ("failed", ["AssertionError: 1 != 0"]),
        "tests/test_import.py": (
            "error",
            ["ModuleNotFoundError: No module named 'nowhere_at_all'"],
        ),
        "tests/test_syntax.py": ("error", where["tests/test_syntax.py"][1]),
        "tests/test_module.py": ("skipped", ["all of it"]),
    }
    assert "SyntaxError" in next(t for t in result.tests if "syntax" in t.name).message
    teardown = [t for t in result.tests if t.name.endswith("test_teardown")]
    assert sorted(t.outcome for t in teardown) == ["error", "passed"]
    for test in result.tests:
        function = re.search(r"::(test_\w+)(\[| |$)", test.name)
        assert test.file == test.name.partition("::")[0]
        assert (test.line > 0) == bool(function)
        if function:
            # pytest counts a decorated function from its first decorator.
            near = "\n".join(lines[test.line - 1 : test.line + 1])
            assert f"def {function[1]}(" in near
    outcomes = [t.outcome in ("failed", "error") for t in result.tests]
    assert outcomes == sorted(outcomes, reverse=True)


def said_by_pytest(root: Path, xml: Path, path: str) -> dict[str, int]:
    """Counts of the last line that pytest prints, and under `xml …` those of its JUnit report."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--junit-xml={xml}"]
    text = output(root, *command, "--continue-on-collection-errors", "-o", "pythonpath=src", path)
    last = text.splitlines()[-1]
    counts = {word.rstrip("s"): int(n) for n, word in re.findall(r"(\d+) (\w+)", last)}
    report = next(iter(ElementTree.parse(xml).getroot()))
    return counts | {f"xml {k}": int(v) for k, v in report.attrib.items() if v.isdecimal()}


@pytest.mark.parametrize("path", [".", "tests/test_calc.py", "tests/test_calc.py::TestAdd"])
def test_counts_are_those_that_pytest_prints(
    suite: Path, path: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    result: TestResult = ask(pytest_run, suite, path=path)
    said = said_by_pytest(suite, tmp_path_factory.mktemp("xml") / "out.xml", path)
    assert result.passed == said.get("passed", 0) + said.get("xpassed", 0) > 0
    assert result.failed == said.get("failed", 0) == said["xml failures"]
    assert result.errors == said.get("error", 0) == said["xml errors"]
    assert result.skipped == said.get("skipped", 0) + said.get("xfailed", 0) == said["xml skipped"]
    assert len(result.tests) == result.passed + result.failed + result.errors + result.skipped


def test_one_test_by_its_node_id_also_with_an_odd_parameter(suite: Path) -> None:
    name = "tests/test_calc.py::test_kinds[\\xe9::/x y]"
    result = ask(pytest_run, suite, path=name)
    assert [(t.name, t.outcome) for t in result.tests] == [(name, "failed")]
    assert str(result).splitlines()[1].startswith(f"{name} failed (0.0")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("tests/test_clac.py", "no file or folder 'tests/test_clac.py' in the workspace; did you "
         "mean 'tests/test_calc.py'"),
        ("tests/test_calc.py::test_skiped", "no test 'test_skiped' in 'tests/test_calc.py'; "
         "there are test_skipped"),
        ("tests/test_calc.py::test_add", "no test 'test_add' in 'tests/test_calc.py'; "
         "there are TestAdd::test_add"),
        ("tests::test_skipped", "'tests::test_skipped' names a test in a folder: give its file"),
        ("src", "no tests were found under 'src'"),
    ],
)  # fmt: skip
def test_a_path_without_tests_is_said_so(suite: Path, path: str, reason: str) -> None:
    result = ask(pytest_run, suite, path=path)
    assert (result.success, result.tests) == (False, [])
    assert result.parse_error.startswith(reason)


def test_a_hanging_test_keeps_what_finished_and_leaves_no_process(tmp_path: Path) -> None:
    mark = f"punie-{os.getpid()}-{time.monotonic_ns()}"
    write(
        tmp_path,
        {
            "test_slow.py": f"""
            import subprocess, sys, time
            def test_first(): ...
            def test_hangs():
                subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "{mark}"])
                time.sleep(60)
            def test_never(): ...
            """
        },
    )
    start = time.monotonic()
    result = ask(pytest_run, tmp_path, {"test_seconds": 3.0})
    assert time.monotonic() - start < 5
    assert not result.success
    assert result.parse_error == (
        "pytest_run took longer than its limit of 3 s in test_slow.py::test_hangs; "
        "1 results before that"
    )
    assert [(t.name, t.outcome) for t in result.tests] == [("test_slow.py::test_first", "passed")]
    assert result.passed == 1
    assert mark not in output(tmp_path, "ps", "-eo", "args")


def test_a_suite_that_kills_its_process_is_no_success(tmp_path: Path) -> None:
    write(tmp_path, {"test_dies.py": "import os\ndef test_a(): ...\ndef test_b(): os._exit(0)\n"})
    result = ask(pytest_run, tmp_path)
    assert not result.success
    assert "exit status 0 in test_dies.py::test_b; 1 results" in result.parse_error
    assert result.passed == 1


def test_a_suite_that_stops_the_run_is_no_success(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "test_stops.py": """
                import pytest
                def test_a(): ...
                def test_b(): pytest.exit('enough')
                """
        },
    )
    result = ask(pytest_run, tmp_path)
    assert not result.success
    assert "enough" in result.parse_error
    assert result.passed == 1


def test_options_of_plugins_that_are_missing_do_not_matter(tmp_path: Path) -> None:
    write(tmp_path, {"test_a.py": "def test_a(): ...\n", "conftest.py": ""})
    for options in ("--cov=x --no-such-option", "-p no_such_plugin", "--strict-config"):
        (tmp_path / "pytest.ini").write_text(
            f"[pytest]\naddopts = {options}\nrequired_plugins = pytest-nowhere\n"
            "filterwarnings = error\nplugin_mode = auto\n"
        )
        assert ask(pytest_run, tmp_path).passed == 1


def test_options_of_the_suite_count_but_leave_nothing_and_stop_nothing(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"test_a.py": "def test_a(): assert 0\ndef test_b(): assert 0\ndef test_c(): ...\n"},
    )
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\naddopts = -x --junit-xml=out.xml --log-file=out.log --ff -k 'not c'\n"
    )
    result = ask(pytest_run, tmp_path)
    assert (result.success, result.failed, result.passed) == (True, 2, 0)
    result = ask(pytest_run, tmp_path, path="test_a.py::test_c")
    assert result.parse_error == (
        "no tests were found under 'test_a.py::test_c' (1 deselected by its options)"
    )


def test_workers_report_to_one_file(tmp_path: Path) -> None:
    write(tmp_path, {"test_a.py": "import pytest\n@pytest.mark.parametrize('n', range(9))\n"
          "def test_a(n): assert n != 4\n", "test_b.py": "import nowhere\n"})  # fmt: skip
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -n 2\n")
    result = ask(pytest_run, tmp_path)
    assert (result.passed, result.failed, result.errors) == (8, 1, 1)


def test_a_conftest_that_fails_is_told_in_pytests_words(tmp_path: Path) -> None:
    write(tmp_path, {"conftest.py": "import nowhere\n", "test_a.py": "def test_a(): ...\n"})
    result = ask(pytest_run, tmp_path)
    assert not result.success
    assert "pytest could not start" in result.parse_error
    assert "ModuleNotFoundError: No module named 'nowhere'" in result.parse_error


def test_a_project_in_a_folder_has_paths_of_the_workspace(tmp_path: Path) -> None:
    write(tmp_path, {"part/tests/test_a.py": "def test_a(pytestconfig):\n"
          "    assert pytestconfig.rootpath.name == 'part'\n"})  # fmt: skip
    (tmp_path / "part/pytest.ini").write_text("[pytest]\n")
    result = ask(pytest_run, tmp_path, path="part")
    assert [(t.name, t.file, t.line, t.outcome) for t in result.tests] == [
        ("part/tests/test_a.py::test_a", "part/tests/test_a.py", 1, "passed")
    ]


def test_testpaths_count_when_no_path_is_given(tmp_path: Path) -> None:
    write(
        tmp_path, {"good/test_a.py": "def test_a(): ...\n", "bad/test_b.py": "def test_b(): ...\n"}
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\ntestpaths = good\n")
    assert [t.name for t in ask(pytest_run, tmp_path).tests] == ["good/test_a.py::test_a"]


def test_a_long_message_is_cut_in_the_middle(tmp_path: Path) -> None:
    write(tmp_path, {"test_a.py": "def test_a(): raise ValueError('a' * 9000 + '\\udc80z')\n"})
    message = ask(pytest_run, tmp_path).tests[0].message
    assert message.startswith("ValueError: aaa")
    assert message.endswith("z")
    assert "characters cut" in message
    assert len(message) < 2100


def test_tests_run_in_the_environment_of_the_workspace(tmp_path: Path) -> None:
    add_venv(tmp_path)
    write(
        tmp_path,
        {
            "src/mine/core.py": "def two(): return 2\n",
            "tests/test_a.py": """
            import os, sys
            def test_a():
                import only_here, mine.core
                assert sys.prefix.endswith(".venv")
                assert "NO_COLOR" not in os.environ
            """,
        },
    )
    given = {k: os.environ.pop(k) for k in ("NO_COLOR",) if k in os.environ}
    try:
        assert [t.message for t in ask(pytest_run, tmp_path).tests] == [""]
        result = ask(pytest_run, tmp_path, {"python": sys.executable})
        assert [t.outcome for t in result.tests] == ["failed"]
    finally:
        os.environ.update(given)


def test_an_interpreter_that_is_missing_is_said_so(tmp_path: Path) -> None:
    write(tmp_path, {"test_a.py": "def test_a(): ...\n"})
    result = ask(pytest_run, tmp_path, {"python": "/nowhere/python"})
    assert result.parse_error == (
        "cannot start '/nowhere/python': No such file or directory (the setting `python`)"
    )


def test_the_checkout_is_tested_and_not_an_installed_copy(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "src/click/__init__.py": "here = True\n",
            "tests/test_a.py": "import click\ndef test_a(): assert click.here\n",
        },
    )
    assert ask(pytest_run, tmp_path).passed == 1
