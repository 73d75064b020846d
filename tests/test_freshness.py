"""Whatever changes on disk is seen by the next request, without a restart of the server."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from punie.navigation.lsp import Server
from punie.navigation.sweep import CHANGED, CREATED, DELETED, TICK, Look, Stamp, Sweep, look, stamps
from repos import commit, git, repository, write
from servers import FILES, at, names, places, run, serving


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
    found = {os.path.relpath(p, tmp_path) for p in stamps(tmp_path)}
    assert found == {"a.py", "b/c.pyi", "pyproject.toml"}


def test_a_branch_switch_is_seen(tmp_path: Path) -> None:
    """Files appear, change and disappear at once, all with old contents and new times."""
    repository(tmp_path, FILES)
    git(tmp_path, "switch", "--quiet", "--create", "other")
    core = FILES["pkg/core.py"]
    assert isinstance(core, str)
    commit(tmp_path, {"pkg/core.py": core.replace("helper", "assistant"), "new.py": "fresh = 1\n"})
    git(tmp_path, "rm", "--quiet", "pkg/use.py")
    git(tmp_path, "commit", "--quiet", "--message", "Less")

    async def main() -> list[list[str]]:
        async with serving(tmp_path) as server:
            seen = []
            for branch in ("main", "other", "main"):
                git(tmp_path, "switch", "--quiet", branch)
                asked = ("helper", "assistant", "fresh", "main")
                seen.append([name for query in asked for name in await names(server, query)])
            return seen

    assert asyncio.run(main()) == [["helper", "main"], ["assistant", "fresh"], ["helper", "main"]]


def test_a_renamed_file_is_seen(tmp_path: Path) -> None:
    async def check(server: Server) -> None:
        await names(server, "helper")
        (tmp_path / "pkg/core.py").rename(tmp_path / "pkg/heart.py")
        found = await server.request("workspace/symbol", {"query": "helper"})
        assert [s["location"]["uri"] for s in found] == [(tmp_path / "pkg/heart.py").as_uri()]

    run(tmp_path, check)


def test_a_file_that_replaces_another_is_seen(tmp_path: Path) -> None:
    """An editor's way to save: a new file is moved over the old one."""

    async def check(server: Server) -> None:
        core = tmp_path / "pkg/core.py"
        await names(server, "helper")
        fresh = tmp_path / "pkg/.core.tmp"
        fresh.write_text(core.read_text().replace("def helper", "def repleh"))
        os.utime(fresh, ns=(core.stat().st_atime_ns, core.stat().st_mtime_ns))
        fresh.replace(core)
        assert await names(server, "repleh") == ["repleh"]

    run(tmp_path, check)


def test_an_edit_that_keeps_size_and_time_is_seen(tmp_path: Path) -> None:
    """As `cp --preserve`, `rsync --times` and tar leave it: only the inode's own time tells."""

    async def check(server: Server) -> None:
        core = tmp_path / "pkg/core.py"
        os.utime(core, ns=(1, 10**18))
        await asyncio.sleep(0.1)
        assert await names(server, "helper") == ["helper"]
        core.write_text(core.read_text().replace("def helper", "def repleh"))
        os.utime(core, ns=(1, 10**18))
        assert await names(server, "helper") == []
        assert await names(server, "repleh") == ["repleh"]

    run(tmp_path, check)


def test_edits_by_another_program_in_quick_succession_are_all_seen(tmp_path: Path) -> None:
    """Files written twice within one tick of the clock have the same stamp twice."""
    code = "import sys; open(sys.argv[1], 'w').write(sys.argv[2])"

    async def check(server: Server) -> None:
        path = tmp_path / "quick.py"
        for number in range(10, 30):
            path.write_text(f"def quick{number}(): ...\n")
            assert await names(server, "quick") == [f"quick{number}"]
        command = [sys.executable, "-c", code, str(path), "def quicker(): ...\n"]
        await (await asyncio.create_subprocess_exec(*command)).wait()
        assert await names(server, "quick") == ["quicker"]

    run(tmp_path, check)


