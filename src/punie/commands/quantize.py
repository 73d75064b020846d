"""`punie quantize`: stage four of the factory."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from punie.factory.quantize import QuantizeOptions


@click.command("quantize")
@click.argument("recipe", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--model", type=click.Path(path_type=Path), help="Default: out/<recipe>/model.")
@click.option("--adapter", type=click.Path(path_type=Path), help="Default: out/<recipe>/adapter.")
@click.option("--rows", type=click.Path(path_type=Path), help="Default: the validation rows.")
@click.option("--out", type=click.Path(path_type=Path), help="Default: out/<recipe>/quantized.")
@click.option("--level", "levels", multiple=True, help="Level; may be given several times.")
@click.option("--suite", help="Suite that scores each level; 'none' leaves it out.")
def command(
    recipe: Path,
    model: Path | None,
    adapter: Path | None,
    rows: Path | None,
    out: Path | None,
    levels: tuple[str, ...],
    suite: str | None,
) -> None:
    """Quantize the fused model of RECIPE, measure every level and pick one by rule.

    Status 1 when no level passes. The model is a GGUF file or the folder of stage `fuse`. With the
    backend `mlx` it is an MLX folder, and the recipe names the level.
    """
    from punie.factory import quantize, recipes
    from punie.factory.mlx import stages

    if stages.chosen(recipe):
        click.echo(stages.quantize(recipe, model, out))
        return
    if model and (model.is_dir() or not model.suffix):
        model = model / "model.gguf"
    given: dict[str, Any] = {"model": model, "adapter": adapter, "rows": rows, "out": out}
    given |= {"levels": levels or None, "suite": "" if suite == "none" else suite}
    files = recipes.files(recipes.folder(recipe), "quantize")
    chosen = files | {name: value for name, value in given.items() if value is not None}
    options = quantize.read_options(recipe, chosen)
    made = asyncio.run(_run(options))
    click.echo((made / "report.md").read_text("utf-8"))
    picked = json.loads((made / "meta.json").read_text("utf-8"))["chosen"]
    raise click.exceptions.Exit(0 if picked else 1)


async def _run(options: QuantizeOptions) -> Path:
    from punie import settings
    from punie.factory import quantize
    from punie.terminal import Progress

    with Progress() as progress:
        return await quantize.run(options, settings.load(None), progress)
