"""Editors and agents for half an hour: does anything grow, does anything stay behind?

    .venv/bin/python benchmarks/soak.py [--minutes 30] [--workspace DIR] [--json]

Three servers run on one repository (default: a new demonstration's): `punie acp` with a scripted
model, `punie mcp` over standard input and output, and `punie mcp --http`. A client of each asks
without a pause: sessions that open, ask, write with approval, run the tests, are cancelled and
closed; calls, programs, refusals and cancelled commands; HTTP clients that come and go. A file
changes all the while, so that the language servers have something to do. Every five seconds the
servers are looked at. Exit status 1 when an answer is wrong, when memory, descriptors or processes
grow, or when a process outlives its server.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import acp
from acp import schema
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from punie import demo
from watched import HEADING, Watched, descendants, environment, gone, started, watching

PROGRAMS = [
    "print(len(git_status().files))",
    "print(find_references(symbol='Order').reference_count)",
    "print(write_file('notes.txt', 'kept\\n').success)",
    "print(typecheck().error_count)",
    "print(pytest_run().passed)",
    "print(run_command('sleep 30').exit_code)",
]
"""What the scripted model replies, again and again; the last one is cancelled."""
COUNTS = "print(git_log().commit_count, ruff_check().success)"


class Editor:
    """A client that allows whatever it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.said: list[str] = []

    def on_connect(self, conn: acp.Agent) -> None:
        """Nothing to keep."""

    async def session_update(self, session_id: str, update: Any, **rest: Any) -> None:
        """Keep what is said."""
        if update.session_update == "agent_message_chunk":
            self.said.append(update.content.text)

    async def request_permission(self, **rest: Any) -> schema.RequestPermissionResponse:
        """Yes, once."""
        self.asked += 1
        return schema.RequestPermissionResponse(
            outcome=schema.AllowedOutcome(outcome="selected", option_id="allow_once")
        )


