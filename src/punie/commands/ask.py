"""`punie ask`: one question, or a file of them."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from punie import cli
from punie.agent import Agent, Answer, failed
from punie.errors import PunieError, UsageError
from punie.prompt import Message
from punie.settings import Settings
from punie.terminal import Progress, visible
from punie.trace import keep


@click.command("ask")
@click.argument("query", required=False)
@cli.workspace_option
@cli.model_option
@cli.effect_options
@click.option("--json", "as_json", is_flag=True, help="Print the answer as one JSON object.")
@click.option("--batch", metavar="FILE", help="Questions, one a line; - for standard input.")
def command(
    query: str | None,
    workspace: str | None,
    model: str | None,
    read_only: bool,
    yes: bool,
    as_json: bool,
    batch: str | None,
) -> None:
    """Ask a question about a repository; the answer is what the model's program prints."""
    if batch is not None and query is not None:
        raise UsageError("give a question or --batch, not both")
    if batch is None and query is None:
        raise UsageError('no question given: punie ask "who calls get_user?"')
    if batch is not None and not as_json:
        raise UsageError("--batch prints JSON: add --json")
    turns = _read_batch(batch) if batch is not None else [Turns([query or ""], listed=False)]
    try:
        if query is not None and not query.strip():
            raise UsageError("the question is empty: write what you want to know")
        root, settings = cli.settings_for(workspace, model=model, read_only=read_only, yes=yes)
    except PunieError as error:
        if as_json:
            for asked, turn in _flat(turns):
                _show(failed(asked, error), as_json, turn if batch else None)
        raise
    status = asyncio.run(_run(turns, root, settings, as_json, batch is not None))
    raise click.exceptions.Exit(status)


@dataclass(frozen=True)
class Turns:
    """A line of a batch: one question, or a conversation when it was `listed`."""

    questions: list[str]
    listed: bool


def _read_batch(name: str) -> list[Turns]:
    """The conversations of a batch file: a line is a question or a JSON list of questions."""
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"batch file {name!r} cannot be read: {error}") from None
    return [_turns(line) for line in text.split("\n") if line.strip()]


def _turns(line: str) -> Turns:
    line = line.removesuffix("\r")
    if line.lstrip().startswith("["):
        try:
            turns = json.loads(line)
        except ValueError:
            return Turns([line], listed=False)
        if isinstance(turns, list) and turns and all(isinstance(t, str) for t in turns):
            return Turns(turns, listed=True)
    return Turns([line], listed=False)


async def _run(
    conversations: list[Turns], root: Path, settings: Settings, as_json: bool, batch: bool
) -> int:
    """Answer everything; returns the exit status, the highest of all."""
    start = time.perf_counter()
    status = 0
    with Progress() as progress:
        try:
            async with cli.open_agent(root, settings, progress) as agent:
                agent.interrupted = lambda answer: _kept(answer, root, settings, progress)
                load = round((time.perf_counter() - start) * 1000, 3)
                async for answer, turn in _answers(agent, conversations):
                    answer.ms["load"], load = load, 0.0
                    answer.ms["total"] = round(answer.ms["total"] + answer.ms["load"], 3)
                    _kept(answer, root, settings, progress)
                    progress("")
                    _show(answer, as_json, turn if batch else None)
                    status = max(status, answer.exit_status)
        except PunieError as error:
            if not as_json:
                raise
            for query, turn in _flat(conversations):
                _show(failed(query, error), as_json, turn if batch else None)
            progress.note(str(error))
            return error.exit_status
    return status


def _kept(answer: Answer, root: Path, settings: Settings, progress: Progress) -> None:
    if note := keep(answer, root, settings):
        progress.note(note)


def _flat(conversations: list[Turns]) -> Iterator[tuple[str, int | None]]:
    for turns in conversations:
        for number, query in enumerate(turns.questions, 1):
            yield query, number if turns.listed else None


async def _answers(
    agent: Agent, conversations: list[Turns]
) -> AsyncIterator[tuple[Answer, int | None]]:
    for turns in conversations:
        history: list[Message] = []
        for number, query in enumerate(turns.questions, 1):
            try:
                answer = await agent.ask(query, history)
                history = answer.messages
            except UsageError as error:
                answer = failed(query, error)
            yield answer, number if turns.listed else None


def _show(answer: Answer, as_json: bool, turn: int | None) -> None:
    if as_json:
        cli.print_json(answer.as_json() | ({"turn": turn} if turn else {}))
        return
    if sys.stdout.isatty():
        code = next((s.code for s in reversed(answer.steps) if s.code), "")
        if code:
            click.secho(visible(code), dim=True)
    click.echo(visible(answer.answer))
    if not answer.ok and answer.error and answer.error not in answer.answer:
        click.echo(f"punie: {visible(answer.error)}", err=True)
