"""The five tools that ask the language server, on a small package, with the real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from punie.pysource import Source
from repos import repository, write
from servers import Session

FILES: dict[str, str | bytes] = {
    "shop/__init__.py": (
        "from shop.models import User, find_user as lookup\n"
        "from .models import LIMIT\n"
        '__all__ = ["LIMIT", "User"]\n'
    ),
    "shop/models.py": '''"""What is sold to whom."""

from __future__ import annotations

import json
from functools import cached_property
from typing import overload

LIMIT: int = 10
first, second = 1, 2


class Record:
    """A row with snake_case *names*."""

    table: str = ""

    def save(self, force: bool = False) -> bool:
        """Save it.

        Args:
            force: even if a_b is unchanged.
        """
        return force

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self._size

    @size.setter
    def size(self, value: int) -> None:
        self._size = value


class User(Record):
    def __init__(self, name: str) -> None:
        self.name = name
        self._size = 0

    def save(self, force: bool = True) -> bool:
        return super().save(force)

    @cached_property
    def card(self) -> str:
        return json.dumps(self.name)


class Order(Record):
    pass


@overload
def parse(text: str) -> str: ...
@overload
def parse(text: bytes) -> bytes: ...
def parse(text):
    """Read a text."""
    return text


if LIMIT > 5:
    def choose() -> int:
        return 1
else:
    def choose() -> int:
        return 2


def find_user(name: str) -> User:
    """Find a user by name."""
    return User(name)


def unused() -> None:
    def inner() -> None: ...
''',
    "shop/views.py": """import shop.models as models
from shop import User, lookup
from shop.models import Order, Record, find_user, parse, choose


def show(record: Record, count: int) -> str:
    record.save()
    record.size = 3
    note: "User" = User("ann")
    note.save()
    getattr(record, "unused")
    return parse("x") * count + note.card + note.name


def total(count: int, order: Order) -> int:
    order.save()
    s = "😀漢字"; user = find_user(s)
    return models.LIMIT + user.size + choose() + count


def other(name: str) -> str:
\treturn lookup(name).name


