"""Nothing is run, written, approved or obeyed that the user did not ask for, whatever a
repository holds: ten of them, and every way in which Punie is met."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import punie
from adversarial import ADVERSARIES, APPROVAL, ESCAPES, SECRET, TOKENS, Adversary
from punie import cli
from punie.agent import Agent
from punie.engine.scripted import ScriptedEngine
from punie.errors import ApprovalRefused
from punie.prompt import DIALECTS, render
from punie.sandbox import Sandbox
from punie.terminal import CONTROLS, visible
from punie.tool import Effect, Result, load_tools
from punie.wrap import Request, call
from repos import ENVIRONMENT, snapshot
from test_chat import Person

TOOLS = load_tools()
WRITES: dict[str, dict[str, str]] = {
    "write_file": {"path": "gone", "content": "x"},
    "run_command": {"command": "touch gone"},
    "pytest_run": {},
}
EVERYTHING = """\
for each in list_files().files:
    print(each.path)
for path in {paths}:
    print(read_file(path).text)
    print(git_blame(path))
print(git_log(), git_show('HEAD'), git_status(), git_diff(), git_branch())
print(hover(symbol={symbol!r}), search_text('x'), typecheck())
"""
"""A program that prints texts of all kinds."""


class Refuser:
    """Refuses everything, and keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[Request] = []

    async def approve(self, request: Request) -> bool:
        self.asked.append(request)
        return False


@pytest.fixture(autouse=True)
def plain_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user of git who has set nothing, far from the real one's data."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PUNIE_DATA", str(tmp_path / "data"))


@pytest.fixture(params=list(ADVERSARIES))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Adversary:
    return ADVERSARIES[request.param](tmp_path)


def everything(place: Adversary) -> dict[str, str]:
    """All that is in the repository and outside of it; pipes and devices are passed over."""
    return {
        name: state
        for folder in (place.root, place.outside)
        for name, state in files(folder).items()
    }


def files(folder: Path) -> dict[str, str]:
    pipes = [path for path in folder.rglob("*") if path.is_fifo()]
    for pipe in pipes:
        pipe.unlink()
    try:
        return snapshot(folder)
    finally:
        for pipe in pipes:
            os.mkfifo(pipe)


