"""`punie approvals`: what happens without asking, and taking it back."""

from __future__ import annotations

import click

from punie import cli
from punie.errors import UsageError
from punie.terminal import visible


@click.group("approvals")
def command() -> None:
    """Show what happens without asking, and take back what was remembered."""


@command.command("list")
@cli.workspace_option
def show(workspace: str | None) -> None:
    """List what was always allowed, in every workspace and by number, and the settings' rules."""
    from punie import remembered

    _, settings = cli.settings_for(workspace)
    for number, entry in enumerate(remembered.entries(), 1):
        click.echo(visible(f"{number:<8} {entry}"))
    for word, rules in (("refuse", settings.approve.refuse), ("allow", settings.approve.allow)):
        for rule in rules:
            click.echo(visible(f"{word:<8} {rule}"))


@command.command("revoke")
@click.argument("which", metavar="NUMBER…|all", nargs=-1, required=True)
def revoke(which: tuple[str, ...]) -> None:
    """Take back what was always allowed, by the numbers of `list`, or all of it.

    It is asked about again from the next call on, also by servers that run. Rules stand in the
    settings.
    """
    from punie import remembered

    if "all" in which and which != ("all",):
        raise UsageError(f"give numbers or `all`, not both: {' '.join(which)!r}")
    wrong = [
        word
        for word in which
        if word != "all" and not (word.isascii() and word.isdigit() and len(word) < 10)
    ]
    if wrong:
        said = ", ".join(map(repr, wrong))
        raise UsageError(f"{said} is no number of `punie approvals list`, and not `all`")
    gone = remembered.revoke(None if which == ("all",) else {int(word) for word in which})
    if not gone:
        click.echo("nothing was remembered")
    for entry in gone:
        click.echo(visible(f"revoked {entry}"))
