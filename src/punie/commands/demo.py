"""`punie demo`: the main job on a repository of our own."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import click

from punie import cli, demo
from punie.models import default_model
from punie.settings import Settings
from punie.terminal import Progress, visible


@click.command("demo")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@cli.model_option
def command(folder: Path | None, model: str | None) -> None:
    """Make a small repository in FOLDER (default: a temporary one) and ask it questions."""
    if model is None or model == "default":
        default_model()  # before anything is made: there may be none
    place = folder or Path(tempfile.mkdtemp(prefix="punie-demo-")) / "shop"
    root = demo.create(place).resolve()
    click.echo(f"demo repository: {root}")
    # The repository's tests are our own: nothing in it needs to be trusted by hand.
    _, settings = cli.settings_for(str(root), model=model, trust=True, traces=False)
    wrong = asyncio.run(_ask(root, settings))
    click.echo(f'\nnow you: punie ask "…" --workspace {root}')
    raise click.exceptions.Exit(1 if wrong else 0)


async def _ask(root: Path, settings: Settings) -> int:
    wrong = 0
    with Progress() as progress:
        async with cli.open_agent(root, settings, progress) as agent:
            for question in demo.QUESTIONS:
                answer = await agent.ask(question)
                progress("")
                click.secho(f"\n> {question}", bold=True)
                for step in answer.steps[-1:]:
                    if step.code:
                        click.secho(visible(step.code), dim=True)
                click.echo(visible(answer.answer or answer.error or ""))
                wrong += not answer.ok
    return wrong
