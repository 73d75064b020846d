"""Fixtures that several test files use; a file's own fixture of the same name comes first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import repos
from punie import demo
from workbench import Bench

if TYPE_CHECKING:
    from mcp_clients import Connect


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo repository; tests that write make their own."""
    return demo.create(tmp_path_factory.mktemp("demo") / "shop")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """`punie` with a scripted model on a demo repository."""
    return Bench(tmp_path_factory.mktemp("cli"))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository for clients of `punie mcp`, and data folders of its own."""
    from mcp_clients import FILES

    monkeypatch.setenv("PUNIE_DATA", str(tmp_path / "data"))
    return repos.repository(tmp_path / "repo", FILES)


@pytest.fixture
def connect(root: Path) -> Connect:
    """A client of `punie mcp` in this process: `connect(*options, mode=…, …)`."""
    from mcp_clients import connecting

    return connecting(root)


@pytest.fixture
def spawn(root: Path, tmp_path: Path) -> Connect:
    """As `connect`, with `punie mcp` as a child: `spawn(*options, mode=…, …)`."""
    from mcp_clients import spawning

    return spawning(root, tmp_path)
