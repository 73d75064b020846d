"""Builds what answers questions: a context for the tools, and an agent with its model."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from punie.agent import Agent
from punie.models.spec import Model, open_model
from punie.navigation.lsp import Server
from punie.remembered import Remembered
from punie.sandbox import Sandbox
from punie.settings import Settings
from punie.terminal import Progress
from punie.tool import foreign_tools, load_tools, own_tools, tools_hash
from punie.workspace import Workspace
from punie.wrap import Approver, Context


@asynccontextmanager
async def open_context(
    root: Path, settings: Settings, approver: Approver
) -> AsyncIterator[Context]:
    """A context with a language server that starts when it is needed, ended at the end."""
    workspace = Workspace(root)
    server = Server(workspace, settings)
    context = Context(
        workspace,
        settings,
        server,
        approver,
        trusted=settings.trust or settings.yes,
        remembered=Remembered(workspace.root),
    )
    try:
        yield context
    finally:
        await server.close()


@asynccontextmanager
async def open_agent(
    settings: Settings, context: Context, sandbox: Sandbox, progress: Progress
) -> AsyncIterator[Agent]:
    """An agent with the engine that `settings` names, closed at the end.

    Raises `ModelUnavailable` when there is none.
    """
    model = await open_model(settings, progress)
    for note in notes(model):
        progress.note(note)
    try:
        yield agent_with(model, context, sandbox, progress)
    finally:
        await model.engine.close()


def agent_with(model: Model, context: Context, sandbox: Sandbox, progress: Progress) -> Agent:
    """An agent that asks a model which is ready."""
    return Agent(
        model.engine,
        sandbox,
        context,
        dialect=model.dialect,
        profile=model.profile,
        model={
            "name": model.engine.name,
            "engine": model.engine.kind,
            "sha256": model.engine.sha256,
            "tools": tools_hash(load_tools().values()),
        },
        progress=progress,
    )


def notes(model: Model) -> list[str]:
    """What a user should know of a model and the tools: it was trained on others, some are
    missing. Tools of other packages do not count, since no model of ours knows them."""
    ours, all_of_them = tools_hash(own_tools().values()), tools_hash(load_tools().values())
    found = [f"the tools of {name} are left out: {why}" for name, why in foreign_tools()[1].items()]
    if model.tools and model.tools not in (ours, all_of_them):
        found.append(
            f"the model {model.engine.name!r} was trained on other tools "
            f"({model.tools}, here {ours}): answers may be worse"
        )
    return found
