"""A file whose name is no text ends the language server: it is never told of one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from repos import repository
from servers import Session, session


@pytest.fixture
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    root = repository(tmp_path_factory.mktemp("odd"))
    yield from session(root, {"a.py": "def fine(): ...\n\n\nfine()\n"})


def test_one_is_named_and_the_others_are_answered(ask: Session) -> None:
    odd = os.fsencode(ask.root) + b"/no\xff.py"
    assert ask("find_references", symbol="fine").reference_count == 1
    with open(odd, "wb") as file:
        file.write(b"def strange(): ...\n")
    assert "the file name 'no\\xff.py' is not UTF-8" in ask.fails("hover", symbol="strange")
    with open(odd, "ab") as file:
        file.write(b"def stranger(): ...\n")
    assert ask("find_references", symbol="fine").reference_count == 1
    Path(os.fsdecode(odd)).unlink()
    assert ask("hover", symbol="fine").signature.startswith("def fine")
