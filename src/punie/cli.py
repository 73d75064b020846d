"""The command line: verb → module, imported when it is called; builds all collaborators."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from punie import __version__
from punie.errors import PunieError, UsageError

if TYPE_CHECKING:
    from punie.agent import Agent
    from punie.settings import Settings
    from punie.terminal import Progress
    from punie.wrap import Approver, Context

COMMANDS = {
    "acp": "Serve editors: the Agent Client Protocol on standard input and output.",
    "approvals": "Show what happens without asking, and take it back.",
    "ask": "Ask a question about a repository.",
    "audit": "Check training data before it is trained on.",
    "average": "Average the adapters of several legs.",
    "benchmark": "Measure time and memory of models, side by side.",
    "call": "Run one tool and print its result.",
    "chat": "Hold a conversation about a repository.",
    "compose": "Write a test set of generated cases.",
    "demo": "Make a small repository and ask it questions.",
    "doctor": "Say what is installed, what is missing and how to get it.",
    "exec": "Run a program in the sandbox.",
    "fuse": "Fuse an adapter into the base model: a GGUF file.",
    "generate": "Generate training data by executing every example.",
    "models": "List, choose, archive and roll back released models.",
    "monitor": "Watch the model in use; status 1 when an alarm is on.",
    "mcp": "Serve the tools to other agents (Model Context Protocol).",
    "overlap": "Write how near the suites lie to the training phrasings.",
    "quantize": "Quantize a fused model, measure each level, pick one by rule.",
    "pipeline": "Take a recipe to a released model.",
    "preview": "Show a row of training data as the trainer sees it.",
    "release": "Judge the model of a recipe by its gate and release it.",
    "report": "Write a pipeline's page again.",
    "tools": "List the tools.",
    "traces": "List, show, export or delete stored answers.",
    "train": "Train an adapter.",
    "undo": "Restore the last file that Punie wrote.",
    "validate": "Grade a model by execution.",
}
"""Verb → help line. The verb's command is `command` in `punie.commands.<verb>`."""


class Verbs(click.Group):
    """Imports a verb's module only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All verbs."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb's command, or None for an unknown verb."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"punie.commands.{cmd_name}")
        found: click.Command = module.command
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The verbs and their help lines, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="punie")
def app() -> None:
    """Ask a Python repository a question; a small local model answers with a program."""


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        status = app.main(args, prog_name="punie", standalone_mode=False)
    except click.UsageError as error:
        error.show()
        status = 2
    except click.exceptions.Exit as done:
        status = done.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        status = 130
    except PunieError as error:
        complain(error)
        status = error.exit_status
    except BrokenPipeError:
        # Whoever read our output has gone: end quietly, also at the interpreter's last flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    except OSError as error:  # a missing file, a full disk: what it is stands in the error
        complain(error)
        status = 1
    sys.exit(status if isinstance(status, int) else 0)


def complain(error: Exception) -> None:
    """An error on standard error; its escapes are shown, not obeyed."""
    from punie.terminal import visible

    click.echo(f"punie: {visible(str(error))}", err=True)


def print_json(value: Any) -> None:
    """One JSON object on one line of standard output."""
    click.echo(json.dumps(value, default=str))


def workspace_option(function: Any) -> Any:
    """`--workspace DIR`, default the repository around the current folder."""
    return click.option(
        "--workspace",
        "-w",
        metavar="DIR",
        default=None,
        help="Repository to work on; default: the one around the current folder.",
    )(function)


def effect_options(function: Any) -> Any:
    """`--yes` and `--read-only`."""
    function = click.option("--yes", is_flag=True, help="Approve every effect without asking.")(
        function
    )
    return click.option("--read-only", is_flag=True, help="Refuse tests, writes and commands.")(
        function
    )


def model_option(function: Any) -> Any:
    """`--model SPEC`."""
    return click.option(
        "--model",
        "-m",
        metavar="SPEC",
        default=None,
        help="default, release:NAME, FILE.gguf, MLX folder, http://host:port/v1#name or"
        " scripted:FILE.",
    )(function)


def settings_for(workspace: str | None, **flags: Any) -> tuple[Path, Settings]:
    """The workspace's root and its settings. Raises `UsageError` for a wrong combination."""
    from punie import settings
    from punie.workspace import Workspace

    if flags.get("yes") and flags.get("read_only"):
        raise UsageError("--read-only and --yes contradict each other: give one of them")
    place = Workspace(Path(workspace)) if workspace is not None else Workspace.around(Path.cwd())
    if flags.get("model") == "":
        raise UsageError("the model is empty: give a SPEC, or leave --model out")
    # A flag that was not given leaves the decision to environment and files.
    given = {n: v for n, v in flags.items() if v is not False or n not in ("yes", "read_only")}
    return place.root, settings.load(place.root, **given)


@asynccontextmanager
async def open_context(
    root: Path,
    settings: Settings,
    progress: Progress | None = None,
    approver: Approver | None = None,
) -> AsyncIterator[Context]:
    """A context whose effects are approved by `approver`, else in the terminal if there is one."""
    from punie import assembly
    from punie.terminal import TerminalApprover
    from punie.wrap import Refuse

    if approver is None:
        interactive = sys.stdin.isatty() and sys.stderr.isatty()
        approver = TerminalApprover(progress) if interactive else Refuse()
    async with assembly.open_context(root, settings, approver) as context:
        yield context


@asynccontextmanager
async def open_agent(root: Path, settings: Settings, progress: Progress) -> AsyncIterator[Agent]:
    """An agent with its engine loaded. Raises `ModelUnavailable` when there is none."""
    from punie import assembly
    from punie.sandbox import Sandbox
    from punie.tool import load_tools

    sandbox = Sandbox(load_tools().values(), settings)
    async with (
        open_context(root, settings, progress) as context,
        sandbox,
        assembly.open_agent(settings, context, sandbox, progress) as agent,
    ):
        yield agent
