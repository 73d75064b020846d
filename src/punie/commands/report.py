"""`punie report`: a pipeline's page, written again."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("report")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Default: report.html in FOLDER.")
def command(folder: Path, out: Path | None) -> None:
    """Write the page of the pipeline's FOLDER from what its stages left there."""
    from punie.factory.pipeline import page

    target = out or folder / "report.html"
    target.write_text(page.of(folder), "utf-8")
    click.echo(target)