def test_a_linked_folder_is_seen_under_its_own_name(tmp_path: Path) -> None:
    write(tmp_path, {"lib/inner.py": "def inner(): ...\n", "use.py": "from link.inner import *\n"})
    (tmp_path / "link").symlink_to(tmp_path / "lib")
    found = {os.path.relpath(p, tmp_path) for p in stamps(tmp_path)}
    assert found == {"lib/inner.py", "link/inner.py", "use.py"}


def test_an_edit_behind_a_linked_folder_is_seen(tmp_path: Path) -> None:
    write(
        tmp_path, {"lib/inner.py": "def inner(): ...\n", "use.py": "from link.inner import new\n"}
    )
    (tmp_path / "link").symlink_to(tmp_path / "lib")

    async def check(server: Server) -> None:
        asked = at(tmp_path / "use.py", 1, 24)
        assert places(await server.request("textDocument/definition", asked)) == []
        (tmp_path / "lib/inner.py").write_text("\ndef new(): ...\n")
        assert places(await server.request("textDocument/definition", asked)) == ["inner.py:2"]

    run(tmp_path, check)


def test_a_change_of_the_configuration_is_seen(tmp_path: Path) -> None:
    async def check(server: Server) -> None:
        assert await names(server, "helper") == ["helper"]
        write(tmp_path, {"ty.toml": '[src]\nexclude = ["pkg"]\n'})
        assert await names(server, "helper") == []
        (tmp_path / "ty.toml").unlink()
        assert await names(server, "helper") == ["helper"]

    run(tmp_path, check)


def test_a_newly_installed_package_is_seen(tmp_path: Path) -> None:
    """Nobody watches `.venv`, but the server must not go on saying that an import is unknown."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    site = tmp_path / ".venv/lib" / version / "site-packages"
    write(
        tmp_path,
        {
            ".venv/pyvenv.cfg": f"home = {Path(sys.executable).parent}\n",
            f".venv/lib/{version}/site-packages/there.py": "here = 1\n",
            "late.py": "from arrived import thing\nthing()\n",
        },
    )

    async def check(server: Server) -> None:
        asked = at(tmp_path / "late.py", 2, 1)
        found = places(await server.request("textDocument/definition", asked))
        assert found == ["late.py:1"] or found == []
        (site / "arrived.py").write_text("\n\ndef thing(): ...\n")
        found = places(await server.request("textDocument/definition", asked))
        assert found == ["arrived.py:3"]

    run(tmp_path, check)


def test_texts_are_those_on_disk_and_read_once(tmp_path: Path) -> None:
    """Links to folders hold no files of their own."""
    (tmp_path / "link").symlink_to(tmp_path / "pkg")

    async def check(server: Server) -> None:
        first = await server.texts()
        assert [str(p.relative_to(tmp_path)) for p in first] == sorted(FILES)
        use = tmp_path / "pkg/use.py"
        use.write_bytes(b"changed = 1\n")
        second = await server.texts()
        assert second[use] == b"changed = 1\n"
        core = tmp_path / "pkg/core.py"
        assert second[core] is first[core]
        core.unlink()
        assert core not in await server.texts()

    run(tmp_path, check)


def test_further_requests_of_one_query_do_not_look_again(tmp_path: Path) -> None:
    async def check(server: Server) -> None:
        assert await names(server, "latecomer") == []
        write(tmp_path, {"late.py": "def latecomer() -> None: ...\n"})
        asked = {"query": "latecomer"}
        assert not await server.request("workspace/symbol", asked, fresh=False)
        assert await names(server, "latecomer") == ["latecomer"]
        assert len(await server.request("workspace/symbol", asked, fresh=False)) == 1

    run(tmp_path, check)


def test_a_kept_answer_is_given_until_a_file_changes(tmp_path: Path) -> None:
    async def check(server: Server) -> None:
        await asyncio.sleep(0.1)  # else the files are too young to be sure of
        await names(server, "helper")
        first = await server.request("workspace/symbol", {"query": "helper"})
        assert await server.request("workspace/symbol", {"query": "helper"}) is first
        (tmp_path / "pkg/use.py").touch()
        again = await server.request("workspace/symbol", {"query": "helper"})
        assert again == first
        assert again is not first

    run(tmp_path, check)


def test_a_cancelled_look_loses_no_change(tmp_path: Path) -> None:
    """A tool's time limit may end while the disk is looked at."""

    async def check(server: Server) -> None:
        await names(server, "helper")
        for number in range(20):
            write(tmp_path, {f"cut{number}.py": f"def cut{number}(): ...\n"})
            request = asyncio.create_task(names(server, "cut"))
            await asyncio.sleep(0.0005 * number)
            request.cancel()
            await asyncio.gather(request, return_exceptions=True)
            assert len(await names(server, "cut")) == number + 1

    run(tmp_path, check)


