"""The tools of the conformance suite's example server that Punie's own tools can be.

`drive_conformance.py` lays them where a package of a user's tools would lie. The others (images,
sound, resources as results, log messages, sampling, elicitation of forms) have no counterpart: a
tool here gives a result object, and the only question that it may cause is an approval.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

from punie.errors import ToolFailure
from punie.tool import Doc, Effect, Result, tool
from punie.wrap import Context


class TextResult(Result):
    """Some text."""

    text: str = ""
    """It."""


@tool(effect=Effect.READ)
async def test_simple_text(context: Context) -> TextResult:
    """Text."""
    return TextResult(text="This is a simple text response for testing.")


@tool(effect=Effect.READ)
async def test_error_handling(context: Context) -> TextResult:
    """An error."""
    raise ToolFailure("This tool intentionally returns an error for testing")


@tool(effect=Effect.READ)
async def test_tool_with_progress(context: Context) -> TextResult:
    """Text that takes long enough for three notices of progress."""
    await asyncio.sleep(2.5)
    return TextResult(text="done")


@tool(effect=Effect.WRITE)
async def test_elicitation(
    context: Context, message: Annotated[str, Doc("What to ask for.")]
) -> TextResult:
    """Text, once the user has approved."""
    return TextResult(text=message)
