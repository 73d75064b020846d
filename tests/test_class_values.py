"""A value that a class body reads before the class has the name is the module's; examples of
docstrings are told beside counted uses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from punie.navigation.classbody import read_early
from repos import repository
from servers import Session, session

FILES: dict[str, str | bytes] = {
    "sizes.py": (
        '"""Sizes.\n\n>>> double(2)\n4\n"""\n\nsize = 3\n\n\nclass Box:\n    size = size\n\n'
        "    def grown(self):\n        return self.size\n\n\n"
        "class Later:\n    size: int\n    size = 4\n    other = size\n\n\n"
        'def double(x):\n    """Twice.\n\n    >>> double(3)  # not triple\n    6\n    """\n'
        "    return 2 * x\n\n\ndef triple(x):\n    return 3 * x\n\n\nprint(double(1), triple(1))\n"
    ),
    "using.py": (
        "from sizes import size\n\n\nclass Crate:\n    size: int = size + 1\n"
        "    lazy = lambda size=size: size\n"
    ),
    "renamed.py": "from sizes import size as s\n\nsize = 1\n\n\nclass Bag:\n    size = size\n",
}


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    yield from session(repository(tmp_path_factory.mktemp("values")), FILES)


def places(ask: Session, **asked: object) -> list[tuple[str, int, int]]:
    found = ask("find_references", **asked)
    assert found.reference_count == len(found.references)
    return [(r.file, r.line, r.column) for r in found.references]


def test_the_module_has_the_use_and_the_attribute_has_not(ask: Session) -> None:
    module = places(ask, file_path="sizes.py", line=7, symbol="size")
    assert ("sizes.py", 11, 12) in module
    assert ("using.py", 5, 17) in module
    assert ("renamed.py", 7, 12) not in module
    attribute = places(ask, symbol="Box.size")
    assert ("sizes.py", 11, 12) not in attribute
    assert ("sizes.py", 14, 21) in attribute
    assert ("using.py", 5, 17) not in places(ask, symbol="Crate.size")
    assert ("sizes.py", 20, 13) in places(ask, symbol="Later.size")


def test_examples_of_docstrings_are_told_beside_uses(ask: Session) -> None:
    note = ask("find_references", symbol="double").note
    assert "sizes.py:3" in note
    assert "sizes.py:26" in note
    assert "sizes.py" not in ask("find_references", symbol="triple").note


@pytest.mark.parametrize(
    ("body", "places"),
    [
        ("x = x", [(2, 9)]),
        ("x = f(x, lambda: x)", [(2, 11)]),
        ("x = lambda y=x: x", [(2, 18)]),
        ("é = 1; x = x", [(2, 16)]),
        ("def x(self): ...\n    x = x", []),
        ("from a import x\n    x = x", []),
        ("x: int = x", [(2, 14)]),
        ("x: int\n    x = x", [(3, 9)]),
        ("y = x", []),
        ("x == x", []),
        ("y = 1\r    z = 2\r    x = x", [(4, 9)]),  # as Python counts lines
    ],
)
def test_what_a_class_reads_early(body: str, places: list[tuple[int, int]]) -> None:
    assert list(read_early(f"class K:\n    {body}\n", "x")) == places
