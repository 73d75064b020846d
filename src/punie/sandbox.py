"""Run a program over tools in pydantic-monty, and measure what it did.

Covered: the program sees no file, network, environment or process except through tools; it is
type-checked against the tools' stubs before anything runs; program time, memory, recursion,
output and tool calls are limited. Not covered: what a tool itself does (its effect decides about
approval), and how much time tools take together (each has its own limit).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Self

import pydantic_monty as monty

from punie import wrap
from punie.errors import ApprovalRefused, UsageError
from punie.instrument import PRELUDE, Instrumented, instrument
from punie.settings import Settings
from punie.tool import Item, Result, Tool, models, stubs
from punie.wrap import ROOM, Call, Context, middle_cut

TRACE_FIELD = "_punie"
"""Hidden attribute of every item in the sandbox: (index of its call, class, text form)."""
_HIDDEN = re.compile(
    TRACE_FIELD.join((", ", r"=\(\d+, '\w+', (?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")\)"))
)
"""What that attribute looks like where a program prints the `repr` of an item."""
GATE, GATE_STUB = "punie_gate()\n", "\ndef punie_gate() -> None: ...\n"
"""A first line that suspends a program before it has done anything: so it is checked, not run."""


@dataclass
class Outcome:
    """What running a program gave."""

    stdout: str = ""
    """What it printed, cut at the output limit."""
    error: str | None = None
    """Short message of what stopped it, or None."""
    refused: bool = False
    """Whether it stopped because an effect was not approved."""
    checked: bool = True
    """False when the type check failed, so that nothing ran."""
    calls: list[Call] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    """Reasons of failed calls whose `success` and `parse_error` the program did not read."""
    results: list[Result] = field(default_factory=list)
    """Results of the calls, in their order."""


class Sandbox:
    """A pool of sandbox workers for one tool set. Use as an async context manager."""

    def __init__(self, tools: Iterable[Tool], settings: Settings) -> None:
        self.tools = {tool.name: tool for tool in tools}
        self.settings = settings
        self.stubs = stubs(self.tools.values(), docs=False)
        self.fields = _field_names(self.tools.values())
        self.functions = {name: tool.function for name, tool in self.tools.items()}
        """What a tool's name stands for where it is not called: `f = git_status`."""
        self._stack = AsyncExitStack()
        self._pool: monty.AsyncMonty | None = None
        self._starting = asyncio.Lock()

    async def __aenter__(self) -> Self:
        """Start the pool lazily: nothing happens here."""
        return self

    async def __aexit__(self, *error: object) -> None:
        """End the workers."""
        if self._pool is None:
            return
        self._pool = None
        await self._stack.aclose()
        # The pool's threads end a moment later, and abort an interpreter that is gone by then
        # (seen in pydantic-monty 1.4.0 after a worker was killed).
        await asyncio.sleep(0.05)

    async def run(
        self, code: str, context: Context, progress: Callable[[str], None] | None = None
    ) -> Outcome:
        """Check and run a program. Errors of the program are in the outcome, never raised."""
        return await self._feed(code, context, progress)

    async def check(self, code: str) -> str | None:
        """What stands against a program before it runs (the type check's short message), or None.
        Nothing of the program runs and no tool is called."""
        return (await self._feed(code, None, None)).error

    async def _feed(
        self, code: str, context: Context | None, progress: Callable[[str], None] | None
    ) -> Outcome:
        """Check a program in a fresh session and, with a context, run it."""
        async with self._starting:  # two programs may come at once
            if self._pool is None:
                pool = monty.AsyncMonty(min_processes=1, max_processes=2)
                self._pool = await self._stack.enter_async_context(pool)
        instrumented = instrument(code, self.fields)
        run = _Run(self, context, code, instrumented, progress)
        limits = monty.ResourceLimits(
            max_feed_duration_secs=self.settings.program_seconds,
            max_memory=self.settings.memory_mb * 2**20,
            max_suspensions=1_000_000,
        )
        try:
            async with self._pool.checkout(
                type_check=True,
                type_check_stubs=self.stubs + GATE_STUB,
                type_check_format="concise",
                limits=limits,
            ) as session:
                await run.drive(session)
        except monty.MontyCrashedError:
            run.outcome.error = run.explain("the sandbox ended: time or memory ran out")
        except monty.MontyError as error:
            run.outcome.error = run.explain(f"the sandbox failed: {error}")
        return run.finish()


