"""Many MCP clients at once over HTTP: is every call answered, and answered right?

    .venv/bin/python benchmarks/mcp_load.py [--clients 20] [--calls 2000] [--mode 2026-07-28]
        [--workspace DIR] [--json]

`punie mcp --http` runs as a child on a repository (default: the demonstration's). Each client has
a connection of its own and makes its share of the calls, one after the other, over all reading
tools and `execute_code` in turn. An answer counts when it is what one client alone was answered
before. Latency is what the client sees, waiting for its turn included. Exit status 1 when a call
is lost or answered otherwise, or when memory, descriptors or processes of the server grow.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from punie import demo
from watched import HEADING, LASTING, Watched, environment, quantile, watching

CALLS: list[tuple[str, dict[str, Any]]] = [
    ("git_status", {}),
    ("find_references", {"symbol": "Order"}),
    ("read_file", {"path": "README.md"}),
    ("git_log", {"count": 3}),
    ("workspace_symbols", {"query": "order"}),
    ("search_text", {"pattern": "def "}),
    ("ruff_check", {}),
    ("git_diff", {}),
    ("execute_code", {"code": "print(git_log().commit_count, list_files().file_count)"}),
    ("list_files", {}),
    ("hover", {"symbol": "Order"}),
    ("typecheck", {}),
]


def told(result: Any) -> Any:
    """An answer without what differs from call to call."""
    found = dict(result.structured_content)
    if "calls" in found:
        found["calls"] = [{k: v for k, v in call.items() if k != "ms"} for call in found["calls"]]
    return found


class Load:
    """What the clients found."""

    def __init__(self, url: str, mode: str) -> None:
        self.url, self.mode = url, mode
        self.expected: list[Any] = []
        self.took: dict[str, list[float]] = {}
        self.lost: list[str] = []
        self.wrong: list[str] = []

    async def connect(self, stack: AsyncExitStack) -> Client:
        """A client with a connection of its own."""
        client = Client(streamable_http_client(self.url), mode=self.mode)
        return await stack.enter_async_context(client)

    async def learn(self, client: Client) -> None:
        """What one client alone is answered."""
        for name, arguments in CALLS:
            result = await client.call_tool(name, arguments)
            self.expected.append(told(result))

    async def fill(self, clients: list[Client]) -> None:
        """All clients at once ask for what keeps a child: as many sandboxes as there will be."""
        kept = [(name, arguments) for name, arguments in CALLS if name == "execute_code"]
        for name, arguments in kept * 3:
            await asyncio.gather(*(client.call_tool(name, arguments) for client in clients))

    async def one(self, client: Client, number: int) -> None:
        """A call and its answer."""
        index = number % len(CALLS)
        name, arguments = CALLS[index]
        start = time.perf_counter()
        try:
            result = await client.call_tool(name, arguments)
        except Exception as error:  # whatever it is, the call is lost, which is what counts
            self.lost.append(f"{name}: {type(error).__name__}: {error}")
            return
        self.took.setdefault(name, []).append((time.perf_counter() - start) * 1000)
        if told(result) != self.expected[index]:
            self.wrong.append(f"{name}: {str(told(result))[:300]}")


async def run(clients: int, calls: int, mode: str, workspace: Path, folder: Path) -> Any:
    """All calls; the load, the server as it was watched, and the seconds that it took."""
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "punie", "mcp", "--http", "127.0.0.1:0", "-w", str(workspace)),
        env=environment(folder),
        stderr=asyncio.subprocess.PIPE,
    )
    assert server.stderr is not None
    try:
        url = (await server.stderr.readline()).decode().split()[-1]
        load, watched = Load(url, mode), Watched("server", server.pid)
        async with AsyncExitStack() as stack:
            connected = [await load.connect(stack) for _ in range(clients)]
            await load.learn(connected[0])
            await load.fill(connected)
            await asyncio.sleep(LASTING)  # else its children would come to count in the middle
            numbers = iter(range(calls))

            async def client(which: Client) -> None:
                for number in numbers:
                    await load.one(which, number)

            start = time.perf_counter()
            async with watching([watched], 0.5):
                await asyncio.gather(*map(client, connected))
            seconds = time.perf_counter() - start
        return load, watched, seconds
    finally:
        server.terminate()
        await server.wait()


def main() -> int:
    """Make the calls and say how they went."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--mode", default="2026-07-28", help="or `legacy`")
    parser.add_argument("--workspace", type=Path)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        workspace = given.workspace or demo.create(folder / "shop")
        done = run(given.clients, given.calls, given.mode, workspace, folder)
        load, watched, seconds = asyncio.run(done)
    took = [ms for each in load.took.values() for ms in each]
    grown = watched.grown()
    figures = {
        "clients": given.clients,
        "calls": given.calls,
        "answered": len(took),
        "lost": len(load.lost),
        "wrong": len(load.wrong),
        "seconds": round(seconds, 1),
        "a_second": round(len(took) / seconds, 1),
        "p50_ms": round(quantile(took, 0.5), 1),
        "p95_ms": round(quantile(took, 0.95), 1),
        "p99_ms": round(quantile(took, 0.99), 1),
        "grown": grown,
    }
    if given.json:
        print(json.dumps(figures | {"samples": [vars(use) for use in watched.seen]}))
    else:
        print(*(f"{name:<10} {value}" for name, value in figures.items()), sep="\n")
        for tool, each in load.took.items():
            print(f"  {tool:<18} p50 {quantile(each, 0.5):>7.1f}  p95 {quantile(each, 0.95):>7.1f}")
        print(HEADING, watched.row(), sep="\n")
        print(*load.lost[:10], *load.wrong[:10], sep="\n")
    return 1 if load.lost or load.wrong or grown or len(took) != given.calls else 0


if __name__ == "__main__":
    sys.exit(main())
