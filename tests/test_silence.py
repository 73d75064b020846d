"""Nothing is called unused while it stands somewhere that no reader of Python looks into."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from repos import repository
from servers import Session, session

FILES: dict[str, str | bytes] = {
    "app/__init__.py": "",
    "app/core.py": (
        "import sys\nfrom typing import TYPE_CHECKING, Protocol\n\n\n"
        "def entry(): ...\n\n\ndef by_script(): ...\n\n\ndef by_notebook(): ...\n\n\n"
        "def by_template(): ...\n\n\ndef late(): ...\n\n\ndef unused(): ...\n\n\n"
        "def unsaid_twice(): ...\n\n\n"
        "class Box:\n    def __init__(self, side=1):\n        self.side = side\n\n"
        "    def __add__(self, other):\n        return Box(other)\n\n"
        "    def keep(self): ...\n\n    def held(self): ...\n\n    def lone(self): ...\n\n\n"
        "class Keeper(Protocol):\n    def held(self): ...\n\n\n"
        "def through(keeper: Keeper):\n    keeper.held()\n"
    ),
    "app/web.py": (
        "from functools import cache\n\n\nclass App:\n    def route(self, path):\n"
        "        return lambda function: function\n\n\napp = App()\n\n\n"
        '@app.route("/")\ndef shown(): ...\n\n\n@cache\ndef plain(): ...\n'
    ),
    "app/dated.py": (
        "import sys\n\nimport app.core\n\nif sys.version_info < (3, 8):\n    app.core.late()\n"
    ),
    "app/forms.py": (
        "from app.core import Box\n\n\ndef read(box, **rest):\n    match box:\n"
        "        case Box(side=2):\n            return 2\n"
    ),
    "app/names.py": (
        "from app.core import Box as Crate\n\n\nclass Big(Crate): ...\n\n\nCrate().keep()\n"
    ),
    "bin/tool": "#!/usr/bin/env python3\nfrom app.core import by_script\n\nby_script()\n",
    "notes.ipynb": '{"cells": [{"source": ["by_notebook()"]}]}\n',
    "page.html": "{{ by_template() }}\n",
    "pyproject.toml": '[project]\nname = "app"\n\n[project.scripts]\napp = "app.core:entry"\n',
    ".nox/more.py": "from app.core import unsaid_twice\n",
}


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    yield from session(repository(tmp_path_factory.mktemp("silence")), FILES)


@pytest.mark.parametrize(
    ("symbol", "place"),
    [
        ("entry", "pyproject.toml:5"),
        ("by_script", "bin/tool:2, bin/tool:4"),
        ("by_notebook", "notes.ipynb:1"),
        ("by_template", "page.html:1"),
        ("unsaid_twice", ".nox/more.py:1"),
    ],
)
def test_where_a_name_stands_as_text_is_told(ask: Session, symbol: str, place: str) -> None:
    result = ask("find_references", symbol=symbol)
    assert (result.success, result.reference_count) == (True, 0)
    name = symbol.rpartition(".")[2]
    assert f"the word {name} stands as text in {place}" in result.note


def test_a_use_in_code_that_this_version_does_not_run_is_told(ask: Session) -> None:
    result = ask("find_references", symbol="late")
    assert (result.success, result.reference_count) == (True, 0)
    assert result.note == "uses of .late on values of unknown type are not counted (app/dated.py:6)"


def test_a_use_through_a_protocol_is_told(ask: Session) -> None:
    result = ask("find_references", symbol="Box.held")
    note = "uses through the protocol Keeper are not counted (app/core.py:45)"
    assert (result.reference_count, result.note) == (0, note)


def test_what_python_calls_itself_is_said(ask: Session) -> None:
    result = ask("find_references", symbol="Box.__add__")
    assert result.reference_count == 0
    assert result.note == "Python itself calls __add__, which is not counted"


def test_a_decorator_that_may_register_is_named_and_a_plain_one_is_not(ask: Session) -> None:
    assert ask("find_references", symbol="shown").note == (
        "what @app.route does with shown is not counted"
    )
    assert ask("find_references", symbol="plain").note == ""


@pytest.mark.parametrize("symbol", ["unused", "Box.lone"])
def test_what_stands_nowhere_else_has_no_note(ask: Session, symbol: str) -> None:
    result = ask("find_references", symbol=symbol)
    assert (result.success, result.reference_count, result.note) == (True, 0, "")


def test_a_member_is_known_under_the_name_that_its_class_is_imported_as(ask: Session) -> None:
    found = [ask("find_references", symbol=f"{owner}.keep") for owner in ("Box", "Crate")]
    assert [[(r.file, r.line) for r in each.references] for each in found] == [
        [("app/names.py", 7)]
    ] * 2
    assert "Box (app/core.py:" in ask.fails("find_references", symbol="Crate.kep")


def test_a_query_that_fits_nothing_gets_the_nearest_names(ask: Session) -> None:
    result = ask("workspace_symbols", query="unusde")
    assert (result.symbol_count, result.parse_error) == (0, "no such name; did you mean unused?")


def test_files_that_cannot_be_searched_are_said(ask: Session) -> None:
    unread = ask.root / "huge.txt"
    try:
        with unread.open("wb") as file:
            file.truncate(40 * 2**20)
        assert ask("find_references", symbol="unused").note == (
            "not all files could be searched for the word unused"
        )
    finally:
        unread.unlink()
