"""Second ways of what is long, inherited, unreadable or addressed by its place: they compare, and
they say nothing where trees do not see all."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import pytest

from punie.factory.examples import second_way
from punie.factory.examples.comparison import Comparison
from punie.factory.examples.inventory import Inventory
from punie.factory.examples.workshop import SETTINGS
from punie.navigation.lsp import Server
from punie.tool import Result, load_tools
from punie.workspace import Workspace
from punie.wrap import Allow, Context, call

SUITE = """
import time
import pytest

class Base:
    def test_inherited(self):
        time.sleep(0.05)  # a cut list keeps the slowest

@pytest.mark.parametrize("n", range(240))
def test_many(n):
    assert n != 170

@pytest.mark.skip(reason="not today")
def test_late():
    assert True
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    return tmp_path


def asked(place: Path, tool: str, **args: Any) -> Result:
    """What the real tool says."""

    async def ask() -> Result:
        workspace = Workspace(place)
        server = Server(workspace, SETTINGS)
        context = Context(workspace, SETTINGS, server, Allow(), trusted=True)
        try:
            return (await call(load_tools()[tool], context, args))[0]
        finally:
            await server.close()

    return asyncio.run(ask())


def compared(place: Path, tool: str, result: Result, **args: Any) -> Comparison:
    return second_way.compared(tool, Inventory(place), args, result)


def test_a_cut_list_of_tests_is_compared(place: Path) -> None:
    (place / "common.py").write_text(SUITE)
    (place / "test_all.py").write_text(
        "from common import Base, test_many, test_late\n\nclass TestOne(Base):\n    pass\n"
    )
    result: Any = asked(place, "pytest_run", path=".")
    assert (result.failed, len(result.tests), result.truncated) == (1, 200, True)
    assert any(test.name.endswith("TestOne::test_inherited") for test in result.tests)
    right = compared(place, "pytest_run", result, path=".")
    assert str(right) == ""
    assert {"TestResult.tests", "TestCase.name", "TestCase.outcome"} <= right.compared
    for change in (
        lambda tests: setattr(tests[150], "name", "test_all.py::test_many[999]"),
        lambda tests: setattr(tests[0], "outcome", "error"),
        lambda tests: tests.pop(0),
        lambda tests: tests.reverse(),
    ):
        wrong = result.model_copy(deep=True)
        change(wrong.tests)
        assert str(compared(place, "pytest_run", wrong, path="."))


def test_why_a_file_could_not_be_collected_is_compared(place: Path) -> None:
    (place / "test_lost.py").write_text("import nowhere_to_be_found\n")
    result: Any = asked(place, "pytest_run", path=".")
    assert "nowhere_to_be_found" in result.tests[0].message
    assert str(compared(place, "pytest_run", result, path=".")) == ""
    result.tests[0].message = "ModuleNotFoundError: No module named 'another'"
    assert "TestCase.message" in str(compared(place, "pytest_run", result, path="."))


def test_a_long_outline_is_compared(place: Path) -> None:
    body = "".join(f"def number_{n}():\n    pass\n" for n in range(230))
    (place / "long.py").write_text(body + "class Last:\n    pass\n")
    result: Any = asked(place, "document_symbols", file_path="long.py")
    assert (len(result.symbols), result.symbol_count) == (200, 231)
    right = compared(place, "document_symbols", result, file_path="long.py")
    assert str(right) == ""
    assert {"DocumentSymbolsResult.symbols", "DocumentSymbol.line"} <= right.compared
    result.symbols[120].line += 1
    assert str(compared(place, "document_symbols", result, file_path="long.py"))


def test_long_files_count_and_those_without_a_tree_end_the_comparison(place: Path) -> None:
    (place / "long.py").write_text("class Wanted:\n    pass\n" + "# more\n" * 40_000)
    result: Any = asked(place, "workspace_symbols", query="wanted")
    right = compared(place, "workspace_symbols", result, query="wanted")
    assert str(right) == ""
    assert "WorkspaceSymbolsResult.symbols" in right.compared
    (place / "later.py").write_text(
        "type Wanted = int\ndef wanted[T](x: T) -> T: ...\ndef broken(:\n"
    )
    result = asked(place, "workspace_symbols", query="wanted")
    unsure = compared(place, "workspace_symbols", result, query="wanted")
    assert str(unsure) == ""
    assert "WorkspaceSymbolsResult.symbols" not in unsure.compared


@pytest.mark.parametrize("tool", ["goto_definition", "find_references", "hover"])
def test_a_declaration_addressed_by_its_place_is_compared(place: Path, tool: str) -> None:
    (place / "shop.py").write_text('def total():\n    """Sum."""\n\n\nprint(total())\n')
    args = {"file_path": "shop.py", "line": 1, "column": 5}
    right = compared(place, tool, asked(place, tool, **args), **args)
    assert str(right) == ""
    assert len(right.compared) > 3
    args = {"file_path": "shop.py", "line": 5, "column": 7}
    assert not compared(place, tool, asked(place, tool, **args), **args).compared
