"""`punie approvals`: what happens without asking, and taking it back."""

from __future__ import annotations

from pathlib import Path

import click

from punie import cli
from punie.errors import UsageError


@click.group("approvals")
def command() -> None:
    """Show what happens without asking, and take back what was remembered."""


@command.command("list")
@cli.workspace_option
def show(workspace: str | None) -> None:
    """List the trusted workspaces and the rules of the settings."""
    from punie import trust

    _, settings = cli.settings_for(workspace)
    for root in trust.trusted():
        click.echo(f"trusted  {root}")
    for word, rules in (("refuse", settings.approve.refuse), ("allow", settings.approve.allow)):
        for rule in rules:
            click.echo(f"{word:<8} {rule}")


@command.command("revoke")
@click.argument("folder", metavar="WORKSPACE")
def revoke(folder: str) -> None:
    """Trust WORKSPACE no longer: its tests are asked about again. Rules stand in the settings."""
    from punie import trust

    given = str(Path(folder).resolve())
    if not trust.revoke(folder if folder in trust.trusted() else given):
        there = ", ".join(trust.trusted()) or "none"
        raise UsageError(f"workspace {folder!r} is not trusted; trusted are: {there}")
    click.echo(f"no longer trusted: {given}")
