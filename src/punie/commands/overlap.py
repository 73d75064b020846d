"""`punie overlap`: how near the suites lie to the training phrasings."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("overlap")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write. Default: overlap.md beside the suites.",
)
@click.option("--check", is_flag=True, help="Write nothing; fail when the page is stale.")
def command(out: Path | None, check: bool) -> None:
    """Write how near each suite's questions lie to the phrasings that training is made from."""
    from punie.factory.audit import overlap

    path = out or overlap.PAGE
    if not check:
        click.echo(overlap.write(path))
        return
    fresh = path.exists() and path.read_text("utf-8") == overlap.page()
    click.echo(f"{path.name} is {'fresh' if fresh else 'stale: run `punie overlap`'}")
    raise click.exceptions.Exit(0 if fresh else 1)
