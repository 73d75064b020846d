"""What changes outside of the swept files is seen, too: packages, editable sources, configuration.

And what looks like an environment by its name, but is the workspace's own code, is swept.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from punie.navigation.installed import installed
from punie.navigation.sweep import MOST_NAMED, Sweep, look, stamps
from punie.workspace import Workspace
from repos import commit, repository, write
from servers import Session, session
from servers import at as lsp_place

SITE = f".venv/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
HOME = f"home = {Path(sys.executable).resolve().parent}\n"


@contextmanager
def asking(root: Path, files: dict[str, str | bytes]) -> Iterator[Session]:
    yield from session(root, files)


def at(ask: Session, tool: str = "goto_definition", **address: Any) -> list[str]:
    """`file:line` of a tool's answer; files outside by their names."""
    result = ask(tool, **address)
    assert result.success, result.parse_error
    items = result.references if tool == "find_references" else result.locations
    return [f"{i.file if i.file[0] != '/' else Path(i.file).name}:{i.line}" for i in items]


def test_a_windowed_script_is_python_and_its_edits_are_seen(tmp_path: Path) -> None:
    """The server always read `.pyw`, but was never told of an edit, and tools refused the file."""
    files: dict[str, str | bytes] = {"app.pyw": "def start(): ...\nstart()\n"}
    with asking(tmp_path, files) as ask:
        assert at(ask, symbol="start", file_path="app.pyw") == ["app.pyw:1"]
        (tmp_path / "app.pyw").write_text("\ndef begin(): ...\nbegin()\n")
        assert at(ask, symbol="begin") == ["app.pyw:2"]
        assert at(ask, "find_references", symbol="begin") == ["app.pyw:3"]
        assert [s.name for s in ask("document_symbols", file_path="app.pyw").symbols] == ["begin"]
        assert "no symbol 'start'" in ask.fails("hover", symbol="start")


def test_a_module_and_a_windowed_script_of_one_name_are_two_things(tmp_path: Path) -> None:
    both = "def start(): ...\n"
    with asking(tmp_path, {"app.pyw": both, "app.py": both}) as ask:
        assert "declared 2 times" in ask.fails("goto_definition", symbol="start")


@pytest.mark.parametrize("name", ["venv", "env"])
def test_a_folder_named_like_an_environment_may_be_a_package(tmp_path: Path, name: str) -> None:
    repository(tmp_path, {f"{name}/tool.py": "def make(): ...\n"})
    with asking(tmp_path, {"use.py": f"from {name}.tool import make\nmake()\n"}) as ask:
        assert at(ask, symbol="make") == [f"{name}/tool.py:1"]
        commit(tmp_path, {f"{name}/tool.py": "\n\ndef make(): ...\ndef other(): ...\n\nother()\n"})
        assert at(ask, symbol="make") == [f"{name}/tool.py:3"]
        assert at(ask, "find_references", symbol="make") == ["use.py:1", "use.py:2"]
        assert at(ask, "find_references", symbol="other") == [f"{name}/tool.py:6"]
        found = ask("workspace_symbols", query="other").symbols
        assert [s.file for s in found] == [f"{name}/tool.py"]
        assert f"{name}/tool.py" in ask.fails("document_symbols", file_path="tols.py")


@pytest.mark.parametrize("name", ["venv", "env", "my-python"])
def test_an_environment_is_not_swept_whatever_its_name(tmp_path: Path, name: str) -> None:
    inside = {f"{name}/a.py": "", f"{name}/lib/b.py": "", f"{name}/pyvenv.cfg": HOME}
    write(tmp_path, {"mine.py": "", **inside})
    assert [os.path.relpath(p, tmp_path) for p in stamps(tmp_path)] == ["mine.py"]
    workspace = Workspace(tmp_path)
    assert [workspace.relative(p) for p in workspace.python_files()] == ["mine.py"]
    assert len(list(workspace.walk(tmp_path / name))) == 3


def test_an_edit_of_an_installed_package_is_seen(tmp_path: Path) -> None:
    """Somebody tries a change in a dependency: no package comes or goes."""
    init = tmp_path / SITE / "thing/__init__.py"
    files: dict[str, str | bytes] = {
        ".venv/pyvenv.cfg": HOME,
        f"{SITE}/thing/__init__.py": "from thing.inner import one\n",
        f"{SITE}/thing/inner.py": "def one(): ...\n",
        f"{SITE}/thing/other.py": "def none(): ...\n\ndef one(): ...\n",
        "use.py": "from thing import one\none()\n",
    }
    with asking(tmp_path, files) as ask:
        assert at(ask, file_path="use.py", line=2) == [f"{SITE}/thing/inner.py:1"]
        inner = tmp_path / SITE / "thing/inner.py"
        inner.write_text("\n\ndef one(a: int): ...\n")
        assert at(ask, file_path="use.py", line=2) == [f"{SITE}/thing/inner.py:3"]
        assert ask("hover", file_path="use.py", line=2).signature.startswith("def one(a: int)")
        init.write_text("from thing.other import one\n")
        assert at(ask, file_path="use.py", line=2) == [f"{SITE}/thing/other.py:3"]


