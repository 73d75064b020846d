"""`punie acp`: serve an editor over standard input and output."""

from __future__ import annotations

import asyncio
import importlib.util
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import click

from punie import cli
from punie.errors import UsageError
from punie.settings import Settings
from punie.terminal import Progress
from punie.wrap import Approver, Context


@click.command("acp")
@click.option(
    "--model",
    "-m",
    "models",
    metavar="SPEC",
    multiple=True,
    help="As for `punie ask`; given several times, the client may choose, the first is set.",
)
@cli.effect_options
def command(models: tuple[str, ...], read_only: bool, yes: bool) -> None:
    """Serve editors: the Agent Client Protocol on standard input and output.

    The client says which folder a session is about; it asks the user before tests, writes and
    commands, unless a mode says otherwise.
    """
    if importlib.util.find_spec("acp") is None:
        raise UsageError("the extra `acp` is missing: pip install 'punie[acp]'")
    if "" in models:
        raise UsageError("the model is empty: give a SPEC, or leave --model out")
    _, settings = cli.settings_for(None, read_only=read_only, yes=yes)
    mode = "read-only" if settings.read_only else "yes" if settings.yes else "ask"
    asyncio.run(_serve(list(dict.fromkeys(models)) or [settings.model], mode))


async def _serve(models: list[str], mode: str) -> None:
    from punie.models.spec import Model, open_model
    from punie.serve.acp import Server, serve

    with Progress() as progress:

        def open_context(
            root: Path, settings: Settings, approver: Approver
        ) -> AbstractAsyncContextManager[Context]:
            return cli.open_context(root, settings, progress, approver)

        async def load_model(settings: Settings) -> Model:
            return await open_model(settings, progress)

        def settings_for(root: Path) -> Settings:
            return cli.settings_for(str(root))[1]

        await serve(Server(settings_for, open_context, load_model, models, mode))
