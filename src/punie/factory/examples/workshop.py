"""Runs and checks programs on one workspace of the corpus.

`read` and `test` tools answer the same call once and remember it, since nothing changes between
examples; what a program writes or runs happens in a scratch copy that is thrown away.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

from punie.errors import ToolFailure
from punie.factory.examples import second_way
from punie.factory.examples.inventory import Inventory
from punie.lsp import Server
from punie.sandbox import Outcome, Sandbox
from punie.settings import Settings
from punie.tool import Effect, Result, Tool, load_tools
from punie.workspace import Workspace
from punie.wrap import Allow, Context

SETTINGS = Settings(yes=True, traces=False, test_seconds=12.0, program_seconds=5.0)


class Workshop:
    """One workspace with its sandbox, language server and remembered results."""

    def __init__(
        self, root: Path, inventory: Inventory, tools: Iterable[Tool] | None = None
    ) -> None:
        """`tools` are those that programs call; none = all that there are."""
        self.root, self.inventory = root, inventory
        self.context = _context(root)
        chosen = load_tools().values() if tools is None else tools
        self.tools = [self._remembering(t) for t in chosen]
        self.sandbox = Sandbox(self.tools, SETTINGS)
        self._results: dict[str, Result | str] = {}
        self._faults: dict[str, str] = {}
        self._scratch: Context | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start the sandbox."""
        await self._stack.enter_async_context(self.sandbox)
        self._stack.push_async_callback(self.context.language_server.close)
        return self

    async def __aexit__(self, *error: object) -> None:
        """End the children and remove the scratch copy."""
        if self._scratch is not None:
            await self._scratch.language_server.close()
            shutil.rmtree(self._scratch.workspace.root.parent, ignore_errors=True)
        await self._stack.aclose()

    async def run(self, code: str) -> tuple[Outcome, str]:
        """Run a program and check all its calls; the text says why it is no good, or is empty."""
        outcome = await self.sandbox.run(code, self.context)
        if outcome.error:
            return outcome, f"program: {outcome.error.split(':')[0].split(' (')[0]}"
        if not outcome.calls:
            return outcome, "no call"
        for call, result in zip(outcome.calls, outcome.results, strict=True):
            if fault := self._check(call.tool, call.args, result):
                return outcome, f"{call.tool}: {fault.split(':')[0]}"
        return outcome, ""

    def _check(self, tool: str, args: dict[str, Any], result: Result) -> str:
        key = f"{tool} {json.dumps(args, sort_keys=True)}"
        if key not in self._faults:
            acting = load_tools()[tool].effect in (Effect.WRITE, Effect.RUN)
            place = Inventory(self._scratch_root()) if acting else self.inventory
            self._faults[key] = second_way.check(tool, place, args, result)
            if tool == "write_file" and result.success:
                (place.root / args["path"]).unlink()
        return self._faults[key]

    def _remembering(self, tool: Tool) -> Tool:
        async def function(context: Context, **arguments: Any) -> Result:
            key = f"{tool.name} {json.dumps(arguments, sort_keys=True)}"
            acting = tool.effect in (Effect.WRITE, Effect.RUN)
            if key not in self._results:
                place = self._scratch_context() if acting else context
                try:
                    self._results[key] = await tool.function(place, **arguments)
                except ToolFailure as failure:
                    self._results[key] = str(failure)
            found = self._results[key]
            if isinstance(found, str):
                raise ToolFailure(found)
            return found.model_copy(deep=True)

        return dataclasses.replace(tool, function=function)

    def _scratch_root(self) -> Path:
        return self._scratch_context().workspace.root

    def _scratch_context(self) -> Context:
        if self._scratch is None:
            folder = Path(tempfile.mkdtemp(prefix="punie-scratch-"))
            copy = folder / self.root.name
            shutil.copytree(self.root, copy, symlinks=True)
            self._scratch = _context(copy)
        return self._scratch


def _context(root: Path) -> Context:
    workspace = Workspace(root)
    return Context(workspace, SETTINGS, Server(workspace, SETTINGS), Allow(), trusted=True)
