"""`punie mcp` as a process: how it starts and ends, over stdio and HTTP, and whom it lets in."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
from anyio import ClosedResourceError

pytest.importorskip("mcp")

from mcp import Client
from mcp.client.streamable_http import streamable_http_client

import repos
from mcp_clients import CALLS, ERAS, answers, content, processes, serving, start, until
from punie.serve.mcp_http import Guard, is_told

TOKEN = "a token of enough characters"


def send(server: subprocess.Popen[bytes], **message: Any) -> None:
    assert server.stdin is not None
    server.stdin.write(json.dumps({"jsonrpc": "2.0"} | message).encode() + b"\n")
    server.stdin.flush()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, None])
def test_it_ends_clean(root: Path, tmp_path: Path, end: signal.Signals | None) -> None:
    """By a signal or closed input, in the middle of a call: no process stays, only protocol out."""
    word = f"sleep 32{os.getpid()}"
    server = start(root, tmp_path, "--yes")
    hello = {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    }
    send(server, id=1, method="initialize", params=hello)
    send(server, method="notifications/initialized")
    call = {"name": "hover", "arguments": {"symbol": "double"}}
    send(server, id=2, method="tools/call", params=call)
    assert server.stdout is not None
    lines = [server.stdout.readline(), server.stdout.readline()]
    call = {"name": "run_command", "arguments": {"command": word}}
    send(server, id=3, method="tools/call", params=call)
    assert asyncio.run(until(lambda: processes(word) != []))
    if end is None:
        assert server.stdin is not None
        server.stdin.close()
    else:
        server.send_signal(end)
    assert server.wait(30) == 0
    lines += server.stdout.read().splitlines()
    assert all(json.loads(line)["jsonrpc"] == "2.0" for line in lines)
    assert server.stderr is not None
    assert b"Traceback" not in server.stderr.read()
    assert asyncio.run(until(lambda: processes(word) == []))
    assert processes(f"-w {root}") == []


@ERAS
def test_two_clients_at_once_on_two_workspaces(root: Path, tmp_path: Path, mode: str) -> None:
    other = repos.repository(tmp_path / "other", {"b.py": "b = 1\n"})
    roots = (str(root), str(other))

    async def count(url: str, workspace: str) -> list[int]:
        async with Client(url, mode=mode) as client:
            results = await asyncio.gather(
                *(client.call_tool("list_files", {"workspace": workspace}) for _ in range(5)),
                client.call_tool("execute_code", {"code": "print(1)", "workspace": workspace}),
            )
            assert content(results.pop())["stdout"] == "1\n"
            return [content(result)["file_count"] for result in results]

    async def run() -> None:
        both = ("-w", roots[0], "-w", roots[1])
        async with serving(root, tmp_path, *both) as url:
            found = [*await asyncio.gather(count(url, roots[0]), count(url, roots[1]))]
            assert found == [[4] * 5, [1] * 5]
            async with Client(url, mode=mode) as client:
                (tool, *_) = (await client.list_tools()).tools
                assert tool.input_schema["properties"]["workspace"]["enum"] == list(roots)
                for wrong in ({}, {"workspace": str(tmp_path)}):
                    result = await client.call_tool("list_files", wrong)
                    assert result.is_error
                    assert "give one of" in content(result)["parse_error"]

    asyncio.run(run())


@ERAS
def test_approval_and_cancellation_over_http(root: Path, tmp_path: Path, mode: str) -> None:
    word = f"sleep 33{os.getpid()}"

    async def run() -> None:
        async with (
            serving(root, tmp_path) as url,
            Client(url, mode=mode, elicitation_callback=answers("allow")) as client,
        ):
            assert content(await client.call_tool("write_file", CALLS["write_file"]))["created"]
            call = asyncio.ensure_future(client.call_tool("run_command", {"command": word}))
            assert await until(lambda: processes(word) != [])
            call.cancel()
            assert await until(lambda: processes(word) == [])

    asyncio.run(run())


def test_http_lets_in_only_whom_it_should(root: Path, tmp_path: Path) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "ping"}

    async def run() -> None:
        async with (
            serving(root, tmp_path, at="0.0.0.0:0", PUNIE_MCP_TOKEN=TOKEN) as url,
            httpx.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}) as client,
        ):

            async def status(**changed: Any) -> int:
                headers = {"Accept": "application/json, text/event-stream"}
                given = changed.pop("headers", {})
                sent = {"json": message, "headers": headers | given} | changed
                return (await client.post(url, **sent)).status_code

            assert await status(headers={"Authorization": "Bearer wrong"}) == 401
            assert await status(headers={"Authorization": ""}) == 401
            assert await status(headers={"Host": "evil.example"}) == 421
            assert await status(headers={"Origin": "http://evil.example"}) == 403
            large = message | {"params": {"filler": "x" * 5_000_000}}
            assert await status(json=large) == 413
            transport = streamable_http_client(url, http_client=_authorized())
            async with Client(transport, mode="legacy") as allowed:
                assert content(await allowed.call_tool("git_status", {}))["clean"]
                code = "print(run_command('echo $PUNIE_MCP_TOKEN').stdout)"
                assert (await allowed.call_tool("execute_code", {"code": code})).is_error

    asyncio.run(run())


def test_who_asks_too_often_waits_and_then_is_refused() -> None:
    """Twenty clients of one machine share an address: none of their calls may be lost."""

    async def run() -> None:
        served: list[str] = []
        sent: list[int] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            served.append(scope["client"][0])

        async def send(message: Any) -> None:
            sent.append(message.get("status", 0))

        guard = Guard(app, "", rate=20, burst=5)
        scopes = [{"type": "http", "headers": [], "client": (name, 1)} for name in "a" * 40 + "b"]
        start = asyncio.get_running_loop().time()
        await asyncio.gather(*(guard(scope, None, send) for scope in scopes))  # type: ignore[arg-type]
        assert asyncio.get_running_loop().time() - start > 0.5
        assert served[:6] == [*"aaaaa", "b"]
        assert 20 <= served.count("a") <= 27
        assert sent.count(429) == 41 - len(served)

    asyncio.run(run())


@pytest.mark.parametrize(("cause", "told"), [(ClosedResourceError, False), (KeyError, True)])
def test_a_client_that_leaves_is_no_fault_and_a_fault_is(
    cause: type[Exception], told: bool
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            raise cause
        except cause:
            raise RuntimeError("sent after the response was completed") from None

    asking = Guard(app, "")({"type": "http", "headers": []}, None, None)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError) if told else contextlib.nullcontext():
        asyncio.run(asking)
    group = ExceptionGroup("in a task group", [ExceptionGroup("below", [cause()])])
    for error in (cause(), group):
        record = logging.LogRecord("mcp", 40, "", 1, "Error", (), (type(error), error, None))
        assert is_told(record) is told


@pytest.mark.parametrize("whole", [True, False])
def test_a_stream_that_loses_its_session_is_ended(whole: bool) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"some", "more_body": not whole})

    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(Guard(app, "")({"type": "http", "headers": []}, None, send))  # type: ignore[arg-type]
    assert [message.get("body") for message in sent] == [None, b"some", *[b""] * (not whole)]
    assert not sent[-1].get("more_body")


def test_what_comes_after_a_whole_response_ends_nothing_twice() -> None:
    """As a web server does, `send` refuses what comes after the last part of a response."""
    ended = False

    async def send(message: Any) -> None:
        nonlocal ended
        if ended:
            raise RuntimeError("sent after the response was completed")
        ended = message["type"] == "http.response.body" and not message.get("more_body")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"all"})
        try:
            raise ClosedResourceError
        except ClosedResourceError:
            await send({"type": "http.response.body", "body": b"more", "more_body": True})

    asyncio.run(Guard(app, "")({"type": "http", "headers": []}, None, send))  # type: ignore[arg-type]
    assert ended


def _authorized() -> Any:
    import httpx2

    return httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--http", "nowhere"), "is not HOST:PORT"),
        (("--roots", "--http", ":0"), "--roots is for stdio"),
        (("--allow-host", "x"), "--allow-host is for --http"),
        (("--yes", "--read-only"), "contradict"),
        (("-w", "no such folder"), "does not exist"),
    ],
)
def test_wrong_usage_is_said_before_anything_is_served(
    root: Path, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    server = start(root, tmp_path, *options)
    out, error = server.communicate(timeout=60)
    assert (server.returncode, out) == (2, b"")
    assert said in error.decode()
