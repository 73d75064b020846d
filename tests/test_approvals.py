"""The owner's rules for effects, and what was remembered."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import ValidationError

import repos
from punie import cli, settings
from punie.approvals import Policy
from punie.errors import ApprovalRefused
from punie.tool import load_tools
from punie.wrap import Context, Refuse, call

RULES = {
    "allow": [{"path": "docs/*", "effect": "write"}, {"command": "echo *"}],
    "refuse": [{"path": "docs/kept.md"}, {"command": "*secret*"}],
}


def run(root: Path, tool: str, rules: dict[str, Any] = RULES, **more: Any) -> str:
    """`done`, or why the call was refused; nobody is there to ask."""
    options = more.pop("options", {})
    here = repos.context(root, approve=Policy.model_validate(rules), **options)
    context = Context(here.workspace, here.settings, here.language_server, Refuse())
    chosen = load_tools()[tool]
    try:
        result, _ = asyncio.run(call(chosen, context, chosen.bind((), more)))
    except ApprovalRefused as error:
        return str(error)
    return "done" if result.success else str(result.parse_error)


def test_rules_decide_by_path(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/link.md").symlink_to(tmp_path / "outer.md")

    def wrote(path: str, **more: Any) -> str:
        return run(tmp_path, "write_file", path=path, content="x\n", **more)

    assert wrote("docs/new.md") == "done"
    assert "by your rule: path = 'docs/kept.md'" in wrote("docs/kept.md")
    assert "by your rule" in wrote("docs/kept.md", options={"yes": True})
    assert "--read-only" in wrote("docs/other.md", options={"read_only": True})
    for path in ("outer.md", "docs/../outer.md", "docs/link.md"):
        assert "approve it in a terminal" in wrote(path), path
    assert not (tmp_path / "outer.md").exists()


def test_rules_decide_by_command_but_not_for_what_a_shell_adds(tmp_path: Path) -> None:
    def ran(command: str) -> str:
        return run(tmp_path, "run_command", command=command)

    assert ran("echo hello") == "done"
    assert "by your rule: command = '*secret*'" in ran("echo secret")
    for command in ("echo a; touch b", "echo a\ntouch b", "echo $(touch b)", "echo a > b", "ls"):
        assert "approve it in a terminal" in ran(command), command
    assert list(tmp_path.iterdir()) == []


def test_a_rule_by_tool_or_effect_holds_for_all_of_it(tmp_path: Path) -> None:
    rules = {"allow": [{"effect": "run"}], "refuse": [{"tool": "write_file"}]}
    assert run(tmp_path, "run_command", rules, command="echo a; echo b") == "done"
    assert "by your rule: tool" in run(tmp_path, "write_file", rules, path="a", content="")


@pytest.mark.parametrize("rule", [{}, {"effect": "read"}, {"paths": "x"}, "x"])
def test_a_rule_that_says_nothing_is_refused(rule: object) -> None:
    with pytest.raises(ValidationError):
        Policy.model_validate({"allow": [rule]})


@pytest.mark.parametrize("name", ["punie.toml", "pyproject.toml"])
def test_a_repository_makes_no_rules(tmp_path: Path, name: str) -> None:
    head = "tool.punie.approve" if name == "pyproject.toml" else "approve"
    repos.write(tmp_path, {name: f'[{head}]\nallow = [{{effect = "run"}}]\n'})
    assert settings.load(tmp_path).approve == Policy()


def test_the_user_s_own_file_makes_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("PUNIE_DATA", str(tmp_path / "data"))
    repos.write(
        tmp_path, {"config/punie/punie.toml": '[approve]\nallow = [{command = "git fetch*"}]\n'}
    )
    done = CliRunner().invoke(cli.app, ["approvals", "list", "--workspace", str(tmp_path)])
    assert done.output == "allow    command = 'git fetch*'\n"
