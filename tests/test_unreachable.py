"""`self.method()` in code that the language server takes for unreachable is a use all the same."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from repos import repository
from servers import Session, session

FILES: dict[str, str | bytes] = {
    "parser.py": (
        "import sys\n\n\nclass Base:\n    def merge(self):\n        return 1\n\n\n"
        "class Parser(Base):\n    def read(self):\n        if sys.version_info < (3, 5):\n"
        "            self.step()\n            self.merge()\n            other.step()\n"
        "            other.self.step()\n        return self.step()\n\n"
        "    def step(self):\n        return self.merge()\n\n\n"
        "class Other:\n    def step(self):\n        return 2\n\n    def run(self):\n"
        "        if sys.version_info < (3, 5):\n            self.step()\n"
    ),
}


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    yield from session(repository(tmp_path_factory.mktemp("unreachable")), FILES)


@pytest.mark.parametrize(
    ("symbol", "lines"),
    [("Parser.step", [12, 16]), ("Base.merge", [13, 19]), ("Other.step", [28])],
)
def test_the_class_around_it_says_whose_it_is(ask: Session, symbol: str, lines: list[int]) -> None:
    assert [r.line for r in ask("find_references", symbol=symbol).references] == lines


def test_what_hangs_on_another_value_stays_unknown(ask: Session) -> None:
    note = ask("find_references", symbol="Parser.step").note
    assert "uses of .step on values of unknown type are not counted" in note
    assert "parser.py:14, parser.py:15" in note
    assert "parser.py:28" not in note
