"""`punie mcp`: the tools for other agents."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from punie import cli
from punie.errors import UsageError

if TYPE_CHECKING:
    from punie.settings import Settings
    from punie.wrap import Context


@click.command("mcp")
@click.option(
    "--workspace",
    "-w",
    "workspaces",
    metavar="DIR",
    multiple=True,
    help="Repository to work on, may be repeated; default: the one around the current folder.",
)
@click.option("--roots", is_flag=True, help="Work on the client's roots instead (stdio only).")
@click.option("--http", metavar="HOST:PORT", help="Serve streamable HTTP at /mcp, not stdio.")
@click.option(
    "--allow-host", "names", metavar="NAME", multiple=True, help="Host name that clients may use."
)
@cli.effect_options
def command(
    workspaces: tuple[str, ...],
    roots: bool,
    http: str | None,
    names: tuple[str, ...],
    read_only: bool,
    yes: bool,
) -> None:
    """Serve the tools to other agents (Model Context Protocol).

    Where an effect needs approval, the client is asked to ask its user; a client that cannot gets
    a refusal. Beyond loopback, HTTP needs the bearer token PUNIE_MCP_TOKEN.
    """
    if roots and (workspaces or http):
        raise UsageError("--roots is for stdio, and instead of --workspace: give one of them")
    if names and not http:
        raise UsageError("--allow-host is for --http")
    found: list[tuple[Path, Settings]] = [
        cli.settings_for(each, read_only=read_only, yes=yes)
        for each in ([] if roots else workspaces or (None,))
    ]
    if roots:
        cli.settings_for(None, read_only=read_only, yes=yes)  # for what it refuses
    asyncio.run(_run([root for root, _ in found], http, names, read_only, yes))


async def _run(
    roots: list[Path], http: str | None, names: tuple[str, ...], read_only: bool, yes: bool
) -> None:
    try:
        from punie.serve.mcp import ToolServer, serve_stdio
        from punie.serve.mcp_http import Endpoint, serve_http
    except ImportError as error:
        raise UsageError(
            f"the MCP server needs the extra 'mcp' ({error}): pip install -e '.[mcp]'"
        ) from None
    from punie.sandbox import Sandbox
    from punie.serve.places import Places
    from punie.tool import load_tools

    tools = load_tools().values()

    def opener(root: Path) -> AbstractAsyncContextManager[Context]:
        return cli.open_context(*cli.settings_for(str(root), read_only=read_only, yes=yes))

    places = Places(roots, opener, lambda context: Sandbox(tools, context.settings))
    server = ToolServer(tools, places, read_only=read_only)
    if http is None:
        await serve_stdio(server)
    else:
        await serve_http(server, Endpoint.read(http, names))
