"""Runs and checks programs on one workspace of the corpus.

`read` and `test` tools answer the same call once and remember it, since nothing changes between
examples; what a program writes or runs happens in a scratch copy that is thrown away.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

from punie.errors import ToolFailure
from punie.factory.examples import second_way
from punie.factory.examples.comparison import Comparison
from punie.factory.examples.inventory import Inventory
from punie.factory.examples.rerun import Rerun, rerun
from punie.navigation.lsp import Server
from punie.sandbox import Outcome, Sandbox
from punie.scratch import scratch
from punie.settings import Settings
from punie.tool import Effect, Result, Tool, load_tools, tools_hash
from punie.workspace import Workspace
from punie.wrap import Allow, Context, middle_cut

SETTINGS = Settings(yes=True, traces=False, test_seconds=12.0, program_seconds=5.0)
CUT = " characters cut] …"
"""What the middle of an output that was too long holds."""
OTHERWISE = "another answer in CPython"
"""Why a program is no good whose second run prints something else."""
RESULT = 800
"""Bytes of a program's output that a row keeps."""
VOLATILE = re.compile(r"0x[0-9a-f]{6,}|/tmp/|\d\.\d+ ?s(ec|\b)")
"""What an output has that differs from run to run: addresses, folders for a while, times."""


def volatile(outcome: Outcome) -> bool:
    """Whether another run may print something else: commands, times, addresses."""
    timed = any(f.endswith(".duration") for call in outcome.calls for f in call.fields)
    commands = any(call.tool == "run_command" for call in outcome.calls)
    return timed or commands or bool(VOLATILE.search(outcome.stdout))


