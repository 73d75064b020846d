"""`punie generate`: stage one of the factory."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from punie.factory.generate import GenerateOptions

SHOWN = ("train", "validation", "held-out workspaces", "rejects", "second ways")
"""Parts of the report that are printed; `meta.json` and `report.md` have all."""


@click.command("generate")
@click.argument("recipe", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Default: out/<recipe>/data.")
@click.option("--workers", default=2, show_default=True, help="Processes.")
@click.option(
    "--from-failures",
    "report",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="More of what this report of the development suite got wrong.",
)
def command(recipe: Path, out: Path | None, workers: int, report: Path | None) -> None:
    """Generate the training data of RECIPE: every example is executed and checked."""
    from punie.factory import corpus, generate
    from punie.factory.composition import parts
    from punie.factory.composition import run as composed
    from punie.factory.corpus.sdist import cache_dir

    options, composition = generate.read_options(recipe), parts.read(recipe)
    if report:
        options = _grown(options, report)
    sources = corpus.load_recipe(recipe.parent / options.corpus)
    names = list(corpus.of_split(sources, options.split, options.workspaces))
    folder = out or Path("out") / recipe.stem / "data"
    built = cache_dir().parent / "workspaces"
    start = time.perf_counter()
    for number, name in enumerate(names, 1):
        click.echo(f"building {name} ({number} of {len(names)})", err=True)
        corpus.build(name, built, sources)
    built_at = time.perf_counter()

    def tell(text: str) -> None:
        click.echo(text, err=True)

    if composition:
        made_of = composed.run(composition, options.seed, built, names, folder, workers, tell)
    else:
        made_of = generate.run(options, built, names, folder, workers, tell)
    spent = time.perf_counter() - built_at
    told = folder / "report.md"
    made = made_of["train"]["examples"] + made_of["validation"]["examples"]
    click.echo(json.dumps({k: made_of[k] for k in SHOWN if k in made_of}, indent=1))
    click.echo(
        f"{made} examples in {folder}; corpus {built_at - start:.0f} s, examples {spent:.0f} s "
        f"({made / spent:.1f} a second); report in {told}",
        err=True,
    )


def _grown(options: GenerateOptions, report: Path) -> GenerateOptions:
    """The options with more of what failed; tells what grows."""
    from punie.factory import failures
    from punie.factory.intents import load
    from punie.tool import load_tools

    tools = load_tools()
    suite, failed = failures.read_report(report, tools)
    intents, _ = load()
    growths = failures.growth(suite, failed, intents.values(), tools)
    for g in growths:
        over = " + ".join(g.tools) or "no tool"
        grows = f"{len(g.intents)} intents grow" if g.intents else "no intent serves"
        click.echo(f"{g.kind}, {over}: {g.failed} of {g.cases} cases, {grows}", err=True)
    more = failures.grown(options, growths, intents)
    for tool, wordings in sorted(more.near_misses.items()):
        click.echo(f"{wordings} more wordings of general questions beside {tool}", err=True)
    return more
