"""What one answer over MCP may weigh, and that it says when it gives less than there is."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("mcp")

from punie.serve.offer import MOST, answer, fitted
from punie.tools.navigation import DocumentSymbol, DocumentSymbolsResult


def symbols(owners: int, members: int) -> DocumentSymbolsResult:
    inner = [DocumentSymbol(name=f"member_{n}", preview="x" * 60) for n in range(members)]
    outer = [DocumentSymbol(name=f"Owner{n}", children=inner) for n in range(owners)]
    return DocumentSymbolsResult(symbols=outer, symbol_count=owners * (members + 1))


@pytest.mark.parametrize(("owners", "members"), [(5000, 0), (1, 5000), (70, 80)])
def test_a_large_result_fits_and_says_that_it_was_cut(owners: int, members: int) -> None:
    whole = symbols(owners, members)
    sent = answer(whole, failed=False)
    content = sent.structured_content
    assert content is not None
    assert MOST / 3 < len(json.dumps(content, ensure_ascii=False)) <= MOST
    assert json.loads(sent.content[0].text) == content
    assert (content["truncated"], content["symbol_count"]) == (True, whole.symbol_count)
    assert content["symbols"][0]["name"] == "Owner0"
    assert len(whole.symbols) == owners


def test_what_fits_is_left_as_it_is() -> None:
    small = symbols(3, 4)
    assert answer(small, failed=False).structured_content == small.model_dump(mode="json")


def test_a_text_that_no_list_can_make_shorter_is_not_tried_for_ever() -> None:
    assert fitted({"text": "x" * 100, "lines": ["y"]}, 10) == {"text": "x" * 100, "lines": []}
