"""The language server child: framing, restarts, kept answers, its end."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from punie.errors import ToolFailure
from punie.navigation.jsonrpc import Connection
from punie.navigation.lsp import Server
from punie.tool import load_tools
from punie.wrap import Context, call
from repos import write
from servers import FILES, alive, names, run, serving, state

# --- restarts and the end


def test_a_killed_server_is_started_again(tmp_path: Path) -> None:
    async def check(server: Server) -> None:
        await names(server, "helper")
        first = server.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        assert await names(server, "main") == ["main"]
        assert server.pid not in (None, first)
        assert not alive(first)

    run(tmp_path, check)


def test_a_stopped_server_is_replaced(tmp_path: Path) -> None:
    async def check(server: Server) -> None:
        await names(server, "helper")
        first = server.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        while state(first) not in ("T", ""):  # the kernel stops it when it is next to run
            await asyncio.sleep(0.01)
        assert await names(server, "main") == ["main"]
        assert not alive(first)

    async def main() -> None:
        async with serving(tmp_path, timeout=0.7) as server:
            await check(server)

    write(tmp_path, FILES)
    asyncio.run(main())


def test_a_server_that_is_silent_keeps_no_other_tool_waiting(tmp_path: Path) -> None:
    command = shlex.join([sys.executable, "-c", "import time; time.sleep(60)"])

    async def main() -> None:
        async with serving(tmp_path, timeout=30.0, language_server=command) as server:
            asking = asyncio.create_task(names(server, "helper"))
            context = Context(server.workspace, server.settings, server)
            start = time.monotonic()
            result, _ = await call(load_tools()["read_file"], context, {"path": "pkg/core.py"})
            assert result.success
            assert time.monotonic() - start < 5
            assert not asking.done()
            asking.cancel()

    write(tmp_path, FILES)
    asyncio.run(main())


def test_a_server_that_dies_again_is_a_failure_that_says_so(tmp_path: Path) -> None:
    code = "import sys; print('out of cheese', file=sys.stderr); sys.exit(3)"
    command = shlex.join([sys.executable, "-c", code])

    async def check(server: Server) -> None:
        with pytest.raises(ToolFailure, match=r"failed twice: .*out of cheese"):
            await names(server, "helper")
        assert server.pid is None

    run(tmp_path, check, language_server=command)


def test_a_program_that_speaks_something_else_is_a_failure(tmp_path: Path) -> None:
    async def check(server: Server) -> None:
        with pytest.raises(ToolFailure, match="does not speak the language server protocol"):
            await names(server, "helper")

    run(tmp_path, check, language_server="sh -c 'echo hello; echo; cat >/dev/null'")


def test_a_program_that_echoes_the_requests_is_named_as_what_it_is(tmp_path: Path) -> None:
    """It gave our own request back: we refused it, and took the refusal for the server's."""

    async def check(server: Server) -> None:
        with pytest.raises(ToolFailure, match="'cat' failed twice: it echoes what it is asked"):
            await names(server, "helper")

    run(tmp_path, check, language_server="cat")


MISSHAPEN = r"""
import json, sys
read = sys.stdin.buffer
while header := read.readline():
    read.readline()
    asked = json.loads(read.read(int(header.split(b":")[1])))
    answer = b"{}" if asked["method"] == "initialize" else sys.argv[1].encode() or b"[" * 100000
    if "id" in asked:
        body = b'{"id": %d, "result": %s}' % (asked["id"], answer)
        sys.stdout.buffer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        sys.stdout.buffer.flush()
"""


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ('{"query": ""}', r"answered workspace/symbol in a form .* valid list"),
        ('[{"name": "helper", "kind": 12}]', r"answered workspace/symbol in a form .*location"),
        ("", "failed twice: it does not speak the language server protocol"),
    ],
)
def test_an_answer_that_cannot_be_one_is_the_servers_fault(
    tmp_path: Path, answer: str, reason: str
) -> None:
    """Tools ended in a TypeError; one that is nested too deep ended in a RecursionError."""

    async def check(server: Server) -> None:
        with pytest.raises(ToolFailure, match=reason):
            await names(server, "helper")

    run(tmp_path, check, language_server=shlex.join([sys.executable, "-c", MISSHAPEN, answer]))


