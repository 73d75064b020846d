"""The Agent Client Protocol, driven by the client of its own package over a pipe."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("acp", reason="needs the extra `acp`")

import acp

from acp_desk import Updates, desk, root, runs
from punie.prompt import Message
from punie.remembered import entries
from punie.serve.acp import question
from punie.serve.sessions import Record, Sessions
from punie.settings import Settings
from punie.trace import Store

__all__ = ["root"]


def test_a_program_and_its_calls_are_shown_as_they_happen(root: Path) -> None:
    async def case() -> None:
        async with desk(root, ["print(read_file('notes.txt', 1, 1))"]) as found:
            session = await found.open(root)
            assert await found.ask(session, "what is in the notes?") == "end_turn"
            assert found.said(session) == ["old"]
            starts = [u for u in found.editor.shown[session] if u["sessionUpdate"] == "tool_call"]
            assert [(u["title"], u["kind"]) for u in starts] == [
                ("print(read_file('notes.txt', 1, 1))", "execute"),
                ("read_file notes.txt lines 1–1", "read"),
            ]
            assert starts[1]["locations"] == [{"path": str(root / "notes.txt"), "line": 1}]
            assert set(found.calls(session).values()) == {"completed"}
            last = found.editor.shown[session][-2]
            assert last["toolCallId"] == starts[0]["toolCallId"]
            assert "\nold\n" in last["content"][1]["content"]["text"]

    asyncio.run(case())


TWICE = ["write_file('notes.txt', 'new\\n')", "write_file('notes.txt', 'newer\\n')"]


@pytest.mark.parametrize(
    ("answers", "text", "asked"),
    [
        (("allow_once", "allow_once"), "newer\n", 2),
        (("allow_session",), "newer\n", 1),
        (("allow_always",), "newer\n", 1),
        (("reject", "allow_once"), "newer\n", 2),
        (("allow_once", "reject"), "new\n", 2),
    ],
    ids=["once", "session", "always", "rejected first", "rejected second"],
)
def test_a_write_needs_permission(
    root: Path, answers: tuple[str, ...], text: str, asked: int
) -> None:
    async def case() -> None:
        async with desk(root, TWICE, answers=answers) as found:
            session = await found.open(root)
            for turn in ("first", "second"):
                assert await found.ask(session, turn) == "end_turn"
            assert len(found.editor.asked) == asked
            first = found.editor.asked[0]
            assert first.title == "write_file notes.txt"
            assert first.content is not None
            shown = first.content[0].model_dump(exclude_none=True)
            assert (shown["old_text"], shown["new_text"]) == ("old\n", "new\n")
            names = {option.option_id: option.name for option in found.editor.options}
            assert names == {
                "allow_once": "Allow once",
                "allow_session": "Allow write of notes.txt in this session",
                "allow_always": "Always allow write of notes.txt here, until revoked",
                "reject": "Reject once",
            }
            assert len(entries()) == (answers[0] == "allow_always")

    asyncio.run(case())
    assert (root / "notes.txt").read_text("utf-8") == text


def test_what_is_always_allowed_holds_in_the_next_session_and_what_is_unsaved_stays(
    root: Path,
) -> None:
    async def case(answers: tuple[str, ...], unsaved: dict[str, str]) -> str:
        async with desk(root, TWICE[:1], answers=answers, unsaved=unsaved) as found:
            session = await found.open(root)
            await found.ask(session, "write")
            return found.said(session)[0]

    asyncio.run(case(("allow_always",), {}))
    (root / "notes.txt").write_text("old\n")
    assert "unsaved changes" in asyncio.run(case((), {"notes.txt": "typed\n"}))
    assert (root / "notes.txt").read_text() == "old\n"
    asyncio.run(case((), {}))
    assert (root / "notes.txt").read_text() == "new\n"


def test_what_is_allowed_for_one_file_is_not_allowed_for_another(root: Path) -> None:
    async def case() -> None:
        replies = ["write_file('a.txt', 'a\\n')\nwrite_file('b.txt', 'b\\n')"]
        async with desk(root, replies, answers=("allow_always", "reject")) as found:
            session = await found.open(root)
            await found.ask(session, "write two files")
            assert found.calls(session)["write_file a.txt"] == "completed"
            assert found.calls(session)["write_file b.txt"] == "failed"
            assert "was refused" in found.said(session)[0]

    asyncio.run(case())
    assert sorted(p.name for p in root.iterdir()) == ["a.txt", "notes.txt"]


def test_modes_decide_without_asking(root: Path) -> None:
    async def case() -> None:
        async with desk(root, TWICE) as found:
            session = await found.open(root)
            await found.agent.set_session_mode(session_id=session, mode_id="read-only")
            await found.ask(session, "first")
            assert (root / "notes.txt").read_text("utf-8") == "old\n"
            options = await found.agent.set_config_option(
                session_id=session, config_id="mode", value="yes"
            )
            assert options.config_options[0].current_value == "yes"
            await found.ask(session, "second")
            assert found.editor.asked == []
            for config, value in (("mode", "root"), ("model", "none.gguf"), ("colour", "red")):
                with pytest.raises(acp.RequestError):
                    await found.agent.set_config_option(
                        session_id=session, config_id=config, value=value
                    )
            options = await found.agent.set_config_option(
                session_id=session, config_id="model", value="default"
            )
            assert options.config_options[1].current_value == "default"

    asyncio.run(case())
    assert (root / "notes.txt").read_text("utf-8") == "newer\n"


def test_unsaved_changes_are_not_written_over(root: Path) -> None:
    async def case() -> None:
        unsaved = {"notes.txt": "half a thought"}
        async with desk(root, TWICE[:1], answers=("allow_once",), unsaved=unsaved) as found:
            session = await found.open(root)
            await found.ask(session, "write")
            assert "unsaved changes" in found.said(session)[0]
            assert found.editor.asked == []

    asyncio.run(case())
    assert (root / "notes.txt").read_text("utf-8") == "old\n"


HANGING = """
import os, pathlib, time
def test_hangs():
    pathlib.Path(os.environ["PUNIE_DATA"], "pid").write_text(str(os.getpid()))
    time.sleep(600)
