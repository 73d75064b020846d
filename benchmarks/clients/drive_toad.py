"""The terminal front end `batrachian-toad`, typed at in tmux as a person would.

    .venv/bin/python benchmarks/clients/drive_toad.py --toad PATH/OF/toad

Needs tmux, and `pip install batrachian-toad` in an environment of its own. The transcript
has the wire in both directions and the screen at the moments that count.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Callable

from scene import Scene, play

WIDE, HIGH = 90, 40
FRAME = " ▌▎▊▔▁█━╸╺"
"""What lines and corners are drawn with."""
FILES = "for file in list_files('*.py', 'shop').files:\n    print(file.path)"
PROGRAMS = [
    "print(read_file('README.md').text)",
    FILES,
    "print(write_file('notes.txt', 'kept\\n'))",
    "print(write_file('notes.txt', 'never\\n'))",
    "r = run_command('echo out; echo err >&2; exit 3')\nprint(r.exit_code, r.stdout)",
    "print(run_command('echo begun; sleep 777'))",
    *["while True:\n    pass"] * 3,  # a failed program goes back to the model, twice
    "print(run_command('echo begun; sleep 888'))",
    "print('still here')",
]
LATER = ["print(read_file('notes.txt').text)"]
"""What the model replies after the restart."""


class Screen:
    """A terminal with toad in it."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.socket = str(scene.folder / "tmux")

    def tmux(self, *words: str) -> str:
        """A command to the terminal's own server."""
        command = ["tmux", "-S", self.socket, "-f", "/dev/null", *words]
        done = subprocess.run(
            command, env=self.scene.env, capture_output=True, text=True, check=False
        )
        return done.stdout

    def start(self, command: str) -> None:
        """Run a command in a new terminal."""
        size = ["-x", str(WIDE), "-y", str(HIGH)]
        self.tmux("new-session", "-d", *size, "-c", str(self.scene.shop), f"{command}; sleep 600")

    def stop(self) -> None:
        """Close the terminal."""
        self.tmux("kill-server")

    def text(self) -> str:
        """What one sees."""
        return self.tmux("capture-pane", "-p")

    def keys(self, *names: str) -> None:
        """Press keys."""
        self.tmux("send-keys", *names)

    def say(self, text: str) -> None:
        """Type a line and send it."""
        self.tmux("send-keys", "-l", text)
        self.until(lambda: text in self.text(), f"{text!r} stands in the prompt")
        self.keys("Enter")

    def until(self, holds: Callable[[], object], what: str, seconds: float = 60) -> None:
        """Wait for something that has to happen."""
        end = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > end:
                self.show()
                raise TimeoutError(f"not seen in {seconds:g} s: {what}")
            time.sleep(0.2)

    def show(self, *words: str) -> None:
        """Write down what one sees, without empty lines; with `words`, only lines with one."""
        rows = [row.strip() for row in self.text().splitlines()]
        shown = [row for row in rows if row.strip(FRAME)]
        if words:
            shown = [row for row in shown if any(word in row for word in words)]
        self.scene.note("\n".join(f"| {row}" for row in shown))