class _Run:
    """One program on its way through the sandbox."""

    def __init__(
        self,
        sandbox: Sandbox,
        context: Context | None,
        code: str,
        instrumented: Instrumented,
        progress: Callable[[str], None] | None,
    ) -> None:
        self.sandbox, self.context, self.code = sandbox, context, code
        self.instrumented, self.progress = instrumented, progress
        self.line = ""
        self.outcome = Outcome()
        self.printed: list[str] = []
        self.size = 0
        self.overflow = False

    def print(self, stream: str, text: str) -> None:
        """Take printed text up to the limit."""
        most = self.sandbox.settings.output_kb * 1000
        room, data = max(most - self.size, 0), text.encode("utf-8", "replace")
        if len(data) > room:
            self.overflow, text = True, data[:room].decode("utf-8", "ignore")
        self.printed.append(text)
        self.size += len(data)
        lines, end, self.line = (self.line + text).rpartition("\n")
        if end and self.context:
            self.context.printed(_HIDDEN.sub("", lines + end))

    async def drive(self, session: monty.AsyncMontySession) -> None:
        """Check the program; with a context, run it instrumented and collect what it read."""
        if not self.code.strip():
            self.outcome.error = "the program is empty"
            return
        try:
            await session.feed_run(PRELUDE, skip_type_check=True)
            if await self._check(session) and self.context is not None:
                await self._execute(session, self.context)
        except monty.MontyTypingError as error:
            self.outcome.checked = False
            self.outcome.error = _diagnostics(error.display(), self.code.splitlines())
        except monty.MontySyntaxError as error:
            self.outcome.checked = False
            self.outcome.error = f"syntax error: {error.display('msg')}"

    async def _check(self, session: monty.AsyncMontySession) -> bool:
        """Type-check the program as it was written; False when the sandbox cannot compile it."""
        try:
            snapshot: Any = await session.feed_start(GATE + self.code)
            while snapshot.is_os_function:  # imports are looked up first
                snapshot = await snapshot.resume_auto()
        except monty.MontyRuntimeError as error:
            self.outcome.checked = False
            self.outcome.error = self._unsupported(error)
            return False
        with contextlib.suppress(monty.MontyRuntimeError):
            await snapshot.resume({"exc_type": "RuntimeError", "message": "checked"})
        return True

    async def _execute(self, session: monty.AsyncMontySession, context: Context) -> None:
        code = self.instrumented.code
        try:
            snapshot: Any = await session.feed_start(
                code,
                print_callback=self.print,
                skip_type_check=True,
                external_lookup=self.sandbox.functions,
            )
            while not isinstance(snapshot, monty.MontyComplete):
                snapshot = None if self.overflow else await self._answer(snapshot, context)
                if snapshot is None:
                    break  # stopped while suspended: the session is thrown away as it is
        except monty.MontyRuntimeError as error:
            self.outcome.error = self.explain(self._runtime_error(error))
            snapshot = error
        if self.overflow:
            kb = self.sandbox.settings.output_kb
            self.outcome.error = self.explain(f"it printed more than its limit of {kb} kB")
        if snapshot is not None:
            await self._collect(session)

    async def _answer(self, snapshot: Any, context: Context) -> Any:
        """Serve one suspension; None when the program must not go on."""
        if not isinstance(snapshot, monty.AsyncFunctionSnapshot) or snapshot.is_os_function:
            return await snapshot.resume_auto()
        name = str(snapshot.function_name)
        tool = self.sandbox.tools.get(name)
        if tool is None:
            text = f"name {name!r} is not defined"
            return await snapshot.resume({"exc_type": "NameError", "message": text})
        if len(self.outcome.calls) >= self.sandbox.settings.tool_calls:
            most = self.sandbox.settings.tool_calls
            self.outcome.error = self.explain(f"it made more than {most} tool calls")
            return None
        try:
            arguments = tool.bind(snapshot.args, snapshot.kwargs)
        except UsageError as error:
            return await snapshot.resume({"exc_type": "TypeError", "message": str(error)})
        if self.progress:
            self.progress(f"{name}({', '.join(f'{k}={v!r}' for k, v in arguments.items())})")
        try:
            result, call = await wrap.call(tool, context, arguments)
        except ApprovalRefused as error:
            self.outcome.calls.append(Call(name, arguments, False, str(error), 0.0))
            self.outcome.results.append(tool.result(success=False, parse_error=str(error)))
            self.outcome.error, self.outcome.refused = str(error), True
            return None
        finally:
            if self.progress:
                self.progress("")
        index = len(self.outcome.calls)
        self.outcome.calls.append(call)
        self.outcome.results.append(result)
        most = self.sandbox.settings.output_kb * 1000
        return await snapshot.resume({"return_value": _expose(result, index, most)})

    async def _collect(self, session: monty.AsyncMontySession) -> None:
        """Read back which fields the program read, for each call."""
        try:
            reads = await session.feed_run("list(_reads)", skip_type_check=True)
        except monty.MontyError:
            return  # memory ran out: what was read is lost with it
        for index, owner, number in reads:
            self.outcome.calls[index].fields.append(f"{owner}.{self.instrumented.fields[number]}")
        for call in self.outcome.calls:
            call.fields = sorted(set(call.fields))

    def finish(self) -> Outcome:
        """Close the outcome: text, and the failures that the program did not look at."""
        outcome = self.outcome
        outcome.stdout = _HIDDEN.sub("", "".join(self.printed))
        if self.line and self.context:
            self.context.printed(_HIDDEN.sub("", self.line))
        for call in outcome.calls:
            looked = any(f.endswith((".success", ".parse_error")) for f in call.fields)
            if not call.ok and not looked and not outcome.refused:
                outcome.unread.append(call.error or f"{call.tool} failed")
        outcome.unread = list(dict.fromkeys(outcome.unread))
        return outcome

    def explain(self, text: str) -> str:
        """A message that also names the calls already made."""
        names = [call.tool for call in self.outcome.calls]
        if not names or not re.search("limit|more than|ran out|recursion depth", text):
            return text
        return f"{text} (calls made: {_counted(names)})"

    def _runtime_error(self, error: monty.MontyRuntimeError) -> str:
        text = error.display("type-msg")
        seconds = self.sandbox.settings.program_seconds
        if "time limit" in text:
            return f"the program computed longer than its limit of {seconds:g} s"
        if "memory limit" in text:
            return f"the program used more than its limit of {self.sandbox.settings.memory_mb} MB"
        ours = ("punie_read", "punie_show", "punie_show_each")
        frames = [f for f in error.traceback() if f.function_name not in ours]
        line = self.instrumented.source_line(frames[-1].line) if frames else ""
        return f"{text} in `{line}`" if line else text

    def _unsupported(self, error: monty.MontyRuntimeError) -> str:
        """What the sandbox cannot compile, quoting the program, which follows `GATE`."""
        text = error.display("type-msg").replace("not yet support", "not support")
        frames = error.traceback()
        line = _line(self.code.splitlines(), frames[-1].line - 1) if frames else ""
        return f"{text} in `{line}`" if line else text


