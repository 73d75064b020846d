"""`punie benchmark`: time and memory of models, side by side."""

from __future__ import annotations

import json
from pathlib import Path

import click

from punie import cli
from punie.errors import UsageError


@click.command("benchmark")
@click.argument(
    "recipe", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option(
    "--model",
    "-m",
    "models",
    multiple=True,
    metavar="SPEC",
    help="Model to measure, may be given several times; default: the one in use.",
)
@click.option(
    "--serve",
    "served",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="GGUF file to put behind llama.cpp's server, in the profile `general`.",
)
@click.option("--base", is_flag=True, help="Serve the untuned base model as well.")
@click.option("--rounds", type=click.IntRange(1), default=2, show_default=True, help="Rounds.")
@click.option("--questions", type=click.IntRange(1), help="Questions a round; default: all.")
@cli.workspace_option
@click.option("--out", type=click.Path(path_type=Path), help="Default: out/[<recipe>/]benchmark.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
def command(
    recipe: Path | None,
    models: tuple[str, ...],
    served: tuple[Path, ...],
    base: bool,
    rounds: int,
    questions: int | None,
    workspace: str | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Measure disk, memory, load, first and later answers of models, side by side in one run.

    With RECIPE its quantized model is one of them. The questions are the demo's, on its own small
    repository unless --workspace names another. Status 1 when a model could not be measured.
    """
    from punie import demo
    from punie.factory import benchmark
    from punie.models import base_file
    from punie.terminal import Progress

    specs = list(models)
    folder = Path("out") / recipe.stem if recipe else Path("out")
    if recipe:
        made = folder / "quantized" / "model.gguf"
        if not made.is_file():
            raise UsageError(f"there is no {made}: punie quantize {recipe}")
        specs.append(str(made))
    subjects = [benchmark.Subject(spec) for spec in specs or ["default"]]
    subjects += [benchmark.Subject(str(path), served=True) for path in served]
    if base:
        subjects.append(benchmark.Subject(str(base_file()), served=True))
    target = out or folder / "benchmark"
    with Progress() as progress:
        report = benchmark.run(
            subjects,
            target,
            rounds,
            demo.QUESTIONS[:questions],
            Path(workspace) if workspace else None,
            progress.now,
        )
    if as_json:
        click.echo(json.dumps(report))
    else:
        click.echo((target / "report.md").read_text("utf-8"))
    raise click.exceptions.Exit(1 if any(m["error"] for m in report["models"]) else 0)
