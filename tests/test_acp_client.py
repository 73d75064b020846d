"""What an editor does for Punie: it writes files, and runs commands in terminals of its own."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("acp", reason="needs the extra `acp`")

import acp
from acp import schema

from acp_desk import Desk, Editor, desk, root, runs
from punie.settings import Settings
from punie.undo import undo

__all__ = ["root"]
ABLE = schema.ClientCapabilities(
    fs=schema.FileSystemCapabilities(read_text_file=True, write_text_file=True), terminal=True
)
WRITE = "print(write_file('notes.txt', 'new\\n'))"


class Able(Editor):
    """An editor with files and terminals; `spoil` changes what it writes."""

    def __init__(self, answers: list[str], spoil: Callable[[str], str] = str) -> None:
        super().__init__(answers, {})
        self.spoil = spoil
        self.did: list[str] = []
        self.running: dict[str, asyncio.subprocess.Process] = {}
        self.printed: dict[str, bytes] = {}

    async def write_text_file(self, path: str, content: str, **rest: Any) -> None:
        self.did.append(f"write {Path(path).name}")
        if (text := self.spoil(content)) != "nothing":
            Path(path).write_text(text, "utf-8")

    async def create_terminal(
        self,
        command: str,
        args: list[str],
        cwd: str,
        env: list[schema.EnvVariable],
        **rest: Any,
    ) -> schema.CreateTerminalResponse:
        name = f"terminal-{len(self.running)}"
        self.did.append(f"open {' '.join(args)}")
        pipe = asyncio.subprocess.PIPE
        self.running[name] = await asyncio.create_subprocess_exec(
            command,
            *args,
            cwd=cwd,
            env=dict(os.environ) | {each.name: each.value for each in env},
            stdout=pipe,
            stderr=asyncio.subprocess.STDOUT,
        )
        return schema.CreateTerminalResponse(terminal_id=name)

    async def wait_for_terminal_exit(
        self, terminal_id: str, **rest: Any
    ) -> schema.WaitForTerminalExitResponse:
        process = self.running[terminal_id]
        assert process.stdout
        self.printed[terminal_id] = await process.stdout.read()
        status = await process.wait()
        if status < 0:
            return schema.WaitForTerminalExitResponse(signal="SIGKILL")
        return schema.WaitForTerminalExitResponse(exit_code=status)

    async def terminal_output(self, terminal_id: str, **rest: Any) -> schema.TerminalOutputResponse:
        text = self.printed.get(terminal_id, b"").decode()
        return schema.TerminalOutputResponse(output=text, truncated=False)

    async def kill_terminal(self, terminal_id: str, **rest: Any) -> None:
        """Ends the shell and not what it started, as some clients do."""
        self.did.append("kill")
        self.running[terminal_id].kill()

    async def release_terminal(self, terminal_id: str, **rest: Any) -> None:
        self.did.append("release")


async def until(there: Callable[[], object], asking: asyncio.Task[str]) -> None:
    """Wait for something that happens while a question is answered, and not for ever: two of
    these tests failed once, and a third waited for a file that a failed question never wrote."""
    async with asyncio.timeout(60):
        while not there():
            assert not asking.done(), asking.result()
            await asyncio.sleep(0.02)


def with_editor(
    root: Path,
    reply: str,
    editor: Any,
    case: Callable[[Desk, str], Awaitable[None]],
    **settings: Any,
) -> None:
    """Run `case` in a session of an editor that can do everything."""

    async def run() -> None:
        given = Settings(**settings)
        async with desk(root, [reply], editor=editor, capabilities=ABLE, settings=given) as found:
            await case(found, await found.open(root))

    asyncio.run(run())


def test_what_was_approved_is_written_by_the_editor_and_can_be_undone(root: Path) -> None:
    editor = Able(["allow_once"])

    async def case(found: Desk, session: str) -> None:
        await found.ask(session, "write")
        assert editor.did == ["write notes.txt"]
        assert (root / "notes.txt").read_text() == "new\n"
        assert undo(root).path == root / "notes.txt"
        assert (root / "notes.txt").read_text() == "old\n"

    with_editor(root, WRITE, editor, case)


def test_what_is_refused_never_reaches_the_editor(root: Path) -> None:
    editor = Able(["reject"])

    async def case(found: Desk, session: str) -> None:
        await found.ask(session, "write")
        assert editor.did == []
        assert "was refused" in found.said(session)[0]

    with_editor(root, WRITE, editor, case)


@pytest.mark.parametrize(
    ("spoil", "said", "left"),
    [
        (str.upper, "the editor wrote 'notes.txt' otherwise than approved", "NEW\n"),
        (lambda text: "nothing", "the editor has not written 'notes.txt': nothing", "old\n"),
    ],
)
def test_an_editor_that_writes_something_else_is_found_out(
    root: Path, spoil: Callable[[str], str], said: str, left: str
) -> None:
    async def case(found: Desk, session: str) -> None:
        await found.ask(session, "write")
        assert said in found.said(session)[0]
        assert (root / "notes.txt").read_text() == left
        if left != "old\n":
            undo(root)
        assert (root / "notes.txt").read_text() == "old\n"

    with_editor(root, WRITE, Able(["allow_once"], spoil), case)


def test_an_editor_that_cannot_write_is_named_and_nothing_happens_behind_its_back(
    root: Path,
) -> None:
    class Unable(Able):
        async def write_text_file(self, path: str, content: str, **rest: Any) -> None:
            raise acp.RequestError(-32603, "the disk is on fire")

    async def case(found: Desk, session: str) -> None:
        await found.ask(session, "write")
        told = "the editor could not write 'notes.txt': the disk is on fire"
        assert told in found.said(session)[0]
        assert (root / "notes.txt").read_text() == "old\n"

    with_editor(root, WRITE, Unable(["allow_once"]), case)


def test_what_an_editor_cannot_represent_is_written_by_punie(root: Path) -> None:
    (root / "notes.txt").write_bytes("\ufeffold\r\n".encode("utf-16-le"))
    editor = Able(["allow_once"])
    editor.unsaved["notes.txt"] = "old\r\n"

    async def case(found: Desk, session: str) -> None:
        await found.ask(session, "write")
        assert editor.did == []
        assert (root / "notes.txt").read_bytes() == "\ufeffnew\r\n".encode("utf-16-le")

    with_editor(root, WRITE, editor, case)


def test_a_command_runs_in_a_terminal_that_stands_in_the_call(root: Path) -> None:
    editor = Able(["allow_once"])
    reply = "r = run_command('echo out; echo err >&2; exit 3')\nprint(r.exit_code, r.stdout)"

    async def case(found: Desk, session: str) -> None:
        await found.ask(session, "run")
        assert editor.did == ["open -c echo out; echo err >&2; exit 3", "release"]
        assert found.said(session) == ["```\n3 out\nerr\n```"]
        shown = [
            block["terminalId"]
            for update in editor.shown[session]
            for block in update.get("content") or ()
            if isinstance(block, dict) and block.get("type") == "terminal"
        ]
        assert shown
        assert set(shown) == {"terminal-0"}

    with_editor(root, reply, editor, case)


def test_line_ends_of_a_terminal_are_not_part_of_the_output(root: Path) -> None:
    class Terminal(Able):
        async def terminal_output(
            self, terminal_id: str, **rest: Any
        ) -> schema.TerminalOutputResponse:
            text = self.printed[terminal_id].decode().replace("\n", "\r\n")
            return schema.TerminalOutputResponse(output=text, truncated=False)

    async def case(found: Desk, session: str) -> None:
        await found.ask(session, "run")
        assert found.said(session) == ["8"]

    reply = "print(len(run_command('echo one; echo two').stdout))"
    with_editor(root, reply, Terminal(["allow_once"]), case)


def test_a_cancelled_command_is_ended_and_its_terminal_put_away(root: Path) -> None:
    editor = Able(["allow_once"])

    async def case(found: Desk, session: str) -> None:
        asking = asyncio.create_task(found.ask(session, "run"))
        await until(lambda: editor.running, asking)
        await found.agent.cancel(session_id=session)
        assert await asking == "cancelled"
        assert editor.did[1:] == ["kill", "release"]
        assert await asyncio.wait_for(editor.running["terminal-0"].wait(), 5) < 0

    with_editor(root, "print(run_command('exec sleep 60'))", editor, case)


CHILD = "print(run_command('sleep 60 & echo $! > child; wait'))"


def test_what_a_cancelled_command_started_ends_with_it(root: Path) -> None:
    """The terminal front end toad ends the shell; a sleep that it had started went on."""
    editor, told = Able(["allow_once"]), root / "child"

    async def case(found: Desk, session: str) -> None:
        asking = asyncio.create_task(found.ask(session, "run"))
        await until(lambda: told.exists() and told.read_text().endswith("\n"), asking)
        await found.agent.cancel(session_id=session)
        assert await asking == "cancelled"
        assert not runs(int(told.read_text()))

    with_editor(root, CHILD, editor, case)


def test_a_question_cancelled_while_the_terminal_opens_leaves_nothing(root: Path) -> None:
    """The client had started the command; Punie did not know its terminal yet and left it."""

    class Slow(Able):
        async def create_terminal(self, *args: Any, **rest: Any) -> schema.CreateTerminalResponse:
            made = await super().create_terminal(*args, **rest)
            await asyncio.sleep(0.5)
            return made

    editor = Slow(["allow_once"])

    async def case(found: Desk, session: str) -> None:
        asking = asyncio.create_task(found.ask(session, "run"))
        await until(lambda: editor.running, asking)
        await found.agent.cancel(session_id=session)
        assert await asking == "cancelled"
        assert editor.did[1:] == ["kill", "release"]
        assert await asyncio.wait_for(editor.running["terminal-0"].wait(), 5) < 0

    with_editor(root, "print(run_command('exec sleep 60'))", editor, case)


def test_what_a_command_started_that_takes_too_long_ends_with_it(root: Path) -> None:
    async def case(found: Desk, session: str) -> None:
        await found.ask(session, "run")
        assert "longer than its limit of 1 s" in found.said(session)[0]
        assert not runs(int((root / "child").read_text()))

    with_editor(root, CHILD, Able(["allow_once"]), case, test_seconds=1.0)


def test_what_a_command_that_ends_left_in_the_background_is_the_client_s(root: Path) -> None:
    async def case(found: Desk, session: str) -> None:
        await found.ask(session, "run")
        child = int((root / "child").read_text())
        assert runs(child)
        os.kill(child, signal.SIGKILL)

    reply = "run_command('sleep 60 >/dev/null 2>&1 & echo $! > child')\nprint('done')"
    with_editor(root, reply, Able(["allow_once"]), case)


def test_a_command_that_takes_too_long_is_ended_and_says_so(root: Path) -> None:
    editor = Able(["allow_once"])

    async def case(found: Desk, session: str) -> None:
        await found.ask(session, "run")
        assert "run_command took longer than its limit of 1 s" in found.said(session)[0]
        assert editor.did[1:] == ["kill", "release"]

    with_editor(root, "print(run_command('exec sleep 60'))", editor, case, test_seconds=1.0)
