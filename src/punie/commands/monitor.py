"""`punie monitor`: how the model does in use; exit status 1 when an alarm is on."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from punie import cli
from punie.errors import UsageError
from punie.monitor import Report, monitor
from punie.monitor_page import accuracy, page, shown
from punie.terminal import visible
from punie.trace import Store


@click.command("monitor")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@click.option("--html", metavar="FILE", help="Write the report as one page that stands alone.")
@click.option("--days", type=click.FloatRange(min=0, min_open=True), help="Only the last DAYS.")
@click.option("--model", "-m", metavar="NAME", help="Only answers of the model of this name.")
@click.option(
    "--training",
    metavar="DIR",
    help="Data folder of `punie generate`: its tools are compared with those in use.",
)
def command(
    as_json: bool, html: str | None, days: float | None, model: str | None, training: str | None
) -> None:
    """Watch the model in use: measures, alarms, trends."""
    store = Store()
    since = datetime.now(UTC) - timedelta(days=days) if days else None
    counts = _training(Path(training)) if training else _shipped()
    report = monitor(
        store.records(since=since, model=model), training=counts, validation=store.validation
    )
    if html:
        Path(html).write_text(page(report), "utf-8")
    if as_json:
        cli.print_json(report.as_json())
    else:
        _show(report)
    raise click.exceptions.Exit(1 if report.alarms else 0)


def _training(folder: Path) -> dict[str, int]:
    """How many training examples use each tool, as `punie generate` counted them."""
    try:
        table = json.loads((folder / "meta.json").read_text("utf-8"))["train"]["tools"]
        return {str(name): int(count) for name, count in table.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{str(folder)!r} is no folder of `punie generate`: {error!r}") from None


def _shipped() -> dict[str, int]:
    """The same of the shipped adapter, if its card says so."""
    from punie.errors import PunieError
    from punie.models import read_card

    try:
        card: dict[str, Any] = read_card()
    except PunieError:
        return {}
    found = card.get("training", {}).get("tools", {})
    return dict(found) if isinstance(found, dict) else {}


def _show(report: Report) -> None:
    total = report.total
    if not total.answers:
        click.echo("no answers are stored: ask something, or see the setting `traces`")
    for line in report.alarms:
        click.secho(f"alarm: {visible(line)}", fg="red")
    click.echo(f"answers       {total.answers}  ({report.first or '–'} to {report.last or '–'})")
    click.echo(f"by program    {total.tool}, in words {total.direct}")
    click.echo(f"failed        {total.failed}, repaired {total.repaired}")
    if total.cancelled:
        click.echo(f"cancelled     {total.cancelled}, counted nowhere else")
    rate = shown(total.field_rate, "{:.0%}")
    click.echo(f"field access  {rate}  ({total.read} of {total.calls} calls; target 80 %)")
    click.echo(f"generation    {shown(total.seconds, '{:.2f} s')} on average")
    click.echo(visible(accuracy(report)))
    if report.usage:
        click.echo(f"{'tool':<20} {'calls':>6} {'failed':>6} {'share':>7} {'training':>8}")
    for use in report.usage:
        training = shown(use["training_share"], "{:.1%}")
        click.echo(
            f"{visible(use['tool']):<20} {use['calls']:>6} {use['failed']:>6} "
            f"{use['share']:>7.1%} {training:>8}"
        )
