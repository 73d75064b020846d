"""`punie validate`: how good is a model, graded by execution."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from punie import cli
from punie.errors import StageFailed, UsageError

if TYPE_CHECKING:
    from punie.factory.sampling import Draw
    from punie.factory.suite import Suite
    from punie.factory.validate import Report
    from punie.settings import Settings

BASELINES = ("untuned", "keywords", "nearest")


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
@click.option("--samples", type=click.IntRange(1), default=1, help="Samples above temperature 0.")
@click.option(
    "--temperature",
    "temperatures",
    type=click.FloatRange(0, 2),
    multiple=True,
    help="Temperature of sampling, may be given several times; default 0. The first one counts.",
)
@click.option(
    "--against",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Earlier report (--transcripts) on the same suite: a paired test.",
)
@click.option(
    "--baseline",
    "baselines",
    type=click.Choice(BASELINES),
    multiple=True,
    help="Grade this as well, in the same run; may be given several times.",
)
@click.option(
    "--rows",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Training rows (train.jsonl) for the baseline `nearest`.",
)
@click.option("--gate", is_flag=True, help="Status 1 when the gate of a release is not passed.")
def command(
    suite: str,
    model: str | None,
    as_json: bool,
    transcripts: Path | None,
    check: bool,
    samples: int,
    temperatures: tuple[float, ...],
    against: Path | None,
    baselines: tuple[str, ...],
    rows: Path | None,
    gate: bool,
) -> None:
    """Grade a model on SUITE (a name or a TOML file; default: the frozen forty).

    Status 0 whatever the grade, unless --gate is given.
    """
    from punie import settings
    from punie.factory.gate import Gate
    from punie.factory.sampling import draws
    from punie.factory.suite import load_suite

    loaded = load_suite(suite)
    if gate and loaded.name != Gate().suite:
        raise UsageError(f"the gate is of suite {Gate().suite!r}, not of {loaded.name!r}")
    if check:
        raise click.exceptions.Exit(asyncio.run(_check(loaded, settings.load(None))))
    if "nearest" in baselines and rows is None:
        raise UsageError("the baseline 'nearest' needs training rows: --rows out/…/train.jsonl")
    earlier = _earlier(against, loaded) if against else None
    drawn = draws(temperatures or (0.0,), samples)
    chosen = settings.load(None, model=model)
    report = asyncio.run(_run(loaded, chosen, drawn, baselines, rows))
    values = report.as_json()
    if earlier:
        from punie.factory.paired import paired

        told = {"model": earlier["model"], "passed": earlier["passed"]}
        before = {case["id"]: case["passed"] for case in earlier["cases"]}
        values["against"] = told | paired(report.outcomes(), before).as_json()
    if transcripts:
        transcripts.parent.mkdir(parents=True, exist_ok=True)
        whole = values | {"cases": report.as_json(transcripts=True)["cases"]}
        transcripts.write_text(json.dumps(whole, indent=1, ensure_ascii=False), "utf-8")
    _remember(report)
    if as_json:
        cli.print_json(values)
    else:
        _show(values)
    if gate and (objections := Gate().objections(values, earlier)):
        raise StageFailed("\n  ".join(["the gate is not passed:", *objections]))


def _earlier(path: Path, suite: Suite) -> dict[str, Any]:
    """An earlier report with its cases. Raises `UsageError` unless it is of the same suite."""
    try:
        report: dict[str, Any] = json.loads(path.read_text("utf-8"))
        sha256 = report["sha256"]
        if not all({"id", "passed"} <= set(case) for case in report["cases"]):
            raise ValueError("a case without id or verdict")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"report {str(path)!r} cannot be used ({error!r}): write one with --transcripts"
        ) from None
    if sha256 != suite.sha256:
        raise UsageError(f"report {str(path)!r} is of another suite or another version of it")
    return report


def _remember(report: Report) -> None:
    """Let `punie monitor` know how the model did; a store that cannot be written costs a note."""
    import sqlite3

    from punie.trace import Store

    try:
        Store().add_validation(report.as_json())
    except (OSError, sqlite3.Error) as error:
        click.echo(f"punie: the result was not stored for `punie monitor`: {error}", err=True)


async def _run(
    suite: Suite,
    settings: Settings,
    drawn: Sequence[Draw],
    baselines: Sequence[str],
    rows: Path | None,
) -> Report:
    from punie.factory import validate
    from punie.models.spec import open_model
    from punie.terminal import Progress

    async with AsyncExitStack() as stack:
        progress = stack.enter_context(Progress())
        others = {}
        if baselines:
            from punie.factory.baselines import open_baseline

            for name in dict.fromkeys(baselines):
                others[name] = await open_baseline(name, settings, progress, rows)
                stack.push_async_callback(others[name].engine.close)
        model = await open_model(settings, progress)
        stack.push_async_callback(model.engine.close)
        return await validate.run(
            suite, model, settings, progress.now, draws=drawn, baselines=others
        )


async def _check(suite: Suite, settings: Settings) -> int:
    """Print what does not hold in the suite itself; 1 if anything."""
    from punie.factory import validate
    from punie.terminal import Progress

    with Progress() as progress:
        problems = await validate.check(suite, settings, progress.now)
    tool = sum(case.kind == "tool" for case in suite.cases)
    click.echo("\n".join(problems) or f"{tool} tool cases: every reference gives its answer")
    return 1 if problems else 0


def _show(values: dict[str, Any]) -> None:
    """The report as lines."""
    low, high = values["interval"]
    click.echo(f"suite {values['suite']} {values['sha256'][:12]}  model {values['model']['name']}")
    for name, (passed, total) in values["categories"].items():
        click.echo(f"  {name:<18} {passed:>3} / {total}")
    click.echo(f"  {'all':<18} {values['passed']:>3} / {values['total']}")
    click.echo(f"95 % interval {low:.0%} to {high:.0%} (Wilson)")
    kinds = ", ".join(f"{n} {kind}" for kind, n in values["faults"].items())
    click.echo(f"first faults: {kinds or 'none'}")
    calls, direct = values["false_calls"]
    refusals, tool = values["false_refusals"]
    click.echo(f"false calls {calls} of {direct}, false refusals {refusals} of {tool}")
    click.echo("tool cases: " + ", ".join(f"{k} {n}" for k, n in values["ladder"].items()))
    read, needed = values["field_access"]
    click.echo(f"fields read {read} of {needed}")
    groups = values["groups"]
    if groups["groups"]:
        click.echo(
            f"paraphrase groups {groups['groups']}: {groups['all']} pass whole, {groups['some']}"
            f" in part, {groups['none']} not at all; consistent {groups['consistency']:.0%}"
        )
    for one in values["samples"]:
        each = ", ".join(map(str, one["passed"]))
        click.echo(
            f"temperature {one['temperature']}: passed {each} of {one['total']};"
            f" in all {one['samples']} samples {one['all']}, in any {one['any']}"
        )
    for name, one in values["baselines"].items():
        pair = one["paired"]
        click.echo(
            f"baseline {name}: {one['passed']} of {one['total']}; the model wins {pair['won']},"
            f" loses {pair['lost']} (p = {pair['p']:.3g})"
        )
    if pair := values.get("against"):
        click.echo(
            f"against {pair['model']['name']} ({pair['passed']} passed): wins {pair['won']}, loses"
            f" {pair['lost']} (McNemar, p = {pair['p']:.3g})"
        )
    spent = values["generate_ms"]
    click.echo(
        f"generation median {spent['median']:.0f} ms, p95 {spent['p95']:.0f} ms, longest"
        f" {spent['max']:.0f} ms; all {values['seconds']:.0f} s"
    )
