"""Symbols as real code has them: overrides, re-exports, modules, wide lines, ignored folders."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from repos import repository, write
from servers import Session, session
from shapes_package import FILES, line


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    yield from session(repository(tmp_path_factory.mktemp("shapes")), FILES)


def used(result: Any) -> list[str]:
    """`file:line` of references, those through overrides with a star."""
    assert result.success, result.parse_error
    return [f"{r.file}:{r.line}" + "*" * r.is_override for r in result.references]


def declared(result: Any) -> list[str]:
    assert result.success, result.parse_error
    return [f"{x.file}:{x.line}:{x.column}" for x in result.locations]


# --- overrides


def test_uses_of_a_base_method_include_those_through_all_that_override_it(ask: Session) -> None:
    result = ask("find_references", symbol="Shape.area")
    calls = line("use.py", "shape.area()")
    on_calls = [r for r in result.references if r.file == "use.py"]
    assert {r.line for r in on_calls} == {calls}
    assert [(r.column, r.is_override) for r in on_calls] == [
        (11, False),  # shape
        (26, True),  # square
        (39, True),  # tiny, which has Square's
        (54, True),  # circle
    ]
    rest = [place for place in used(result) if not place.startswith("use.py")]
    assert rest == [
        "dist/packed.py:3*",
        f"shapes/base.py:{line('shapes/base.py', 'area = self.area')}",
        f"shapes/base.py:{line('shapes/base.py', 'super().area()')}",
    ]
    assert result.note == (
        f"uses of .area on values of unknown type are not counted (use.py:{calls})"
    )


def test_a_variable_that_holds_a_method_is_no_use_of_it(ask: Session) -> None:
    """rich: `append = text.append` is one use; each `append(…)` was given as one more."""
    number = line("shapes/base.py", "return area() + area()")
    assert f"shapes/base.py:{number}" not in used(ask("find_references", symbol="Shape.area"))
    place = ask("goto_definition", file_path="shapes/base.py", line=number, column=16)
    assert declared(place) == [f"shapes/base.py:{number - 1}:9"]


def test_a_property_that_is_overridden_by_a_property_and_by_a_variable(ask: Session) -> None:
    result = ask("find_references", symbol="Shape.label")
    number = line("use.py", "shape.label")
    inner = line("shapes/base.py", "return super().label")
    assert used(result) == [
        f"shapes/base.py:{inner}",
        f"use.py:{number}",
        f"use.py:{number}*",
        f"use.py:{number}*",
    ]
    assert result.note == ""
    result = ask("find_references", symbol="Square.label")
    assert used(result) == [f"use.py:{number}", f"use.py:{number}*"]
    assert result.note == "Square.label overrides Shape.label, whose uses are not counted here"


# --- names


def test_nested_overloaded_and_same_named_symbols(ask: Session) -> None:
    deep = line("shapes/base.py", "def go")
    for symbol in ("Square.Meta.Deep.go", "Deep.go", "go", "shapes.base.Square.Meta.Deep.go"):
        assert declared(ask("goto_definition", symbol=symbol)) == [f"shapes/base.py:{deep}:17"]
    assert len(ask("goto_definition", symbol="Shape.scale").locations) == 3
    assert used(ask("find_references", symbol="Shape.scale")) == ["use.py:9"]
    reason = ask.fails("goto_definition", symbol="same")
    assert "ambiguous" in reason
    assert "first.same (shapes/base.py:" in reason
    assert "second.same (shapes/base.py:" in reason
    found = ask("find_references", symbol="second.same")
    assert used(found) == [f"shapes/base.py:{len(str(FILES['shapes/base.py']).splitlines())}"]


def test_attributes_set_side_by_side_are_found(ask: Session) -> None:
    """The error once was that `Shape` has no `left`, and it has."""
    number = line("shapes/base.py", "self.left")
    assert declared(ask("goto_definition", symbol="Shape.left")) == [f"shapes/base.py:{number}:14"]
    assert declared(ask("goto_definition", symbol="Square.rest")) == [f"shapes/base.py:{number}:39"]
    assert used(ask("find_references", symbol="Shape.left")) == ["use.py:9"]
    assert "declares no 'lefft'; it declares" in ask.fails("hover", symbol="Shape.lefft")


def test_variables_of_a_class_inside_a_function_are_its_own(ask: Session) -> None:
    """starlette: the server does not list them, and the base's uses were given as theirs."""
    number = line("shapes/base.py", 'shape_kind = "inner"')
    for symbol in ("third.Inner.shape_kind", "Inner.shape_kind"):
        assert declared(ask("goto_definition", symbol=symbol)) == [f"shapes/base.py:{number}:9"]
        assert used(ask("find_references", symbol=symbol)) == [f"shapes/base.py:{number + 2}"]


def test_keywords_of_a_dataclass_are_uses_of_its_fields(ask: Session) -> None:
    calls, last = line("use.py", "corner = "), line("use.py", "return")
    assert used(ask("find_references", symbol="Corner.x")) == [
        f"use.py:{calls}",
        f"use.py:{calls}",
        f"use.py:{last}",
        f"use.py:{last}",
    ]


def test_what_is_wrapped_by_untyped_decorators_is_still_described(ask: Session) -> None:
    result = ask("hover", symbol="decorated")
    assert result.signature == "def decorated(x: int) -> int"
    assert result.docstring == "Twice wrapped."