class Soak:
    """The servers, what was done with them and what was wrong."""

    def __init__(self, root: Path, folder: Path, minutes: float) -> None:
        self.root, self.folder = root, folder
        self.minutes = minutes
        self.until = float("inf")
        """When it is over; known from when all servers are there."""
        self.done: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.servers: list[Watched] = []
        self.env = dict(environment(folder))

    def expect(self, what: str, found: object, wanted: object) -> None:
        """Count what was done, and note an answer that is not the one that was wanted."""
        self.done[what] += 1
        if found != wanted:
            self.wrong.append(f"{what}: {found!r} instead of {wanted!r}"[:300])

    @property
    def over(self) -> bool:
        """Whether the time has passed."""
        return time.monotonic() > self.until

    async def editor(self) -> None:
        """Sessions of an editor, one after the other."""
        script = self.folder / "replies.json"
        replies = [f"<jupyter_code>{code}" for code in PROGRAMS] * 4000
        script.write_text(json.dumps(replies), "utf-8")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "punie", "acp", "--model", f"scripted:{script}"),
            env=self.env,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=2**24,
        )
        self.servers.append(Watched("acp", process.pid))
        editor: Any = Editor()
        assert process.stdin
        assert process.stdout
        agent: Any = acp.connect_to_agent(
            editor, process.stdin, process.stdout, use_unstable_protocol=True
        )
        await agent.initialize(protocol_version=1)
        while not self.over:
            opened = await agent.new_session(cwd=str(self.root), mcp_servers=[])
            await self.session(editor, agent, opened.session_id)
            await agent.close_session(session_id=opened.session_id)
        process.stdin.close()
        self.expect("acp ends", await process.wait(), 0)
        await agent.close()

    async def session(self, editor: Any, agent: Any, session: str) -> None:
        """One session: every program once; the last one is cancelled while it sleeps."""
        for number, _ in enumerate(PROGRAMS):
            editor.said.clear()
            prompt = [acp.text_block(f"question {number}")]
            asking = asyncio.ensure_future(agent.prompt(session_id=session, prompt=prompt))
            if number == len(PROGRAMS) - 1:
                asked = editor.asked
                while editor.asked == asked and not asking.done():
                    await asyncio.sleep(0.05)
                await asyncio.sleep(0.2)
                await agent.cancel(session_id=session)
                self.expect("acp cancel", (await asking).stop_reason, "cancelled")
            else:
                stop = (await asking).stop_reason
                answered = bool(editor.said) and not editor.said[0].startswith("failed:")
                self.expect("acp prompt", (stop, answered), ("end_turn", True))

    async def pipes(self) -> None:
        """An agent over standard input and output that stays."""
        before = set(_children())
        server = StdioServerParameters(
            command=sys.executable,
            args=["-m", "punie", "mcp", "-w", str(self.root)],
            env=self.env,
        )
        async with Client(server, mode="legacy") as client:
            (new,) = [pid for pid in set(_children()) - before if _is_mcp(pid, "-w")]
            self.servers.append(Watched("mcp stdio", new))
            while not self.over:
                await self.calls("stdio", client)

    async def http(self) -> None:
        """Agents over HTTP that come, ask and go; two at a time."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "punie", "mcp", "--yes", "--http", "127.0.0.1:0"),
            cwd=self.root,
            env=self.env,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stderr is not None
        url = (await process.stderr.readline()).decode().split()[-1]
        complaints = asyncio.create_task(process.stderr.read())  # a full pipe would stop the server
        self.servers.append(Watched("mcp http", process.pid))

        async def come_and_go(mode: str) -> None:
            while not self.over:
                transport: Any = streamable_http_client(url)
                async with Client(transport, mode=mode) as client:
                    await self.calls("http", client)
                    call = client.call_tool("run_command", {"command": "sleep 30"})
                    running = asyncio.ensure_future(call)
                    await asyncio.sleep(0.5)
                    running.cancel()
                    await asyncio.wait([running])
                    self.done["http cancel"] += 1

        await asyncio.gather(come_and_go("legacy"), come_and_go("2026-07-28"))
        process.terminate()
        self.expect("http ends", await process.wait(), 0)
        self.expect("http complaints", (await complaints).decode()[-200:], "")

    async def calls(self, name: str, client: Client) -> None:
        """Calls of every kind."""
        for tool, arguments in (
            ("git_status", {}),
            ("workspace_symbols", {"query": "order"}),
            ("find_references", {"symbol": "Order"}),
            ("read_file", {"path": "README.md"}),
            ("typecheck", {}),
            ("execute_code", {"code": COUNTS}),
        ):
            result = await client.call_tool(tool, arguments)
            found: Any = result.structured_content
            self.expect(f"{name} {tool}", found.get("ok", found.get("success")), True)
        missing = await client.call_tool("read_file", {"path": "nothing.py"})
        self.expect(f"{name} failure", missing.is_error, True)

    async def edits(self) -> None:
        """A file that changes."""
        number = 0
        while not self.over:
            number += 1
            text = f"def edited_{number % 7}() -> int:\n    return {number}\n"
            (self.root / "edited.py").write_text(text)
            await asyncio.sleep(1.0)

    async def run(self) -> list[int]:
        """Everything at once; returns processes that outlived their servers."""
        parts: list[Callable[[], Coroutine[Any, Any, None]]] = [self.editor, self.pipes, self.http]
        children: dict[int, str] = {}
        async with watching(self.servers, 5.0), asyncio.TaskGroup() as group:
            for part in (*parts, self.edits):
                group.create_task(part())
            while not self.over:
                await asyncio.sleep(1.0)
                if len(self.servers) == len(parts):
                    self.until = min(self.until, time.monotonic() + self.minutes * 60)
                for server in self.servers:
                    tree = (server.pid, *descendants(server.pid))
                    children |= {pid: started(pid) for pid in tree}
        return await gone(children)


def _children() -> list[int]:
    return descendants(os.getpid())


def _is_mcp(pid: int, word: str) -> bool:
    with contextlib.suppress(OSError):
        line = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return b"mcp" in line and word.encode() in line
    return False


def main() -> int:
    """Soak, and say how it went."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--workspace", type=Path, help="a copy of it is worked on")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    logging.getLogger("mcp").setLevel(logging.CRITICAL)  # clients that leave complain
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if given.workspace:
            root = Path(shutil.copytree(given.workspace, folder / "copy", symlinks=True))
        else:
            root = demo.create(folder / "shop")
        soak = Soak(root, folder, given.minutes)
        left = asyncio.run(soak.run())
    grown = [line for server in soak.servers for line in server.grown()]
    if given.json:
        samples = {each.name: [vars(use) for use in each.seen] for each in soak.servers}
        print(json.dumps({"done": soak.done, "wrong": soak.wrong, "grown": grown, "left": left,
                          "samples": samples}))  # fmt: skip
    else:
        print(HEADING, *(each.row() for each in soak.servers), sep="\n")
        print(*(f"{count:>7} {what}" for what, count in sorted(soak.done.items())), sep="\n")
        print(f"wrong {len(soak.wrong)}", *soak.wrong[:10], sep="\n")
        print(f"grown {grown}", f"left behind {left}", sep="\n")
    return 1 if soak.wrong or grown or left else 0


if __name__ == "__main__":
    sys.exit(main())
