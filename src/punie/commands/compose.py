"""`punie compose`: a test set of generated cases."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("compose")
@click.argument("recipe", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Default: out/<recipe>/suite.toml.")
@click.option("--workers", default=2, show_default=True, help="Processes.")
def command(recipe: Path, out: Path | None, workers: int) -> None:
    """Write the suite of RECIPE: unseen phrasings on workspaces that no training touches.

    `punie validate out/<recipe>/suite.toml` grades a model on it. Status 1 when the file is not
    the one whose SHA-256 the recipe states.
    """
    from punie.factory import compose, corpus
    from punie.factory.corpus.sdist import cache_dir

    options = compose.read_options(recipe)
    sources = corpus.load_recipe(recipe.parent / options.corpus)
    names = [name for name, source in sources.items() if source.split == options.split]
    built = cache_dir().parent / "composed"
    for number, name in enumerate(names, 1):
        click.echo(f"building {name} ({number} of {len(names)})", err=True)
        corpus.build(name, built, sources)
    target = out or Path("out") / recipe.stem / "suite.toml"
    made = compose.run(
        options, recipe.parent, built, names, target, workers, lambda t: click.echo(t, err=True)
    )
    click.echo(json.dumps(made, indent=1))
    if options.sha256 and made["sha256"] != options.sha256:
        click.echo(
            f"punie: {target} is not the suite that {recipe} states ({options.sha256}): intents,"
            " training recipes, tools or their versions have changed. If that is meant, state the"
            " new hash there; figures of the old suite do not compare",
            err=True,
        )
        raise click.exceptions.Exit(1)