def _expose(value: Any, index: int, most: int) -> Any:
    """A value as the sandbox sees it: items with all their fields and the hidden trace field."""
    if isinstance(value, Item):
        attributes = {name: _expose(getattr(value, name), index, most) for name in _names(value)}
        text = middle_cut(str(value), most - ROOM)
        view = _view_class(type(value).__name__)()
        vars(view).update(attributes)
        setattr(view, TRACE_FIELD, (index, type(value).__name__, text))
        return monty.ClassInstance(view, eager_attrs=[*attributes, TRACE_FIELD])
    if isinstance(value, list):
        return [_expose(each, index, most) for each in value]
    return value


@cache
def _view_class(name: str) -> type:
    """An empty class of that name: one for each item class, as the sandbox tells them by name."""
    return type(name, (), {})


def _names(item: Item) -> Sequence[str]:
    return list(type(item).model_fields)


def _field_names(tools: Iterable[Tool]) -> tuple[str, ...]:
    found = {f for t in tools for m in models(t.result) for f in m.model_fields}
    return tuple(sorted(found))


_DIAGNOSTIC = re.compile(r"^main\.py:(\d+):\d+: \w+\[([\w-]+)\] (.*)$")


def _diagnostics(text: str, source: Sequence[str]) -> str:
    """The checker's findings as short lines that quote the program, which follows `GATE`."""
    found = []
    for line in text.splitlines():
        if match := _DIAGNOSTIC.match(line):
            quoted = _line(source, int(match[1]) - 1)
            found.append(f"{match[2]}: {match[3]} in `{quoted}`" if quoted else match[3])
    return "\n".join(found[:5]) or text.strip()[:500]


def _line(source: Sequence[str], number: int) -> str:
    """A line by its number, 1-based and stripped; empty when there is none."""
    return source[number - 1].strip() if 0 < number <= len(source) else ""


def _counted(names: Sequence[str]) -> str:
    counts = {name: names.count(name) for name in dict.fromkeys(names)}
    return ", ".join(f"{n} × {name}" if n > 1 else name for name, n in counts.items())