def test_two_servers_on_one_workspace_do_not_disturb_each_other(tmp_path: Path) -> None:
    async def check(server: Server) -> None:
        async with serving(tmp_path) as other:
            await asyncio.gather(names(server, "helper"), names(other, "helper"))
            assert server.pid != other.pid
            write(tmp_path, {"late.py": "def latecomer() -> None: ...\n"})
            both = await asyncio.gather(names(server, "latecomer"), names(other, "latecomer"))
            assert list(both) == [["latecomer"], ["latecomer"]]
        assert await names(server, "late") == ["latecomer"]

    run(tmp_path, check)


# --- the sweep itself

STAMPS = st.tuples(*[st.integers(0, 2)] * 4)
DISKS = st.lists(st.dictionaries(st.sampled_from("abcd"), STAMPS), min_size=1, max_size=6)


@given(DISKS)
def test_every_difference_between_two_looks_is_reported(disks: list[dict[str, Stamp]]) -> None:
    sweep = Sweep()
    before: dict[str, Stamp] = {}
    for disk in disks:
        version, changes = sweep.version, dict(sweep.note(Look(disk)))
        differing = {k for k in {*disk, *before} if disk.get(k) != before.get(k)}
        assert changes.keys() == differing
        for path, kind in changes.items():
            assert kind == (CREATED if path not in before else CHANGED if path in disk else DELETED)
        assert sweep.version == version + bool(differing)
        same_time = [
            k for k in differing & disk.keys() & before.keys() if disk[k][0] == before[k][0]
        ]
        assert sweep.stale == bool(same_time)
        before = disk


def test_a_file_that_was_written_twice_within_a_tick_is_compared_by_its_text() -> None:
    sweep, stamp = Sweep(), (1, 1, 1, 1)
    young = frozenset({"a"})
    sweep.note(Look({"a": stamp}, {"a": b"one"}, young))
    assert list(sweep.doubtful) == ["a"]
    assert sweep.note(Look({"a": stamp}, {"a": b"one"}, young)) == []
    assert sweep.note(Look({"a": stamp}, {"a": b"two"})) == [("a", CHANGED)]
    assert sweep.stale
    assert sweep.doubtful == {}
    assert sweep.note(Look({"a": stamp})) == []
    assert not sweep.stale


def test_files_are_young_as_long_as_the_clock_may_not_have_moved(tmp_path: Path) -> None:
    new, old = tmp_path / "new.py", tmp_path / "old.py"
    old.write_text("")
    time.sleep(TICK / 1e9)
    new.write_text("")
    seen = look(tmp_path, [str(old), str(tmp_path / "gone.py")])
    assert seen.young == {str(new)}
    assert seen.digests[str(old)] == seen.digests[str(new)]
    assert seen.digests[str(tmp_path / "gone.py")] == b""