@pytest.mark.parametrize(
    ("symbol", "hint"),
    [
        ("Shpe.area", "did you mean Shape.area or Square.area"),
        ("Shape.aera", "Shape (shapes/base.py:12) declares no 'aera'; it declares area"),
        ("Sqare", "did you mean Square"),
        ("shapes.bse.Shape", "did you mean Shape"),
        ("shapes.rond", "did you mean"),
    ],
)
def test_a_misspelt_name_gets_the_nearest_real_ones(ask: Session, symbol: str, hint: str) -> None:
    assert hint in ask.fails("find_references", symbol=symbol)


# --- modules


@pytest.mark.parametrize("symbol", ["shapes.base", "base", "shapes/base.py::base"])
def test_a_module_is_a_symbol_and_its_uses_are_found(ask: Session, symbol: str) -> None:
    """An empty list was given for `base`, which the server does not search for."""
    assert declared(ask("goto_definition", symbol=symbol)) == ["shapes/base.py:1:1"]
    result = ask("find_references", symbol=symbol)
    assert used(result) == [
        "dist/packed.py:1",
        "made/code.py:1",
        "made/code.py:2",
        "shapes/__init__.py:1",
        "shapes/__init__.py:2",
        "shapes/round.py:2",
        "shapes/round.py:5",
        "use.py:2",
        "use.py:3",
        f"use.py:{line('use.py', 'ground.Corner')}",
    ]
    assert "latin.py" in result.note


def test_a_module_is_understood_where_it_is_used_and_described(ask: Session) -> None:
    expected = used(ask("find_references", symbol="shapes.base"))
    for arguments in (
        {"file_path": "use.py", "symbol": "ground"},
        {"file_path": "made/code.py", "line": 2, "symbol": "base"},
        {"file_path": "use.py", "line": 3, "symbol": "base"},
    ):
        assert used(ask("find_references", **arguments)) == expected
        assert declared(ask("goto_definition", **arguments)) == ["shapes/base.py:1:1"]
    hover = ask("hover", symbol="shapes.round")
    assert (hover.signature, hover.docstring) == ("module shapes.round", "Round ones.")
    assert used(ask("find_references", symbol="shapes.round")) == [
        "shapes/__init__.py:3",
        "use.py:1",
        "use.py:6",
    ]


def test_a_reexported_name_has_its_uses_under_every_name(ask: Session) -> None:
    for symbol in ("shapes.Square", "shapes.base.Square", "Square"):
        assert used(ask("find_references", symbol=symbol)) == [
            "dist/packed.py:1",
            "dist/packed.py:3",
            "shapes/__init__.py:1",
            f"shapes/base.py:{line('shapes/base.py', 'class Tiny')}",
            "use.py:1",
            "use.py:6",
        ]


# --- what the server does not search or know


def test_uses_in_ignored_folders_are_found_and_unreadable_files_named(ask: Session) -> None:
    """ty searches no `dist` and nothing that git ignores; code there uses what one would delete."""
    result = ask("find_references", symbol="decorated")
    assert used(result) == [
        "dist/packed.py:1",
        "dist/packed.py:2",
        "made/code.py:2",
        "use.py:3",
        f"use.py:{line('use.py', 'return decorated')}",
    ]
    assert result.note == (
        "imports of decorated from modules that are not found are not counted (lost.py:1); "
        "decorated also stands in files that are not UTF-8 and were not searched (latin.py); "
        "what @traced does with decorated is not counted"
    )


def test_uses_in_code_for_another_platform_are_found(ask: Session) -> None:
    """rich: all of `_win32_console.py` was unknown, and its methods had no uses."""
    assert used(ask("find_references", symbol="Pane.hide")) == ["other.py:11"]


def test_places_that_were_not_looked_at_are_counted(ask: Session) -> None:
    """A name that stands everywhere: what was not examined must not look like nothing."""
    many = "".join(f"    thing{n}.go()\n" for n in range(500))
    names = ", ".join(f"thing{n}" for n in range(500))
    write(ask.root, {"many.py": f"def run({names}):\n{many}"})
    result = ask("find_references", symbol="Deep.go")
    (ask.root / "many.py").unlink()
    assert result.reference_count == 0
    assert "uses of .go on values of unknown type are not counted (many.py:2," in result.note
    assert result.note.endswith("200 more places of .go were not looked at")


# --- columns


def test_columns_count_characters_behind_emoji_cjk_and_tabs(ask: Session) -> None:
    result = ask("find_references", symbol="value", file_path="wide.py")
    text = str(FILES["wide.py"]).split("\n")
    for use in result.references:
        assert text[use.line - 1][use.column - 1 :].startswith("value")
    assert [r.line for r in result.references] == [3, 3, 5, 6, 6, 6, 6]
    (found,) = ask("find_references", symbol="漢字.方法").references
    assert text[5][found.column - 1 :].startswith("方法()")
    column = text[5].index("漢字") + 1
    assert declared(ask("goto_definition", file_path="wide.py", line=6, column=column)) == [
        "wide.py:4:7"
    ]


def test_the_overloads_of_an_override_are_no_uses(ask: Session) -> None:
    head = "from typing import overload\n\n\n"
    overloads = "".join(
        f"    @overload\n    def fetch(self, key: {kind}) -> {kind}: ...\n"
        for kind in ("int", "str")
    )
    body = "    def fetch(self, key):\n        return key\n"
    parts = [f"class Store:\n{overloads}{body}", f"class Cache(Store):\n{overloads}{body}"]
    write(ask.root, {"stores.py": head + "\n\n".join(parts) + "\n\nCache().fetch(1)\n"})
    try:
        result = ask("find_references", symbol="Store.fetch")
        assert [r.preview for r in result.references] == ["Cache().fetch(1)"]
    finally:
        (ask.root / "stores.py").unlink()
