"""A call on its way: it runs in a task of its own, and may stop to ask the client something.

A client of the handshake protocols is asked in the middle of the call. One of 2026-07-28 gets the
question as the call's answer, with a token; meanwhile the call waits here, and the client's next
request with that token and its answer goes on with the very same call. So what was approved is
what was shown, and nothing that a program did before the question happens twice.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from mcp import MCPError, types

from punie.errors import ApprovalRefused
from punie.remembered import Scope
from punie.terminal import visible
from punie.wrap import Request, middle_cut

ANSWER = "answer"
"""Key of the one question that a call asks at a time."""
PATIENCE = 600.0
"""Seconds that a call waits for the client to come back with an answer."""
MOST_WAITING = 32
"""Calls that may wait for an answer at once."""
TICK = 1.0
"""Seconds between two progress notices."""
REFUSE = "refuse"
SCOPES: dict[object, Scope] = {"allow": "once", "session": "session", "always": "always"}
"""How long each decision that allows holds."""
MOST_COVERED = 200
"""Bytes of what an answer that lasts would cover that a form shows."""
MOST_SHOWN = 8000
"""Characters of a diff or command that a question shows."""

Work = Callable[["Running"], Awaitable[types.CallToolResult]]


class Running:
    """One call. Its work may `ask`; its server `advance`s it until there is a result."""

    def __init__(self, name: str, arguments: dict[str, Any], work: Work) -> None:
        self.name, self.arguments = name, arguments
        self.token = secrets.token_urlsafe(24)
        self.doing = name
        """What progress notices say."""
        self.capabilities: types.ClientCapabilities | None = None
        self.question: Any = None
        self._asked = asyncio.Event()
        self._answer: asyncio.Future[Any] | None = None
        self._start = time.monotonic()
        self._timer: asyncio.TimerHandle | None = None
        self.task = asyncio.ensure_future(work(self))

    async def ask(self, question: Any) -> Any:
        """The client's answer to an MCP request."""
        self._answer = asyncio.get_running_loop().create_future()
        self.question = question
        self._asked.set()
        return await self._answer

    def tell(self, answer: Any) -> None:
        """Go on with the client's answer; None or an error where there is none."""
        if self._timer:
            self._timer.cancel()
        self._asked.clear()
        self.question = None
        if self._answer and not self._answer.done():
            self._answer.set_result(answer)

    async def advance(self, ctx: Any) -> types.CallToolResult | None:
        """The result, or None when the call has a question. Tells the client of progress."""
        asked = asyncio.ensure_future(self._asked.wait())
        try:
            while True:
                elapsed = round(time.monotonic() - self._start, 1)
                await ctx.session.report_progress(elapsed, None, self.doing)
                await asyncio.wait(
                    {self.task, asked}, timeout=TICK, return_when=asyncio.FIRST_COMPLETED
                )
                if self.task.done():
                    return self.task.result()
                if asked.done():
                    return None
        except BaseException:  # the client gave up, or has gone
            await self.end()
            raise
        finally:
            asked.cancel()

    def park(self, forget: Callable[[], object]) -> None:
        """Wait for the client to come back, but not for ever."""

        def give_up() -> None:
            forget()
            self.task.cancel()

        self._timer = asyncio.get_running_loop().call_later(PATIENCE, give_up)

    async def end(self) -> None:
        """Cancel the call; its children have ended when this returns."""
        if self._timer:
            self._timer.cancel()
        self.task.cancel()
        with anyio.move_on_after(5, shield=True):
            await asyncio.wait({self.task})


