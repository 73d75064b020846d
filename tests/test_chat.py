"""`punie chat` as a person sees it: through a pseudo-terminal, with keys."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from punie import demo
from punie.conversation import Conversation, Turn, resume
from punie.errors import UsageError

COUNT = "<jupyter_code>print(git_status().file_count)"
WRITE = "<jupyter_code>print(write_file('new.py', 'x: int = 1\\n').created)"
SLEEP = "<jupyter_code>print('first')\nprint(run_command('sleep 60; echo no').exit_code)"
BRACKETS = re.compile(r"\x1b\[\?2004[hl]\r?|\x1b\[\?1034h")
"""What readline tells a terminal about pasting."""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return demo.create(tmp_path / "shop")


class Person:
    """Someone at a terminal where `punie chat` runs; `screen` is all that it showed."""

    def __init__(self, shop: Path, replies: list[str], *args: str, **env: str) -> None:
        script = shop.parent / "replies.json"
        script.write_text(json.dumps(replies), "utf-8")
        self.command = [sys.executable, "-m", "punie", "chat", "--model", f"scripted:{script}"]
        self.command += args
        self.shop, self.screen, self.mark = shop, "", 0
        self.env = environment(shop) | {"TERM": "xterm", "INPUTRC": "/dev/null"} | env

    def __enter__(self) -> Self:
        self.pid, self.terminal = pty.fork()
        if not self.pid:  # the child: its terminal sends it the signals of keys
            os.chdir(self.shop)
            os.execve(sys.executable, self.command, self.env)
        self.sees("> ")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            os.kill(self.pid, signal.SIGKILL)
        self.look(until=None)
        self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.terminal)

    def types(self, text: str) -> None:
        """Type; what is seen from here on is looked at."""
        self.mark = len(self.screen)
        os.write(self.terminal, text.encode())

    def interrupts(self, text: str) -> None:
        """Press Ctrl-C until a text is seen: on a busy machine a press can come too early."""
        for _ in range(10):
            self.types("\x03")
            self.look(until=text, seconds=4)
            if text in self.screen[self.mark :]:
                return
        raise AssertionError(self.screen)

    def sees(self, text: str) -> str:
        """Wait for a text after what was typed last; returns what is shown since then."""
        self.look(until=text)
        shown = self.screen[self.mark :]
        assert text in shown, self.screen
        return shown

    def asks(self, line: str) -> str:
        """Type a line and wait for the next prompt; returns what came between them."""
        self.types(line + "\n")
        self.look(until="\n> ")
        shown = self.screen[self.mark :]
        assert shown.startswith(line), shown
        assert shown.endswith("\n> "), self.screen
        return shown.removeprefix(line).strip("\n").removesuffix("\n> ")

    def look(self, until: str | None, seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            shown = self.screen[self.mark :]
            if until is not None and (shown.endswith(until) or until in shown.rstrip("> ")):
                return
            if select.select([self.terminal], [], [], 0.1)[0]:
                try:
                    chunk = os.read(self.terminal, 65536)
                except OSError:  # the other side is closed
                    return
                text = self.screen + chunk.decode("utf-8", "replace")
                self.screen = BRACKETS.sub("", text.replace("\r\n", "\n"))


def environment(shop: Path) -> dict[str, str]:
    plain = {n: v for n, v in os.environ.items() if not n.startswith(("PUNIE_", "NO_COLOR"))}
    home = {"HOME": str(shop.parent), "XDG_CONFIG_HOME": str(shop.parent / "config")}
    return plain | home | {"PUNIE_DATA": str(shop.parent / "data")}


def chats(shop: Path) -> Iterator[Path]:
    return (shop.parent / "data" / "chats").glob("*/*.json")


def test_a_conversation_shows_programs_above_answers_and_uses_the_turn_before(shop: Path) -> None:
    follow = "<jupyter_code>for f in git_status().files:\n    print(f.file)"
    with Person(shop, [COUNT, follow, "Words."]) as person:
        assert "shop, model replies; /help shows the commands" in person.screen
        shown = person.asks("how many files changed?")
        assert shown == "\x1b[2mprint(git_status().file_count)\x1b[0m\n4"
        assert "shop/gifts.py" in person.asks("which ones?")
        assert person.asks("thank you").endswith("Words.")
        person.types("\x04")
    assert person.status == 0
    (file,) = chats(shop)
    assert f"punie chat --resume {file.stem} goes on from here" in person.screen
    turns = json.loads(file.read_text())["turns"]
    assert [turn["query"] for turn in turns] == [
        "how many files changed?",
        "which ones?",
        "thank you",
    ]
    assert [m["role"] for m in turns[1]["messages"]] == ["user", "assistant", "tool"]


def test_a_resumed_conversation_goes_on_where_it_was(shop: Path) -> None:
    with Person(shop, [COUNT]) as person:
        person.asks("how many files changed?")
        person.asks("/model")
        person.types("/quit\n")
    with Person(shop, ["Words."], "--resume") as person:
        assert "> how many files changed?\n4\n" in person.sees("\n4\n> ")
        person.asks("and now?")
        person.types("/quit\n")
    (file,) = chats(shop)
    assert len(json.loads(file.read_text())["turns"]) == 2
    store = json.loads(punie(shop, "traces", "list", "-n", "1", "--json").stdout)
    said = [m["content"] for m in store["messages"] if m["role"] == "user"]
    assert said == ["how many files changed?", "and now?"]
    ran = punie(shop, "chat", "--resume", "nothing")
    assert ran.returncode == 2
    assert f"no conversation 'nothing' about {str(shop)!r}; there are: {file.stem}" in ran.stderr


def punie(shop: Path, *args: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "punie", *args],
        cwd=shop,
        env=environment(shop),
        input=text,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_output_comes_while_the_program_runs_and_ctrl_c_interrupts_only_the_answer(
    shop: Path,
) -> None:
    with Person(shop, [SLEEP, COUNT], "--yes") as person:
        person.types("wait\n")
        person.sees("\nfirst\n")  # a minute before it would end
        time.sleep(0.5)
        person.interrupts("interrupted; the conversation goes on")
        person.sees("\n> ")
        assert person.asks("how many files changed?").endswith("\n4")
        person.types("\x04")
    assert person.status == 0
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert "sleep 60; echo no" not in left


def test_ctrl_c_at_the_prompt_drops_the_line(shop: Path) -> None:
    with Person(shop, [COUNT]) as person:
        person.types("how ma")
        person.sees("how ma")
        time.sleep(0.5)  # Python notices a signal that comes before readline waits at the next key
        person.interrupts("the conversation goes on")
        person.sees("\n> ")
        assert person.asks("how many?").endswith("\n4")
        person.types("\x04")
    assert person.status == 0


def test_a_write_asks_with_its_diff_and_can_be_undone(shop: Path) -> None:
    with Person(shop, [WRITE, WRITE, WRITE]) as person:
        person.types("write it\n")
        assert "+x: int = 1" in person.sees("[y/s/a/N]: ")
        person.types("n\n")
        assert "was refused" in person.sees("\n> ")
        assert not (shop / "new.py").exists()
        person.types("write it\n")
        person.sees("[y/s/a/N]: ")
        person.types("y\n")
        assert "True" in person.sees("\n> ")
        assert (shop / "new.py").exists()
        assert f"removed {shop}/new.py (it had been created)" in person.asks("/undo")
        assert not (shop / "new.py").exists()
        assert "nothing to undo" in person.asks("/undo")
        assert "read-only is on" in person.asks("/read-only")
        assert "--read-only allows no write" in person.asks("write it")
        assert "read-only is off" in person.asks("/read-only off")
        person.types("\x04")
    assert not (shop / "new.py").exists()


def test_commands_say_what_they_do(shop: Path) -> None:
    other = shop.parent / "other.json"
    other.write_text(json.dumps(["Another."]))
    with Person(shop, [COUNT, "```\nno fence\n```"]) as person:
        shown = person.asks("/help")
        for name in ("/help", "/model", "/read-only", "/undo", "/save", "/new", "/quit"):
            assert f"{name} " in shown
        assert "no command '/frob'; there are: /help" in person.asks("/frob")
        person.asks("how many?")
        assert "no model file" in person.asks("/model nowhere.gguf")
        assert "model replies" in person.asks("/model")
        assert "model other" in person.asks(f"/model scripted:{other}")
        assert person.asks("and you?").endswith("Another.")
        assert "saved" in person.asks("/save ../notes.md")
        assert "'../notes.md' exists" in person.asks("/save ../notes.md")
        assert "needs the name" in person.asks("/save")
        person.types("\x04")
    notes = (shop.parent / "notes.md").read_text()
    assert "## how many?\n\n```python\nprint(git_status().file_count)\n```\n\n```text\n4\n" in notes
    assert notes.endswith("## and you?\n\nAnother.\n")


def test_escapes_in_output_are_shown_and_not_obeyed(shop: Path) -> None:
    code = "<jupyter_code>print('\\x1b[31mred\\x07 \u202eback')"
    with Person(shop, [code, "a\x1b[2Jb\rc"]) as person:
        shown = person.asks("colour?")
        assert shown.endswith("\n\\x1b[31mred\\x07 \\x202eback")
        assert person.asks("words?").endswith("a\\x1b[2Jb\\x0dc")
        person.types("\x04")


def test_lines_are_edited_recalled_and_remembered_without_secrets(shop: Path) -> None:
    secret = "ghp_" + "a1B2" * 9
    with Person(shop, [COUNT, "One.", "Two."]) as person:
        person.types("many?\x01how \n")  # to the start of the line
        person.sees("\n4\n> ")
        person.types("\x1b[A\n")  # the line before
        assert "how many?" in person.sees("One.\n> ")
        person.types(f"is {secret} there?\n")
        person.sees("Two.\n> ")
        person.types("/he\t")
        person.sees("/help ")
        person.types("\n")
        person.sees("\n> ")
        person.types("\x04")
    lines = (shop.parent / "data" / "chats" / "lines").read_text().splitlines()
    assert lines == ["how many?", "how many?", "is [redacted: GitHub token] there?", "/help"]
    assert not any(secret in file.read_text() for file in chats(shop))
    with Person(shop, ["Three."]) as person:
        person.types("\x1b[A\x1b[A\x1b[A\n")  # of the conversation before
        assert "how many?" in person.sees("Three.\n> ")
        person.types("\x04")


def test_nothing_is_kept_when_traces_are_off(shop: Path) -> None:
    with Person(shop, [COUNT], PUNIE_TRACES="false") as person:
        person.asks("how many?")
        person.types("\x04")
    assert "--resume" not in person.screen
    assert not (shop.parent / "data").exists()


def test_a_failed_program_shows_why_and_then_its_repair(shop: Path) -> None:
    bad = "<jupyter_code>print('so far')\nprint([][1])"
    with Person(shop, [bad, COUNT]) as person:
        shown = person.asks("how many?")
        person.types("\x04")
    lines = [re.sub(r"\x1b\[\d+m", "", line) for line in shown.splitlines()]
    assert lines[:3] == ["print('so far')", "print([][1])", "so far"]
    assert "IndexError" in lines[3]
    assert lines[-2:] == ["print(git_status().file_count)", "4"]


def test_a_pipe_is_answered_line_by_line_without_prompts(shop: Path) -> None:
    script = shop.parent / "replies.json"
    script.write_text(json.dumps([COUNT, "Words.", "<jupyter_code>print(1 + '')"]))
    text = "how many?\n\nand \\\nnow?\n"
    ran = punie(shop, "chat", "--model", f"scripted:{script}", text=text)
    assert (ran.returncode, ran.stdout, ran.stderr) == (
        0,
        "print(git_status().file_count)\n4\nWords.\n",
        "",
    )
    (file,) = chats(shop)
    assert json.loads(file.read_text())["turns"][1]["query"] == "and \nnow?"


def test_a_model_that_is_not_there_ends_with_its_status(shop: Path) -> None:
    ran = punie(shop, "chat", "--model", "nowhere.gguf", text="hello\n")
    assert (ran.returncode, ran.stdout) == (4, "")
    assert "there is no model file 'nowhere.gguf'" in ran.stderr


def test_a_conversation_is_kept_for_its_owner_and_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUNIE_DATA", str(tmp_path / "data"))
    first = Conversation(tmp_path, turns=[Turn("one?", "", "1")])
    second = Conversation(tmp_path, turns=[Turn("two?", "x = '```'", "2", "it stopped")])
    first.save()
    second.save()
    assert first.name != second.name
    assert resume(tmp_path, first.name).turns == first.turns
    assert resume(tmp_path, second.name).turns[0].error == "it stopped"
    assert "````python\nx = '```'\n````" in second.markdown()
    mode = next((tmp_path / "data" / "chats").glob("*/*.json")).stat().st_mode & 0o777
    assert mode == 0o600
    with pytest.raises(UsageError, match="there are: none"):
        resume(tmp_path / "data")
