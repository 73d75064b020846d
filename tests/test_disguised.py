"""One counted use, such as a thing's own test, hides no entry point, template or keyword."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from repos import repository
from servers import Session, session

NAMES = ["entry", "by_script", "by_notebook", "by_template", "by_shell", "lazily", "handed"]
FILES: dict[str, str | bytes] = {
    "app/__init__.py": (
        "import importlib\n\n\ndef __getattr__(name):\n"
        '    return getattr(importlib.import_module("app.core"), name)\n'
    ),
    "app/core.py": (
        "from dataclasses import dataclass, replace\nfrom typing import Protocol\n\n\n"
        + "".join(f"def {name}(): ...\n\n\n" for name in NAMES)
        + "LIMIT = 1\n\n\nclass Commented: ...\n\n\n"
        "@dataclass\nclass Point:\n    v: int = 0\n\n    def __enter__(self): ...\n\n"
        "    def held(self): ...\n\n\n"
        "class Keeper(\n    Protocol,\n):\n    def held(self): ...\n"
    ),
    "app/use.py": (
        "import importlib\n\nimport app\nfrom app.core import Keeper, Point, replace\n\n\n"
        "def run(keeper: Keeper, anything, space):\n"
        "    keeper.held()\n"
        "    app.lazily()\n"
        "    space.handed(space.LIMIT)\n"
        "    items = []  # type: list[Commented]\n"
        "    match anything:\n"
        "        case Point(v=2):\n"
        "            return items\n"
        "    return replace(\n        anything,\n        v=[3, 4],\n    )\n"
    ),
    "bin/tool": "#!/usr/bin/env python3\n# by_script\nfrom app.core import by_script\n",
    "ci.yml": "run: python -m app.core.by_shell\nname: by_script and entry\n",
    "notes.ipynb": '{"cells": [{"source": ["by_notebook()"]}]}\n',
    "page.html": "<p>by_template</p>\n{{ by_template() }}\n{{ 1 }} by_template {% x %}\n",
    "README.md": "".join(f"Call {name}, or Point and LIMIT.\n" for name in NAMES),
    "pyproject.toml": '[project]\nname = "app"\n\n[project.scripts]\napp = "app.core:entry"\n',
    "tests/test_core.py": (
        f"from app.core import LIMIT, Commented, Point, {', '.join(NAMES)}\n\n\n"
        "def test_all():\n"
        + "".join(f"    {name}()\n" for name in NAMES)
        + "    Commented()\n    assert LIMIT\n    assert Point().v == 0\n    Point().held()\n"
        "    Point().__enter__()\n"
    ),
}


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    yield from session(repository(tmp_path_factory.mktemp("disguised")), FILES)


@pytest.mark.parametrize(
    ("symbol", "note"),
    [
        ("entry", "the word entry stands as text in pyproject.toml:5"),
        ("by_script", "the word by_script stands as text in bin/tool:3"),
        ("by_notebook", "the word by_notebook stands as text in notes.ipynb:1"),
        ("by_template", "the word by_template stands as text in page.html:2"),
        ("by_shell", "the word by_shell stands as text in ci.yml:1"),
        ("lazily", "uses of .lazily on values of unknown type are not counted (app/use.py:9)"),
        ("handed", "uses of .handed on values of unknown type are not counted (app/use.py:10)"),
        ("LIMIT", "uses of .LIMIT on values of unknown type are not counted (app/use.py:10)"),
        ("Commented", "the word Commented stands as text in app/use.py:11"),
        (
            "Point.v",
            "v= is not counted where it is not known what takes it (app/use.py:13, app/use.py:17)",
        ),
        ("Point.held", "uses through the protocol Keeper are not counted (app/use.py:8)"),
        ("Point.__enter__", "Python itself calls __enter__, which is not counted"),
    ],
)
def test_a_counted_use_hides_no_other(ask: Session, symbol: str, note: str) -> None:
    result = ask("find_references", symbol=symbol)
    assert result.reference_count > 0
    assert result.note == note


def test_a_keyword_that_a_known_function_takes_is_no_use(ask: Session) -> None:
    other = ask.root / "app/other.py"
    other.write_text("def replace(point, v): ...\n\n\nreplace(1, v=2)\n")
    try:
        assert "app/other.py" not in ask("find_references", symbol="Point.v").note
    finally:
        other.unlink()
