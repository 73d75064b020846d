"""`punie mcp`: its tools and programs, driven by the SDK's own client in both kinds of protocol."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp")

from mcp import MCPError, types

import repos
from mcp_clients import CALLS, ERAS, Connect, content, processes, until
from punie.tool import load_tools


def test_every_tool_is_offered_as_it_is_declared_and_answers(spawn: Connect) -> None:
    async def run() -> None:
        async with spawn("--yes", mode="legacy") as client:
            offered = {t.name: t for t in (await client.list_tools()).tools}
            declared = load_tools()
            assert set(offered) == {*declared, "execute_code"}
            assert set(CALLS) == set(declared)
            for name, tool in declared.items():
                assert offered[name].input_schema == tool.input_schema
                assert offered[name].output_schema == tool.output_schema
                hints = offered[name].annotations
                assert hints is not None
                assert hints.read_only_hint is (tool.effect == "read")
                assert hints.destructive_hint is (tool.effect in ("write", "run"))
                assert hints.idempotent_hint is (tool.effect != "run")
                assert hints.open_world_hint is (tool.effect in ("test", "run"))
                result = await client.call_tool(name, CALLS[name])  # checks the output schema
                found = content(result)
                assert found["success"], (name, found["parse_error"])
                assert not result.is_error
                assert set(found) == set(tool.result.model_fields)
            assert "def git_status(" in str(offered["execute_code"].description)

    asyncio.run(run())


@ERAS
def test_failures_say_how_to_call(connect: Connect, mode: str) -> None:
    async def run() -> None:
        async with connect(mode=mode) as client:
            missing = await client.call_tool("find_references", {"symbol": "nobody"})
            assert missing.is_error
            assert content(missing)["success"] is False
            assert "nobody" in content(missing)["parse_error"]
            wrong = await client.call_tool("git_log", {"counts": 1})
            assert wrong.is_error
            assert "Usage: git_log(path" in content(wrong)["parse_error"]
            outside = await client.call_tool("read_file", {"path": "../../etc/passwd"})
            assert "outside the workspace" in content(outside)["parse_error"]
            with pytest.raises(MCPError, match="no tool 'nothing'; there are: "):
                await client.call_tool("nothing", {})

    asyncio.run(run())


@ERAS
def test_programs_run_in_the_sandbox(connect: Connect, mode: str) -> None:
    async def run() -> None:
        async with connect(mode=mode) as client:
            code = "print(git_log(count=1).commits[0].message, list_files().file_count)"
            result = await client.call_tool("execute_code", {"code": code})
            found = content(result)
            assert (found["ok"], found["stdout"], result.is_error) == (True, "Start 4\n", False)
            assert [call["tool"] for call in found["calls"]] == ["git_log", "list_files"]
            wrong = await client.call_tool("execute_code", {"code": "print(git_status().dirty)"})
            assert wrong.is_error
            assert "dirty" in content(wrong)["error"]
            assert "text `code`" in content(await client.call_tool("execute_code", {}))["error"]

    asyncio.run(run())


@ERAS
def test_a_cancelled_call_ends_its_children(spawn: Connect, mode: str) -> None:
    word = f"sleep 31{os.getpid()}"

    async def run() -> None:
        async with spawn("--yes", mode=mode) as client:
            call = asyncio.ensure_future(client.call_tool("run_command", {"command": word}))
            assert await until(lambda: processes(word) != [])
            call.cancel()
            assert await until(lambda: processes(word) == [])
            assert content(await client.call_tool("git_status", {}))["clean"]

    asyncio.run(run())


def test_progress_is_told(spawn: Connect) -> None:
    told: list[tuple[float, str | None]] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        told.append((done, message))

    async def run() -> None:
        async with spawn("--yes", mode="legacy") as client:
            code = "run_command('sleep 2.5')\nprint(1)"
            await client.call_tool("execute_code", {"code": code}, progress_callback=progress)

    asyncio.run(run())
    assert len(told) >= 2
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert any("run_command(command='sleep 2.5')" in (message or "") for _, message in told)


@ERAS
def test_the_clients_roots_are_the_workspaces(
    connect: Connect, root: Path, tmp_path: Path, mode: str
) -> None:
    other = repos.repository(tmp_path / "an other", {"b.py": "b = 1\n"})

    async def roots(context: Any) -> types.ListRootsResult:
        return types.ListRootsResult(roots=[types.Root(uri=r.as_uri()) for r in (root, other)])

    async def run() -> None:
        async with connect("--roots", mode=mode, list_roots_callback=roots) as client:
            for given, count in ((str(other), 1), ("repo", 4)):
                found = content(await client.call_tool("list_files", {"workspace": given}))
                assert found["file_count"] == count, found
            for wrong in ({"workspace": "/"}, {}):
                reason = content(await client.call_tool("list_files", wrong))["parse_error"]
                assert f"give one of {str(root)!r}, {str(other)!r}" in reason

    asyncio.run(run())
