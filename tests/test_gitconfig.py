"""Git's settings are asked for once, and again whenever anything that decides them has changed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from punie.git import gitconfig
from punie.git.repository import Repository
from punie.tool import load_tools
from punie.workspace import Workspace
from repos import ask, git, repository, write


def settings(root: Path) -> dict[bytes, bytes]:
    place = Repository(Workspace(root), 60, root.resolve())
    return asyncio.run(place._settings())


def is_kept(root: Path) -> bool:
    folder = root.resolve()
    return gitconfig.kept(folder, gitconfig.state(folder)) is not None


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of a user who has a configuration file of their own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("GIT_CONFIG_GLOBAL", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    write(tmp_path, {".gitconfig": "[user]\n\tname = Ada\n"})
    return repository(tmp_path / "repo", {"a.py": "1\n"})


def test_settings_are_kept(root: Path) -> None:
    git(root, "config", "diff.renames", "copies")
    assert not is_kept(root)
    first = settings(root)
    assert first == {b"diff.renames": b"copies"}
    assert is_kept(root)
    assert settings(root) is settings(root)


@pytest.mark.parametrize(
    "name", ["repo/.git/config", ".gitconfig", ".config/git/config", "repo/.git/config.worktree"]
)
def test_a_filter_that_is_new_in_any_file_is_seen(root: Path, name: str) -> None:
    if name.endswith("worktree"):
        git(root, "config", "extensions.worktreeConfig", "true")
    settings(root)
    assert is_kept(root)
    path = root.parent / name
    text = path.read_text() if path.exists() else ""
    write(root.parent, {name: f'{text}[filter "spy"]\n\tclean = spy\n'})
    assert settings(root) == {b"filter.spy.clean": b"spy"}


def test_a_filter_that_is_gone_is_not_kept(root: Path) -> None:
    git(root, "config", "filter.spy.clean", "spy")
    assert settings(root)
    git(root, "config", "--unset", "filter.spy.clean")
    assert settings(root) == {}


def test_variables_of_git_count(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings(root)
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "filter.spy.clean")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "spy")
    assert settings(root) == {b"filter.spy.clean": b"spy"}


def test_only_the_file_that_git_itself_reads_counts(
    root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`GIT_CONFIG` leads `git config` alone to another file: a filter here would be overlooked."""
    git(root, "config", "filter.spy.clean", "spy")
    write(tmp_path, {"other": "[user]\n\tname = Ada\n"})
    monkeypatch.setenv("GIT_CONFIG", str(tmp_path / "other"))
    assert settings(root) == {b"filter.spy.clean": b"spy"}


@pytest.mark.parametrize("key", ["include.path", "includeIf.onbranch:other.path"])
def test_what_includes_other_files_is_asked_for_each_time(root: Path, key: str) -> None:
    git(root, "config", key, str(root.parent / "more"))
    assert settings(root) == {}
    assert not is_kept(root)
    write(root.parent, {"more": '[filter "spy"]\n\tclean = spy\n'})
    git(root, "checkout", "--quiet", "-b", "other")
    assert settings(root) == {b"filter.spy.clean": b"spy"}


def test_a_repository_of_another_shape_is_asked_for_each_time(root: Path) -> None:
    git(root, "worktree", "add", "--quiet", "--detach", "../tree")
    write(root, {"inside/b.py": "1\n"})
    for folder in (root.parent / "tree", root / "inside"):
        settings(folder)
        assert not is_kept(folder)
    (root / ".git/HEAD").write_text("nonsense\n")  # git goes on to the repository around
    assert gitconfig.state(root.resolve()) is None


def test_a_file_that_git_names_is_looked_at_from_then_on(root: Path, tmp_path: Path) -> None:
    folder = root.resolve()
    other = tmp_path / "unusual"
    write(tmp_path, {"unusual": "[user]\n\tname = Ada\n"})
    output = b"file:%s\0user.name\nAda\0" % bytes(other)
    gitconfig.keep(folder, gitconfig.state(folder), output)
    assert not is_kept(root)
    gitconfig.keep(folder, gitconfig.state(folder), output)
    assert is_kept(root)
    write(tmp_path, {"unusual": '[filter "spy"]\n\tclean = spy\n'})
    assert not is_kept(root)


def test_a_filter_does_not_run_though_it_came_after_the_settings_were_kept(root: Path) -> None:
    ran = root.parent / "ran"
    write(root, {".gitattributes": "*.py filter=spy\n"})
    assert ask(load_tools()["git_status"], root).success
    assert is_kept(root)
    git(root, "config", "filter.spy.clean", f"sh -c 'touch {ran}; cat'")
    write(root, {"a.py": "2\n"})
    ran.unlink(missing_ok=True)
    ask(load_tools()["git_status"], root)
    ask(load_tools()["git_diff"], root)
    assert not ran.exists()
