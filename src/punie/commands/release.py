"""`punie release`: the last stage of the factory."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("release")
@click.argument("recipe", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Default: out/<recipe>.")
@click.option("--use", is_flag=True, help="Put it into use: `punie models use`.")
@click.pass_context
def command(ctx: click.Context, recipe: Path, out: Path | None, use: bool) -> None:
    """Judge the model of RECIPE by its gate and release it, with model card and deployment summary.

    It is what `punie pipeline RECIPE` does last, on what the stages before left in the same folder:
    none of them runs. Status 1 when one of them is not done or the gate is not passed.
    """
    from punie.commands import models
    from punie.errors import UsageError
    from punie.factory import recipes
    from punie.factory.pipeline import page, running, stages
    from punie.terminal import Progress

    root = out or recipes.folder(recipe)
    if not root.is_dir():
        raise UsageError(
            f"there is no folder {str(root)!r}: `punie pipeline {recipe} --until benchmark` makes"
            " what can be released"
        )
    with Progress() as progress:
        plan = stages.plan_of(recipe, root, progress)
        running.run(plan, page.write, only="release")
    name = json.loads((root / "release" / "release.json").read_text("utf-8"))["name"]
    click.echo(name)
    if use:
        ctx.invoke(models.use_command, name=name)
