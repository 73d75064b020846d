"""Facts about the pinned ty that the tools rely on: one test for each, so that a bump shows.

Left out are times and sizes, and pygls, which is not used here.
"""

from __future__ import annotations

import asyncio
import json
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from punie.navigation.lsp import Server
from repos import write
from servers import TY, alive, at, bare, names, places, run


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