class Workshop:
    """One workspace with its sandbox, language server and remembered results."""

    def __init__(
        self,
        root: Path,
        inventory: Inventory,
        tools: Iterable[Tool] | None = None,
        settings: Settings = SETTINGS,
    ) -> None:
        """`tools` are those that programs call; none = all that there are."""
        self.root, self.inventory, self.settings = root, inventory, settings
        self.context = _context(root, settings)
        chosen = load_tools().values() if tools is None else tools
        chosen = list(chosen)
        self.toolset = tools_hash(chosen)
        self.tools = [self._remembering(t) for t in chosen]
        self.spent: dict[str, dict[str, float]] = {}
        """Tool → calls that ran (others were remembered), seconds in them, and in checking them."""
        self.sandbox = Sandbox(self.tools, settings)
        self._results: dict[str, Result | str] = {}
        self._compared: dict[str, Comparison] = {}
        self._reran: dict[str, Rerun] = {}
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
        await self._stack.aclose()

    async def run(self, code: str) -> tuple[Outcome, str]:
        """Run a program and check all its calls; the text says why it is no good, or is empty."""
        outcome = await self.sandbox.run(code, self.context)
        if outcome.error:
            return outcome, f"program: {outcome.error.split(':')[0].split(' (')[0]}"
        if not outcome.calls:
            return outcome, "no call"
        for call, result in zip(outcome.calls, outcome.results, strict=True):
            if fault := str(self._check(call.tool, call.args, result)):
                return outcome, f"{call.tool}: {fault.split(':')[0]}"
            if not call.ok and "symbol" not in call.args and call.tool != "ruff_check":
                return outcome, f"{call.tool}: failed"  # rightly, but it answers nothing
        if self.again(code, outcome).differs(outcome.stdout):
            return outcome, OTHERWISE
        return outcome, ""

    def again(self, code: str, outcome: Outcome) -> Rerun:
        """The program's second run, in CPython over what the second ways found; remembered."""
        key = f"{code}\0{outcome.stdout}"
        if key not in self._reran:
            self._reran[key] = self._rerun(code, outcome)
        return self._reran[key]

    def _rerun(self, code: str, outcome: Outcome) -> Rerun:
        if volatile(outcome) or CUT in outcome.stdout or not all(c.ok for c in outcome.calls):
            return Rerun(lacks="an answer that two runs can share")
        pairs = zip(outcome.calls, outcome.results, strict=True)
        facts = [(c.tool, c.args, self._check(c.tool, c.args, r).facts) for c, r in pairs]
        try:
            return rerun(code, self.tools, facts)
        except (OSError, subprocess.CalledProcessError, TypeError, ValueError) as error:
            return Rerun(lacks=repr(error))

    def forget_failures(self) -> None:
        """Forget calls that failed, so that they run again: it may have been for want of time."""
        self._results = {k: r for k, r in self._results.items() if not isinstance(r, str)}

    def _check(self, tool: str, args: dict[str, Any], result: Result) -> Comparison:
        key = f"{result.success} {_key(tool, args)}"
        if key not in self._compared:
            acting = load_tools()[tool].effect in (Effect.WRITE, Effect.RUN)
            place = Inventory(self._scratch_root()) if acting else self.inventory
            start = time.perf_counter()
            self._compared[key] = second_way.compared(tool, place, args, result)
            self._spend(tool, "check seconds", start)
            if tool == "write_file" and result.success:
                (place.root / args["path"]).unlink()
        return self._compared[key]

    def disagreements(self, outcome: Outcome) -> list[dict[str, Any]]:
        """What the second ways say otherwise than the tools: call, field and both values."""
        found: list[dict[str, Any]] = []
        for call, result in zip(outcome.calls, outcome.results, strict=True):
            compared = self._check(call.tool, call.args, result)
            about = {"tool": call.tool, "args": call.args}
            found += [about | vars(each) | {"tool": call.tool, "says": each.tool}
                      for each in compared.differences]  # fmt: skip
            if compared.fault:
                found.append(about | {"field": "", "says": compared.fault, "second": ""})
        return found

    def facts(self, *outcomes: Outcome) -> dict[str, Any]:
        """What a row says of its runs: tools, fields that were read, calls with those that were
        not compared, and what the last one printed (None where another run may print something
        else)."""
        calls = []
        pairs = [zip(o.calls, o.results, strict=True) for o in outcomes]
        for call, result in (pair for each in pairs for pair in each):
            compared = self._check(call.tool, call.args, result).compared
            row = {"tool": call.tool, "args": call.args, "ok": call.ok}
            row |= {"second_way": bool(compared), "read": call.fields}
            calls.append(row | {"unchecked": sorted(set(call.fields) - compared)})
        told = outcomes[-1]
        return {
            "tools": sorted({c.tool for o in outcomes for c in o.calls}),
            "fields": sorted({f for o in outcomes for c in o.calls for f in c.fields}),
            "toolset": self.toolset,
            "calls": calls,
            "result": None if volatile(told) else middle_cut(told.stdout, RESULT),
        }

    def _spend(self, tool: str, what: str, start: float) -> None:
        spent = self.spent.setdefault(tool, {"calls": 0, "seconds": 0.0, "check seconds": 0.0})
        spent["calls"] += what == "seconds"
        spent[what] += time.perf_counter() - start

    def _remembering(self, tool: Tool) -> Tool:
        async def function(context: Context, **arguments: Any) -> Result:
            key = _key(tool.name, arguments)
            acting = tool.effect in (Effect.WRITE, Effect.RUN)
            if key not in self._results:
                place = self._scratch_context() if acting else context
                start = time.perf_counter()
                try:
                    self._results[key] = await tool.function(place, **arguments)
                except ToolFailure as failure:
                    self._results[key] = str(failure)
                self._spend(tool.name, "seconds", start)
            found = self._results[key]
            if isinstance(found, str):
                raise ToolFailure(found)
            return found.model_copy(deep=True)

        return dataclasses.replace(tool, function=function)

    def _scratch_root(self) -> Path:
        return self._scratch_context().workspace.root

    def _scratch_context(self) -> Context:
        if self._scratch is None:
            copy = self._stack.enter_context(scratch("workspace")) / self.root.name
            shutil.copytree(self.root, copy, symlinks=True)
            self._scratch = _context(copy, self.settings)
        return self._scratch


def _key(tool: str, args: dict[str, Any]) -> str:
    return f"{tool} {json.dumps(args, sort_keys=True)}"


def _context(root: Path, settings: Settings) -> Context:
    workspace = Workspace(root)
    return Context(workspace, settings, Server(workspace, settings), Allow(), trusted=True)