"""


def test_cancelling_ends_a_hanging_test_run(root: Path) -> None:
    (root / "test_hanging.py").write_text(HANGING, "utf-8")
    (root.parent / "data").mkdir()
    told = root.parent / "data" / "pid"

    async def case() -> None:
        replies = ["print(pytest_run())", "print(read_file('notes.txt'))"]
        async with desk(root, replies, mode="yes") as found:
            session = await found.open(root)
            asking = asyncio.create_task(found.ask(session, "do the tests pass?"))
            while not (told.exists() and told.read_text()):
                await asyncio.sleep(0.05)
                assert not asking.done()
            await found.agent.cancel(session_id=session)
            assert await asking == "cancelled"
            (trace,) = Store().records()
            assert trace["outcome"] == "cancelled"
            assert set(found.calls(session).values()) == {"failed"}
            assert not runs(int(told.read_text()))
            assert await found.ask(session, "and the notes?") == "end_turn"
            assert found.said(session) == ["old"]

    asyncio.run(case())


def test_two_sessions_at_once(root: Path) -> None:
    async def case() -> None:
        async with desk(root, ["print(read_file('notes.txt'))"] * 2) as found:
            one, two = await found.open(root), await found.open(root)
            await asyncio.gather(found.ask(one, "notes?"), found.ask(two, "notes?"))
            assert (found.said(one), found.said(two)) == (["old"], ["old"])
            await found.agent.close_session(session_id=one)
            with pytest.raises(acp.RequestError):
                await found.ask(one, "still there?")

    asyncio.run(case())


def test_a_session_is_loaded_as_it_was_shown(root: Path) -> None:
    async def first() -> tuple[str, Updates]:
        async with desk(root, ["print(read_file('notes.txt'))"]) as found:
            session = await found.open(root)
            await found.ask(session, "what is in the notes?")
            return session, found.editor.shown[session]

    async def second(session: str, shown: Updates) -> None:
        async with desk(root, ["print(1)"]) as found:
            listed = await found.agent.list_sessions(cwd=str(root))
            assert [(s.session_id, s.title) for s in listed.sessions] == [
                (session, "what is in the notes?")
            ]
            await found.agent.load_session(session_id=session, cwd=str(root), mcp_servers=[])
            replayed = found.editor.shown[session]
            assert replayed[0]["content"]["text"] == "what is in the notes?"
            assert replayed[1:] == shown
            await found.ask(session, "and?")
            await found.agent.close_session(session_id=session)
            await found.agent.resume_session(session_id=session, cwd=str(root), mcp_servers=[])
            with pytest.raises(acp.RequestError):
                await found.agent.load_session(session_id="x", cwd=str(root), mcp_servers=[])

    asyncio.run(second(*asyncio.run(first())))
    kept = Sessions(root.parent / "sessions.sqlite").listed(None, 0, 9)
    users = [m["content"] for m in kept[0].messages if m["role"] == "user"]
    assert users == ["what is in the notes?", "and?"]


def test_long_and_broken_messages(root: Path) -> None:
    async def case() -> None:
        async with desk(root, ["print(1)"]) as found:
            found.writer.write(b'{"jsonrpc": broken\n[1, 2]\n\n"text"\n')
            session = await found.open(root)
            assert await found.ask(session, "a" * 2 * 2**20) == "end_turn"
            assert found.said(session) == ["1"]
            with pytest.raises(acp.RequestError):
                await found.ask(session, " ")
            with pytest.raises(acp.RequestError):
                await found.open(root / "nowhere")

    asyncio.run(case())


def test_a_mentioned_file_stands_as_its_path(root: Path) -> None:
    link = acp.resource_link_block("a b.py", (root / "a b.py").as_uri())
    assert question([acp.text_block("what is in "), link], root) == "what is in a b.py"
    with pytest.raises(acp.RequestError):
        question([acp.image_block("", "image/png")], root)


def test_the_command_speaks_only_protocol_and_ends_with_its_input(root: Path) -> None:
    lines = [
        '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":1}}',
        "broken",
        "[1]",
        '{"jsonrpc":"2.0","id":2,"method":"session/frob","params":{}}',
    ]
    done = subprocess.run(
        [sys.executable, "-m", "punie", "acp", "--model", "scripted:none"],
        input="\n".join(lines).encode(),
        capture_output=True,
        check=True,
        cwd=root,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    codes = {answer["id"]: answer.get("error", {}).get("code") for answer in answers}
    assert codes[1] is None
    assert codes[2] == -32601
    assert {a["error"]["code"] for a in answers if a["id"] is None} == {-32700, -32600}


def test_a_session_is_stored_without_secrets_and_deleted_for_good(tmp_path: Path) -> None:
    secret = "ghp_" + "a1B2c3D4e5F6g7H8i9J0" * 2
    store = Sessions(tmp_path / "sessions.sqlite")
    message: Message = {"role": "user", "content": f"what is {secret}?"}
    store.add(
        Record("one", "/work", "ask", "m", title=f"about {secret}", messages=[message]),
        [{"sessionUpdate": "x", "content": {"text": f"token {secret}, and xylophone"}}],
    )
    kept = [path.read_bytes() for path in tmp_path.iterdir()]
    assert not any(secret.encode() in data for data in kept)
    assert any(b"xylophone" in data for data in kept)
    assert store.prune(1) == 0
    assert store.prune(0) == 1
    assert not any(b"xylophone" in path.read_bytes() for path in tmp_path.iterdir())
    assert store.listed(None, 0, 9) == []


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("3", "3"),
        ("shop/orders.py", "shop/orders.py"),
        ("still here", "still here"),
        ("shop/__init__.py", "```\nshop/__init__.py\n```"),
        ("one\ntwo", "```\none\ntwo\n```"),
        ("# no heading", "```\n# no heading\n```"),
        ("```\ninner\n```", "````\n```\ninner\n```\n````"),
    ],
)
def test_what_a_program_printed_is_not_read_as_markdown(
    root: Path, printed: str, shown: str
) -> None:
    """The terminal front end toad showed five lines as one, and `__init__.py` as `init.py`."""

    async def go() -> None:
        async with desk(root, [f"print({printed!r})"]) as found:
            session = await found.open(root)
            await found.ask(session, "say it")
            assert found.said(session) == [shown]

    asyncio.run(go())


def test_an_answer_in_words_is_the_markdown_that_it_is(root: Path) -> None:
    words = "`git fetch` gets, *git pull* also merges.\n\n- both ask the remote"

    async def go() -> None:
        async with desk(root, []) as found:
            (root.parent / "replies.json").write_text(json.dumps([words]), "utf-8")
            session = await found.open(root)
            await found.ask(session, "what is the difference?")
            assert found.said(session) == [words]

    asyncio.run(go())


def test_a_session_in_which_nothing_was_asked_yet_is_taken_up_with_its_mode(root: Path) -> None:
    """The client acpx opens a session in one process and asks in the next."""

    async def go() -> None:
        async with desk(root, []) as found:
            session = await found.open(root)
            await found.agent.set_session_mode(mode_id="read-only", session_id=session)
        async with desk(root, []) as found:
            assert (await found.agent.list_sessions(cwd=str(root))).sessions == []
            taken = await found.agent.resume_session(session_id=session, cwd=str(root))
            assert taken.modes.current_mode_id == "read-only"
            await found.agent.load_session(session_id=session, cwd=str(root), mcp_servers=[])
            assert session not in found.editor.shown

    asyncio.run(go())


def test_nothing_is_stored_of_a_session_when_traces_are_off(root: Path) -> None:
    async def go() -> None:
        async with desk(root, [], settings=Settings(traces=False)) as found:
            session = await found.open(root)
            await found.agent.set_session_mode(mode_id="read-only", session_id=session)
        assert not (root.parent / "sessions.sqlite").exists()

    asyncio.run(go())


@pytest.mark.parametrize("closed", [True, False])
def test_a_client_in_a_hurry_does_not_disturb_the_end(root: Path, closed: bool) -> None:
    """The client acpx closes the input and sends SIGTERM while Python is on its way out."""
    command = [sys.executable, "-m", "punie", "acp", "--model", "scripted:none"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root)
    with process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(
            b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":1}}\n'
        )
        process.stdin.flush()
        process.stdout.readline()
        if closed:
            process.stdin.close()
            process.stdout.read()  # the end of the output: all but the interpreter has ended
        for _ in range(30):
            process.terminate()
            time.sleep(0.01)
        assert process.wait(20) == 0
