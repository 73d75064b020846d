"""The names, imports, bindings and attributes of a Python text, also of broken code."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from punie.navigation.pysource import Source


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


def test_a_name_is_bound_by_assignments_loops_and_as() -> None:
    for text in ("x = 1", "x: int = 1", "if (x := 1): ...", "for x in y: ...", "with a as x: ..."):
        assert Source(text.encode()).binds("x"), text
    for text in ("x == 1", "a.x = 1", "xx = 1", "f(a, x)", "x.y = 1", "max = 1"):
        assert not Source(text.encode()).binds("x"), text


def test_attributes_of_broken_code_are_found_by_their_text() -> None:
    assert Source(b"class A:\n  def f(self):\n    self.x = 1\n  def (").assigned("x") == [(3, 10)]


@given(st.text("aé漢😀 \t", max_size=8), st.sampled_from(["self", "cls", "this"]))
def test_attributes_are_found_behind_any_text(before: str, first: str) -> None:
    text = f"class A:\n  def f({first}):\n    '{before}'; {first}.x, y = 1, 2\n"
    (place,) = Source(text.encode()).assigned("x")
    assert text.split("\n")[place[0] - 1][place[1] - 1 :].startswith("x, y")


@pytest.mark.parametrize(
    "unit",
    [
        *("from" + " " * 60, ";from x import (", ";from x import (#\n", "#;from a import (\n"),
        *("__all__=[", "__all__:x", "__all__:", "__all__.append(", "'\\", 'x\\"""', "\"\"\"'''"),
    ],
)
def test_a_hostile_file_is_read_in_time_that_grows_with_its_length(unit: str) -> None:
    """Patterns that look ahead from many places held up everything, for hours on such a file."""
    text = unit * (500_000 // len(unit)) + "\nlast = 1\n"
    source = Source(text.encode())
    assert source.import_at(text.index("last")) is None
    assert [m.line for m in source.mentions("absent")] == []
    assert all(text.startswith(n.text, n.offset) for n in islice(source.names(), 20))
