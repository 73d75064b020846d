"""`punie tools`: what there is to call."""

from __future__ import annotations

import click

from punie import cli
from punie.errors import UsageError
from punie.tool import load_tools, stubs, tools_hash


@click.command("tools")
@click.option("--json", "as_json", is_flag=True, help="Schemas, effects and hash as JSON.")
@click.option("--stubs", "as_stubs", is_flag=True, help="The stubs that programs are checked by.")
def command(as_json: bool, as_stubs: bool) -> None:
    """List the tools with their parameters and effects."""
    if as_json and as_stubs:
        raise UsageError("give --json or --stubs, not both")
    tools = load_tools()
    if as_stubs:
        click.echo(stubs(tools.values()), nl=False)
    elif as_json:
        described = [
            {
                "name": tool.name,
                "effect": tool.effect.value,
                "description": tool.doc,
                "input_schema": tool.input_schema,
                "output_schema": tool.output_schema,
            }
            for tool in tools.values()
        ]
        cli.print_json({"hash": tools_hash(tools.values()), "tools": described})
    else:
        for tool in tools.values():
            click.echo(f"{tool.effect:<5} {tool.signature}\n      {tool.summary}")
