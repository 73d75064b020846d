"""`punie exec`: a program of one's own in the sandbox."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import asdict
from pathlib import Path

import click

from punie import cli
from punie.errors import UsageError
from punie.sandbox import Outcome, Sandbox
from punie.settings import Settings
from punie.terminal import visible
from punie.tool import load_tools


@click.command("exec")
@click.argument("file")
@cli.workspace_option
@cli.effect_options
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def command(file: str, workspace: str | None, read_only: bool, yes: bool, as_json: bool) -> None:
    """Run the program in FILE (- for standard input) in the sandbox."""
    try:
        code = sys.stdin.read() if file == "-" else Path(file).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"program {file!r} cannot be read: {error}") from None
    root, settings = cli.settings_for(workspace, read_only=read_only, yes=yes)
    outcome = asyncio.run(_run(code, root, settings))
    reason = outcome.error or "\n".join(outcome.unread) or None
    if as_json:
        calls = [asdict(call) for call in outcome.calls]
        cli.print_json(
            {"ok": reason is None, "stdout": outcome.stdout, "error": reason, "calls": calls}
        )
    else:
        click.echo(visible(outcome.stdout) if sys.stdout.isatty() else outcome.stdout, nl=False)
        if reason:
            click.echo(f"punie: {visible(reason)}", err=True)
    raise click.exceptions.Exit(3 if outcome.refused else 1 if reason else 0)


async def _run(code: str, root: Path, settings: Settings) -> Outcome:
    sandbox = Sandbox(load_tools().values(), settings)
    async with cli.open_context(root, settings) as context, sandbox:
        return await sandbox.run(code, context)
