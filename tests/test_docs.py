"""Documents that are generated or executed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from click.testing import CliRunner

from punie.cli import COMMANDS, app
from punie.commands.tools import reference
from punie.tool import load_tools

ROOT = Path(__file__).parents[1]


def test_the_tools_page_is_fresh() -> None:
    page = (ROOT / "docs" / "tools.md").read_text("utf-8")
    assert page == reference(load_tools().values()), "run: punie tools --markdown > docs/tools.md"


def test_every_command_of_the_readme_exists_with_its_options() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    called = [line[line.index("punie ") :] for line in lines]
    assert len(called) >= 10
    for line in called:
        verb, *words = shlex.split(line)[1:]
        assert verb in COMMANDS, line
        help_text = CliRunner().invoke(app, [verb, "--help"]).output
        for option in (w for w in words if w.startswith("--")):
            assert option in help_text, line


def test_the_readme_names_only_files_that_exist() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    for name in re.findall(r"`((?:src|benchmarks|recipes)/[\w./]+)`", text):
        assert (ROOT / name).exists(), name
