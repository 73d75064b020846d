"""`punie pipeline`: from a recipe to a released model."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("pipeline")
@click.argument("recipe", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Default: out/<recipe>.")
@click.option("--until", metavar="STAGE", help="Stop after this stage.")
@click.option(
    "--again", metavar="STAGE", multiple=True, help="Set this stage's folder aside and redo it."
)
@click.option("--workers", default=2, show_default=True, help="Processes that generate.")
def command(
    recipe: Path, out: Path | None, until: str | None, again: tuple[str, ...], workers: int
) -> None:
    """Run all stages of RECIPE: generate, audit, train, fuse, validate, benchmark, release.

    What is done already is skipped, so that a run that was killed goes on when it is started
    again. Status 1 when the audit or the gate is not passed. The page is report.html.
    """
    from punie.factory import recipes
    from punie.factory.pipeline import page, running, stages
    from punie.terminal import Progress

    root = out or recipes.folder(recipe)
    with Progress() as progress:
        plan = stages.plan_of(recipe, root, progress, workers)
        running.run(plan, page.write, until=until, again=again)
    click.echo(root)
