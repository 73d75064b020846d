"""Where the pinned ty says nothing or something else, so that the tools must know better.

One test for each fact, so that a bump shows; the rest of them is in `test_ty_contract.py`.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from punie.navigation.jsonrpc import Gone
from punie.navigation.lsp import Server
from repos import repository, write
from servers import FILES, at, bare, places, run


def test_ty_answers_null_for_a_place_that_holds_no_name(tmp_path: Path) -> None:
    async def check(server: Server) -> None:
        path = tmp_path / "pkg/core.py"
        assert await server.request("textDocument/hover", at(path, 1, 1)) is None
        assert await server.request("textDocument/hover", at(path, 900, 1)) is None
        assert await server.request("textDocument/hover", at(tmp_path / "no.py", 1, 1)) is None

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
