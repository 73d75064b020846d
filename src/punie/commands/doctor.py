"""`punie doctor`: what is installed, what is missing, how to get it; and the contract."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import click

from punie import cli
from punie.errors import PunieError


@click.command("doctor")
@cli.workspace_option
@click.option("--contract", is_flag=True, help="Check every shape and exit status of the contract.")
def command(workspace: str | None, contract: bool) -> None:
    """Say what is installed, what is missing and how to get it."""
    if contract:
        from punie.contract import run

        fine = run(_show)
    else:
        root, settings = cli.settings_for(workspace)
        fine = True
        for name, text, way_out in _findings(root, settings.server_command):
            _show(f"{name:<18} {text}", way_out)
            fine = fine and not way_out
    raise click.exceptions.Exit(0 if fine else 1)


def _show(name: str, wrong: str) -> None:
    mark = click.style("!!", fg="red") if wrong else click.style("ok", fg="green")
    click.echo(f"{mark}  {name}" + (f"\n    {wrong}" if wrong else ""))


def _findings(root: Path, server: list[str] | None) -> Iterator[tuple[str, str, str]]:
    """(name, what there is, the way out or empty) of everything that Punie needs."""
    yield "python", f"{platform.python_version()} at {sys.executable}", ""
    yield "workspace", str(root), ""
    git = shutil.which("git")
    yield "git", _version([git, "--version"]) if git else "missing", "" if git else "install git"
    for name in ("ty", "ruff", "pytest"):
        yield _program(name)
    if server:
        found = shutil.which(server[0])
        yield "language server", " ".join(server), "" if found else f"{server[0]!r} is not there"
    for package in ("pydantic-monty", "llama-cpp-python"):
        yield _package(package, "pip install -e .")
    yield from _model()
    yield from _foreign()
    name, text, _ = _package("agent-client-protocol", "")
    yield name, f"{text} (only for editors: pip install -e '.[acp]')", ""
    for package in ("torch", "tokenizers"):
        name, text, _ = _package(package, "")
        yield name, f"{text} (only for training: pip install -e '.[train]')", ""


def _version(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    return (done.stdout or done.stderr).strip().splitlines()[0]


def _program(name: str) -> tuple[str, str, str]:
    from punie.errors import ToolFailure
    from punie.workspace import program

    try:
        return name, _version([program(name), "--version"]), ""
    except (ToolFailure, OSError, IndexError) as error:
        return name, "missing", str(error)


def _package(name: str, way_out: str) -> tuple[str, str, str]:
    try:
        return name, metadata.version(name), ""
    except metadata.PackageNotFoundError:
        return name, "not installed", way_out


def _foreign() -> Iterator[tuple[str, str, str]]:
    """Tools that other packages bring."""
    from punie.tool import foreign_tools

    found, broken = foreign_tools()
    if found:
        yield "tools of packages", ", ".join(found), ""
    for name, why in broken.items():
        yield "tools of packages", f"{name}: left out", why


def _model() -> Iterator[tuple[str, str, str]]:
    from punie.models import base_file, read_card, releases
    from punie.tool import own_tools, tools_hash

    try:
        yield "base model", base_file().name, ""
        card = read_card()
    except PunieError as error:
        yield "default model", "missing", str(error)
        return
    ours = tools_hash(own_tools().values())
    trained = card.get("tools_hash", "")
    same = "the same as here" if trained == ours else f"here are others, {ours}"
    try:
        name = releases.active()
        if name != releases.SHIPPED:
            releases.find(name)
        yield "model in use", name, ""
    except PunieError as error:
        yield "model in use", "damaged", str(error)
    yield "adapter", f"{card.get('name')}, trained on tools {trained}: {same}", ""