HANDLERS = {"shop.models.unused": "calls find_user later"}
""",
    "shop/alike.py": "def parse(text: str) -> int:\n    return len(text)\n",
    "shop/stubbed.py": 'def stub(x):\n    """Documented."""\n    return x\n',
    "shop/stubbed.pyi": "def stub(x: int) -> int: ...\n",
    "odd name/ünï.py": "def straße() -> int:\n    return 1\n\nstraße()\n",
    "crlf.py": b"import shop\r\n\r\ndef windows():\r\n    return 1\r\n\r\nwindows()\r\n",
    "bom.py": b"\xef\xbb\xbfdef marked():\n    return marked()\n",
    "broken.py": "def whole():\n    return 1\n\nwhole()\n\ndef half(:\n",
    "latin.py": b"# \xe9\ndef accent():\n    return 1\n",
    "notes.txt": "find_user",
}


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    root = tmp_path_factory.mktemp("shop")
    write(root, FILES)
    session = Session(root)
    with session.runner:
        yield session
        session.runner.run(session.server.close())


def line_of(file: str, text: str) -> int:
    content = FILES[file]
    assert isinstance(content, str)
    return next(i for i, line in enumerate(content.split("\n"), 1) if text in line)


def places(result: Any) -> list[str]:
    assert result.success, result.parse_error
    items = result.references if hasattr(result, "references") else result.locations
    return [f"{i.file}:{i.line}:{i.column}" for i in items]


def place(file: str, text: str, name: str) -> str:
    line = line_of(file, text)
    content = FILES[file]
    assert isinstance(content, str)
    return f"{file}:{line}:{content.split(chr(10))[line - 1].index(name) + 1}"


# --- addresses


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
        ({"symbol": "User.sav"}, r"User (shop/models.py:36) has no 'sav'; it has save"),
        ({"symbol": "text"}, "'text' is only a local name, as at shop/alike.py:"),
        ({"symbol": "Usr.save"}, "no symbol 'Usr.save'"),
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
    assert location.file.endswith("stdlib/json/__init__.pyi")
    assert location.preview.startswith("def dumps")
    assert "JSON" in ask("hover", symbol="dumps").docstring
    assert places(ask("find_references", symbol="cached_property")) == [
        "shop/models.py:6:23",
        place("shop/models.py", "@cached_property", "cached_property"),
    ]


# --- hover


def test_hover_tells_signature_and_docstring_in_plain_text(ask: Session) -> None:
    result = ask("hover", symbol="Record.save")
    assert result.signature == "def save(self, force: bool = False) -> bool"
    assert result.docstring == "Save it.\n\nArgs:\n    force: even if a_b is unchanged."
    assert result.content == f"{result.signature}\n\n{result.docstring}"
    assert result.language == "python"
    assert str(result) == result.content
    record = ask("hover", symbol="Record")
    assert (record.signature, record.docstring) == (
        "class Record",
        "A row with snake_case *names*.",
    )


def test_hover_of_overloads_a_property_a_constant_and_a_use(ask: Session) -> None:
    parse = ask("hover", symbol="parse", file_path="shop/models.py")
    assert parse.signature == "def parse(text: str) -> str\ndef parse(text: bytes) -> bytes"
    assert parse.docstring == "Read a text."
    size = ask("hover", symbol="Record.size")
    assert size.signature == "@property\ndef size(self) -> int"
    assert size.docstring == "Size in bytes."
    assert ask("hover", symbol="LIMIT").signature
    use = ask("hover", file_path="shop/views.py", line=7, symbol="save")
    assert use.signature == "bound method Record.save(force: bool = False) -> bool"
    assert use.docstring.startswith("Save it.")


def test_hover_says_so_when_the_server_knows_nothing(ask: Session) -> None:
    line = line_of("shop/models.py", "force: even if")
    reason = ask.fails("hover", file_path="shop/models.py", line=line, column=20)
    assert "knows nothing about 'even'" in reason


# --- references


def test_references_count_imports_aliases_and_quoted_types_but_no_declaration(ask: Session) -> None:
    result = ask("find_references", symbol="find_user")
    assert places(result) == [
        "shop/__init__.py:1:31",
        "shop/views.py:2:24",
        "shop/views.py:3:40",
        place("shop/views.py", "user = find_user", "find_user"),
        place("shop/views.py", "return lookup", "lookup"),
    ]
    assert [r.is_import for r in result.references] == [True, True, True, False, False]
    assert result.reference_count == 5
    assert result.references[3].preview == 's = "😀漢字"; user = find_user(s)'
    assert str(result.references[0]).endswith("find_user as lookup  (import)")
    user = ask("find_references", symbol="User", file_path="shop/models.py")
    line = line_of("shop/views.py", "note: ")
    columns = [r.column for r in user.references if r.line == line and "views" in r.file]
    assert columns == [12, 20]


def test_uses_of_overriding_methods_are_marked(ask: Session) -> None:
    result = ask("find_references", symbol="Record.save")
    assert {(r.preview, r.is_override) for r in result.references} == {
        ("record.save()", False),
        ("order.save()", False),
        ("return super().save(force)", False),
        ("note.save()", True),
    }
    result = ask("find_references", symbol="User.save")
    assert [r.preview for r in result.references] == ["note.save()"]
    assert "User.save overrides Record.save" in result.note


def test_a_property_is_used_by_reading_and_by_setting(ask: Session) -> None:
    for symbol in ("Record.size", "size"):
        result = ask("find_references", symbol=symbol)
        assert [r.preview for r in result.references] == [
            "record.size = 3",
            "return models.LIMIT + user.size + choose() + count",
        ]


def test_overloads_and_conditional_functions_have_their_uses(ask: Session) -> None:
    parse = ask("find_references", symbol="parse", file_path="shop/models.py")
    assert [r.is_import for r in parse.references] == [True, False]
    choose = ask("find_references", symbol="choose")
    assert [r.is_import for r in choose.references] == [True, False]


def test_all_and_strings_are_named_in_a_note(ask: Session) -> None:
    line = line_of("shop/views.py", "getattr")
    last = line_of("shop/views.py", "HANDLERS")
    result = ask("find_references", symbol="unused")
    assert (result.success, result.reference_count, result.references) == (True, 0, [])
    assert (
        result.note == f"unused also stands in strings (shop/views.py:{line}, shop/views.py:{last})"
    )
    assert "LIMIT also stands in __all__ (shop/__init__.py:3)" in (
        ask("find_references", symbol="LIMIT").note
    )
    assert f"in strings (shop/views.py:{last})" in ask("find_references", symbol="find_user").note
    assert ask("find_references", symbol="Record").note == ""


def test_uses_on_values_of_unknown_type_are_named_in_a_note(ask: Session) -> None:
    """click: a test makes its `ProgressBar` by an untyped function, and that use was missed."""
    write(ask.root, {"loose.py": "def use(thing):\n    return thing.card, thing.save\n"})
    result = ask("find_references", symbol="User.card")
    assert [r.file for r in result.references] == ["shop/views.py"]
    assert result.note == "uses of .card on values of unknown type are not counted (loose.py:2)"
    assert ask("find_references", symbol="Record.table").note == ""
    (ask.root / "loose.py").unlink()


def test_a_limit_cuts_the_list_and_not_the_count(ask: Session) -> None:
    result = ask("find_references", symbol="find_user", limit=2)
    assert (result.reference_count, len(result.references), result.truncated) == (5, 2, True)
    assert "limit 0" in ask.fails("find_references", symbol="find_user", limit=0)
    result = ask("workspace_symbols", query="s", limit=1)
    assert len(result.symbols) == 1 < result.symbol_count
    assert result.truncated


def test_columns_behind_wide_characters_and_tabs(ask: Session) -> None:
    wide = place("shop/views.py", "user = find_user", "user")
    result = ask("find_references", file_path="shop/views.py", line=17, symbol="user")
    assert places(result) == [place("shop/views.py", "+ user.size", "user")]
    column = int(wide.rsplit(":", 1)[1])
    assert places(ask("goto_definition", file_path="shop/views.py", line=17, column=column)) == [
        wide
    ]
    line = line_of("shop/views.py", "return lookup")
    assert ask("hover", file_path="shop/views.py", line=line, column=9).docstring == (
        "Find a user by name."
    )


def test_odd_files(ask: Session) -> None:
    assert places(ask("find_references", symbol="straße")) == ["odd name/ünï.py:4:1"]
    assert places(ask("find_references", symbol="windows")) == ["crlf.py:6:1"]
    assert ask("find_references", symbol="windows").references[0].preview == "windows()"
    assert places(ask("find_references", symbol="marked")) == ["bom.py:2:12"]
    assert places(ask("goto_definition", file_path="bom.py", line=1, column=5)) == ["bom.py:1:5"]
    assert places(ask("find_references", symbol="whole")) == ["broken.py:4:1"]


# --- symbols


def test_document_symbols_nest_and_count(ask: Session) -> None:
    result = ask("document_symbols", file_path="shop/models.py")
    assert [s.name for s in result.symbols][:5] == ["LIMIT", "first", "second", "Record", "User"]
    record = result.symbols[3]
    assert [(c.name, c.kind) for c in record.children] == [
        ("table", 8),
        ("save", 6),
        ("size", 6),
        ("size", 6),
    ]
    assert record.preview == "class Record:"
    assert record.children[2].preview == "def size(self) -> int:"
    assert record.children[2].line == line_of("shop/models.py", "def size(self) -> int")
    assert record.end_line == line_of("shop/models.py", "self._size = value")
    nested = [c for s in result.symbols for c in s.children]
    assert result.symbol_count == len(result.symbols) + len(nested)
    assert str(record).splitlines()[1].startswith("  16  table")
    assert "no file" in ask.fails("document_symbols", file_path="shop/model.py")
    assert ask("document_symbols", file_path="odd name/ünï.py").symbols[0].name == "straße"


def test_workspace_symbols_rank_and_name_their_containers(ask: Session) -> None:
    result = ask("workspace_symbols", query="save")
    assert [(s.name, s.container_name) for s in result.symbols] == [
        ("save", "Record"),
        ("save", "User"),
    ]
    result = ask("workspace_symbols", query="user")
    assert [s.name for s in result.symbols] == ["User", "find_user"]
    assert [s.name for s in ask("workspace_symbols", query="fndusr").symbols] == ["find_user"]
    assert [s.name for s in ask("workspace_symbols", query="User.sa").symbols] == ["save"]
    (card,) = ask("workspace_symbols", query="card").symbols
    assert card.line == line_of("shop/models.py", "def card")
    assert card.preview == "def card(self) -> str:"
    nothing = ask("workspace_symbols", query="zzz")
    assert (nothing.success, nothing.symbol_count) == (True, 0)
    assert "is empty" in ask.fails("workspace_symbols", query=" ")


# --- fresh


def test_tools_see_edits_new_files_and_deletions(ask: Session) -> None:
    before = ask("find_references", symbol="choose").reference_count
    extra = ask.root / "shop/extra.py"
    extra.write_text("from shop.models import choose\n\n\ndef added():\n    return choose()\n")
    result = ask("find_references", symbol="choose")
    assert result.reference_count == before + 2
    extra.write_text("# moved\n" + extra.read_text())
    assert places(ask("goto_definition", symbol="added")) == ["shop/extra.py:5:5"]
    extra.unlink()
    assert ask("find_references", symbol="choose").reference_count == before
    assert "no symbol 'added'" in ask.fails("goto_definition", symbol="added")


# --- text


def test_names_are_those_of_code_and_of_f_string_fields() -> None:
    text = "x = 'x' # x\ny = f'{x!r} x' + rb'''\nx'''\nx1 = 0x1f\n"
    assert [(n.text, n.line, n.column) for n in Source(text.encode()).names()] == [
        ("x", 1, 1),
        ("y", 2, 1),
        ("x", 2, 8),
        ("r", 2, 10),
        ("x1", 4, 1),
    ]


def test_imports_over_several_lines_are_recognised() -> None:
    text = (
        "from a import (  # x\n    b,\n    c as d,\n)\nimport e; f = 1\nfrom . \\\n  import g\nb\n"
    )
    source = Source(text.encode())
    inside = [n.text for n in source.names() if source.import_at(n.offset) is not None]
    assert inside == ["a", "b", "c", "d", "e", "g"]
    (alias,) = [a.text for n in source.names() if (a := source.alias_at(n.offset))]
    assert alias == "d"


def test_a_symbol_of_a_file_that_git_ignores_is_found(tmp_path: Path) -> None:
    """The server lists none of such a file: success with 0 was the answer."""
    repository(tmp_path, {".gitignore": "made/\n", "kept.py": "def keep(): ...\n"})
    write(tmp_path, {"made/models.py": "class Made:\n    def keep_it(self): ...\n"})
    ask = Session(tmp_path)
    try:
        (made,) = ask("workspace_symbols", query="made").symbols
        assert (made.name, made.kind, made.file, made.line) == ("Made", 5, "made/models.py", 1)
        found = ask("workspace_symbols", query="keep")
        assert [(s.name, s.container_name) for s in found.symbols] == [
            ("keep", ""),
            ("keep_it", "Made"),
        ]
        inside = ask("workspace_symbols", query="Made.keep")
        assert [s.name for s in inside.symbols] == ["keep_it"]
    finally:
        ask.runner.run(ask.server.close())
        ask.runner.close()
