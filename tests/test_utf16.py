"""Files in UTF-16, as some editors and shells write them: nothing in them is passed over unsaid."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from punie.text import is_utf16
from repos import repository
from servers import Session, session

TEXT = "x = 1\ndef sixteen():\n    return area()\n"
FILES: dict[str, str | bytes] = {
    "plain.py": "def area():\n    return 1\n\n\ndef six():\n    return area()\n",
    "marked.py": TEXT.encode("utf-16"),
    "big.py": b"\xfe\xff" + TEXT.encode("utf-16-be"),
    "bare.py": TEXT.encode("utf-16-le"),
    "notes.txt": "about sixteen\n".encode("utf-16"),
}


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    yield from session(repository(tmp_path_factory.mktemp("utf16")), FILES)


def test_references_name_the_files(ask: Session) -> None:
    found = ask("find_references", symbol="area")
    assert [(r.file, r.line) for r in found.references] == [("plain.py", 6)]
    assert "were not searched (bare.py, big.py, marked.py)" in found.note
    assert "marked.py" not in ask("find_references", symbol="six").note


def test_symbols_that_only_they_declare_are_not_called_missing(ask: Session) -> None:
    where = "sixteen stands in files that are UTF-16 and were not read (bare.py, big.py, marked.py)"
    assert where in ask.fails("find_references", symbol="sixteen")
    for query in ("sixteen", "SIXTEEN"):
        found = ask("workspace_symbols", query=query)
        assert where.lower() in found.parse_error.lower()
    six = ask("workspace_symbols", query="six")
    assert [s.name for s in six.symbols] == ["six"]
    assert "bare.py, big.py, marked.py" in six.parse_error
    assert ask("workspace_symbols", query="plain").parse_error is None


@pytest.mark.parametrize("name", ["marked.py", "big.py", "bare.py"])
def test_their_outline_is_no_empty_one(ask: Session, name: str) -> None:
    said = ask.fails("document_symbols", file_path=name)
    assert "UTF-8" in said
    assert name in said


@pytest.mark.parametrize("name", ["marked.py", "big.py"])
def test_their_text_is_read_and_searched(ask: Session, name: str) -> None:
    assert ask("read_file", path=name).text.splitlines() == TEXT.splitlines()
    found = ask("search_text", pattern="sixteen")
    assert [(m.file, m.line) for m in found.matches if m.file == name] == [(name, 2)]
    assert "notes.txt" in {m.file for m in found.matches}


@pytest.mark.parametrize(
    ("data", "wide"),
    [
        (b"", False),
        (b"x", False),
        (b"x = '\0'\n", False),
        (b"\0", True),
        ("é = 1".encode("utf-16"), True),
        ("é = 1".encode("utf-16-be"), True),
        ("数 = 1".encode("utf-16-le"), False),
    ],
)
def test_what_is_taken_for_utf16(data: bytes, wide: bool) -> None:
    assert is_utf16(data) is wide
