"""The Python API: `async with Punie(workspace) as p: answer = await p.ask("who calls it?")`.

Everything is asynchronous and runs on the caller's event loop. The model is loaded at the first
question, the language server at the first tool that needs it; both end with the block.
"""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

from punie import settings as configuration
from punie import wrap
from punie.agent import Agent, Answer
from punie.assembly import agent_with, open_agent, open_context
from punie.engine import Engine
from punie.errors import UsageError
from punie.models.spec import Model
from punie.prompt import DIALECTS
from punie.sandbox import Outcome, Sandbox
from punie.settings import Settings
from punie.terminal import Progress
from punie.tool import Result, Tool, load_tools
from punie.trace import keep
from punie.workspace import Workspace
from punie.wrap import Approver, Context, Refuse

__all__ = ["Answer", "Punie"]
LOG = logging.getLogger("punie")


class Punie:
    """Answers questions about one workspace and calls tools on it."""

    def __init__(
        self,
        workspace: str | Path = ".",
        *,
        model: str | Engine | None = None,
        approver: Approver | None = None,
        read_only: bool = False,
        **options: Any,
    ) -> None:
        """Read the settings for `workspace`, a folder.

        `model` is what `--model` takes, or an engine that is ready and stays the caller's.
        `approver` decides about tests, writes and commands; without one they are refused.
        `read_only` refuses them whatever it says. `options` are further settings by their names.
        Raises `UsageError` for a workspace or a setting that cannot be used.
        """
        if read_only and options.get("yes"):
            raise UsageError("read_only and yes contradict each other: give one of them")
        self.root = Workspace(Path(workspace)).root
        self._engine = None if model is None or isinstance(model, str) else model
        if isinstance(model, str):
            options["model"] = model
        if read_only:
            options["read_only"] = True
        self.settings: Settings = configuration.load(self.root, **options)
        self._approver = approver or Refuse()
        self._stack = AsyncExitStack()
        self._context: Context | None = None
        self._sandbox = Sandbox(load_tools().values(), self.settings)
        self._agent: Agent | None = None

    async def __aenter__(self) -> Self:
        """Nothing is loaded yet."""
        await self._stack.__aenter__()
        opened = open_context(self.root, self.settings, self._approver)
        self._context = await self._stack.enter_async_context(opened)
        await self._stack.enter_async_context(self._sandbox)
        return self

    async def __aexit__(self, *error: object) -> None:
        """End the model, the language server and the sandbox."""
        self._context = self._agent = None
        await self._stack.aclose()

    async def ask(self, query: str, *, after: Answer | None = None) -> Answer:
        """Answer a question; `after` is the answer that it follows up.

        What went wrong with the program or a tool is in the answer (`ok`, `error`). Raises
        `UsageError` for an empty question and `ModelUnavailable` when there is no model.
        """
        agent = await self._ready()
        agent.interrupted = self._trace
        answer = await agent.ask(query, after.messages if after else ())
        self._trace(answer)
        return answer

    async def run(self, code: str) -> Outcome:
        """Run a program over the tools in the sandbox; its errors are in the outcome."""
        return await self._sandbox.run(code, self._opened())

    @property
    def tools(self) -> Tools:
        """The tools as asynchronous functions: `await p.tools.git_log(count=3)`."""
        return Tools(self._opened())

    def _trace(self, answer: Answer) -> None:
        if note := keep(answer, self.root, self.settings):
            LOG.warning(note)

    def _opened(self) -> Context:
        if self._context is None:
            raise UsageError("use it in a block: async with Punie(workspace) as p: …")
        return self._context

    async def _ready(self) -> Agent:
        context = self._opened()
        if self._agent is None:
            progress = Logged()
            if self._engine is not None:
                dialect = DIALECTS[self.settings.dialect or "compact"]
                ready = Model(self._engine, dialect, self.settings.profile or "tuned", "")
                self._agent = agent_with(ready, context, self._sandbox, progress)
            else:
                opened = open_agent(self.settings, context, self._sandbox, progress)
                self._agent = await self._stack.enter_async_context(opened)
        return self._agent


class Tools:
    """The tools of a workspace, one attribute each; `dir` lists them."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def __dir__(self) -> list[str]:
        return sorted(load_tools())

    def __getattr__(self, name: str) -> BoundTool:
        """The tool of that name. Raises `AttributeError` that lists what there is."""
        tools = load_tools()
        if name not in tools:
            raise AttributeError(f"no tool {name!r}; there are: {', '.join(tools)}")
        return BoundTool(tools[name], self._context)


class BoundTool:
    """A tool on one workspace: call it with the tool's parameters and await its result."""

    def __init__(self, tool: Tool, context: Context) -> None:
        self.tool, self._context = tool, context
        self.__doc__ = f"{tool.signature}\n\n{tool.doc}"

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The tool's result object; a call that fails has `success` false and says why.

        Raises `UsageError` for wrong arguments and `ApprovalRefused` for an effect that was not
        approved.
        """
        arguments = self.tool.bind(args, kwargs)
        result: Result = (await wrap.call(self.tool, self._context, arguments))[0]
        return result


class Logged(Progress):
    """Shows nothing; what a terminal would note goes to the log `punie`."""

    def __init__(self) -> None:
        super().__init__()
        self.shown = False

    def note(self, text: str) -> None:
        """A warning in the log."""
        LOG.warning(text)
