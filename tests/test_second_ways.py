"""Every field of every tool's result has a second way that finds a wrong value, or a reason why
there is none."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest

from punie import demo
from punie.factory.examples import second_way
from punie.factory.examples.comparison import Facts, compare
from punie.factory.examples.inventory import Inventory
from punie.factory.examples.ways import HOW, UNCHECKED
from punie.factory.examples.workshop import SETTINGS
from punie.navigation.lsp import Server
from punie.tool import Item, Result, load_tools, models, own_tools
from punie.workspace import Workspace
from punie.wrap import Allow, Context, call

WRONG = 'import os\n\n\ndef three() -> int:\n    return "3"\n'
CALLS: dict[str, dict[str, Any]] = {
    "git_status": {},
    "git_diff": {},
    "git_log": {"count": 3},
    "git_blame": {"path": "shop/pricing.py"},
    "git_show": {"commit": "HEAD~1"},
    "git_branch": {},
    "ruff_check": {},
    "typecheck": {},
    "pytest_run": {},
    "goto_definition": {"symbol": "apply_discount"},
    "find_references": {"symbol": "apply_discount"},
    "document_symbols": {"file_path": "shop/orders.py"},
    "workspace_symbols": {"query": "total"},
    "hover": {"symbol": "apply_discount"},
    "read_file": {"path": "shop/orders.py", "start_line": 3, "end_line": 9},
    "write_file": {"path": "shop/three.py", "content": WRONG},
    "run_command": {"command": "echo out; echo err >&2; exit 3"},
    "search_text": {"pattern": "def .*total"},
    "list_files": {"pattern": "*.py"},
}
FIELDS = [(tool, field) for tool in HOW for field in HOW[tool]]
Made = dict[str, tuple[Inventory, dict[str, Any], Result]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Place, arguments and result of one call of each tool."""
    root = tmp_path_factory.mktemp("second") / "shop"
    demo.create(root)
    found: Made = {}

    async def ask(place: Path, tool: str) -> None:
        workspace = Workspace(place)
        server = Server(workspace, SETTINGS)
        context = Context(workspace, SETTINGS, server, Allow(), trusted=True)
        try:
            result, done = await call(load_tools()[tool], context, dict(CALLS[tool]))
        finally:
            await server.close()
        found[tool] = Inventory(place), done.args, result

    for tool in CALLS:
        place = root
        if tool in ("write_file", "run_command"):
            place = root.parent / tool
            shutil.copytree(root, place)
        asyncio.run(ask(place, tool))
    return found


def first(item: Item, owner: str) -> Item | None:
    """The first item of a class in a result."""
    if type(item).__name__ == owner:
        return item
    values = [getattr(item, name) for name in type(item).model_fields]
    inner = [each for value in values if isinstance(value, list) for each in value]
    found = (first(each, owner) for each in inner if isinstance(each, Item))
    return next((each for each in found if each), None)


def another(value: Any) -> Any:
    """A value of the same type that is not it."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1000
    if isinstance(value, list):
        return value[1:] if value else ["another"]
    return f"{(value or '')[::-1]} (also in shop/orders.py:2)"


@pytest.fixture(scope="module")
def facts(made: Made) -> dict[str, Facts]:
    """What the second ways find, computed once."""
    return {tool: second_way.expected(tool, place, args) for tool, (place, args, _) in made.items()}


@pytest.mark.parametrize("tool", own_tools())
def test_every_field_has_a_second_way_or_a_reason(tool: str) -> None:
    result = own_tools()[tool].result
    fields = {f"{model.__name__}.{name}" for model in models(result) for name in model.model_fields}
    assert fields - HOW[tool].keys() - UNCHECKED.keys() == set()
    assert HOW[tool].keys() - fields == set()


@pytest.mark.parametrize("tool", CALLS)
def test_what_tools_say_of_a_repository_is_what_second_ways_find(
    made: Made, facts: dict[str, Facts], tool: str
) -> None:
    result = made[tool][2]
    assert result.success, result.parse_error
    found = compare(facts[tool], result)
    assert str(found) == ""
    assert HOW[tool].keys() - found.compared == set()


@pytest.mark.parametrize(("tool", "field"), FIELDS)
def test_a_wrong_value_is_found(made: Made, facts: dict[str, Facts], tool: str, field: str) -> None:
    inventory, args, right = made[tool]
    result = right.model_copy(deep=True)
    owner, _, name = field.partition(".")
    item = first(result, owner)
    assert item is not None, f"the result of {tool} has no {owner}"
    setattr(item, name, another(getattr(item, name)))
    found = compare(facts[tool], result)
    if name == "success":
        found = second_way.compared(tool, inventory, args, result)
        assert found.fault.startswith("failed")
    elif owner == "SymbolReference":
        assert [each.field for each in found.differences] == ["FindReferencesResult.references"]
    else:
        assert field in {each.field for each in found.differences}


@pytest.mark.parametrize(
    ("text", "compared"),
    [(b"", True), (b"\n\n", True), (b"def broken(:\n", False), (b"a = '\xff'\n", False)],
)
def test_files_without_a_syntax_tree_have_an_outline_all_the_same(
    tmp_path: Path, text: bytes, compared: bool
) -> None:
    (tmp_path / "odd.py").write_bytes(text)
    found = second_way.expected("document_symbols", Inventory(tmp_path), {"file_path": "odd.py"})
    assert bool(found) == compared
    assert found.get("symbol_count", 0) == 0


def test_a_second_way_that_breaks_is_a_fault_of_that_call_only(tmp_path: Path) -> None:
    result = load_tools()["read_file"].result(success=True)
    found = second_way.compared("read_file", Inventory(tmp_path), {"path": 3}, result)
    assert found.fault.startswith("the second way broke: ")


def test_lines_that_are_not_committed_are_nobodys(tmp_path: Path) -> None:
    """Whether the author and the commit of such a line are compared was in doubt."""
    root = tmp_path / "shop"
    demo.create(root)
    file = root / "shop/pricing.py"
    file.write_text(file.read_text("utf-8") + "LATE = 1\n", "utf-8")
    args = {"path": "shop/pricing.py"}

    async def ask() -> Result:
        workspace = Workspace(root)
        context = Context(workspace, SETTINGS, Server(workspace, SETTINGS), Allow(), trusted=True)
        return (await call(load_tools()["git_blame"], context, dict(args)))[0]

    right = asyncio.run(ask())
    inventory = Inventory(root)
    assert str(second_way.compared("git_blame", inventory, args, right)) == ""
    defects: dict[str, str] = {
        "author": inventory.authors[0],
        "hash": inventory.hashes[0],
        "date": "2024-01-09T10:00:00+01:00",
        "text": "LATE = 2",
    }
    for field, value in defects.items():
        wrong = right.model_copy(deep=True)
        late = wrong.lines[-1]  # type: ignore[attr-defined]
        assert (late.author, late.hash.strip("0")) == ("Not Committed Yet", "")
        setattr(late, field, value)
        found = second_way.compared("git_blame", inventory, args, wrong)
        assert [each.field for each in found.differences] == [f"GitBlameLine.{field}"]
