"""The language server child: framing, freshness, restarts, its end; and what is true of ty."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from punie.errors import ToolFailure
from punie.jsonrpc import Connection
from punie.lsp import Server, sweep
from punie.settings import Settings
from punie.workspace import Workspace
from repos import write

FILES: dict[str, str | bytes] = {
    "pkg/__init__.py": "from pkg.core import Base, helper as assist\n",
    "pkg/core.py": (
        "class Base:\n"
        "    def run(self) -> int:\n"
        '        """Run a_b."""\n'
        "        return 1\n"
        "\n"
        "    @property\n"
        "    def size(self) -> int:\n"
        "        return 1\n"
        "\n"
        "class Child(Base):\n"
        "    def run(self) -> int:\n"
        "        return 2\n"
        "\n"
        "def helper() -> int:\n"
        "    total = 1\n"
        "    return total\n"
    ),
    "pkg/use.py": (
        "from pkg.core import Child, helper\n"
        "\n"
        "def main() -> int:\n"
        "    child = Child()\n"
        "    return child.run() + helper()\n"
    ),
}


@asynccontextmanager
async def serving(root: Path, *, timeout: float = 12.0, **settings: Any) -> AsyncIterator[Server]:
    server = Server(Workspace(root), Settings(**settings), timeout=timeout)
    try:
        yield server
    finally:
        await server.close()


def run(root: Path, check: Callable[[Server], Awaitable[None]], **settings: Any) -> None:
    """Run a check on a server of its own over `FILES` in `root`."""

    async def main() -> None:
        async with serving(root, **settings) as server:
            await check(server)

    write(root, FILES)
    asyncio.run(main())


def at(path: Path, line: int, column: int, **more: Any) -> dict[str, Any]:
    """LSP parameters of a place that is given 1-based."""
    position = {"line": line - 1, "character": column - 1}
    return {"textDocument": {"uri": path.as_uri()}, "position": position} | more


def places(links: Any) -> list[str]:
    """`file:line` of links or locations, sorted."""
    found = []
    for link in links or []:
        uri = link.get("targetUri") or link["uri"]
        start = (link.get("targetSelectionRange") or link["range"])["start"]
        found.append(f"{uri.rsplit('/', 1)[-1]}:{start['line'] + 1}")
    return sorted(found)


async def names(server: Server, query: str) -> list[str]:
    found = await server.request("workspace/symbol", {"query": query})
    return sorted(s["name"] for s in found or [])


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] != "Z"


# --- what is true of ty, and the tools rely on


def test_ty_counts_columns_in_characters_when_only_utf_32_is_offered(tmp_path: Path) -> None:
    write(tmp_path, {"wide.py": 's = "😀漢"; value = 1\nprint(value)\n'})

    async def check(server: Server) -> None:
        column = 's = "😀漢"; value'.index("value") + 1
        found = await server.request(
            "textDocument/references",
            at(tmp_path / "wide.py", 2, 7, context={"includeDeclaration": True}),
        )
        assert [r["range"]["start"]["character"] for r in found] == [column - 1, 6]

    run(tmp_path, check)


def test_ty_answers_null_for_a_place_that_holds_no_name(tmp_path: Path) -> None:
    async def check(server: Server) -> None:
        path = tmp_path / "pkg/core.py"
        assert await server.request("textDocument/hover", at(path, 1, 1)) is None
        assert await server.request("textDocument/hover", at(path, 900, 1)) is None
        assert await server.request("textDocument/hover", at(tmp_path / "no.py", 1, 1)) is None

    run(tmp_path, check)


def test_ty_leaves_out_imports_unless_the_declaration_is_included(tmp_path: Path) -> None:
    async def check(server: Server) -> None:
        place = at(tmp_path / "pkg/core.py", 14, 5)
        without = place | {"context": {"includeDeclaration": False}}
        included = place | {"context": {"includeDeclaration": True}}
        assert places(await server.request("textDocument/references", without)) == ["use.py:5"]
        assert places(await server.request("textDocument/references", included)) == [
            "__init__.py:1",
            "core.py:14",
            "use.py:1",
            "use.py:5",
        ]

    run(tmp_path, check)


def test_ty_gives_overrides_as_implementations_not_as_references(tmp_path: Path) -> None:
    async def check(server: Server) -> None:
        place = at(tmp_path / "pkg/core.py", 2, 9, context={"includeDeclaration": True})
        found = await server.request("textDocument/references", place)
        assert places(found) == ["core.py:2"]
        found = await server.request("textDocument/implementation", place)
        assert places(found) == ["core.py:11", "core.py:2"]

    run(tmp_path, check)


def test_ty_document_symbols_nest_and_hold_the_place_of_the_name(tmp_path: Path) -> None:
    async def check(server: Server) -> None:
        document = {"textDocument": {"uri": (tmp_path / "pkg/core.py").as_uri()}}
        found = await server.request("textDocument/documentSymbol", document)
        assert [s["name"] for s in found] == ["Base", "Child", "helper"]
        run_, size = found[0]["children"]
        assert run_["selectionRange"]["start"] == {"line": 1, "character": 8}
        assert size["range"]["start"]["line"] == 5  # its decorator
        assert size["selectionRange"]["start"]["line"] == 6
        assert not found[2].get("children")  # no local variables

    run(tmp_path, check)


def test_ty_workspace_symbols_are_fuzzy_without_container_and_start_at_def(tmp_path: Path) -> None:
    async def check(server: Server) -> None:
        found = await server.request("workspace/symbol", {"query": "helper"})
        assert [s["location"]["range"]["start"]["character"] for s in found] == [0]
        assert "containerName" not in found[0]
        assert await names(server, "hlpr") == ["helper"]
        assert await server.request("workspace/symbol", {"query": "assist"}) in (None, [])

    run(tmp_path, check)


def test_ty_hover_is_a_fence_and_then_the_docstring_with_escapes(tmp_path: Path) -> None:
    async def check(server: Server) -> None:
        found = await server.request("textDocument/hover", at(tmp_path / "pkg/core.py", 2, 9))
        assert found["contents"]["value"] == (
            "```python\ndef run(self) -> int\n```\n---\nRun a\\_b."
        )

    run(tmp_path, check)


def test_ty_type_hierarchy_names_the_bases(tmp_path: Path) -> None:
    async def check(server: Server) -> None:
        place = at(tmp_path / "pkg/core.py", 10, 7)
        (item,) = await server.request("textDocument/prepareTypeHierarchy", place)
        found = await server.request("typeHierarchy/supertypes", {"item": item})
        assert [i["name"] for i in found] == ["Base"]

    run(tmp_path, check)


# --- fresh


def test_an_edit_a_new_file_and_a_deleted_file_are_seen_by_the_next_request(tmp_path: Path) -> None:
    async def check(server: Server) -> None:
        use = tmp_path / "pkg/use.py"
        references = at(tmp_path / "pkg/core.py", 14, 5, context={"includeDeclaration": True})
        await server.request("textDocument/references", references)
        use.write_text("\n\n" + use.read_text())
        write(tmp_path, {"pkg/new.py": "from pkg.core import helper\n\ndef fresh() -> None: ...\n"})
        found = places(await server.request("textDocument/references", references))
        assert found == ["__init__.py:1", "core.py:14", "new.py:1", "use.py:3", "use.py:7"]
        assert await names(server, "fresh") == ["fresh"]
        (tmp_path / "pkg/new.py").unlink()
        found = places(await server.request("textDocument/references", references))
        assert found == ["__init__.py:1", "core.py:14", "use.py:3", "use.py:7"]
        assert await names(server, "fresh") == []

    run(tmp_path, check)


def test_an_edit_that_keeps_the_size_is_seen(tmp_path: Path) -> None:
    async def check(server: Server) -> None:
        core = tmp_path / "pkg/core.py"
        assert await names(server, "helper") == ["helper"]
        core.write_text(core.read_text().replace("def helper", "def repleh"))
        assert await names(server, "helper") == []
        assert await names(server, "repleh") == ["repleh"]

    run(tmp_path, check)


def test_a_renamed_folder_is_seen(tmp_path: Path) -> None:
    async def check(server: Server) -> None:
        await names(server, "helper")
        (tmp_path / "pkg").rename(tmp_path / "other")
        found = await server.request("workspace/symbol", {"query": "helper"})
        assert [s["location"]["uri"] for s in found] == [(tmp_path / "other/core.py").as_uri()]

    run(tmp_path, check)


def test_requests_at_the_same_time_are_all_fresh(tmp_path: Path) -> None:
    async def check(server: Server) -> None:
        await names(server, "helper")
        write(tmp_path, {"late.py": "def latecomer() -> None: ...\n"})
        found = await asyncio.gather(*(names(server, "latecomer") for _ in range(20)))
        assert found == [["latecomer"]] * 20

    run(tmp_path, check)


def test_the_sweep_skips_folders_without_source_and_survives_dead_links(tmp_path: Path) -> None:
    write(
        tmp_path, {"a.py": "", "b/c.pyi": "", ".venv/x.py": "", "d.txt": "", "pyproject.toml": ""}
    )
    (tmp_path / "dead.py").symlink_to(tmp_path / "nowhere.py")
    (tmp_path / "loop").symlink_to(tmp_path)
    found = {os.path.relpath(p, tmp_path) for p in sweep(tmp_path)}
    assert found == {"a.py", "b/c.pyi", "pyproject.toml"}


# --- restarts and the end


def test_a_killed_server_is_started_again(tmp_path: Path) -> None:
    async def check(server: Server) -> None:
        await names(server, "helper")
        first = server.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        assert await names(server, "helper") == ["helper"]
        assert server.pid not in (None, first)
        assert not alive(first)

    run(tmp_path, check)


def test_a_stopped_server_is_replaced(tmp_path: Path) -> None:
    async def check(server: Server) -> None:
        await names(server, "helper")
        first = server.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        assert await names(server, "helper") == ["helper"]
        assert not alive(first)

    async def main() -> None:
        async with serving(tmp_path, timeout=0.7) as server:
            await check(server)

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
from punie.lsp import Server
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
