"""`punie traces`: look at what is stored of use, export it, delete it."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from punie import cli
from punie.errors import UsageError
from punie.terminal import visible
from punie.trace import Store

WIDE = 70
"""Characters of a question that `list` shows."""
MARKS = {"cancelled": "--"}
"""Marks of outcomes beside `ok` and `!!`."""


@click.group("traces")
def command() -> None:
    """List, show, export or delete stored questions and answers."""


def _filters(function: Any) -> Any:
    for option in (
        click.option("--days", type=click.FloatRange(min=0, min_open=True), help="The last DAYS."),
        click.option("--model", "-m", metavar="NAME", help="Answers of this model."),
        click.option(
            "--workspace",
            "-w",
            metavar="DIR",
            help="Answers about this repository; default: about all.",
        ),
    ):
        function = option(function)
    return function


def _chosen(
    days: float | None, model: str | None, workspace: str | None, **more: Any
) -> list[dict[str, Any]]:
    since = datetime.now(UTC) - timedelta(days=days) if days else None
    place = Path(workspace).resolve() if workspace else None
    return list(Store().records(since=since, model=model, workspace=place, **more))


@command.command("list")
@_filters
@click.option("--count", "-n", type=click.IntRange(min=1), default=20, help="Most lines; 20.")
@click.option(
    "--failed", is_flag=True, help="Only answers that failed, not those that were cancelled."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, whole.")
def list_(
    days: float | None,
    model: str | None,
    workspace: str | None,
    count: int,
    failed: bool,
    as_json: bool,
) -> None:
    """List stored answers, newest first."""
    for record in _chosen(days, model, workspace, count=count, failed=failed):
        if as_json:
            cli.print_json(record)
            continue
        mark = MARKS.get(record.get("outcome", ""), "ok" if record["ok"] else "!!")
        query = " ".join(visible(record["query"]).split())
        query = query if len(query) <= WIDE else f"{query[: WIDE - 1]}…"
        when = record["asked"][:16].replace("T", " ")
        click.echo(f"{record['id']:>5}  {when}  {mark}  {record['kind']:<6}  {query}")


@command.command("show")
@click.argument("number", type=int)
@click.option("--json", "as_json", is_flag=True, help="Print the record as one JSON object.")
def show(number: int, as_json: bool) -> None:
    """Show one answer with its programs and calls."""
    record = Store().get(number)
    if as_json:
        cli.print_json(record)
        return
    model = record["model"].get("name", "")
    lines = [f"{record['asked']}  {record['workspace']}  {model}", f"> {record['query']}"]
    for step in record["steps"]:
        if step["code"]:
            lines += ["", step["code"], ""]
        for call in step["calls"]:
            arguments = ", ".join(f"{name}={value!r}" for name, value in call["args"].items())
            told = "ok" if call["ok"] else f"failed: {call['error']}"
            lines.append(f"  {call['tool']}({arguments})  {call['ms']:.0f} ms  {told}")
            lines.append(f"    read {', '.join(call['fields']) or 'no field'}")
        if step["error"]:
            lines.append(f"  stopped: {step['error']}")
    lines += ["", record["answer"]]
    if record["error"]:
        lines.append(f"error: {record['error']}")
    click.echo(visible("\n".join(lines)))


@command.command("export")
@_filters
@click.option("--output", "-o", metavar="FILE", help="File to write; default: standard output.")
@click.option("--folder", metavar="DIR", help="New data folder to write, for `punie audit`.")
@click.option("--unchecked", is_flag=True, help="Do not run the programs again to check them.")
@click.option("--all", "everything", is_flag=True, help="Every record, as stored, good or not.")
def export(
    days: float | None,
    model: str | None,
    workspace: str | None,
    output: str | None,
    folder: str | None,
    unchecked: bool,
    everything: bool,
) -> None:
    """Write good trajectories as training candidates, one JSON object a line.

    Their programs run again where they were asked: they must tell again what the user saw, and
    every call is checked by a second way.
    They hold questions, programs and outputs of your repositories: read them before you share.
    """
    from punie.factory import exported

    if folder and (output or everything):
        raise UsageError("--folder is for candidates alone: leave --output and --all out")
    if output:
        exported.check_file(Path(output))
    if folder:
        exported.check_folder(Path(folder))
    records = _chosen(days, model, workspace)
    rejects: Counter[str] = Counter()
    if everything:
        rows = records
    else:
        from punie.factory.harvest import candidates, verified

        rows = list(candidates(records, rejects))
        if not unchecked:
            by_number = {record["id"]: record for record in records}
            rows = asyncio.run(verified(rows, by_number, rejects))
    rows.reverse()
    if folder:
        exported.write_folder(Path(folder), rows, dict(rejects))
    elif output:
        exported.write_file(Path(output), rows)
    else:
        click.echo(exported.lines(rows), nl=False)
    left = "; ".join(f"{n} {why}" for why, n in rejects.most_common())
    click.echo(f"{len(rows)} of {len(records)} exported{f' (left out: {left})' if left else ''}",
               err=True)  # fmt: skip


@command.command("prune")
@click.option("--days", type=click.FloatRange(min=0), help="Delete what is older than DAYS.")
@click.option("--all", "everything", is_flag=True, help="Delete everything.")
def prune(days: float | None, everything: bool) -> None:
    """Delete stored answers, conversations and editors' sessions for good."""
    from punie import conversation
    from punie.serve.sessions import Sessions

    if everything == (days is not None):
        raise UsageError("say what to delete: --days DAYS or --all")
    age = 0.0 if everything else days or 0.0
    answers, conversations = Store().prune(age), conversation.prune(age)
    sessions = Sessions().prune(age)
    click.echo(f"deleted {answers} answers, {conversations} conversations and {sessions} sessions")
