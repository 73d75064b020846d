"""`punie validate`: how good is a model, graded by execution."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from punie import cli
from punie.errors import StageFailed, UsageError

if TYPE_CHECKING:
    from punie.factory.suite import Suite
    from punie.factory.validate import Report
    from punie.settings import Settings


@click.command("validate")
@click.argument("suite", default="forty")
@cli.model_option
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@click.option(
    "--transcripts",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write every case with its answer and faults to this file.",
)
@click.option("--check", is_flag=True, help="Run the suite's own reference programs instead.")
@click.option("--gate", is_flag=True, help="Status 1 when the gate of a release is not passed.")
@click.option(
    "--against",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="With --gate: report (--json) of the released model, which must not be better.",
)
def command(
    suite: str,
    model: str | None,
    as_json: bool,
    transcripts: Path | None,
    check: bool,
    gate: bool,
    against: Path | None,
) -> None:
    """Grade a model on SUITE (a name or a TOML file; default: the frozen forty).

    Status 0 whatever the grade, unless --gate is given.
    """
    from punie import settings
    from punie.factory.gate import Gate
    from punie.factory.suite import load_suite

    loaded = load_suite(suite)
    released = _read(against, gate)
    if gate and loaded.name != Gate().suite:
        raise UsageError(f"the gate is of suite {Gate().suite!r}, not of {loaded.name!r}")
    if check:
        raise click.exceptions.Exit(asyncio.run(_check(loaded, settings.load(None))))
    report = asyncio.run(_run(loaded, settings.load(None, model=model)))
    if transcripts:
        transcripts.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(report.as_json(transcripts=True), indent=1, ensure_ascii=False)
        transcripts.write_text(text, "utf-8")
    _remember(report)
    if as_json:
        cli.print_json(report.as_json())
    else:
        _show(report)
    if gate and (objections := Gate().objections(report.as_json(), released)):
        raise StageFailed("\n  ".join(["the gate is not passed:", *objections]))


def _read(against: Path | None, gate: bool) -> dict[str, Any] | None:
    """The report of the released model. Raises UsageError for what is none."""
    if against is None:
        return None
    if not gate:
        raise UsageError("--against belongs to --gate")
    try:
        found: dict[str, Any] = json.loads(against.read_text("utf-8"))
        return {key: found[key] for key in ("sha256", "passed", "model")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{str(against)!r} is no report of `punie validate`: {error!r}") from None


def _remember(report: Report) -> None:
    """Let `punie monitor` know how the model did; a store that cannot be written costs a note."""
    import sqlite3

    from punie.trace import Store

    try:
        Store().add_validation(report.as_json())
    except (OSError, sqlite3.Error) as error:
        click.echo(f"punie: the result was not stored for `punie monitor`: {error}", err=True)


async def _run(suite: Suite, settings: Settings) -> Report:
    from punie.factory import validate
    from punie.models.spec import open_model
    from punie.terminal import Progress

    with Progress() as progress:
        model = await open_model(settings, progress)
        try:
            return await validate.run(suite, model, settings, progress.now)
        finally:
            await model.engine.close()


async def _check(suite: Suite, settings: Settings) -> int:
    """Print what does not hold in the suite itself; 1 if anything."""
    from punie.factory import validate
    from punie.terminal import Progress

    with Progress() as progress:
        problems = await validate.check(suite, settings, progress.now)
    tool = sum(case.kind == "tool" for case in suite.cases)
    click.echo("\n".join(problems) or f"{tool} tool cases: every reference gives its answer")
    return 1 if problems else 0


def _show(report: Report) -> None:
    values = report.as_json()
    low, high = values["interval"]
    click.echo(f"suite {values['suite']} {values['sha256'][:12]}  model {values['model']['name']}")
    for name, (passed, total) in report.categories().items():
        click.echo(f"  {name:<18} {passed:>3} / {total}")
    click.echo(f"  {'all':<18} {report.passed:>3} / {values['total']}")
    click.echo(f"95 % interval {low:.0%} to {high:.0%} (Wilson)")
    kinds = ", ".join(f"{n} {kind}" for kind, n in values["faults"].items())
    click.echo(f"first faults: {kinds or 'none'}")
    calls, direct = values["false_calls"]
    refusals, tool = values["false_refusals"]
    click.echo(f"false calls {calls} of {direct}, false refusals {refusals} of {tool}")
    spent = values["generate_ms"]
    click.echo(
        f"generation median {spent['median']:.0f} ms, longest {spent['max']:.0f} ms; "
        f"all {values['seconds']:.0f} s"
    )