class Talk:
    """A conversation in toad, with the wire beside it."""

    def __init__(self, scene: Scene, screen: Screen) -> None:
        self.scene, self.screen = scene, screen

    def answers(self) -> int:
        """Turns that have ended."""
        return sum(
            mark == "<" and "stopReason" in (message.get("result") or {})
            for mark, message in self.scene.messages()
            if mark != "!"
        )

    def stopped(self) -> str:
        """Stop reason of the last turn."""
        found = [
            message["result"]["stopReason"]
            for mark, message in self.scene.messages()
            if mark == "<" and "stopReason" in (message.get("result") or {})
        ]
        return found[-1] if found else ""

    def said(self) -> str:
        """All that the agent has said since the last prompt."""
        texts: list[str] = []
        for mark, message in self.scene.messages():
            if mark == "!":
                continue
            if message.get("method") == "session/prompt":
                texts.clear()
            update = message.get("params", {}).get("update", {}) if mark == "<" else {}
            if update.get("sessionUpdate") == "agent_message_chunk":
                texts.append(update["content"]["text"])
        return "".join(texts)

    def asked(self) -> int:
        """Permissions that the agent has asked for."""
        return sum(
            mark == "<" and message.get("method") == "session/request_permission"
            for mark, message in self.scene.messages()
            if mark != "!"
        )

    def turn(self, text: str, key: str = "", seconds: float = 60) -> None:
        """Say something, answer the question that comes of it with a key, wait for the end."""
        before, asked = self.answers(), self.asked()
        self.screen.say(text)
        if key:
            self.screen.until(lambda: self.asked() > asked, "a permission is asked for")
            self.screen.until(lambda: "Reject" in self.screen.text(), "the question is shown")
            time.sleep(1.0)  # the screen fades in
            self.screen.show()
            self.screen.keys(key)
        self.screen.until(lambda: self.answers() > before, "the turn ends", seconds)
        time.sleep(1.0)


def sleeping(seconds: int) -> bool:
    """Whether the command `sleep SECONDS` runs anywhere."""
    done = subprocess.run(["pgrep", "-fx", f"sleep {seconds}"], capture_output=True, check=False)
    return done.returncode == 0


def story(scene: Scene) -> None:
    """Everything that a person would do, one after the other."""
    scene.env |= {"PUNIE_TEST_SECONDS": "12", "PUNIE_PROGRAM_SECONDS": "3", "SHELL": "/bin/sh"}
    scene.env["TERM"] = "xterm-256color"
    screen, notes = Screen(scene), scene.shop / "notes.txt"
    notes.write_text("old\n")
    settings = scene.folder / "home" / "config" / "toad" / "toad.json"
    settings.parent.mkdir(parents=True)
    settings.write_text('{"sidebar": {"hide": true}}')
    agent = scene.folder / "agent.sh"
    agent.write_text(f"#!/bin/sh\nexec {scene.agent(PROGRAMS)}\n")
    agent.chmod(0o755)
    toad = shlex.quote(scene.given.toad)
    version = subprocess.run(
        [scene.given.toad, "--version"], capture_output=True, text=True, check=False
    )
    scene.note(f"# batrachian-toad {version.stdout.strip()}")
    try:
        screen.start(f"{toad} acp {agent} {scene.shop} --title Punie")
        before(scene, screen)
    finally:
        screen.stop()
    scene.wire()
    scene.agent(LATER)
    try:
        screen.start(f"{toad} {scene.shop}")
        after(scene, screen)
    finally:
        screen.stop()


