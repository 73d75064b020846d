"""Files that the Python under Punie cannot parse, newer or broken ones, are still navigated."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from punie.navigation.pysource import Source
from servers import Session, session
from shop_package import places

NEWER = '''# A comment.
"""What boxes hold."""

type T = int
type odd = = broken for every version


class Box[V]:
    r"""A \\d box."""

    def __init__(self, v: V) -> None:
        self.v = v

    @property
    def size(
        self, unit: str = ":",  # ) a comment
    ) -> int:
        # Not yet.
        """Its size.

        In units.
        """
        return len(f"{self.v["a"]}")

    def bare(self) -> int: return 1
'''


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    files: dict[str, str | bytes] = {
        "new.py": NEWER,
        "use.py": "from new import Box\nBox(1).v\n",
    }
    yield from session(tmp_path_factory.mktemp("newer"), files)


def test_docstrings_and_signatures_are_read_from_the_text() -> None:
    source = Source(NEWER.encode())
    assert source.unparsed.startswith("Punie's Python 3.")
    lines = NEWER.splitlines()
    assert source.docstring(0) == "What boxes hold."
    assert source.docstring(lines.index("class Box[V]:") + 1) == "A \\d box."
    size = lines.index("    def size(") + 1
    assert source.docstring(size) == "Its size.\n\nIn units."
    assert source.signature(size).startswith('def size( self, unit: str = ":",')
    assert source.signature(size).endswith("-> int")
    assert source.docstring(size + 9) == source.signature(size - 1) == ""
    assert source.docstring(999) == source.signature(999) == source.signature(0) == ""
    assert Source(b"x = 1\n").unparsed == ""


def test_members_are_found_and_described(ask: Session) -> None:
    assert places(ask("goto_definition", symbol="Box.v")) == ["new.py:12:14"]
    assert "use.py:2:8" in places(ask("find_references", symbol="Box.v"))
    found = ask("hover", symbol="Box.size")
    assert found.docstring == "Its size.\n\nIn units."
    assert found.signature.startswith("@property\ndef size(")
    assert ask("hover", symbol="Box").docstring == "A \\d box."
    assert ask("hover", symbol="new").docstring == "What boxes hold."


def test_an_error_says_that_the_file_was_not_understood(ask: Session) -> None:
    reason = ask.fails("hover", symbol="Box.weight")
    assert "it declares __init__, bare, size, v; Punie's Python 3." in reason
    assert "cannot parse the file (line " in reason
