"""`punie models`: which releases there are, which one is in use, and how they travel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from punie import cli
from punie.errors import StageFailed
from punie.models import read_card, releases
from punie.terminal import visible


@click.group("models")
def command() -> None:
    """List, show, choose and archive released models."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def list_command(as_json: bool) -> None:
    """List all releases; a star marks the one in use."""
    active = releases.active()
    found: list[dict[str, Any]] = [{"name": releases.SHIPPED, **_shipped()}]
    for each in releases.installed():
        if isinstance(each, releases.Release):
            found.append({key: each.facts.get(key) for key in _SHOWN} | {"name": each.name})
        else:
            click.echo(f"punie: {each}", err=True)
    for one in found:
        one["active"] = one["name"] == active
    if as_json:
        cli.print_json({"active": active, "releases": found})
        return
    for one in found:
        star = "*" if one["active"] else " "
        scores = ", ".join(
            f"{suite} {s['passed']}/{s['total']}" for suite, s in (one["scores"] or {}).items()
        )
        click.echo(visible(f"{star} {one['name']:<32} {one['made'] or '':<20} {scores}").rstrip())


_SHOWN = ("made", "form", "model_sha256", "tools_hash", "scores", "gate")


def _shipped() -> dict[str, Any]:
    card = read_card()
    return dict.fromkeys(_SHOWN) | {"form": "adapter", "tools_hash": card.get("tools_hash")}


@command.command("show")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print its facts as one JSON object.")
@click.option("--check", is_flag=True, help="Also hash every file.")
def show_command(name: str | None, as_json: bool, check: bool) -> None:
    """Show a release (default: the one in use): its model card, or its facts."""
    name = name or releases.active()
    if name == releases.SHIPPED:
        card = {k: v for k, v in read_card().items() if k not in ("literals", "answers")}
        click.echo(json.dumps(card) if as_json else json.dumps(card, indent=2))
        return
    release = releases.find(name)
    if check:
        release.verify()
    if as_json:
        cli.print_json(release.facts)
        return
    click.echo((release.folder / "MODEL_CARD.md").read_text("utf-8"), nl=False)
    click.echo(f"\nIn {release.folder}" + ("; every file is as released" if check else ""))


@command.command("use")
@click.argument("name")
@click.option("--anyway", is_flag=True, help="Also a release that was held to a weaker gate.")
def use_command(name: str, anyway: bool) -> None:
    """Take the release NAME for every question from now on; `shipped` is the package's own."""
    if name != releases.SHIPPED and not anyway:
        gate = releases.find(name).facts.get("gate") or {}
        if not gate.get("of_specification"):
            raise StageFailed(
                f"{name!r} was released through a weaker gate than the specification's "
                f"({gate}); --anyway takes it"
            )
    releases.use(name)
    click.echo(f"in use: {name}")


@command.command("rollback")
def rollback_command() -> None:
    """Go back to the release before the one in use."""
    click.echo(f"in use: {releases.rollback()}")


@command.command("archive")
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), help="Default: NAME.punie.tar here.")
def archive_command(name: str, out: Path | None) -> None:
    """Pack a release into one file that `punie models install` takes on another machine."""
    click.echo(releases.pack(name, out or Path(f"{name}.punie.tar")))


@command.command("install")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def install_command(file: Path) -> None:
    """Install a release from its archive; it is not in use before `punie models use`."""
    release = releases.install(file)
    click.echo(f"installed {release.name}; take it with: punie models use {release.name}")


@command.command("remove")
@click.argument("name")
def remove_command(name: str) -> None:
    """Delete a release that is not in use."""
    releases.remove(name)
    click.echo(f"removed {name}")