class Calls:
    """All calls of a server, and those that wait for an answer."""

    def __init__(self) -> None:
        self.running: set[Running] = set()
        self.waiting: dict[str, Running] = {}

    async def serve(
        self, ctx: Any, params: types.CallToolRequestParams, work: Work, *, modern: bool
    ) -> types.CallToolResult | types.InputRequiredResult:
        """Start a call, or go on with one, up to its result or its question."""
        if params.request_state is None:
            running = Running(params.name, params.arguments or {}, work)
            self.running.add(running)
            running.task.add_done_callback(lambda _: self.running.discard(running))
        else:
            running = self._resumed(params)
        running.capabilities = ctx.session.client_capabilities
        while (result := await running.advance(ctx)) is None:
            if modern:
                return await self._park(running)
            await self._ask_now(ctx, running)
        return result

    async def close(self) -> None:
        """End every call."""
        for running in list(self.running):
            await running.end()

    def _resumed(self, params: types.CallToolRequestParams) -> Running:
        found = self.waiting.get(params.request_state or "")
        same = found and (found.name, found.arguments) == (params.name, params.arguments or {})
        if found is None or not same:
            raise MCPError(types.INVALID_PARAMS, "Invalid or expired requestState")
        del self.waiting[found.token]
        found.tell((params.input_responses or {}).get(ANSWER))
        return found

    async def _park(self, running: Running) -> types.InputRequiredResult:
        if len(self.waiting) >= MOST_WAITING:
            await running.end()
            raise MCPError(types.INTERNAL_ERROR, "too many calls wait for an approval")
        running.token = secrets.token_urlsafe(24)
        self.waiting[running.token] = running
        running.park(lambda: self.waiting.pop(running.token, None))
        return types.InputRequiredResult(
            input_requests={ANSWER: running.question}, request_state=running.token
        )

    async def _ask_now(self, ctx: Any, running: Running) -> None:
        from mcp.shared.message import ServerMessageMetadata

        related = ServerMessageMetadata(related_request_id=ctx.request_id)
        roots = isinstance(running.question, types.ListRootsRequest)
        kind = types.ListRootsResult if roots else types.ElicitResult
        try:
            answer = await ctx.session.send_request(running.question, kind, metadata=related)
        except MCPError as error:
            answer = error
        except BaseException:
            await running.end()
            raise
        running.tell(answer)


class ClientApprover:
    """Asks the user through the client."""

    def __init__(self, running: Running) -> None:
        self.running = running

    async def approve(self, request: Request) -> Scope:
        """How long the user chose to allow it. Raises `ApprovalRefused` where nobody can be asked.

        Only the client's answer to our own question counts, whatever the text shown says.
        """
        able = self.running.capabilities
        if able is None or able.elicitation is None:
            raise ApprovalRefused(
                f"{request.title} was refused: this client cannot ask its user "
                "(it offers no elicitation); start the server with --yes to allow every effect"
            )
        params = types.ElicitRequestFormParams(
            message=question(request), requested_schema=form(request)
        )
        answer = await self.running.ask(types.ElicitRequest(params=params))
        accepted = isinstance(answer, types.ElicitResult) and answer.action == "accept"
        decision = (answer.content or {}).get("decision") if accepted else None
        if decision in (SCOPES if request.covers else ("allow",)):
            return SCOPES[decision]
        raise ApprovalRefused(f"{request.title} was refused by the user")


def form(request: Request) -> dict[str, Any]:
    """The form that asks for the decision; it says how long each holds."""
    told, choices = "allow: this call only; ", ["allow", REFUSE]
    if request.covers:
        covers = middle_cut(visible(" ".join(request.covers.split())), MOST_COVERED)
        told += (
            f"session: {covers}, for all clients until this server ends; always: the same in"
            " this workspace, until `punie approvals revoke`; "
        )
        choices = [*map(str, SCOPES), REFUSE]
    decision = {
        "type": "string",
        "title": "Decision",
        "description": told + "refuse: not this call.",
        "enum": choices,
    }
    return {"type": "object", "properties": {"decision": decision}, "required": ["decision"]}


def question(request: Request) -> str:
    """What the user is asked: the effect, path or command, then the diff, set off by `| `."""
    lines = [f"Allow {request.effect}: {visible(request.title)}?"]
    detail = visible(request.detail).rstrip("\n")
    if len(detail) > MOST_SHOWN:
        cut = len(detail) - MOST_SHOWN
        detail = detail[:MOST_SHOWN] + f"\n… {cut} more characters are not shown"
    if detail:
        lines += ["", *(f"| {line}" for line in detail.split("\n"))]
    return "\n".join(lines)