def before(scene: Scene, screen: Screen) -> None:
    """The first time: ask, allow, reject, run, time limits, cancel."""
    talk, notes = Talk(scene, screen), scene.shop / "notes.txt"
    scene.heading("Start")
    screen.until(lambda: any(m == "<" and "sessionId" in (e.get("result") or {})
                             for m, e in scene.messages() if m != "!"), "a session")  # fmt: skip
    screen.until(lambda: "help you" in screen.text(), "the prompt")
    scene.wire()
    scene.heading("A question: what is in the README?")
    talk.turn("what is in the README?")
    text = (scene.shop / "README.md").read_text().strip()
    scene.expect("the answer is the file", text in talk.said())
    scene.expect("its last line is on the screen", text.split("\n")[-1] in screen.text())
    screen.show()
    scene.wire()
    scene.heading("A question whose answer is a list")
    talk.turn("which files are in shop?")
    names = [word for word in talk.said().split() if "/" in word]
    scene.expect("names with underscores are shown as they are", "__init__.py" in screen.text())
    rows = [row for row in screen.text().splitlines() if row.count("shop/") and "❯" not in row]
    scene.expect(f"{len(names)} names stand in as many lines", len(rows) >= len(names) > 1)
    screen.show()
    scene.wire()
    scene.heading("A write, allowed once")
    talk.turn("write the notes", "a")
    scene.expect("the file is written", notes.read_text() == "kept\n")
    scene.wire()
    scene.heading("A write, rejected")
    talk.turn("write again", "r")
    scene.expect("the file is as it was", notes.read_text() == "kept\n")
    scene.expect("the answer says so", "was refused" in talk.said())
    screen.show()
    scene.wire()
    scene.heading("A command, allowed once")
    talk.turn("run it", "a")
    scene.expect("exit status and both streams", "3 out\nerr" in talk.said())
    screen.show()
    scene.wire()
    scene.heading("A command that runs into its time limit (12 s)")
    talk.turn("run long", "a", seconds=30)
    scene.expect("the answer says so", "longer than its limit of 12 s" in talk.said())
    scene.expect("the command has ended", not sleeping(777))
    scene.wire()
    scene.heading("A question that runs into its time limit (3 s of program)")
    talk.turn("count for ever", seconds=30)
    scene.expect("the answer says so", "computed longer than its limit of 3 s" in talk.said())
    screen.show()
    scene.wire()
    scene.heading("Escape, twice as toad wants it, while a command runs")
    ended, asked = talk.answers(), talk.asked()
    screen.say("run other")
    screen.until(lambda: talk.asked() > asked, "a permission is asked for")
    time.sleep(1.0)
    screen.keys("a")
    screen.until(lambda: sleeping(888), "the command runs")
    screen.keys("Escape")
    screen.until(lambda: "again to cancel" in screen.text(), "toad wants it twice", 10)
    screen.keys("Escape")
    screen.until(lambda: talk.answers() > ended, "the turn ends", 15)
    scene.expect("the stop reason is cancelled", talk.stopped() == "cancelled")
    scene.expect("the command has ended", not sleeping(888))
    scene.wire()
    scene.heading("A question after it")
    talk.turn("hello?")
    scene.expect("it is answered", talk.said() == "still here")
    screen.show()
    scene.wire()
    scene.heading("Quit")
    screen.keys("C-q")
    screen.until(lambda: scene.messages()[-1][0] == "!", "the agent ends", 20)
    scene.expect("status 0", scene.messages()[-1][1].endswith("status 0"))
    scene.wire()


def after(scene: Scene, screen: Screen) -> None:
    """The second time: resume."""
    talk = Talk(scene, screen)
    scene.heading("A new start, ctrl+r, the session from before")
    screen.until(lambda: "Resume" in screen.text(), "the start page")
    screen.keys("C-r")
    screen.until(lambda: "just now" in screen.text() or "minute" in screen.text(), "the list")
    screen.show("Session", "Punie", "Resume")
    screen.keys("Enter")
    time.sleep(1)
    screen.keys("Tab", "Enter")
    screen.until(lambda: any(m == ">" and e.get("method") == "session/load"
                             for m, e in scene.messages() if m != "!"), "session/load")  # fmt: skip
    screen.until(lambda: "still here" in screen.text(), "the last answer")
    screen.until(lambda: "Initializing" not in screen.text(), "toad is ready")
    time.sleep(2.0)  # before that, keys are lost
    screen.show()
    loaded = scene.wire(brief=True)
    said = [e for m, e in loaded if m == "<" and e.get("method") == "session/update"]
    scene.expect(f"all {len(said)} updates are shown again", len(said) > 40)
    scene.heading("A question in it")
    talk.turn("and the notes?")
    scene.expect("it is answered", talk.said() == "kept")
    screen.show()
    scene.wire()
    screen.keys("C-q")
    screen.until(lambda: scene.messages()[-1][0] == "!", "the agent ends", 20)
    scene.expect("status 0", scene.messages()[-1][1].endswith("status 0"))
    scene.wire()


if __name__ == "__main__":
    sys.exit(play("toad", story))
