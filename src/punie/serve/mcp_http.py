"""MCP over streamable HTTP: on loopback by default, guarded where it is opened wider.

In front of the protocol stand four checks: the `Host` and `Origin` that a request names (a web page
must not reach a local server), the bearer token, the size of the body, and how often one address
asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import ipaddress
import logging
import os
import secrets
import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import uvicorn
from anyio import ClosedResourceError
from mcp.server.transport_security import TransportSecuritySettings
from starlette.responses import PlainTextResponse

from punie.errors import UsageError
from punie.serve.mcp import ENDING, ToolServer, on_signals, quiet_logs

TOKEN = "PUNIE_MCP_TOKEN"
"""Environment variable that holds the bearer token."""
PATH = "/mcp"
MOST_BODY = 4 * 2**20
"""Bytes of a request's body."""
RATE, BURST = 200.0, 200.0
"""Requests a second that one address may make for long, and at once."""
PATIENCE = 1.0
"""Seconds that a request over the rate waits for its turn at most; else it is refused."""
MOST_ADDRESSES = 1000

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


@dataclass(frozen=True)
class Endpoint:
    """Where to listen, and who may ask."""

    host: str
    port: int
    names: tuple[str, ...] = ()
    """Further host names by which clients may call us."""
    token: str = ""
    """Bearer token; empty = none is asked for."""

    @classmethod
    def read(cls, text: str, names: Sequence[str] = ()) -> Endpoint:
        """From `HOST:PORT`, `:PORT` or `PORT`; the token from the environment, or a new one.

        Beyond loopback there is always a token. Raises `UsageError`.
        """
        host, _, port = text.rpartition(":")
        host = host.strip("[]") or "127.0.0.1"
        if not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise UsageError(f"--http {text!r} is not HOST:PORT, such as 127.0.0.1:8642")
        token = os.environ.get(TOKEN, "")
        if token and len(token) < 16:
            raise UsageError(f"{TOKEN} is too short: give at least 16 characters")
        if not token and not is_loopback(host):
            token = secrets.token_urlsafe(32)
            print(f"punie: bearer token (set {TOKEN} to choose it): {token}", file=sys.stderr)
        return cls(host, int(port), tuple(names), token)

    def security(self) -> TransportSecuritySettings:
        """The `Host` and `Origin` headers that are let through."""
        names = {"127.0.0.1", "localhost", "[::1]", _bracketed(self.host), *self.names}
        hosts = [each for name in sorted(names) for each in (name, f"{name}:*")]
        origins = [f"{scheme}://{host}" for host in hosts for scheme in ("http", "https")]
        return TransportSecuritySettings(allowed_hosts=hosts, allowed_origins=origins)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches that address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_told(record: logging.LogRecord) -> bool:
    """Whether a record of the protocol is worth a line: not that of a client that left."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, BaseExceptionGroup):
        return error.split(ClosedResourceError)[1] is not None
    return not isinstance(error, ClosedResourceError)


class Guard:
    """Checks token and rate before the protocol sees a request."""

    def __init__(self, app: Any, token: str, *, rate: float = RATE, burst: float = BURST) -> None:
        self.app, self.token, self.rate, self.burst = app, token.encode(), rate, burst
        self._budget: dict[str, tuple[float, float]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, in its turn, or answer it with 401 or 429."""
        if scope["type"] == "http" and (refusal := await self._refusal(scope)) is not None:
            await refusal(scope, receive, send)
        else:
            await self._pass_on(scope, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = whole = False

        async def noting(message: Any) -> None:
            nonlocal begun, whole
            await send(message)
            begun = begun or message["type"] == "http.response.start"
            body = message["type"] == "http.response.body"
            whole = whole or (body and not message.get("more_body"))

        try:
            await self.app(scope, receive, noting)
        except RuntimeError as error:
            # A client ended its session while a message of its was on the way: answered already.
            if not isinstance(error.__context__, ClosedResourceError):
                raise
        if begun and not whole:
            # So it did while a stream of its was open, which then ends without its last part.
            await send({"type": "http.response.body", "body": b""})

    async def _refusal(self, scope: Scope) -> Any:
        seconds = self._turn((scope.get("client") or ("", 0))[0])
        if seconds > PATIENCE:
            return PlainTextResponse(
                "Too many requests", status_code=429, headers={"Retry-After": "1"}
            )
        await asyncio.sleep(seconds)
        given = dict(scope["headers"]).get(b"authorization", b"")
        scheme, _, token = given.partition(b" ")
        known = scheme.lower() == b"bearer" and hmac.compare_digest(token.strip(), self.token)
        if self.token and not known:
            return PlainTextResponse(
                "A bearer token is needed", status_code=401, headers={"WWW-Authenticate": "Bearer"}
            )
        return None

    def _turn(self, address: str) -> float:
        """Seconds until a request's turn. Takes one from the address's budget, which fills again at
        `rate` a second, unless that would be longer than `PATIENCE`."""
        now = time.monotonic()
        if len(self._budget) > MOST_ADDRESSES:
            self._budget.clear()
        left, since = self._budget.get(address, (self.burst, now))
        left = min(self.burst, left + (now - since) * self.rate)
        seconds = max(0.0, 1 - left) / self.rate
        self._budget[address] = (left - (seconds <= PATIENCE), now)
        return seconds


def application(tools: ToolServer, endpoint: Endpoint) -> Guard:
    """The guarded application that a web server runs."""
    app = tools.server.streamable_http_app(
        streamable_http_path=PATH,
        max_request_body_size=MOST_BODY,
        transport_security=endpoint.security(),
        host=endpoint.host,
    )
    return Guard(app, endpoint.token)


async def serve_http(tools: ToolServer, endpoint: Endpoint) -> None:
    """Serve any number of clients until a signal comes. Raises `OSError` for a taken port.

    Does not return, for the reason that `serve_stdio` has.
    """
    quiet_logs()
    logging.getLogger("mcp.server.streamable_http").addFilter(is_told)
    config = uvicorn.Config(
        application(tools, endpoint),
        host=endpoint.host,
        port=endpoint.port,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    listening = config.bind_socket()  # says on standard error what is wrong, and exits
    listening.listen(config.backlog)  # before the address is told: a client may come at once
    port = listening.getsockname()[1]
    print(
        f"punie: serving MCP on http://{_bracketed(endpoint.host)}:{port}{PATH}",
        file=sys.stderr,
        flush=True,
    )
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # its own would raise them again at the end

    def stop() -> None:
        server.should_exit = True

    on_signals(stop)
    await server.serve(sockets=[listening])
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ENDING):
            await tools.close()
    sys.stderr.flush()
    os._exit(0)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
