"""`punie undo`: take back the last write."""

from __future__ import annotations

import click

from punie import cli
from punie.terminal import visible
from punie.undo import undo


@click.command("undo")
@cli.workspace_option
def command(workspace: str | None) -> None:
    """Restore the last file that Punie wrote in the workspace; one that it created is removed."""
    root, _ = cli.settings_for(workspace)
    click.echo(visible(str(undo(root))))
