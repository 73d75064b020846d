"""The pages: generated parts are fresh, blocks run, links lead somewhere, the site builds."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pages import BLOCKS, PAGES, ROOT, Block, Reader
from punie.cli import COMMANDS, app
from punie.commands.tools import reference
from punie.factory import generate
from punie.settings import Settings
from punie.tool import load_tools

RUN = [page for page in PAGES if any(b.page == page and b.kind == "console" for b in BLOCKS)]
STARTED = [block for block in BLOCKS if block.kind in ("json", "lua")]


def test_the_tools_page_is_fresh() -> None:
    page = (ROOT / "docs" / "tools.md").read_text("utf-8")
    assert page == reference(load_tools().values()), "run: punie tools --markdown > docs/tools.md"


# --- blocks


def test_the_pages_have_blocks() -> None:
    assert len(BLOCKS) >= 25
    assert sum(block.text.count("\n") for block in BLOCKS) > 100
    fences = sum((ROOT / page).read_text("utf-8").count("\n```") for page in PAGES)
    assert fences == 2 * len(BLOCKS)


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_every_block_is_run_or_says_why_not(block: Block) -> None:
    """Python of a page prints what stands below it: `test_api.py` runs it."""
    assert not block.rest
    if block.not_run:
        assert len(block.not_run) > 5
    elif block.kind == "python" and not block.file:
        assert block.page == "docs/api.md"
    elif block.kind == "text":
        before = [b for b in BLOCKS if b.page == block.page and b.line < block.line]
        assert before[-1].kind == "python"
    else:
        assert block.kind in ("console", "json", "lua", "toml") or block.file


@pytest.mark.parametrize("page", RUN)
def test_commands_of_a_page_print_what_stands_below_them(page: str, tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    for block in (block for block in BLOCKS if block.page == page and not block.not_run):
        if block.file:
            reader.save(block)
        elif block.kind == "console":
            for command, printed in block.commands:
                status, out = reader.runs(command)
                assert status == 0, (command, out)
                assert out == printed or not printed, command


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.kind in ("console", "bash")], ids=str)
def test_every_command_exists_with_its_options(block: Block) -> None:
    called = re.findall(r"(?:^\$ |&& |\| )(?:\.venv/bin/)?(punie [^|&<>#\n]*)", block.text, re.M)
    assert called or "pip install" in block.text
    for line in called:
        verb, *words = shlex.split(line)[1:]
        assert verb in COMMANDS, line
        group = [verb, words[0]] if verb in ("traces", "approvals") else [verb]
        help_text = CliRunner().invoke(app, [*group, "--help"]).output
        for option in (w for w in words if w.startswith("--")):
            assert option in help_text, line


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.kind == "toml"], ids=str)
def test_settings_and_recipes_are_valid(block: Block, tmp_path: Path) -> None:
    found = tomllib.loads(block.text)
    if block.file.startswith("recipes/"):
        recipe = Reader(tmp_path).save(block)
        assert generate.read_options(recipe).seed == 7
        training = pytest.importorskip("punie.factory.training.options", reason="needs torch")
        paths = dict.fromkeys(("data", "validation", "out"), tmp_path)
        assert training.TrainOptions(**paths, tools_hash="", **found["train"]).rank == 16
    elif "project" not in found:
        settings = Settings(**found)
        assert {name: getattr(settings, name) for name in found}


# --- editors' set-ups


def started(value: Any) -> Iterator[list[str]]:
    """The commands that a configuration names."""
    if isinstance(value, dict):
        if "command" in value:
            yield [value["command"], *value.get("args", [])]
        for inner in value.values():
            yield from started(inner)


def named(block: Block) -> list[list[str]]:
    if block.kind == "json":
        return list(started(json.loads(block.text)))
    inside = re.findall(r"default = \{([^}]*)\}", block.text)
    return [re.findall(r'"([^"]*)"', each) for each in inside]


@pytest.mark.parametrize("block", STARTED, ids=str)
def test_what_an_editor_s_set_up_names_starts_and_answers(block: Block, tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    commands = named(block)
    assert commands
    for command in commands:
        pytest.importorskip(command[1], reason=f"needs the extra `{command[1]}`")
        words = [
            word.replace("${workspaceFolder}", ".").replace("/path/of/the/repository", ".")
            for word in command
        ]
        hellos: dict[str, Any] = {
            "acp": {"protocolVersion": 1, "clientCapabilities": {}},
            "mcp": {
                "protocolVersion": "2025-06-18",
                "capabilities": {},
                "clientInfo": {"name": "editor", "version": "1"},
            },
        }
        message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hellos[command[1]]}
        process = subprocess.Popen(
            words,
            cwd=reader.shop,
            env=reader.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            executable=shutil.which(words[0], path=reader.env["PATH"]),
        )
        with process:
            assert process.stdin
            assert process.stdout
            process.stdin.write(json.dumps(message).encode() + b"\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            process.stdin.close()
        assert "punie" in json.dumps(answer["result"]).lower()
        assert process.returncode == 0


def test_the_set_up_in_lua_is_whole() -> None:
    (block,) = (block for block in BLOCKS if block.kind == "lua")
    code = re.sub(r'"[^"]*"', '""', block.text)
    for opened, closed in ("()", "{}"):
        assert code.count(opened) == code.count(closed)
    assert len(re.findall(r"\bfunction\b", code)) == len(re.findall(r"\bend\b", code))
    if luac := shutil.which("luac"):
        subprocess.run([luac, "-p", "-"], input=block.text.encode(), check=True)


# --- links


def anchors(text: str) -> set[str]:
    """Names of the headings, as the site makes them."""
    heads = re.findall(r"(?m)^#+ (.+)$", text)
    return {re.sub(r"[^\w\- ]", "", head).strip().lower().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    for link in (link for link in links if not link.startswith("https://")):
        file, _, anchor = link.partition("#")
        target = (ROOT / page).parent / file if file else ROOT / page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text("utf-8")), link


@pytest.mark.parametrize("page", PAGES)
def test_pages_name_only_files_that_exist(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    for name in re.findall(r"`((?:src|benchmarks|tests|recipes)/[\w./-]+)`", text):
        files = [block.file for block in BLOCKS]
        assert (ROOT / name).exists() or name in files, name


# --- the site


def test_every_page_is_on_the_site() -> None:
    nav = (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:")[2]
    listed = re.findall(r": (\S+\.md)$", nav, re.M)
    assert sorted(listed) == [page.removeprefix("docs/") for page in PAGES if page != "README.md"]


def test_the_site_builds_without_a_warning_and_asks_nobody(tmp_path: Path) -> None:
    pytest.importorskip("material", reason="needs the extra `docs`")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path), strict=True))
    pages = sorted(tmp_path.glob("*.html"))
    assert {"index.html", "tools.html", "security.html"} <= {page.name for page in pages}
    for page in pages:
        html = page.read_text("utf-8")
        assert "```" not in html, page.name
        loaded = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?:[^"]+)"', html)
        assert loaded == [], page.name
