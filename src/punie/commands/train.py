"""`punie train`: stage two of the factory."""

from __future__ import annotations

import json
from pathlib import Path

import click

from punie.errors import ModelUnavailable, UsageError


@click.command("train")
@click.argument("recipe", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), help="Default: out/<recipe>/data.")
@click.option("--out", type=click.Path(path_type=Path), help="Default: out/<recipe>/adapter.")
def command(recipe: Path, data: Path | None, out: Path | None) -> None:
    """Train the adapter of RECIPE on its data. An interrupted training is resumed."""
    from punie.factory import recipes
    from punie.factory.audit import verdict
    from punie.factory.mlx import stages

    folder = data or Path("out") / recipe.stem / "data"
    if (folder / "meta.json").is_file() and (said := verdict.warning(folder)):
        click.secho(said, fg="red", bold=True, err=True)
    if stages.chosen(recipe):
        click.echo(stages.train(recipe, data, out))
        return
    try:
        from punie.factory.train import run
        from punie.factory.training.options import TrainOptions
    except ImportError as error:
        raise ModelUnavailable(
            f"training needs the extra 'train' ({error}): pip install -e '.[train]'"
        ) from None
    try:
        report = json.loads((folder / "meta.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"no data of {recipe}: {error}; run `punie generate` first") from None
    given = {
        "data": folder / "train.jsonl",
        "validation": folder / "validation.jsonl",
        "out": out or Path("out") / recipe.stem / "adapter",
        "tools_hash": report.get("tools", ""),
    }
    table = {k: v for k, v in recipes.table(recipe, "train").items() if k != "backend"}
    click.echo(run(recipes.checked(TrainOptions, table | given, f"{recipe}: [train]")))
