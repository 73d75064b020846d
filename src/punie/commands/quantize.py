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
@click.option("--model", type=click.Path(path_type=Path), help="Default: out/<recipe>/fused.")
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
    from punie.factory import quantize
    from punie.factory.mlx import stages

    if stages.chosen(recipe):
        click.echo(stages.quantize(recipe, model, out))
        return
    folder = Path("out") / recipe.stem
    source = model or folder / "fused"
    files: dict[str, Any] = {
        "model": source / "model.gguf" if source.is_dir() or not source.suffix else source,
        "adapter": adapter or folder / "adapter",
        "rows": rows or folder / "data" / "validation.jsonl",
        "out": out or folder / "quantized",
        "levels": levels or None,
        "suite": "" if suite == "none" else suite,
    }
    options = quantize.read_options(recipe, files)
    made = asyncio.run(_run(options))
    click.echo((made / "report.md").read_text("utf-8"))
    chosen = json.loads((made / "meta.json").read_text("utf-8"))["chosen"]
    raise click.exceptions.Exit(0 if chosen else 1)


async def _run(options: QuantizeOptions) -> Path:
    from punie import settings
    from punie.factory import quantize
    from punie.terminal import Progress

    with Progress() as progress:
        return await quantize.run(options, settings.load(None), progress)
