"""`punie fuse`: stage three of the factory."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("fuse")
@click.argument("recipe", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--adapter", type=click.Path(path_type=Path), help="Default: out/<recipe>/adapter.")
@click.option("--out", type=click.Path(path_type=Path), help="Default: out/<recipe>/model.")
@click.option("--kind", help="Number format of the weights; default: the recipe's, else Q8_0.")
@click.option("--huggingface", is_flag=True, help="Write a Hugging Face folder as well.")
def command(
    recipe: Path, adapter: Path | None, out: Path | None, kind: str | None, huggingface: bool
) -> None:
    """Fuse the adapter of RECIPE into its base: one GGUF file that the engine loads, or with the
    backend `mlx` an MLX folder."""
    from punie.errors import UsageError
    from punie.factory import recipes
    from punie.factory.fuse import FuseOptions, run
    from punie.factory.mlx import stages

    if stages.chosen(recipe):
        if kind or huggingface:
            raise UsageError("--kind and --huggingface are for GGUF: [fuse] dtype says it for MLX")
        click.echo(stages.fuse(recipe, adapter, out))
        return
    given = {"adapter": adapter, "out": out, "kind": kind, "huggingface": huggingface or None}
    files = recipes.files(recipes.folder(recipe), "fuse")
    chosen = files | {name: value for name, value in given.items() if value is not None}
    click.echo(run(recipes.options(FuseOptions, recipe, "fuse", chosen)))
