"""Programs in tests: run in the sandbox alone, or as the replies of a scripted model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from punie.agent import Agent, Answer, Profile
from punie.engine.scripted import ScriptedEngine
from punie.prompt import COMPACT, QWEN3_CODER, Message
from punie.sandbox import Outcome, Sandbox
from punie.tool import load_tools
from punie.wrap import Approver, Refuse
from repos import context

TOOLS = load_tools()
COUNT = "print(git_status().file_count)"
BAD = "print(git_status().file_cont)"
Replies = Iterable[str] | Callable[[Sequence[Message]], str]


def program(code: str, preamble: str = "") -> str:
    """A reply of a tuned model that is a program."""
    return f"{preamble}{COMPACT.code_open}{code}"


def xml(code: str, preamble: str = "") -> str:
    """A reply of a general model that is a program."""
    return f"{preamble}\n\n{QWEN3_CODER.code_open}{code}{QWEN3_CODER.code_close}"


def run_all(root: Path, programs: Iterable[str], **settings: Any) -> list[Outcome]:
    """Run programs one after the other in one sandbox; nothing is approved."""
    here = context(root, **settings)
    here.approver = Refuse()

    async def main() -> list[Outcome]:
        async with Sandbox(TOOLS.values(), here.settings) as sandbox:
            return [await sandbox.run(program, here) for program in programs]

    return asyncio.run(main())


def run(root: Path, program: str, **settings: Any) -> Outcome:
    return run_all(root, [program], **settings)[0]


def converse(
    root: Path,
    engine: ScriptedEngine,
    *queries: str,
    profile: Profile = "tuned",
    approver: Approver | None = None,
    **settings: Any,
) -> list[Answer]:
    """Ask one question after the other, each with the history of those before."""
    here = context(root, **settings)
    here.approver = approver or Refuse()
    answers: list[Answer] = []

    async def main() -> list[Answer]:
        async with Sandbox(TOOLS.values(), here.settings) as sandbox:
            dialect = COMPACT if profile == "tuned" else QWEN3_CODER
            model = {"name": engine.name, "engine": engine.kind, "sha256": "", "tools": "abc"}
            agent = Agent(engine, sandbox, here, dialect=dialect, profile=profile, model=model)
            for query in queries:
                history = answers[-1].messages if answers else ()
                answers.append(await agent.ask(query, history))
        return answers

    return asyncio.run(main())


def ask(root: Path, replies: Replies, **options: Any) -> Answer:
    return converse(root, ScriptedEngine(replies), "a question", **options)[0]


def verdict(answer: Answer) -> tuple[str, bool, str | None, int]:
    return answer.kind, answer.ok, answer.error, answer.exit_status