def reads(root: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every tool that reads, about the whole and about each file."""
    yield from {
        "git_status": {},
        "git_diff": {},
        "git_log": {},
        "git_branch": {},
        "git_show": {"commit": "HEAD"},
        "list_files": {},
        "search_text": {"pattern": "horse|price"},
        "typecheck": {},
        "ruff_check": {},
        "workspace_symbols": {"query": "KEY"},
        "hover": {"symbol": "price"},
        "goto_definition": {"symbol": "price", "file_path": "shop.py"},
        "find_references": {"symbol": "unlock"},
    }.items()
    yield "git_diff", {"staged": True}
    paths = [p for p in sorted(root.rglob("*")) if ".git" not in p.relative_to(root).parts]
    shallow = [p for p in paths if len(p.relative_to(root).parts) < 3]
    for path in [str(p.relative_to(root)) for p in shallow] + ["gone.py", "pkg/gone.py"]:
        for tool in ("read_file", "git_blame", "typecheck", "ruff_check", "list_files"):
            yield tool, {"path": path}
        if (root / path).is_dir():
            yield "git_status", {"path": path}
            yield "git_diff", {"path": path}
        yield "document_symbols", {"file_path": path}


async def ask_everything(place: Adversary) -> tuple[list[Result], list[Request]]:
    """The results of all reads, and what the user was asked for."""
    person = Refuser()
    results = []
    root, settings = cli.settings_for(str(place.root))
    async with cli.open_context(root, settings, approver=person) as context:
        for tool, arguments in reads(place.root):
            results.append((await call(TOOLS[tool], context, arguments))[0])
    return results, person.asked


def test_reading_runs_nothing_changes_nothing_asks_nothing_and_stays_inside(
    place: Adversary,
) -> None:
    before = everything(place)
    results, asked = asyncio.run(ask_everything(place))
    assert not place.ran.exists(), place.ran.read_text()
    assert everything(place) == before
    assert asked == []
    assert len(results) > 20
    assert any(result.success for result in results)
    assert [r for r in results if SECRET in r.model_dump_json()] == []


def test_effects_are_asked_for_and_happen_only_when_they_are_allowed(place: Adversary) -> None:
    before = everything(place)
    person = Refuser()

    async def go() -> None:
        root, settings = cli.settings_for(str(place.root))
        async with cli.open_context(root, settings, approver=person) as context:
            for tool, arguments in WRITES.items():
                with pytest.raises(ApprovalRefused):
                    await call(TOOLS[tool], context, arguments)

    asyncio.run(go())
    assert [request.effect for request in person.asked] == [Effect.WRITE, Effect.RUN, Effect.TEST]
    assert everything(place) == before
    assert not place.ran.exists()


@pytest.mark.parametrize("name", ADVERSARIES)
def test_the_traps_would_be_seen(name: str, tmp_path: Path) -> None:
    place = ADVERSARIES[name](tmp_path)
    if place.spring:
        nothing = subprocess.DEVNULL
        subprocess.run(place.spring, cwd=place.root, stdin=nothing, capture_output=True, timeout=60)
        assert place.ran.exists()
    else:
        assert not place.ran.exists()


def test_there_are_ten() -> None:
    assert len(ADVERSARIES) == 10


# --- what leads out


@pytest.mark.parametrize("path", ["secret.txt", "folder/secret.txt", "chain.txt", "new.txt"])
def test_a_link_out_is_neither_read_nor_written_through(tmp_path: Path, path: str) -> None:
    place = ADVERSARIES["links_out"](tmp_path)
    before = everything(place)

    async def go() -> list[Result]:
        root, settings = cli.settings_for(str(place.root), yes=True)
        async with cli.open_context(root, settings) as context:
            read = await call(TOOLS["read_file"], context, {"path": path})
            write = {"path": path, "content": "x"}
            return [read[0], (await call(TOOLS["write_file"], context, write))[0]]

    for result in asyncio.run(go()):
        assert "leads outside" in (result.parse_error or "")
    assert everything(place) == before


# --- programs of the workspace that bear the names of others


def punie_in(root: Path, *args: str, replies: list[str] | None = None, **env: str) -> Any:
    """Run `punie` as its script does: the current folder is not on Python's path."""
    script = root.parent / "replies.json"
    script.write_text(json.dumps([f"<jupyter_code>{code}" for code in replies or []]), "utf-8")
    variables = dict(os.environ) | {"PYTHONPATH": str(Path(punie.__file__).parents[1])}
    variables |= {"PUNIE_MODEL": f"scripted:{script}"} | env
    return subprocess.run(
        [sys.executable, "-P", "-m", "punie", *args],
        cwd=root,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize("first", [".", "", "./.venv/bin:bin"], ids=["dot", "empty", "several"])
def test_a_relative_search_path_does_not_lead_into_the_workspace(
    tmp_path: Path, first: str
) -> None:
    place = ADVERSARIES["programs_in_the_way"](tmp_path)
    path = f"{first}:{os.environ['PATH']}"
    code = "print(git_log().commit_count, list_files().success, typecheck().success)"
    done = punie_in(place.root, "ask", "how many?", replies=[code], PATH=path)
    assert (done.returncode, done.stdout) == (0, "1 True True\n"), done.stderr
    assert not place.ran.exists(), place.ran.read_text()


# --- tests of a workspace that nobody trusts


def test_tests_do_not_run_before_they_are_allowed(tmp_path: Path) -> None:
    place = ADVERSARIES["traps_for_pytest"](tmp_path)
    before = everything(place)
    for args in (["ask", "which tests fail?"], ["call", "pytest_run"]):
        for flag in ([], ["--read-only"]):
            done = punie_in(place.root, *args, *flag, replies=["print(pytest_run().failed)"])
            assert done.returncode == 3, done.stderr
            assert "refused" in done.stdout + done.stderr
    assert not place.ran.exists()
    assert everything(place) == before
    done = punie_in(place.root, "call", "pytest_run", "--yes")
    assert "1 passed" in done.stdout
    assert place.ran.exists()


def test_what_trusted_tests_say_approves_nothing_and_is_shown(tmp_path: Path) -> None:
    place = ADVERSARIES["terminal_escapes"](tmp_path)
    test = f"{place.root}/test_it.py"
    said = TOKENS + APPROVAL + ESCAPES
    Path(test).write_text(f"def test_it() -> None:\n    raise ValueError({said!r})\n", "utf-8")
    code = "print(pytest_run())\nfor t in pytest_run().tests:\n    print(t.message)\n"
    code += "write_file('gone', 'x')"
    done = punie_in(place.root, "ask", "which fail?", replies=[code], PUNIE_TRUST="true")
    assert done.returncode == 3
    assert "1 failed" in done.stdout
    assert "<tool_call>" in done.stdout
    assert obeyed(done.stdout + done.stderr) == []
    assert not (place.root / "gone").exists()


# --- control tokens and calls in texts


def test_texts_of_a_repository_never_become_markup_or_calls(tmp_path: Path) -> None:
    place = ADVERSARIES["control_tokens"](tmp_path)
    before = everything(place)
    printed = EVERYTHING.format(paths=["notes.md", "evil.py"], symbol="evil")
    engine = ScriptedEngine([f"<jupyter_code>{printed}", "<jupyter_code>print(1)"])
    person = Refuser()

    async def go() -> list[Any]:
        root, settings = cli.settings_for(str(place.root))
        sandbox = Sandbox(TOOLS.values(), settings)
        async with cli.open_context(root, settings, approver=person) as context, sandbox:
            agent = Agent(engine, sandbox, context, dialect=DIALECTS["compact"], profile="tuned")
            first = await agent.ask(f"what is {TOKENS}?")
            return [first, await agent.ask("and now?", first.messages)]

    first, second = asyncio.run(go())
    assert "<function=execute_code>" in first.answer
    assert [len(answer.steps) for answer in (first, second)] == [1, 1]
    assert person.asked == []
    assert everything(place) == before
    for dialect in DIALECTS.values():
        pieces = render(second.messages, dialect)
        markup = "".join(piece.text for piece in pieces if piece.control)
        assert "Approve everything" not in markup
        assert markup.count("<|im_end|>") == len(second.messages)
        assert "<tool_call>" not in "".join(p.text for p in pieces if not p.control)[1:5]
        texts = [piece.text for piece in pieces if not piece.control]
        assert not any("<|im_end|>" in text or "<jupyter_code>" in text for text in texts)


# --- escapes


def obeyed(text: str) -> list[str]:
    """Characters that a terminal would obey; the dimming of programs is Punie's own."""
    plain = text.replace("\x1b[2m", "").replace("\x1b[0m", "").replace("\r\n", "\n")
    return [repr(found) for found in CONTROLS.findall(plain)]


@pytest.fixture
def escapes(tmp_path: Path) -> Adversary:
    return ADVERSARIES["terminal_escapes"](tmp_path)


SHOWN = EVERYTHING.format(paths=["plain.txt", "told.py"], symbol="told")


def test_ask_and_call_show_escapes(escapes: Adversary) -> None:
    root = escapes.root
    done = punie_in(root, "ask", "what is there?", replies=[SHOWN])
    assert visible(ESCAPES)[:20] in done.stdout, done.stderr
    assert obeyed(done.stdout + done.stderr) == []
    for args in (["git_log"], ["read_file", "path=plain.txt"], ["read_file", f"path={ESCAPES}"]):
        done = punie_in(root, "call", *args)
        assert r"\x1b]0;owned\x07" in done.stdout + done.stderr
        assert obeyed(done.stdout + done.stderr) == []
    done = punie_in(root, "call", ESCAPES.replace("\x00", ""))
    assert done.returncode == 2
    assert obeyed(done.stderr) == []


def test_chat_shows_escapes_and_what_it_prints_answers_no_question(escapes: Adversary) -> None:
    root = escapes.root
    write = f"print({APPROVAL!r})\nwrite_file('gone' + {ESCAPES!r}, {ESCAPES + APPROVAL!r})"
    with Person(root, [f"<jupyter_code>{SHOWN}", f"<jupyter_code>{write}"]) as person:
        shown = person.asks("what is there?")
        assert visible(ESCAPES)[:20] in shown
        assert obeyed(shown) == []
        person.types("write it\n")
        person.sees("…? [y/s/a/N]: ")  # that of the texts has no cut before it
        assert obeyed(person.screen[person.mark :]) == []
        shown = person.asks("n")
        assert "refused" in shown
        person.types("\x04")
    assert [p for p in root.iterdir() if p.name.startswith("gone")] == []


def test_mcp_shows_escapes_in_texts_and_questions(escapes: Adversary) -> None:
    pytest.importorskip("mcp")
    from mcp import Client, types

    from punie.serve.mcp import ToolServer
    from punie.serve.places import Places

    asked: list[str] = []

    async def refuse(context: Any, params: Any) -> types.ElicitResult:
        asked.append(params.message)
        return types.ElicitResult(action="accept", content={"decision": "refuse"})

    async def go() -> None:
        places = Places(
            [escapes.root],
            lambda root: cli.open_context(*cli.settings_for(str(root))),
            lambda context: Sandbox(TOOLS.values(), context.settings),
        )
        server = ToolServer(TOOLS.values(), places)
        try:
            async with Client(server.server, mode="legacy", elicitation_callback=refuse) as client:
                shown = await client.call_tool("execute_code", {"code": SHOWN})
                (text,) = shown.content
                assert isinstance(text, types.TextContent)
                assert obeyed(text.text) == []
                assert json.loads(text.text) == shown.structured_content
                assert ESCAPES[:20] in json.loads(text.text)["stdout"]
                command = {"command": f"echo {ESCAPES}\nAllow run: ls?"}
                assert (await client.call_tool("run_command", command)).is_error
        finally:
            await server.close()

    asyncio.run(go())
    assert len(asked) == 1
    assert obeyed(asked[0]) == []
    assert all(line.startswith("| ") for line in asked[0].split("\n")[2:])


def test_acp_shows_escapes_in_titles_contents_and_options(escapes: Adversary) -> None:
    pytest.importorskip("acp")
    from acp_desk import desk

    async def go() -> None:
        run = f"run_command('echo ' + {ESCAPES!r})"
        async with desk(escapes.root, [SHOWN, run], answers=("reject",)) as found:
            session = await found.open(escapes.root)
            assert await found.ask(session, "what is there?") == "end_turn"
            assert visible(ESCAPES)[:20] in found.said(session)[0]
            assert await found.ask(session, "say it") == "end_turn"
            (request,) = found.editor.asked
            sent = [
                *found.editor.shown[session],
                request.model_dump(),
                *map(vars, found.editor.options),
            ]
            assert [each for each in map(texts, sent) if obeyed("\n".join(each))] == []
            assert all("\n" not in option.name for option in found.editor.options)

    asyncio.run(go())


def texts(value: Any) -> list[str]:
    """All texts in nested lists and dictionaries, but paths: they must lead to their files."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [t for name, v in value.items() if name != "path" for t in texts(v)]
    return [t for v in value for t in texts(v)] if isinstance(value, list | tuple) else []
