"""The MCP server: every tool and `execute_code` for other agents, over stdio or HTTP.

Standard output carries protocol only. Effects follow the same rules as on the command line; where
the client can ask its user, approval goes through it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from mcp import MCPError, types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from punie import __version__, wrap
from punie.errors import PunieError, UsageError
from punie.serve.calls import Calls, ClientApprover, Running
from punie.serve.offer import EXECUTE, answer, failure, offered, program_result
from punie.serve.places import Place, Places
from punie.tool import Tool

INSTRUCTIONS = """\
Tools over a Python repository: language server, git, lint, types, tests, files. For questions
that need several of them, write one program and run it with execute_code. Lines and columns are
1-based, paths relative to the workspace. A failed call has success false and says why in
parse_error."""
ENDING = 5.0
"""Seconds that closing may take before the process ends all the same."""


class ToolServer:
    """Answers `tools/list` and `tools/call`."""

    def __init__(self, tools: Iterable[Tool], places: Places, *, read_only: bool = False) -> None:
        self.tools = {tool.name: tool for tool in tools}
        self.places, self.calls = places, Calls()
        self.offered = offered(self.tools.values(), choice=places.choice, read_only=read_only)
        self.server: Any = Server(
            "punie",
            version=__version__,
            title="Punie",
            instructions=INSTRUCTIONS,
            on_list_tools=self._list,
            on_call_tool=self._call,
        )

    async def close(self) -> None:
        """End every call, language server and sandbox."""
        await self.calls.close()
        await self.places.close()

    async def _list(self, ctx: Any, params: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=self.offered)

    async def _call(
        self, ctx: Any, params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult:
        if params.name not in self.tools and params.name != EXECUTE:
            there = ", ".join([*self.tools, EXECUTE])
            raise MCPError(types.INVALID_PARAMS, f"no tool {params.name!r}; there are: {there}")
        modern = ctx.protocol_version in MODERN_PROTOCOL_VERSIONS
        return await self.calls.serve(ctx, params, self._work, modern=modern)

    async def _work(self, running: Running) -> types.CallToolResult:
        tool = self.tools.get(running.name)
        arguments = dict(running.arguments)
        given = arguments.pop("workspace", None) if self.places.choice else None
        try:
            if tool:
                arguments = tool.bind((), arguments)
            elif set(arguments) != {"code"} or not isinstance(arguments["code"], str):
                raise UsageError(f"{EXECUTE} takes one argument, the text `code`")
            place = await self.places.find(running, given)
            if tool is None:
                return await _execute(running, place, arguments["code"])
            result, call = await wrap.call(tool, _context(running, place), arguments)
            return answer(result, failed=not call.ok)
        except PunieError as error:
            return failure(running.name, tool, str(error))


async def _execute(running: Running, place: Place, code: str) -> types.CallToolResult:
    def say(text: str) -> None:
        running.doing = text[:200] or running.name

    outcome = await place.sandbox.run(code, _context(running, place), say)
    result = program_result(outcome)
    return answer(result, failed=not result.ok)


def _context(running: Running, place: Place) -> wrap.Context:
    """The workspace's context with the client as approver."""
    return replace(place.context, approver=ClientApprover(running))


async def serve_stdio(tools: ToolServer) -> None:
    """Serve one client over standard input and output until it closes them, or a signal comes.

    Does not return: a thread may still wait for input that never comes, and would keep us.
    """
    quiet_logs()
    stop = asyncio.Event()
    on_signals(stop.set)
    serving = asyncio.ensure_future(_serve_pipes(tools))
    stopped = asyncio.ensure_future(stop.wait())
    await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
    failed = serving.done() and not serving.cancelled() and serving.exception() is not None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ENDING):
            await tools.close()
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
    os._exit(1 if failed else 0)


async def _serve_pipes(tools: ToolServer) -> None:
    async with stdio_server() as (incoming, outgoing):
        await tools.server.run(incoming, outgoing, tools.server.create_initialization_options())


def on_signals(stop: Callable[[], object]) -> None:
    """Call `stop` at SIGTERM, SIGINT and SIGHUP."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop)


def quiet_logs() -> None:
    """Warnings and worse go to standard error, nothing else anywhere."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="punie: %(message)s")
