"""`punie generate`: stage one of the factory."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from punie.errors import UsageError


@click.command("generate")
@click.argument("recipe", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Default: out/<recipe>/data.")
@click.option("--workers", default=2, show_default=True, help="Processes.")
def command(recipe: Path, out: Path | None, workers: int) -> None:
    """Generate the training data of RECIPE: every example is executed and checked."""
    from punie.factory import corpus, generate
    from punie.factory.corpus.sdist import cache_dir

    options = generate.read_options(recipe)
    sources = corpus.load_recipe(recipe.parent / options.corpus)
    names = [n for n, s in sources.items() if s.split == options.split]
    if options.workspaces:
        if unknown := sorted(set(options.workspaces) - set(names)):
            raise UsageError(f"{recipe}: workspaces {unknown} are not of split {options.split!r}")
        names = [n for n in names if n in options.workspaces]
    folder = out or Path("out") / recipe.stem / "data"
    built = cache_dir().parent / "workspaces"
    start = time.perf_counter()
    for number, name in enumerate(names, 1):
        click.echo(f"building {name} ({number} of {len(names)})", err=True)
        corpus.build(name, built, sources)
    built_at = time.perf_counter()
    report = generate.run(
        options, built, names, folder, workers, lambda text: click.echo(text, err=True)
    )
    spent = time.perf_counter() - built_at
    made = report["train"]["examples"] + report["validation"]["examples"]
    click.echo(json.dumps({k: v for k, v in report.items() if k != "options"}, indent=1))
    click.echo(
        f"{made} examples in {folder}; corpus {built_at - start:.0f} s, examples {spent:.0f} s "
        f"({made / spent:.1f} a second)",
        err=True,
    )
