"""Which words of a question may be a tool's path or symbol."""

from __future__ import annotations

from pathlib import Path

import pytest

from punie.engine.copying import Copying
from punie.mentioned import Mentioned
from punie.prompt import Message
from punie.tool import load_tools
from punie.workspace import Workspace

PARAMETERS = {name: [p.name for p in tool.parameters] for name, tool in load_tools().items()}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "src" / "shop").mkdir(parents=True)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "guide.md").write_text("hello\n")
    (tmp_path / "src" / "shop" / "cart.py").write_text(
        "from pathlib import Path\n\nLIMIT = 3\n\n\nclass Cart:\n    def total(self):\n"
        "        self.args = 1\n        return LIMIT\n"
    )
    return Workspace(tmp_path)


def mentioned(workspace: Workspace, *said: str) -> Mentioned:
    return Mentioned(workspace, PARAMETERS, said)


@pytest.mark.parametrize(
    ("question", "paths"),
    [
        ("outline cart.py please", {"cart.py"}),
        ("outline src/shop/cart.py.", {"src/shop/cart.py"}),
        ("what is in docs/ today?", {"docs/"}),
        ("lint the docs, and shop too", {"docs", "shop"}),
        ("types of shop.cart: fine?", {"shop.cart"}),
        ("cat gone.py", {"gone.py"}),  # not there, but plainly a path: the tool says so
        ("show the staged diff", set()),
        ("who merged fix/cart?", {"fix/cart"}),
        ("run src/shop/cart.py::test_a", {"src/shop/cart.py", "src/shop/cart.py::test_a"}),
    ],
)
def test_paths_are_there_or_look_like_it(
    workspace: Workspace, question: str, paths: set[str]
) -> None:
    assert mentioned(workspace, question).words("path") == paths


@pytest.mark.parametrize(
    ("question", "symbols"),
    [
        ("total: who calls it?", {"total"}),
        ("my mentor says Cart.total is slow", {"Cart.total", "Cart", "total"}),
        ("LIMIT, where from?", {"LIMIT"}),
        ("where does Path come from", {"Path"}),
        ("args of Cart?", {"args", "Cart"}),
        ("what is apply_voucher?", {"apply_voucher"}),  # looks like code: the tool says so
        ("tell me about `mentor`", {"mentor"}),
        ("what about mentor", {"what", "about", "mentor"}),  # no better choice
    ],
)
def test_symbols_are_declared_imported_or_look_like_code(
    workspace: Workspace, question: str, symbols: set[str]
) -> None:
    assert mentioned(workspace, question).words("symbol") == symbols


ASKED: list[Message] = [{"role": "user", "content": "outline cart.py, then total and gone_name"}]


@pytest.mark.parametrize(
    ("code", "allowed"),
    [
        ('document_symbols("cart.py")', True),
        ('document_symbols("outline cart.py")', False),
        ('document_symbols("out', False),
        ('document_symbols("total")', False),
        ('git_log(count=3, path="cart.py")', True),
        ('git_log(path="total', False),
        ('pytest_run("', True),
        ('hover("cart.py", symbol="total")', True),
        ('print("(, (", document_symbols("out', False),  # brackets in a string are no code
        ('hover("cart.py", symbol="outline', False),
        ('hover(symbol="gone_name")', True),
        ('find_references("cart.py", 3, 4, "total")', True),
        ('find_references("cart.py", 3, 4, "then")', False),
        ('search_text("outline")', True),  # a text is not a path
        ('search_text("outline", "total")', False),
        ('write_file("outline", "then")', True),  # a new file need not be there
        ('print([x for x in f(a, [1]) if x == "outline"])', True),
        ('hover(symbol="to\\', False),  # an escape that no word holds
    ],
)
def test_arguments_are_held_to_their_kind(workspace: Workspace, code: str, allowed: bool) -> None:
    words = mentioned(workspace, ASKED[0]["content"])
    assert Copying(ASKED, [], words).allows(code.encode()) is allowed


def test_a_large_workspace_is_not_read_to_the_end(workspace: Workspace) -> None:
    hurried = Mentioned(workspace, PARAMETERS, ["mentor total"], seconds=-1.0)
    assert hurried.words("symbol") == {"mentor", "total"}
