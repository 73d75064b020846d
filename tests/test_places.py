"""One file under several paths is one file, and what lies outside the workspace is told as that."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from repos import write
from servers import Session, session
from shop_package import places

FILES: dict[str, str | bytes] = {
    "lib/core.py": "def helper(): ...\nhelper()\n",
    "use.py": "from lib.core import helper\nhelper()\n",
    "other.py": "from alias.core import helper\nhelper()\n",
}
USES = ["lib/core.py:2:1", "other.py:1:24", "other.py:2:1", "use.py:1:22", "use.py:2:1"]


@pytest.fixture
def linked(tmp_path: Path) -> Iterator[Session]:
    """A linked folder, a linked file, and a link to the workspace, where punie is started."""
    real = tmp_path / "real"
    write(real, FILES)
    (real / "alias").symlink_to("lib")
    (real / "top.py").symlink_to("lib/core.py")
    (tmp_path / "work").symlink_to("real")
    yield from session(tmp_path / "work", {})


@pytest.mark.parametrize(
    "address",
    [
        {"symbol": "helper"},
        {"symbol": "lib.core.helper"},
        {"symbol": "helper", "file_path": "lib/core.py"},
        {"symbol": "helper", "file_path": "alias/core.py"},
        {"symbol": "helper", "file_path": "top.py"},
        {"symbol": "helper", "file_path": "other.py"},
        {"file_path": "alias/core.py", "line": 1, "column": 6},
        {"file_path": "other.py", "line": 2},
    ],
)
def test_every_path_of_a_file_has_all_its_uses(linked: Session, address: dict[str, Any]) -> None:
    """Through a link there were fewer: the server takes each path for a module of its own."""
    assert places(linked("find_references", **address)) == USES
    assert places(linked("goto_definition", **address)) == ["lib/core.py:1:5"]


def test_a_linked_file_is_listed_once(linked: Session) -> None:
    found = linked("workspace_symbols", query="helper")
    assert [(s.file, s.line) for s in found.symbols] == [("lib/core.py", 1)]
    assert linked("document_symbols", file_path="top.py").file_path == "lib/core.py"


def test_an_absolute_path_through_a_link_to_the_workspace_is_the_file(linked: Session) -> None:
    given = str(linked.root / "lib/core.py")
    assert places(linked("find_references", symbol="helper", file_path=given)) == USES
    assert linked("read_file", path=given).path == "lib/core.py"


def test_a_link_to_what_is_no_python_file_keeps_its_own_path(tmp_path: Path) -> None:
    """`bin/tool`, a script without a suffix, is imported in tests as `tool.py`."""
    write(tmp_path, {"bin/tool": "def work(): ...\n", "t.py": "from tool import work\nwork()\n"})
    (tmp_path / "tool.py").symlink_to("bin/tool")
    for ask in session(tmp_path, {}):
        assert places(ask("goto_definition", symbol="work")) == ["tool.py:1:5"]
        assert places(ask("find_references", symbol="work")) == ["t.py:1:18", "t.py:2:1"]


def test_references_below_an_outer_project_are_those_of_the_workspace(tmp_path: Path) -> None:
    """The server takes the nearest `pyproject.toml` above for the project's, and all below it."""
    files: dict[str, str | bytes] = {
        "core.py": "def helper(): ...\ndef spare(): ...\ndef own(): ...\n",
        "use.py": "from core import helper\nhelper()\n",
    }
    outer = "from inner.core import helper, spare\nhelper()\ndef away(): ...\ndef own(): ...\n"
    write(tmp_path, {"pyproject.toml": "[project]\nname = 'o'\n", "outside.py": outer})
    for ask in session(tmp_path / "inner", files):
        found = ask("find_references", symbol="helper")
        assert places(found) == ["use.py:1:18", "use.py:2:1"]
        assert found.reference_count == 2
        assert f"not counted ({tmp_path}/outside.py:1, {tmp_path}/outside.py:2)" in found.note
        spare = ask("find_references", symbol="spare")
        assert spare.reference_count == 0
        assert f"uses outside the workspace are not counted ({tmp_path}/outside.py:1" in spare.note
        assert places(ask("goto_definition", symbol="own")) == ["core.py:3:5"]
        assert not ask("workspace_symbols", query="away").symbols
        assert "no symbol 'away'" in ask.fails("hover", symbol="away")


def test_references_leave_out_what_libraries_do_for_themselves(tmp_path: Path) -> None:
    """Subclasses of `Path` in the server's own stubs were listed as uses."""
    site = f".venv/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    files: dict[str, str | bytes] = {
        ".venv/pyvenv.cfg": f"home = {Path(sys.executable).resolve().parent}\n",
        f"{site}/thing.py": "def one(): ...\none()\n",
        "use.py": "from pathlib import Path\nfrom thing import one\nPath()\none()\n",
    }
    for ask in session(tmp_path, files):
        assert places(ask("find_references", symbol="Path")) == ["use.py:1:21", "use.py:3:1"]
        found = ask("find_references", symbol="one")
        assert places(found) == ["use.py:2:19", "use.py:4:1"]
        assert found.note == ""
        inside = ask("find_references", symbol="one", file_path=f"{site}/thing.py")
        assert f"{site}/thing.py:2:1" in places(inside)


def test_symbols_of_an_environment_are_not_the_workspaces(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "my-python/pyvenv.cfg": "",
        "my-python/thing.py": "def one(): ...\n",
        "mine.py": "def one(): ...\n",
    }
    for ask in session(tmp_path, files):
        assert [s.file for s in ask("workspace_symbols", query="one").symbols] == ["mine.py"]
        assert places(ask("goto_definition", symbol="one")) == ["mine.py:1:5"]
