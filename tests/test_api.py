"""The Python API and its page, and tools that other packages bring."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import punie
from punie import Punie, demo
from punie.engine.scripted import ScriptedEngine
from punie.errors import ApprovalRefused, UsageError
from punie.trace import Store
from punie.wrap import Allow

PAGE = (Path(__file__).parents[1] / "docs" / "api.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", PAGE, re.DOTALL)
FILES = re.findall(r"<!-- file: (\S+) -->\n```python\n(.*?)```", PAGE, re.DOTALL)
COUNT = "<jupyter_code>print(git_status().file_count)"
REPLIES = {
    "the last commit": ["<jupyter_code>print(git_log(count=1).commits[0].message)"],
    "are staged": [
        COUNT,
        "<jupyter_code>print(len([f for f in git_status().files if f.staged]))",
    ],
}


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PUNIE_DATA", str(tmp_path / "data"))
    return demo.create(tmp_path / "shop")


class Ran(NamedTuple):
    status: int
    out: str
    err: str


def python(folder: Path, *args: str, text: str = "", path: Path | None = None) -> Ran:
    """Run Python in a folder, with the data of this test and perhaps another folder on its path."""
    source = str(Path(punie.__file__).parents[1])
    paths = os.pathsep.join([source, *([str(path)] if path else [])])
    env = dict(os.environ) | {"PYTHONPATH": paths, "PUNIE_DATA": str(folder / "data")}
    done = subprocess.run(
        [sys.executable, *args],
        cwd=folder,
        env=env | {"PUNIE_MODEL": f"scripted:{folder / 'replies.json'}"},
        input=text,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_every_block_of_the_page_prints_what_stands_below_it(tmp_path: Path, number: int) -> None:
    code, expected = BLOCKS[number]
    demo.create(tmp_path / "shop")
    replies = next((r for words, r in REPLIES.items() if words in code), [])
    (tmp_path / "replies.json").write_text(json.dumps(replies), "utf-8")
    ran = python(tmp_path, "-", text=code)
    assert ran == (0, expected, "")


def test_the_page_has_its_blocks() -> None:
    assert len(BLOCKS) == 4
    assert [name for name, _ in FILES] == ["weather_tools.py"]


def test_questions_and_tools_share_a_workspace(shop: Path) -> None:
    async def go() -> None:
        engine = ScriptedEngine([COUNT, COUNT])
        async with Punie(shop, model=engine) as p:
            first = await p.ask("how many?")
            assert (first.answer, first.ok, first.kind) == ("4", True, "tool")
            await p.ask("and now?", after=first)
            log = await p.tools.git_log(count=3)
            assert 0 < log.commit_count <= 3
            assert "git_log" in dir(p.tools)
            assert "count" in (p.tools.git_log.__doc__ or "")
        said = [m["content"] for m in engine.asked[1] if m["role"] == "user"]
        assert said == ["how many?", "and now?"]

    asyncio.run(go())
    assert [row["query"] for row in Store().last()] == ["and now?", "how many?"]


def test_nothing_is_stored_when_traces_are_off(shop: Path) -> None:
    async def go() -> None:
        async with Punie(shop, model=ScriptedEngine(["Yes."]), traces=False) as p:
            assert (await p.ask("well?")).answer == "Yes."

    asyncio.run(go())
    assert not Store().path.exists()


def test_writes_are_refused_without_an_approver_and_under_read_only(shop: Path) -> None:
    async def go(**options: Any) -> None:
        async with Punie(shop, **options) as p:
            await p.tools.write_file("new.txt", "x")

    for options in ({}, {"approver": Allow(), "read_only": True}):
        with pytest.raises(ApprovalRefused, match="was refused"):
            asyncio.run(go(**options))
        assert not (shop / "new.txt").exists()
    allow = Allow()
    asyncio.run(go(approver=allow))
    assert (shop / "new.txt").read_text() == "x"
    assert "+x" in allow.requests[0].detail


def test_what_cannot_be_used_is_said(shop: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        Punie(shop / "nowhere")
    with pytest.raises(UsageError, match="known settings"):
        Punie(shop, frobnicate=True)
    with pytest.raises(UsageError, match="contradict"):
        Punie(shop, read_only=True, yes=True)
    with pytest.raises(UsageError, match="async with"):
        asyncio.run(Punie(shop).ask("well?"))
    with pytest.raises(ImportError):
        from punie import Nothing  # noqa: F401

    async def go() -> None:
        async with Punie(shop) as p:
            with pytest.raises(AttributeError, match=r"no tool 'frob'.*git_log"):
                await p.tools.frob()
            with pytest.raises(UsageError, match="'frob' is no parameter"):
                await p.tools.git_log(frob=1)

    asyncio.run(go())


# --- tools of other packages


def install(site: Path, name: str, value: str, code: str = "") -> None:
    """Install a package as pip leaves it: a module and a `.dist-info` folder."""
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[punie.tools]\n{name} = {value}\n")
    if code:
        (site / f"{value.partition(':')[0]}.py").write_text(code)


def test_a_tool_of_another_package_appears_everywhere(tmp_path: Path) -> None:
    site = tmp_path / "site"
    install(site, "weather", "weather_tools", FILES[0][1])
    demo.create(tmp_path / "shop")
    program = "<jupyter_code>print(weather('Rome').degrees)"
    (tmp_path / "replies.json").write_text(json.dumps([program]), "utf-8")

    def run(*args: str) -> Ran:
        return python(tmp_path, "-m", "punie", *args, path=site)

    listed = json.loads(run("tools", "--json").out)["tools"][-1]
    assert (listed["name"], listed["effect"]) == ("weather", "read")
    assert listed["input_schema"]["properties"]["place"]["description"] == "Name of a town."
    assert "def weather(place: str = 'Oslo') -> WeatherResult:" in run("tools", "--stubs").out
    called = run("call", "weather", "place=Bergen", "--json", "-w", "shop")
    assert json.loads(called.out)["degrees"] == 3.0
    asked = json.loads(run("ask", "how warm is Rome?", "--json", "-w", "shop").out)
    assert (asked["answer"], asked["ok"]) == ("2.0", True)
    assert asked["steps"][0]["calls"][0]["fields"] == ["WeatherResult.degrees"]
    wrong = "<jupyter_code>print(weather('Rome').humidity)"
    (tmp_path / "replies.json").write_text(json.dumps([wrong] * 3), "utf-8")
    asked = json.loads(run("ask", "how humid?", "--json", "-w", "shop").out)
    assert "humidity" in asked["error"]
    api = (
        "import asyncio\nfrom punie import Punie\nasync def main():\n"
        "    async with Punie('shop') as p:\n        print((await p.tools.weather()).degrees)\n"
        "asyncio.run(main())"
    )
    assert python(tmp_path, "-", text=api, path=site) == (0, "2.0\n", "")


def test_a_package_that_cannot_be_loaded_leaves_the_other_tools_alone(tmp_path: Path) -> None:
    site = tmp_path / "site"
    install(site, "a_broken", "broken_tools", "import nowhere_at_all\n")
    install(site, "b_empty", "empty_tools", "x = 1\n")
    clash = FILES[0][1].replace("def weather", "def git_log")
    install(site, "c_clash", "clash_tools", clash)
    twice = FILES[0][1].replace("WeatherResult", "GitLogResult")
    install(site, "d_twice", "twice_tools", twice)
    install(site, "e_good", "good_tools:weather", FILES[0][1])
    script = (
        "from punie.tool import foreign_tools, load_tools\nfound, broken = foreign_tools()\n"
        "print(list(found), len(load_tools()))\nfor name, why in broken.items(): print(name, why)"
    )
    ran = python(tmp_path, "-c", script, path=site)
    first, *rest = ran.out.splitlines()
    assert first == "['weather'] 20"
    assert rest == [
        "a_broken ModuleNotFoundError: No module named 'nowhere_at_all'",
        "b_empty TypeError: 'empty_tools' holds no function with @tool",
        "c_clash TypeError: a tool is called 'git_log' already",
        "d_twice TypeError: two result types are called 'GitLogResult'",
    ]


def test_a_repository_does_not_bring_its_own_tools(tmp_path: Path) -> None:
    """`python -m punie` has the current folder on its path: a clone could run code that way."""
    install(tmp_path, "weather", "weather_tools", FILES[0][1])
    ran = python(tmp_path, "-m", "punie", "tools")
    assert ran.status == 0
    assert "weather" not in ran.out
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert "weather" in python(elsewhere, "-m", "punie", "tools", path=tmp_path).out
