"""Facts about the pinned ty that the tools rely on: one test for each, so that a bump shows.

Left out are times and sizes, and pygls, which is not used here.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from punie.jsonrpc import Connection, Gone
from punie.lsp import Server
from repos import repository, write
from servers import FILES, alive, at, names, places, run

TY = Path(sys.executable).with_name("ty")


@asynccontextmanager
async def bare(root: Path, **offer: Any) -> AsyncIterator[tuple[Connection, Any]]:
    """A server without our sweep, and its answer to `initialize` with this offer."""
    connection = await Connection.start(
        [str(TY), "server"], cwd=root, env=dict(os.environ), answer=lambda method, params: None
    )
    folder = {"uri": root.as_uri(), "name": root.name}
    offer = {"processId": None, "workspaceFolders": [folder], "capabilities": {}} | offer
    try:
        answer = await connection.request("initialize", offer, timeout=20)
        await connection.notify("initialized", {})
        yield connection, answer
    finally:
        await connection.kill()


def test_ty_is_the_pinned_version() -> None:
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())
    assert f"ty=={version('ty')}" in project["project"]["dependencies"]


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [(["utf-32"], "utf-32"), (["utf-16", "utf-32", "utf-8"], "utf-8"), (None, None)],
)
def test_ty_picks_utf_8_when_it_is_offered(
    tmp_path: Path, offered: list[str] | None, chosen: str | None
) -> None:
    async def main() -> Any:
        general = {"general": {"positionEncodings": offered}} if offered else {}
        async with bare(tmp_path, capabilities=general) as (_, answer):
            return answer["capabilities"].get("positionEncoding")

    assert asyncio.run(main()) in (chosen, chosen or "utf-16")


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


def test_ty_knows_no_edit_and_no_new_file_until_it_is_told(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    core, new = tmp_path / "pkg/core.py", tmp_path / "pkg/new.py"

    async def main() -> list[list[str]]:
        async with bare(tmp_path) as (connection, _):

            async def symbols() -> list[str]:
                found = await connection.request("workspace/symbol", {"query": "e"}, timeout=20)
                return sorted({s["name"] for s in found} & {"helper", "eager", "newer"})

            seen = [await symbols()]
            core.write_text(core.read_text().replace("helper", "eager"))
            new.write_text("def newer(): ...\n")
            seen.append(await symbols())
            events = [{"uri": core.as_uri(), "type": 2}, {"uri": new.as_uri(), "type": 1}]
            await connection.notify("workspace/didChangeWatchedFiles", {"changes": events})
            return [*seen, await symbols()]

    assert asyncio.run(main()) == [["helper"], ["helper"], ["eager", "newer"]]


def test_ty_holds_a_file_of_the_same_time_for_unchanged_although_it_is_told(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    core = tmp_path / "pkg/core.py"

    async def main() -> list[int]:
        async with bare(tmp_path) as (connection, _):
            asked, seen = {"query": "helper"}, []
            for kinds in ((), (2,), (3, 1)):
                events = [{"uri": core.as_uri(), "type": kind} for kind in kinds]
                await connection.notify("workspace/didChangeWatchedFiles", {"changes": events})
                found = await connection.request("workspace/symbol", asked, timeout=20)
                seen.append(len(found))
                times = core.stat().st_atime_ns, core.stat().st_mtime_ns
                core.write_text("def other(): ...\n")
                os.utime(core, ns=times)
            return seen

    assert asyncio.run(main()) == [1, 1, 1]


def test_ty_has_diagnostics_of_unopened_files_in_workspace_mode_only(tmp_path: Path) -> None:
    write(tmp_path, {"wrong.py": "value: int = ''\n"})

    async def main(**offer: Any) -> list[str]:
        async with bare(tmp_path, **offer) as (connection, _):
            document = {"textDocument": {"uri": (tmp_path / "wrong.py").as_uri()}}
            found = await connection.request("textDocument/diagnostic", document, timeout=20)
            return [item["code"] for item in found["items"]]

    workspace = {"diagnosticMode": "workspace"}
    assert asyncio.run(main()) == []
    assert asyncio.run(main(initializationOptions=workspace)) == ["invalid-assignment"]


def test_ty_workspace_diagnostics_wait_for_a_change_in_the_default_mode(tmp_path: Path) -> None:
    """So they are never asked for: types come from `ty check`."""
    write(tmp_path, {"fine.py": "value = 1\n"})
    asked: dict[str, Any] = {"previousResultIds": []}

    async def main() -> None:
        async with bare(tmp_path) as (connection, _):
            with pytest.raises(Gone):
                await connection.request("workspace/diagnostic", asked, timeout=1)
            assert connection.alive

    asyncio.run(main())


def test_ty_check_gives_types_in_a_machine_format(tmp_path: Path) -> None:
    write(tmp_path, {"wrong.py": "value: int = ''\n"})

    async def main() -> Any:
        command = [str(TY), "check", "--output-format", "gitlab", "--exit-zero"]
        process = await asyncio.create_subprocess_exec(
            *command, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        return json.loads((await process.communicate())[0])

    (found,) = asyncio.run(main())
    assert found["check_name"] == "invalid-assignment"
    assert found["location"]["path"] == "wrong.py"


def test_ty_workspace_symbols_are_those_of_the_project_and_uncapped(tmp_path: Path) -> None:
    many = "".join(f"def many{number}(): ...\n" for number in range(1500))
    write(tmp_path, {"use.py": f"import json\njson.dumps(1)\n{many}"})

    async def check(server: Server) -> None:
        assert await names(server, "JSONEncoder") == []
        assert len(await names(server, "many")) == 1500

    run(tmp_path, check)


def test_ty_does_not_rank_symbols(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": "def find_user_name(): ...\n", "b.py": "def user(): ...\n"})

    async def check(server: Server) -> None:
        found = await server.request("workspace/symbol", {"query": "user"})
        assert [s["name"] for s in found] == ["find_user_name", "user"]

    run(tmp_path, check)


def test_ty_says_nothing_where_a_workspace_symbol_starts(tmp_path: Path) -> None:
    """It starts at `def`; the name's own place comes from the document's symbols."""

    async def check(server: Server) -> None:
        (found,) = await server.request("workspace/symbol", {"query": "helper"})
        start = found["location"]["range"]["start"]
        place = at(tmp_path / "pkg/core.py", start["line"] + 1, start["character"] + 1)
        assert await server.request("textDocument/hover", place) is None
        more = place | {"context": {"includeDeclaration": True}}
        assert await server.request("textDocument/references", more) is None

    run(tmp_path, check)


def test_ty_renames_and_knows_who_calls(tmp_path: Path) -> None:
    async def check(server: Server) -> None:
        place = at(tmp_path / "pkg/core.py", 14, 5)
        edit = await server.request("textDocument/rename", place | {"newName": "aid"})
        files = sorted(uri.rsplit("/", 1)[-1] for uri in edit["changes"])
        assert files == ["__init__.py", "core.py", "use.py"]
        (item,) = await server.request("textDocument/prepareCallHierarchy", place)
        calls = await server.request("callHierarchy/incomingCalls", {"item": item})
        assert [call["from"]["name"] for call in calls] == ["main"]

    run(tmp_path, check)


def test_ty_ends_when_its_input_ends(tmp_path: Path) -> None:
    async def main() -> int:
        process = await asyncio.create_subprocess_exec(
            str(TY), "server", cwd=tmp_path, stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdin
        assert alive(process.pid)
        process.stdin.close()
        await asyncio.wait_for(process.communicate(), 20)
        return process.pid

    assert not alive(asyncio.run(main()))


# --- found while building the tools


@pytest.mark.parametrize(("platform", "uses"), [("linux", 1), ("all", 2)])
def test_ty_finds_no_uses_in_code_of_another_platform_than_it_is_told(
    tmp_path: Path, platform: str, uses: int
) -> None:
    text = "import sys\nassert sys.platform == 'win32'\nclass A:\n  def f(self): ...\nA().f()\n"
    write(tmp_path, {"other.py": text})
    options = {"configuration": {"environment": {"python-platform": platform}}}

    async def main() -> int:
        async with bare(tmp_path, initializationOptions=options) as (connection, _):
            asked = at(tmp_path / "other.py", 4, 7, context={"includeDeclaration": True})
            return len(await connection.request("textDocument/references", asked, timeout=20))

    assert asyncio.run(main()) == uses


def test_ty_points_at_nothing_when_a_name_is_a_module(tmp_path: Path) -> None:
    async def check(server: Server) -> None:
        found = await server.request("textDocument/definition", at(tmp_path / "pkg/use.py", 1, 10))
        nothing = {"line": 0, "character": 0}
        assert [link["targetUri"] for link in found] == [(tmp_path / "pkg/core.py").as_uri()]
        assert found[0]["targetRange"] == {"start": nothing, "end": nothing}

    run(tmp_path, check)


def test_ty_does_not_say_which_module_a_dotted_name_in_code_is(tmp_path: Path) -> None:
    """Nothing, or an import of it in the package."""
    write(tmp_path, {"dotted.py": "import pkg.core\npkg.core.helper()\n"})
    write(tmp_path, {"bag/__init__.py": "", "bag/deep.py": "", "d.py": "import bag.deep\nbag.deep"})

    async def check(server: Server) -> None:
        path = tmp_path / "dotted.py"
        found = await server.request("textDocument/definition", at(path, 2, 5))
        assert places(found) == ["__init__.py:1"]
        deep = at(tmp_path / "d.py", 2, 5)
        assert await server.request("textDocument/definition", deep) is None
        found = await server.request("textDocument/definition", at(path, 2, 10))
        assert places(found) == ["core.py:14"]

    run(tmp_path, check)


def test_ty_says_nothing_of_a_property_reached_through_super(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "wide.py": "from pkg.core import Base\nclass Wide(Base):\n    @property\n"
            "    def size(self) -> int:\n        return super().size\n"
        },
    )

    async def check(server: Server) -> None:
        path = tmp_path / "wide.py"
        assert await server.request("textDocument/definition", at(path, 5, 24)) is None

    run(tmp_path, check)


@pytest.mark.parametrize("folder", ["dist", "pkg/dist", "ignored", "node_modules"])
def test_ty_searches_no_file_that_is_ignored_but_understands_it(
    tmp_path: Path, folder: str
) -> None:
    repository(tmp_path, {".gitignore": "ignored/\n"})
    write(tmp_path, {f"{folder}/extra.py": "from pkg.core import helper\nhelper()\n"})

    async def check(server: Server) -> None:
        place = at(tmp_path / "pkg/core.py", 14, 5, context={"includeDeclaration": True})
        found = await server.request("textDocument/references", place)
        assert "extra.py:2" not in places(found)
        use = at(tmp_path / folder / "extra.py", 2, 1)
        found = await server.request("textDocument/definition", use)
        assert places(found) == ["core.py:14"]

    run(tmp_path, check)


def test_ty_takes_a_variable_that_holds_a_method_for_the_method(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"held.py": "from pkg.core import Base\nrun = Base().run\nrun()\n"},
    )

    async def check(server: Server) -> None:
        place = at(tmp_path / "pkg/core.py", 2, 9, context={"includeDeclaration": True})
        found = places(await server.request("textDocument/references", place))
        assert "held.py:3" in found
        found = await server.request("textDocument/definition", at(tmp_path / "held.py", 3, 1))
        assert places(found) == ["core.py:2", "held.py:2"]

    run(tmp_path, check)
