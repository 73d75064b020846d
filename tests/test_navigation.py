"""The five tools that ask the language server, on a small package, with the real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from repos import repository, write
from servers import Session, session
from shop_package import FILES, line_of, place, places


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    yield from session(tmp_path_factory.mktemp("shop"), FILES)


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
