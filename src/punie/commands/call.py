"""`punie call`: one tool, from the command line."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from punie import cli, wrap
from punie.errors import ApprovalRefused, UsageError
from punie.settings import Settings
from punie.terminal import visible
from punie.tool import Result, Tool, load_tools


@click.command("call")
@click.argument("tool")
@click.argument("arguments", nargs=-1, metavar="[KEY=VALUE]...")
@cli.workspace_option
@cli.effect_options
@click.option("--json", "as_json", is_flag=True, help="Print the result object as JSON.")
def command(
    tool: str,
    arguments: tuple[str, ...],
    workspace: str | None,
    read_only: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Run one tool and print its result object."""
    tools = load_tools()
    if tool not in tools:
        raise UsageError(f"no tool {tool!r}; there are: {', '.join(tools)}")
    values = tools[tool].parse(arguments)
    root, settings = cli.settings_for(workspace, read_only=read_only, yes=yes)
    result, refused = asyncio.run(_run(tools[tool], values, root, settings))
    if as_json:
        cli.print_json(result.model_dump(mode="json"))
    else:
        click.echo(visible(str(result)), err=not result.success)
    raise click.exceptions.Exit(3 if refused else 0 if result.success else 1)


async def _run(
    tool: Tool, values: dict[str, Any], root: Path, settings: Settings
) -> tuple[Result, bool]:
    """The result, and whether the call was refused."""
    async with cli.open_context(root, settings) as context:
        try:
            return (await wrap.call(tool, context, values))[0], False
        except ApprovalRefused as error:
            return tool.result(success=False, parse_error=str(error)), True
