"""`punie average`: one adapter of several legs."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("average")
@click.argument("recipe", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Default: out/<recipe>/adapter.")
def command(recipe: Path, out: Path | None) -> None:
    """Average the adapters that RECIPE lists, the legs of one model, into one adapter."""
    from punie.factory import recipes
    from punie.factory.average import AverageOptions, run

    given = {"out": out or Path("out") / recipe.stem / "adapter"}
    click.echo(run(recipes.options(AverageOptions, recipe, "average", given)))
