"""`punie fuse`: stage three of the factory."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("fuse")
@click.argument("recipe", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--adapter", type=click.Path(path_type=Path), help="Default: out/<recipe>/adapter.")
@click.option("--out", type=click.Path(path_type=Path), help="Default: out/<recipe>/model.")
@click.option("--kind", default="Q8_0", show_default=True, help="Number format of the weights.")
def command(recipe: Path, adapter: Path | None, out: Path | None, kind: str) -> None:
    """Fuse the adapter of RECIPE into its base: one GGUF file that the engine loads, or with the
    backend `mlx` an MLX folder."""
    from punie.factory.fuse import FuseOptions, run
    from punie.factory.mlx import stages

    if stages.chosen(recipe):
        click.echo(stages.fuse(recipe, adapter, out))
        return

    folder = Path("out") / recipe.stem
    options = FuseOptions.model_validate(
        {"adapter": adapter or folder / "adapter", "out": out or folder / "model", "kind": kind}
    )
    click.echo(run(options))