def test_an_edit_before_an_answer_first_names_the_file_is_seen(tmp_path: Path) -> None:
    """The server had read the package for a type; no answer had named it until then."""
    inner = tmp_path / SITE / "thing.py"
    files: dict[str, str | bytes] = {
        ".venv/pyvenv.cfg": HOME,
        f"{SITE}/thing.py": "def one() -> int: ...\n",
        "use.py": "from thing import one\nvalue = one()\n",
    }
    with asking(tmp_path, files) as ask:
        asked = lsp_place(tmp_path / "use.py", 2, 2)
        answer = ask.runner.run(ask.server.request("textDocument/hover", asked))
        assert "int" in answer["contents"]["value"]
        inner.write_text("\n\n\ndef one() -> str: ...\n")
        assert at(ask, file_path="use.py", line=2, symbol="one") == [f"{SITE}/thing.py:4"]
        assert ask("hover", symbol="value").signature == "str"


def test_editable_sources_outside_the_workspace_are_swept(tmp_path: Path) -> None:
    root, other = tmp_path / "work", tmp_path / "other/src"
    write(other, {"lib/__init__.py": "", "lib/deep.py": "def two(): ...\n"})
    files: dict[str, str | bytes] = {
        ".venv/pyvenv.cfg": HOME,
        f"{SITE}/lib.pth": f"import sys\n# {root}\n{other}\n",
        "use.py": "from lib.deep import two\nfrom lib.late import three\ntwo()\nthree()\n",
    }
    with asking(root, files) as ask:
        assert at(ask, file_path="use.py", line=3) == ["deep.py:1"]
        write(other, {"lib/deep.py": "\n\ndef two(): ...\n", "lib/late.py": "\ndef three(): ...\n"})
        assert at(ask, file_path="use.py", line=3) == ["deep.py:3"]
        assert at(ask, file_path="use.py", line=4) == ["late.py:2"]
        (other / "lib/late.py").unlink()
        assert at(ask, file_path="use.py", line=4) != ["late.py:2"]
        texts = ask.runner.run(ask.server.texts())
        assert list(texts) == [root / "use.py"]


def test_which_sources_are_installed_as_they_are(tmp_path: Path) -> None:
    root, other = tmp_path / "work", tmp_path / "other"
    site, active = root / SITE, tmp_path / "active/lib/python3.11/site-packages"
    lines = [str(other), "../../../../../beside", str(root), str(root / "src"), str(tmp_path)]
    write(root, {f"{SITE}/a.pth": "\n".join([*lines, str(active), "import x; y"])})
    write(active, {"b.pth": f"{tmp_path / 'third'}\n"})
    found = installed(root, {})
    assert found.editable == (other, tmp_path / "beside")
    both = installed(root, {"VIRTUAL_ENV": str(tmp_path / "active")})
    assert both.editable == (other, tmp_path / "beside", tmp_path / "third")
    assert installed(root, {"VIRTUAL_ENV": sys.prefix}) == found
    (site / "a.pth").write_text(f"{tmp_path / 'fourth'}\n")
    again = installed(root, {})
    assert again.editable == (tmp_path / "fourth",)
    assert again.state != found.state


def test_configuration_above_the_workspace_is_seen(tmp_path: Path) -> None:
    """The server takes the nearest `pyproject.toml` above for the project's."""
    root = tmp_path / "inner"
    write(tmp_path, {"pyproject.toml": "[project]\nname = 'o'\nversion = '1'\n"})
    with asking(root, {"part/a.py": "def helper(): ...\n"}) as ask:
        found = ask.runner.run(ask.server.request("workspace/symbol", {"query": "helper"}))
        assert len(found) == 1
        with (tmp_path / "pyproject.toml").open("a") as file:
            file.write("[tool.ty.src]\nexclude = ['inner/part']\n")
        assert not ask.runner.run(ask.server.request("workspace/symbol", {"query": "helper"}))


def test_a_file_that_is_named_while_a_look_is_on_its_way_is_not_lost(tmp_path: Path) -> None:
    """A look that began before knows nothing of the file: that is no deletion."""
    away = tmp_path / "away.py"
    away.write_text("a")
    root = tmp_path / "root"
    root.mkdir()
    sweep = Sweep()
    sweep.note(look(root))
    early = look(root, named=sweep.named)
    sweep.name([str(away)], 0)
    assert sweep.note(early) == []
    assert sweep.note(look(root, named=sweep.named)) == []
    away.unlink()
    assert sweep.note(look(root, named=sweep.named)) == [(str(away), 3)]
    assert sweep.note(look(root, named=sweep.named)) == []


def test_named_files_are_looked_at_up_to_a_limit(tmp_path: Path) -> None:
    sweep = Sweep()
    for number in range(MOST_NAMED + 1):
        path = tmp_path / f"{number}.py"
        path.touch()
        sweep.name([str(path)], 0)
    assert sweep.named == {str(path)}


def test_an_answer_that_names_files_outside_is_kept(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        ".venv/pyvenv.cfg": HOME,
        f"{SITE}/thing.py": "def one(): ...\n",
        "use.py": "from thing import one\none()\n",
    }
    with asking(tmp_path, files) as ask:
        ask.runner.run(asyncio.sleep(0.1))  # else the files are too young to be sure of
        asked = lsp_place(tmp_path / "use.py", 2, 2)
        first, second, third = (
            ask.runner.run(ask.server.request("textDocument/definition", asked)) for _ in range(3)
        )
        assert first == second
        assert second is third
