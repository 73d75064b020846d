"""Uses that the language server's lists leave out are counted or told, however many others are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from repos import repository, write
from servers import Session, session

FILES: dict[str, str | bytes] = {
    ".gitignore": "made/\n",
    "lib/__init__.py": (
        "import importlib\n\n\ndef __getattr__(name):\n"
        '    return getattr(importlib.import_module("lib.core"), name)\n'
    ),
    "lib/core.py": (
        "import functools\nfrom dataclasses import dataclass\n\nLIMIT = 3\n\n\n"
        "def lazy(): ...\n\n\ndef entry(): ...\n\n\nclass Late: ...\n\n\n"
        "@dataclass\nclass Point:\n    across: int\n    upward: int = 0\n\n"
        "    def __enter__(self):\n        return self\n\n"
        "    def __exit__(self, *rest): ...\n\n"
        "    def moved(self, far=0):\n        return far\n\n\n"
        "@functools.cache\ndef kept(size):\n    return size\n\n\n"
        "def wide(): ...\n\n\ndef plain(): ...\n\n\ndef typed(): ...\n\n\nclass Named: ...\n"
    ),
    "use.py": (
        "import dataclasses\nimport importlib\n\nimport lib\nfrom lib.core import Point, kept\n\n"
        'mod = importlib.import_module("lib.core")\nmod.lazy()\nlib.lazy()\n\n\n'
        "def run(space):\n    space.Late()\n    return space.LIMIT\n\n\n"
        "def match(point):\n    match point:\n        case Point(across=1):\n"
        "            return dataclasses.replace(point, across=2)\n    return dict(across=3)\n\n\n"
        "kept(size=2)\nmod.kept(size=4)\nPoint(across=1, upward=1).moved(far=3)\n"
        "with Point(1) as entered:\n    entered.moved(0)\n\n\n"
        "def shift(any):\n    any.moved(far=3)\n"
    ),
    "test_core.py": (
        "from lib.core import Late, LIMIT, Named, Point, entry, lazy, plain, typed, wide\n\n\n"
        "def test_all():\n    lazy()\n    entry()\n    Late()\n    plain()\n    typed()\n"
        "    wide()\n    assert Point(LIMIT).__enter__()\n"
        "    x = []  # type: list[Named]\n    # plain as can be\n"
    ),
    "pyproject.toml": (
        '[project]\nname = "lib"\ndescription = "plain"\n\n[project.scripts]\n'
        'lib = "lib.core:entry"\n'
    ),
    "bin/tool": "#!/usr/bin/env python3\nfrom lib.core import entry\n\nentry()\n",
    "notes.ipynb": '{"cells": [{"source": ["from lib.core import entry"]}]}\n',
    "page.html": "<p>plain</p>{{ typed() }}\n",
    "README.md": "It is plain.\n",
    "latin.py": "# coding: latin-1\ndef old():\n    return 'caf\xe9'\n".encode("latin-1"),
    "modern.py": "from latin import old\n\nold()\n",
}


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    yield from session(repository(tmp_path_factory.mktemp("unseen")), FILES)


def place(file: str, part: str, word: str) -> dict[str, object]:
    """The address of a word on the first line that holds a part."""
    lines = str(FILES[file]).split("\n")
    number = next(n for n, line in enumerate(lines) if part in line)
    return {"file_path": file, "line": number + 1, "column": lines[number].rindex(word) + 1}


@pytest.mark.parametrize(
    ("symbol", "count", "places"),
    [
        ("lazy", 3, "use.py:9"),  # a package with a module `__getattr__`
        ("Late", 2, "use.py:13"),  # a namespace that is passed as a parameter
        ("LIMIT", 2, "use.py:14"),
    ],
)
def test_what_is_no_method_may_be_used_through_a_value_of_unknown_type(
    ask: Session, symbol: str, count: int, places: str
) -> None:
    """Only methods had such a note: a function behind a lazy import had uses that nobody told."""
    result = ask("find_references", symbol=symbol)
    assert result.reference_count == count
    said = f"uses of .{symbol} on values of unknown type are not counted ({places})"
    assert said in result.note


def test_keywords_that_the_server_cannot_match_to_a_field_are_told(ask: Session) -> None:
    result = ask("find_references", symbol="Point.across")
    assert [r.line for r in result.references if r.file == "use.py"] == [26]
    said = "across= is not counted where it is not known what takes it (use.py:19, use.py:20)"
    assert result.note == said  # `dict(across=3)` sets no field
    assert ask("find_references", symbol="Point.upward").note == ""


@pytest.mark.parametrize(
    ("part", "word", "told"),
    [
        ("def kept(size", "size", "use.py:24, use.py:25"),  # behind `functools.cache`
        ("def moved(self, far", "far", "use.py:32"),  # of a method on an unknown value
    ],
)
def test_keywords_for_parameters_are_told_where_they_are_not_counted(
    ask: Session, part: str, word: str, told: str
) -> None:
    result = ask("find_references", **place("lib/core.py", part, word))
    assert result.note == f"{word}= is not counted where it is not known what takes it ({told})"


def test_what_a_file_in_another_coding_declares_has_its_uses_told(ask: Session) -> None:
    result = ask("find_references", symbol="old")
    assert result.reference_count == 0
    assert result.note == (
        "what old means is not known where it stands uncounted (modern.py:1, modern.py:3); "
        "old also stands in files that are not UTF-8 and were not searched (latin.py)"
    )


def test_places_that_were_not_looked_at_are_counted_for_functions_too(ask: Session) -> None:
    """Git ignores the folder, so the server does not search it: 200 uses vanished."""
    files: dict[str, str | bytes] = {
        f"made/m{n}.py": "from lib.core import wide\n\nwide()\n" for n in range(200)
    }
    write(ask.root, files)
    try:
        result = ask("find_references", symbol="wide")
        assert result.reference_count == 302
        assert result.note == "100 more places of wide were not looked at"
    finally:
        for name in files:
            (ask.root / name).unlink()