def test_a_missing_program_is_a_failure_with_the_way_out(tmp_path: Path) -> None:
    async def check(server: Server) -> None:
        with pytest.raises(ToolFailure, match=r"'no-such-ty'.*`language_server`.*pip install ty"):
            await names(server, "helper")

    run(tmp_path, check, language_server="no-such-ty server")


def test_no_process_is_left_after_close_and_later_requests_fail(tmp_path: Path) -> None:
    async def check(server: Server) -> None:
        await names(server, "helper")
        pid = server.pid
        assert pid is not None
        await server.close()
        assert not alive(pid)
        with pytest.raises(ToolFailure, match="closed"):
            await names(server, "helper")
        await server.close()

    run(tmp_path, check)


def test_a_server_that_ignores_shutdown_is_killed_with_its_children(tmp_path: Path) -> None:
    """A shell that goes on after its server has ended, with a child of its own."""
    ty = Path(sys.executable).parent / "ty"
    left = tmp_path / "left.pid"
    command = shlex.join(["sh", "-c", f"sleep 99 & echo $! > {left}; {ty} server; sleep 99"])

    async def check(server: Server) -> None:
        assert await names(server, "helper") == ["helper"]
        start = time.monotonic()
        await server.close()
        assert time.monotonic() - start < 5
        assert not alive(int(left.read_text()))

    run(tmp_path, check, language_server=command)


def test_the_server_ends_by_itself_when_our_process_is_killed(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    code = f"""
import asyncio, os, signal
from pathlib import Path
from punie.navigation.lsp import Server
from punie.tool import load_tools
from punie.wrap import Context, call
from punie.settings import Settings
from punie.workspace import Workspace
async def main():
    server = Server(Workspace(Path({str(tmp_path)!r})), Settings())
    await server.request("workspace/symbol", {{"query": "helper"}})
    print(server.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""

    async def main() -> int:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-W", "ignore", "-c", code, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        return int(out)

    pid = asyncio.run(main())
    deadline = time.monotonic() + 5
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(pid)


def test_a_cancelled_request_leaves_the_server_usable(tmp_path: Path) -> None:
    async def check(server: Server) -> None:
        async def ask_on() -> None:
            while True:
                await names(server, "helper")

        for delay in (0.0, 0.001, 0.02, 0.2):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ask_on(), delay)
        assert await names(server, "helper") == ["helper"]

    run(tmp_path, check)


def test_nothing_is_written_into_the_workspace(tmp_path: Path) -> None:
    async def check(server: Server) -> None:
        await names(server, "helper")

    run(tmp_path, check)
    found = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert found == set(FILES)


def test_what_the_child_asks_is_answered(tmp_path: Path) -> None:
    """A child that asks for a configuration, and for something unknown, and tells the answers."""
    child = r"""
import json, sys
def send(message):
    body = json.dumps({"jsonrpc": "2.0", **message}).encode()
    sys.stdout.buffer.write(b"Content-Type: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    sys.stdout.buffer.flush()
def receive():
    length = 0
    while line := sys.stdin.buffer.readline().strip():
        length = int(line.split(b":")[1])
    return json.loads(sys.stdin.buffer.read(length))
first = receive()
send({"id": "a", "method": "workspace/configuration", "params": {"items": [{}, {}]}})
send({"id": "b", "method": "window/unknown"})
send({"method": "window/logMessage", "params": {}})
answers = [receive(), receive()]
send({"id": first["id"], "result": [answers, "漢"]})
"""

    async def main() -> Any:
        def answer(method: str, params: Any) -> Any:
            if method == "workspace/configuration":
                return [None] * len(params["items"])
            raise KeyError(method)

        connection = await Connection.start(
            [sys.executable, "-c", child], cwd=tmp_path, env=dict(os.environ), answer=answer
        )
        try:
            return await connection.request("begin", {}, timeout=10)
        finally:
            await connection.kill()

    answers, text = asyncio.run(main())
    assert [a["id"] for a in answers] == ["a", "b"]
    assert answers[0]["result"] == [None, None]
    assert answers[1]["error"]["code"] == -32601
    assert text == "漢"
