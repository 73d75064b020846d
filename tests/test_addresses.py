"""What a question gives of a symbol's address: whatever is sufficient finds the same place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from repos import write
from servers import Session, session
from shop_package import FILES, line_of, place, places


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    yield from session(tmp_path_factory.mktemp("shop"), FILES)


def test_every_sufficient_part_of_an_address_finds_the_same(ask: Session) -> None:
    line = line_of("shop/models.py", "def find_user")
    addresses: list[dict[str, Any]] = [
        {"symbol": "find_user"},
        {"symbol": "models.find_user"},
        {"symbol": "shop.models.find_user"},
        {"symbol": "shop.find_user"},
        {"symbol": "shop/models.py::find_user"},
        {"symbol": "`find_user()`"},
        {"symbol": "function find_user"},
        {"symbol": "def `find_user`"},
        {"symbol": "find_user", "file_path": "shop/models.py"},
        {"symbol": "find_user", "file_path": "shop/views.py"},
        {"symbol": "find_user", "file_path": "shop/models.py", "line": line},
        {"file_path": "shop/models.py", "line": line},
        {"file_path": "shop/models.py", "line": line, "column": 5},
        {"file_path": "shop/models.py", "line": line, "column": 14},
        {"file_path": "shop/models.py", "line": line, "column": 7, "symbol": "find_user"},
        {"file_path": "shop/views.py", "line": 17, "symbol": "find_user"},
        {"symbol": "lookup"},
    ]
    found = {tuple(places(ask("goto_definition", **a))) for a in addresses}
    assert found == {(place("shop/models.py", "def find_user", "find_user"),)}
    uses = {tuple(places(ask("find_references", **a))) for a in addresses}
    assert len(uses) == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({}, "address is incomplete"),
        ({"line": 3}, "address is incomplete"),
        ({"symbol": "User", "line": 3}, "address is incomplete"),
        ({"file_path": "shop/models.py"}, "address is incomplete"),
        ({"file_path": "shop/models.py", "column": 3, "symbol": "User"}, "address is incomplete"),
        ({"symbol": ""}, "no Python name"),
        ({"symbol": "find user"}, "no Python name"),
        ({"symbol": "find_usr"}, "no symbol 'find_usr' in the workspace; did you mean find_user"),
        ({"symbol": "Find_User"}, "did you mean find_user?"),
        ({"symbol": "User.sav"}, r"User (shop/models.py:36) declares no 'sav'; it declares save"),
        ({"symbol": "text"}, "'text' is only a local name, as at shop/alike.py:"),
        ({"symbol": "Usr.save"}, "no symbol 'Usr.save' in the workspace; did you mean User.save"),
        ({"symbol": "shop.model"}, "did you mean shop.models"),
        ({"symbol": "User", "file_path": "shop/alike.py"}, "it is declared at User (shop/models"),
        ({"symbol": "prse", "file_path": "shop/alike.py"}, "did you mean parse?"),
        ({"symbol": "x", "file_path": "shop/model.py"}, "did you mean 'shop/models.py'"),
        ({"symbol": "x", "file_path": "shop"}, "is a folder"),
        ({"symbol": "x", "file_path": "notes.txt"}, "no Python file"),
        ({"symbol": "x", "file_path": "../x.py"}, "outside the workspace"),
        ({"symbol": "accent", "file_path": "latin.py"}, "not UTF-8"),
        ({"file_path": "shop/alike.py", "line": 3}, "its lines are 1 to 2"),
        ({"file_path": "shop/alike.py", "line": 0}, "its lines are 1 to 2"),
        ({"file_path": "shop/alike.py", "line": 1, "column": 99}, "its columns are 1 to 28"),
        ({"file_path": "shop/alike.py", "line": 1, "column": 0}, "its columns are 1 to 28"),
        ({"file_path": "shop/alike.py", "line": 1, "column": 2}, "parse (column 5), text (column"),
        (
            {"file_path": "shop/alike.py", "line": 2},
            "len (column 12), text (column 16); give symbol",
        ),
        ({"file_path": "shop/alike.py", "line": 2, "symbol": "parse"}, "it stands on line 1"),
        (
            {"file_path": "shop/alike.py", "line": 2, "column": 12, "symbol": "text"},
            "is 'len', not 'text'",
        ),
        ({"file_path": "shop/models.py", "line": 2}, "shop/models.py:2 holds no name"),
    ],
)
def test_an_address_that_cannot_be_used_says_what_is_there(
    ask: Session, arguments: dict[str, Any], reason: str
) -> None:
    for tool in ("hover", "goto_definition", "find_references"):
        assert reason in ask.fails(tool, **arguments)


def test_an_ambiguous_name_lists_its_declarations_and_how_to_ask(ask: Session) -> None:
    reason = ask.fails("find_references", symbol="parse")
    line = line_of("shop/models.py", "def parse(text: str)")
    assert "ambiguous, it is declared 2 times" in reason
    assert f"parse (shop/alike.py:1), parse (shop/models.py:{line})" in reason
    assert "file_path='shop/alike.py'" in reason
    reason = ask.fails("hover", symbol="save")
    assert "Record.save (" in reason
    assert "User.save (" in reason
    assert "symbol='Record.save'" in reason
    assert "ambiguous" in ask.fails("hover", symbol="save", file_path="shop/models.py")


def test_a_name_inside_a_function_is_not_meant_by_others(ask: Session) -> None:
    """flask: `Flask` is a class and, in a test, a class inside a function."""
    inner = "def check():\n    class Clerk: ...\n    return Clerk()\n"
    write(ask.root, {"clerk.py": "class Clerk: ...\n", "test_clerk.py": inner})
    assert places(ask("goto_definition", symbol="Clerk")) == ["clerk.py:1:7"]
    note = ask("find_references", symbol="Clerk").note
    assert "also declared inside functions: check.Clerk (test_clerk.py:2)" in note
    assert places(ask("goto_definition", symbol="check.Clerk")) == ["test_clerk.py:2:11"]
    (ask.root / "clerk.py").unlink()
    (ask.root / "test_clerk.py").unlink()


def test_the_way_that_an_ambiguous_name_suggests_is_not_ambiguous(ask: Session) -> None:
    write(ask.root, {"a/till.py": "def till(): ...\n", "b/till.py": "def till(): ...\n"})
    reason = ask.fails("hover", symbol="till")
    assert "till (a/till.py:1), till (b/till.py:1)" in reason
    assert "give for example file_path='a/till.py'" in reason
    assert places(ask("goto_definition", symbol="till", file_path="a/till.py")) == ["a/till.py:1:5"]
    (ask.root / "a/till.py").unlink()
    (ask.root / "b/till.py").unlink()


def test_a_method_is_named_by_its_class(ask: Session) -> None:
    found = places(ask("goto_definition", symbol="User.save"))
    assert found == [place("shop/models.py", "def save(self, force: bool = True)", "save")]
    found = places(ask("goto_definition", symbol="User.save", file_path="shop/views.py"))
    assert found == [place("shop/models.py", "def save(self, force: bool = True)", "save")]


def test_an_inherited_method_is_that_of_the_base_and_says_so(ask: Session) -> None:
    result = ask("find_references", symbol="Order.save")
    assert "Order.save is inherited: Record.save declares it" in result.note
    assert places(ask("goto_definition", symbol="Order.save")) == places(
        ask("goto_definition", symbol="Record.save")
    )


def test_declarations_of_one_thing_count_once(ask: Session) -> None:
    overloads = ask("goto_definition", symbol="parse", file_path="shop/models.py")
    assert len(overloads.locations) == 3
    assert len(ask("goto_definition", symbol="Record.size").locations) == 2
    assert len(ask("goto_definition", symbol="choose").locations) == 2
    files = [loc.file for loc in ask("goto_definition", symbol="stub").locations]
    assert sorted(files) == ["shop/stubbed.py", "shop/stubbed.pyi"]


def test_constants_and_attributes_are_found(ask: Session) -> None:
    assert places(ask("goto_definition", symbol="LIMIT")) == ["shop/models.py:9:1"]
    assert places(ask("goto_definition", symbol="second")) == ["shop/models.py:10:8"]
    assert places(ask("goto_definition", symbol="Record.table")) == [
        place("shop/models.py", "table: str", "table")
    ]
    assert places(ask("goto_definition", symbol="User.name")) == [
        place("shop/models.py", "self.name = name", "name")
    ]


def test_a_local_variable_needs_its_line(ask: Session) -> None:
    reason = ask.fails("find_references", symbol="count", file_path="shop/views.py")
    assert "local variable in several places" in reason
    line = line_of("shop/views.py", "def total")
    result = ask("find_references", symbol="count", file_path="shop/views.py", line=line)
    assert places(result) == [place("shop/views.py", "return models.LIMIT", "count")]
    result = ask("find_references", symbol="order", file_path="shop/views.py")
    assert places(result) == [place("shop/views.py", "order.save()", "order")]


def test_what_others_declare_is_found_by_its_use(ask: Session) -> None:
    (location,) = ask("goto_definition", symbol="json.dumps").locations
    assert location.file.startswith("/")
    assert location.file.endswith(("/json/__init__.pyi", "/json/__init__.py"))
    assert location.preview.startswith("def dumps")
    assert "JSON" in ask("hover", symbol="dumps").docstring
    assert places(ask("find_references", symbol="cached_property")) == [
        "shop/models.py:6:23",
        place("shop/models.py", "@cached_property", "cached_property"),
    ]
