"""Of several things of one name none is picked in silence; attributes set on `self` are found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from punie.tools.history import git_show
from repos import ask as call
from repos import commit, git, repository
from servers import Session, session
from shop_package import places

FILES: dict[str, str | bytes] = {
    "pkg/__init__.py": "from pkg.settings import config\n",
    "pkg/config.py": "value = 1\n",
    "pkg/settings.py": "config = {}\n",
    "use.py": "from pkg import config\nprint(config)\n",
    "app/__init__.py": "from app.app import app\n",
    "app/app.py": "app = object()\n",
    "parse.py": "def parse(): ...\n",
    "net.py": (
        "def timeout(n): return n\n"
        "class Base:\n"
        "    retries = 1\n"
        "class Client(Base):\n"
        "    def __init__(self):\n"
        "        self.timeout = 3\n"
        "        self.retries = 3\n"
        "        self.backoff: int = 3\n"
        "timeout(Client().backoff)\n"
    ),
}


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    yield from session(tmp_path_factory.mktemp("names"), FILES)


@pytest.mark.parametrize("tool", ["hover", "goto_definition", "find_references"])
def test_a_variable_and_a_module_of_one_name_are_both_told(ask: Session, tool: str) -> None:
    reason = ask.fails(tool, symbol="config")
    assert "config (pkg/settings.py:1), module pkg.config (pkg/config.py:1)" in reason
    assert "file_path='pkg/settings.py'" in reason
    assert ask(tool, symbol="config", file_path="pkg/settings.py").success
    assert ask(tool, symbol="config", file_path="pkg/config.py").success


def test_a_module_that_holds_what_is_declared_is_not_meant(ask: Session) -> None:
    """`def parse` in parse.py, and `app` of app/app.py, are what one asks about."""
    assert places(ask("goto_definition", symbol="parse")) == ["parse.py:1:5"]
    assert places(ask("goto_definition", symbol="app")) == ["app/app.py:1:1"]


@pytest.mark.parametrize("address", [{}, {"file_path": "net.py"}])
def test_a_function_and_an_attribute_of_one_name_are_both_told(
    ask: Session, address: dict[str, str]
) -> None:
    reason = ask.fails("find_references", symbol="timeout", **address)
    assert "timeout (net.py:1), Client.timeout (net.py:6)" in reason
    assert "symbol='Client.timeout' or file_path and line" in reason
    assert places(ask("goto_definition", symbol="Client.timeout")) == ["net.py:6:14"]
    assert places(ask("find_references", file_path="net.py", line=1, symbol="timeout")) == [
        "net.py:9:1"
    ]


def test_a_class_that_sets_what_its_base_declares_declares_nothing_new(ask: Session) -> None:
    assert places(ask("goto_definition", symbol="retries")) == ["net.py:3:5"]


def test_attributes_that_only_methods_set_are_found_and_named(ask: Session) -> None:
    for query in ("backoff", "Client.backoff"):
        (found,) = ask("workspace_symbols", query=query).symbols
        assert (found.file, found.line, found.container_name) == ("net.py", 8, "Client")
        assert found.preview == "self.backoff: int = 3"
    assert not ask("workspace_symbols", query="Base.backoff").symbols
    assert "Client (net.py:4) declares no 'backof'; it declares backoff" in ask.fails(
        "hover", symbol="Client.backof"
    )


def test_a_tag_and_a_branch_of_one_name_are_told(tmp_path: Path) -> None:
    """git takes the tag, with a warning that nobody saw."""
    repository(tmp_path, {"a.py": "x = 1\n"})
    git(tmp_path, "tag", "rel")
    commit(tmp_path, {"a.py": "x = 2\n"}, "Second")
    git(tmp_path, "branch", "rel")
    shown = call(git_show, tmp_path, commit="rel")
    assert shown.message == "Start"
    assert "'rel' names several things" in shown.parse_error
    assert "refs/heads/rel" in shown.parse_error
    branch = call(git_show, tmp_path, commit="refs/heads/rel")
    assert (branch.message, branch.parse_error) == ("Second", None)
