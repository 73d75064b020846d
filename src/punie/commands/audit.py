"""`punie audit`: whether data is fit to train on."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("audit")
@click.argument("target", metavar="DATA|RECIPE", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--report",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the report, audit.md. Default: the data folder.",
)
@click.option(
    "--recipe",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Recipe whose norms hold for a data folder.",
)
@click.option(
    "--publish",
    "reports",
    type=click.Path(file_okay=False, path_type=Path),
    help="Also write its pages and pictures for the repository into a folder here.",
)
@click.option(
    "--execute",
    "again",
    metavar="N",
    default=0,
    help="Also run N programs again and check their calls; needs the built workspaces.",
)
def command(
    target: Path, report: Path | None, recipe: Path | None, reports: Path | None, again: int
) -> None:
    """Check the training data of a folder or a recipe: norms, duplicates, leaks, lengths and what
    else can be wrong. A breach gives exit status 1."""
    from punie.factory.audit import published, run
    from punie.factory.audit.norms import of_recipe
    from punie.factory.corpus.sdist import cache_dir

    folder, norms = run.place(target)
    norms = of_recipe(recipe) if recipe else norms
    built = cache_dir().parent / "workspaces"
    audited = run.run(folder, norms, built, again, lambda text: click.echo(text, err=True))
    page = (report or folder) / "audit.md"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(audited.report, "utf-8")
    if reports:
        name = (recipe or (folder.parent / "data.toml" if target.is_dir() else target)).stem
        shown = published.write(audited.report, audited.subject, name, folder, reports)
        click.echo(f"pages in {shown}", err=True)
    for finding in audited.findings:
        click.echo(f"{finding.severity:<7} {finding.name}: {finding.text}")
    click.echo(f"{'passed' if audited.passed else 'failed'}; report in {page}")
    raise click.exceptions.Exit(0 if audited.passed else 1)
