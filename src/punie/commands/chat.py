"""`punie chat`: a conversation in the terminal."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import click

from punie import cli
from punie.settings import Settings

if TYPE_CHECKING:
    from punie.agent import Agent


@click.command("chat")
@cli.workspace_option
@cli.model_option
@cli.effect_options
@click.option(
    "--resume",
    metavar="NAME",
    is_flag=False,
    flag_value="",
    default=None,
    help="Go on with an earlier conversation; without a name, with the last one.",
)
def command(
    workspace: str | None, model: str | None, read_only: bool, yes: bool, resume: str | None
) -> None:
    """Hold a conversation about a repository; a follow-up uses the turns before it.

    Each program stands above what it prints. Ctrl-C interrupts an answer, Ctrl-D ends; /help
    lists the commands.
    """
    from punie import conversation
    from punie.chat import COMMANDS, Chat
    from punie.lines import Lines
    from punie.terminal import Progress

    root, settings = cli.settings_for(workspace, model=model, read_only=read_only, yes=yes)
    earlier = None if resume is None else conversation.resume(root, resume)
    lines = Lines(conversation.lines_file() if settings.traces else None, tuple(COMMANDS))
    with Progress() as progress:

        def opened(chosen: Settings) -> AbstractAsyncContextManager[Agent]:
            return cli.open_agent(root, chosen, progress)

        chat = Chat(opened, settings, earlier or conversation.Conversation(root), lines, progress)
        chat.run()
    raise click.exceptions.Exit(0 if lines.terminal else chat.status)
