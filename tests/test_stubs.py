"""A stub and the code that it describes are one thing: asked about either, all uses are told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from repos import repository
from servers import Session, session

FILES: dict[str, str | bytes] = {
    "shapes/__init__.py": "from ._made import Factory\n",
    "shapes/__init__.pyi": (
        "from typing import overload\nfrom .core import Box as Box, area as area\n\n"
        "@overload\ndef Factory(make: int) -> int: ...\n"
        "@overload\ndef Factory(make: str) -> str: ...\n"
    ),
    "shapes/_made.py": "class Factory:\n    pass\n\n\nmine = Factory()\n",
    "shapes/core.py": (
        "def area(w, h):\n    return w * h\n\n\n"
        "class Box:\n    def __init__(self):\n        self.depth = 1\n\n"
        "    def grow(self, by):\n        return self.depth + by\n\n\n"
        "def whole():\n    return area(1, 2) + Box().grow(2)\n"
    ),
    "shapes/core.pyi": (
        "from typing import overload\n@overload\ndef area(w: int, h: int) -> int: ...\n"
        "@overload\ndef area(w: str, h: int) -> str: ...\n\n"
        "class Box:\n    depth: int\n    def grow(self, by: int) -> int: ...\n"
    ),
    "other.py": "def area(x):\n    return x\n\n\nclass Box:\n    depth = 2\n",
    "use.py": (
        "from shapes import Factory\nfrom shapes.core import Box, area\n\n"
        "Factory(1)\nprint(area(1, 2), Box().grow(3), Box().depth)\n"
    ),
}
CORE, STUB = "shapes/core.py", "shapes/core.pyi"
AREA = ["shapes/__init__.pyi:2", "shapes/core.py:14", "use.py:2", "use.py:5"]
BOX = ["shapes/__init__.pyi:2", "shapes/core.py:14", "use.py:2", "use.py:5"]
MADE = ["shapes/__init__.py:1", "shapes/_made.py:5", "use.py:1", "use.py:4"]
GROW = ["shapes/core.py:14", "use.py:5"]
DEPTH = ["shapes/core.py:10", "use.py:5"]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    yield from session(repository(tmp_path_factory.mktemp("stubs")), FILES)


@pytest.mark.parametrize(
    ("asked", "places"),
    [
        ({"file_path": CORE, "line": 1, "symbol": "area"}, AREA),
        ({"file_path": STUB, "line": 3, "symbol": "area"}, AREA),
        ({"file_path": STUB, "line": 5, "symbol": "area"}, AREA),
        ({"file_path": STUB, "symbol": "area"}, AREA),
        ({"file_path": CORE, "symbol": "area"}, AREA),
        ({"file_path": "use.py", "line": 5, "symbol": "area"}, AREA),
        ({"symbol": "core.area"}, AREA),
        ({"file_path": CORE, "line": 5, "symbol": "Box"}, BOX),
        ({"file_path": STUB, "line": 7, "symbol": "Box"}, BOX),
        ({"file_path": "shapes/__init__.pyi", "line": 5, "symbol": "Factory"}, MADE),
        ({"file_path": "shapes/_made.py", "line": 1, "symbol": "Factory"}, MADE),
        ({"file_path": "use.py", "line": 4, "symbol": "Factory"}, MADE),
        ({"symbol": "Factory"}, MADE),
        ({"file_path": CORE, "line": 9, "symbol": "grow"}, GROW),
        ({"file_path": STUB, "line": 9, "symbol": "grow"}, GROW),
        ({"symbol": "Box.grow"}, GROW),
        ({"file_path": STUB, "line": 8, "symbol": "depth"}, DEPTH),
        ({"file_path": CORE, "line": 7, "symbol": "depth"}, DEPTH),
        ({"file_path": CORE, "line": 10, "symbol": "depth"}, DEPTH),
        ({"symbol": "core.Box.depth"}, DEPTH),
    ],
)
def test_either_side_is_asked_about_and_both_answer(
    ask: Session, asked: dict[str, object], places: list[str]
) -> None:
    found = ask("find_references", **asked)
    assert found.success
    assert sorted({f"{r.file}:{r.line}" for r in found.references}) == places


def test_things_of_the_same_name_that_no_stub_joins_stay_apart(ask: Session) -> None:
    for name in ("area", "Box", "Box.depth"):
        said = ask.fails("find_references", symbol=name)
        assert "ambiguous, it is declared 2 times" in said
        assert "other.py" in said
    assert not ask("find_references", file_path="other.py", line=1, symbol="area").references


def test_what_runs_is_defined_before_its_stub(ask: Session) -> None:
    found = ask("goto_definition", symbol="Factory").locations
    assert found[0].file == "shapes/_made.py"
