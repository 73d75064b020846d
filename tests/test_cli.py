"""The command line from outside: help, bad input, batches and a terminal.

What `punie doctor --contract` checks is not checked here again.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from punie import demo
from punie.cli import COMMANDS
from repos import snapshot, write

HEAVY = ("torch", "transformers", "peft", "mcp", "acp", "llama_cpp", "pydantic_ai")
LIGHT = f"""
import sys
from punie.cli import main
try:
    main(sys.argv[1:])
except SystemExit as done:
    loaded = sorted(set({HEAVY!r}) & set(sys.modules))
    print("heavy:", loaded, file=sys.stderr)
    raise
"""
"""The command line, telling at its end which heavy modules it has loaded."""


class Ran(NamedTuple):
    status: int
    out: str
    err: str


class Bench:
    """A demo workspace, a user's folders, and `punie` with a scripted model."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, demo.create(folder / "shop")
        self.mark = uuid.uuid4().hex
        plain = {n: v for n, v in os.environ.items() if not n.startswith(("PUNIE_", "NO_COLOR"))}
        home = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "config")}
        self.env = plain | home | {"PUNIE_DATA": str(folder / "data"), "MARK": self.mark}

    def script(self, replies: list[str]) -> list[str]:
        """The option for a model that gives these replies."""
        file = self.folder / "replies.json"
        file.write_text(json.dumps(replies), "utf-8")
        return ["--model", f"scripted:{file}"]

    def punie(
        self,
        *args: str,
        replies: list[str] | None = None,
        text: bytes = b"",
        light: bool = False,
        **env: str,
    ) -> Ran:
        """Run it without a terminal; settings come by their environment names."""
        start = ["-c", LIGHT] if light else ["-m", "punie"]
        done = subprocess.run(
            [sys.executable, *start, *args, *(self.script(replies) if replies is not None else [])],
            cwd=self.root,
            env=self.env | env,
            input=text,
            capture_output=True,
            timeout=60,
            check=False,
        )
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    def left(self) -> list[bytes]:
        """Command lines of the processes that were started from here and still run."""
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                with contextlib.suppress(OSError):
                    if self.mark.encode() in (folder / "environ").read_bytes():
                        found.append((folder / "cmdline").read_bytes())
        return found


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("cli"))


def program(code: str) -> str:
    return f"<jupyter_code>{code}"


COUNT = program("print(git_status().file_count)")


def test_the_contract_holds(bench: Bench) -> None:
    ran = bench.punie("doctor", "--contract")
    assert ran.status == 0, ran.out
    assert ran.out.count("ok  ") > 20
    assert "!!" not in ran.out


# --- help


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)], ids=" ".join)
def test_every_command_has_help_that_loads_nothing_heavy(bench: Bench, command: list[str]) -> None:
    ran = bench.punie(*command, "--help", light=True)
    assert (ran.status, ran.err) == (0, "heavy: []\n")
    assert ran.out.startswith(f"Usage: {' '.join(['punie', *command])} [OPTIONS]")
    assert "Show this message and exit." in ran.out


def test_the_help_lists_every_command_with_its_line(bench: Bench) -> None:
    shown = " ".join(bench.punie("--help").out.split())
    for name, line in COMMANDS.items():
        assert f"{name} {line}" in shown


def test_the_check_for_heavy_modules_would_find_one(bench: Bench) -> None:
    script = LIGHT.replace("import sys", "import sys\nsys.modules['torch'] = sys", 1)
    done = subprocess.run([sys.executable, "-c", script, "--version"], capture_output=True)
    assert done.stderr == b"heavy: ['torch']\n"


def test_a_question_loads_nothing_heavy(bench: Bench) -> None:
    ran = bench.punie("ask", "how many files changed?", replies=[COUNT], light=True)
    assert ran == (0, "4\n", "heavy: []\n")


@pytest.mark.parametrize("args", [["frobnicate"], ["ask", "q", "--frob"], ["call"]])
def test_wrong_usage_says_where_help_is(bench: Bench, args: list[str]) -> None:
    ran = bench.punie(*args)
    assert (ran.status, ran.out) == (2, "")
    assert "--help" in ran.err


# --- bad input: a status, a message with a way out, and nothing left behind

BAD: dict[str, tuple[list[str], dict[str, Any], int, str]] = {
    "a file that is no text": (
        ["call", "read_file", "path=latin.py"],
        {},
        1,
        r"'latin.py' cannot be shown: it is not UTF-8 text \(byte 3\)",
    ),
    "a link to nowhere": (
        ["call", "read_file", "path=dead.py"],
        {},
        1,
        r"'dead.py' cannot be read, it leads to 'nowhere.py': No such file",
    ),
    "a pipe": (["call", "read_file", "path=pipe"], {}, 1, "'pipe' is no regular file"),
    "a folder": (["call", "read_file", "path=shop"], {}, 1, "'shop' is a folder: give a file"),
    "a path outside": (
        ["call", "read_file", "path=../replies.json"],
        {},
        1,
        "'../replies.json' leads outside the workspace",
    ),
    "a misspelled path": (
        ["call", "read_file", "path=shop/order.py"],
        {},
        1,
        r"no file or folder 'shop/order.py' in the workspace; did you mean 'shop/orders.py'",
    ),
    "no language server": (
        ["call", "find_references", "symbol=Order"],
        {"PUNIE_LANGUAGE_SERVER": "/nonexistent"},
        1,
        r"'/nonexistent'.*correct the setting `language_server` or run `pip install ty`",
    ),
    "a language server that ends at once": (
        ["call", "find_references", "symbol=Order"],
        {"PUNIE_LANGUAGE_SERVER": "true"},
        1,
        "language server 'true' failed twice: .*run it by hand to see why",
    ),
    "no language server, in a program": (
        ["ask", "who?"],
        {
            "PUNIE_LANGUAGE_SERVER": "/nonexistent",
            "replies": [program("print(find_references(symbol='Order').reference_count)")],
        },
        1,
        "correct the setting `language_server`",
    ),
    "a program without end": (
        ["ask", "how?"],
        {
            "PUNIE_PROGRAM_SECONDS": "0.3",
            "PUNIE_REPAIRS": "0",
            "replies": [program("git_log()\nwhile True:\n    pass")],
        },
        1,
        r"computed longer than its limit of 0.3 s \(calls made: git_log\)",
    ),
    "output without end": (
        ["ask", "how?"],
        {
            "PUNIE_PROGRAM_SECONDS": "0.3",
            "PUNIE_OUTPUT_KB": "1",
            "PUNIE_REPAIRS": "0",
            "replies": [program("while True:\n    print('a' * 99)")],
        },
        1,
        "it printed more than its limit of 1 kB",
    ),
    "a forbidden module": (
        ["ask", "how?"],
        {"PUNIE_REPAIRS": "0", "replies": [program("import subprocess\nsubprocess.run('ls')")]},
        1,
        "Cannot resolve imported module `subprocess` in `import subprocess`",
    ),
    "a program that is nonsense": (
        ["ask", "how?"],
        {"PUNIE_REPAIRS": "0", "replies": [program("%%% 漢 not python (((")]},
        1,
        "invalid-syntax: .* in `%%% 漢 not python",
    ),
    "an empty reply": (["ask", "how?"], {"replies": ["<|im_end|>"]}, 1, "ask in other words"),
    "a model without a reply": (["ask", "how?"], {"replies": []}, 1, "no reply for call 1"),
    "a model file that is none": (
        ["ask", "how?", "--model", "none.gguf"],
        {},
        4,
        "there is no model file 'none.gguf': check the path",
    ),
    "a model of no kind": (
        ["ask", "how?", "--model", "gpt"],
        {},
        2,
        "model 'gpt' is none of: default, release:NAME, FILE.gguf, MLX folder, "
        "http://host:port/v1#name, scripted:FILE",
    ),
    "a model server that is not there": (
        ["ask", "how?", "--model", "http://127.0.0.1:9/v1"],
        {},
        4,
        "no model server answers at http://127.0.0.1:9/v1 .*: start it, or choose another",
    ),
    "a setting that cannot be": (
        ["ask", "how?"],
        {"PUNIE_TOOL_CALLS": "many", "replies": ["x"]},
        2,
        r"settings cannot be used:\n  tool_calls: .*\nknown settings: model, ",
    ),
    "a batch file that is not there": (
        ["ask", "--json", "--batch", "none.txt"],
        {"replies": ["x"]},
        2,
        "batch file 'none.txt' cannot be read: .*No such file",
    ),
    "a batch file that is no text": (
        ["ask", "--json", "--batch", "latin.py"],
        {"replies": ["x"]},
        2,
        "batch file 'latin.py' cannot be read: ",
    ),
    "a batch that is not for programs": (
        ["ask", "--batch", "-"],
        {"replies": ["x"], "text": b"one\n"},
        2,
        "--batch prints JSON: add --json",
    ),
    "a program file that is not there": (
        ["exec", "none.py"],
        {},
        2,
        "program 'none.py' cannot be read: ",
    ),
}


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A bench whose workspace holds a Latin-1 file, a link to nowhere and a pipe."""
    bench = Bench(tmp_path_factory.mktemp("odd"))
    write(bench.root, {"latin.py": b"caf\xe9 = 1\n"})
    (bench.root / "dead.py").symlink_to("nowhere.py")
    return bench


@pytest.mark.parametrize("name", BAD)
def test_bad_input_ends_with_a_way_out_and_leaves_nothing(odd: Bench, name: str) -> None:
    args, options, status, said = BAD[name]
    before = snapshot(odd.root)
    if name == "a pipe":
        os.mkfifo(odd.root / "pipe")
    ran = odd.punie(*args, **options)
    (odd.root / "pipe").unlink(missing_ok=True)
    shown = ran.out + ran.err
    assert ran.status == status, shown
    assert re.search(said, shown), shown
    assert "Traceback" not in shown
    assert "punie_" not in shown
    assert snapshot(odd.root) == before
    assert odd.left() == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_may_not_be_read_is_named(odd: Bench) -> None:
    (odd.root / "secret.py").write_text("x = 1\n")
    (odd.root / "secret.py").chmod(0)
    ran = odd.punie("call", "read_file", "path=secret.py")
    (odd.root / "secret.py").unlink()
    assert ran == (1, "", "failed: 'secret.py' cannot be read: Permission denied\n")


def test_one_file_that_is_no_text_does_not_stop_the_type_check(odd: Bench) -> None:
    """ty ends with status 2 then: its whole report was once shown as a failure."""
    ran = odd.punie("call", "typecheck", "--json")
    assert ran.status == 0, ran.err
    found = {(e["file"], e["code"]) for e in json.loads(ran.out)["errors"]}
    assert ("latin.py", "io") in found
    assert "shop/pricing.py" in {file for file, _ in found}


def test_what_is_left_running_would_be_found(bench: Bench) -> None:
    with subprocess.Popen(["sleep", "20"], env=bench.env) as process:
        deadline = time.monotonic() + 5
        while not bench.left() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert bench.left() == [b"sleep\x0020\x00"]
        process.kill()
    assert bench.left() == []


def test_a_question_of_100_kb_is_answered_and_echoed(bench: Bench) -> None:
    question = "ä漢 " * 17_000
    ran = bench.punie("ask", question, "--json", replies=["Shorter, please."])
    assert ran.status == 0
    assert json.loads(ran.out)["query"] == question
    assert len(question.encode()) > 100_000


def test_a_program_may_start_with_a_byte_order_mark(bench: Bench) -> None:
    write(bench.folder, {"marked.py": b"\xef\xbb\xbfprint(git_status().file_count)\n"})
    assert bench.punie("exec", str(bench.folder / "marked.py")) == (0, "4\n", "")


def test_a_failure_is_one_line_on_standard_error_and_no_trace_of_python(bench: Bench) -> None:
    ran = bench.punie("ask", "how?", "--workspace", "nowhere", replies=["x"])
    assert ran == (
        2,
        "",
        "punie: workspace 'nowhere' does not exist: give a folder with --workspace\n",
    )


# --- batches


def test_a_batch_answers_every_line_in_order_and_ends_with_the_worst_status(bench: Bench) -> None:
    lines = [
        "how many?",
        "",
        "[1, 2]",
        json.dumps(["who?", " ", "and now?"]),
        "  \t",
        "write it",
        "[broken",
        "last ä",
    ]
    replies = [
        program("for n in range(9):\n    git_status()\nprint(git_status().file_count)"),
        "A list.",
        program("print(read_file('none.py').line_count)"),
        "That is not there.",
        "Now.",
        program("write_file('new.txt', 'x')"),
        "Broken.",
        "Last.",
    ]
    before = snapshot(bench.root)
    text = "\r\n".join(lines).encode()
    ran = bench.punie("ask", "--batch", "-", "--json", replies=replies, text=text)
    answers = [json.loads(line) for line in ran.out.splitlines()]
    assert [(a["query"], a.get("turn"), a["ok"]) for a in answers] == [
        ("how many?", None, True),
        ("[1, 2]", None, True),
        ("who?", 1, False),
        (" ", 2, False),
        ("and now?", 3, True),
        ("write it", None, False),
        ("[broken", None, True),
        ("last ä", None, True),
    ]
    assert [a["answer"] for a in answers][::4] == ["4", "Now."]
    assert ran.status == 3
    assert ran.err == ""
    assert snapshot(bench.root) == before


def test_an_empty_batch_answers_nothing(bench: Bench) -> None:
    ran = bench.punie("ask", "--batch", "-", "--json", replies=[], text=b"\n \n")
    assert ran == (0, "", "")


# --- a terminal


def on_terminal(
    bench: Bench, *args: str, replies: list[str], typed: str = "", early: str = ""
) -> tuple[int, str]:
    """Status of `punie` on a pseudo-terminal, and all that this showed.

    `typed` answers `[y/N]`, a Ctrl-C there is a signal; `early` is typed before it asks.
    """
    ours, theirs = pty.openpty()
    os.write(ours, early.encode())
    process = subprocess.Popen(
        [sys.executable, "-m", "punie", *args, *bench.script(replies)],
        cwd=bench.root,
        env=bench.env | {"TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown, deadline = b"", time.monotonic() + 30
    try:
        while time.monotonic() < deadline:
            if select.select([ours], [], [], 0.2)[0]:
                try:
                    chunk = os.read(ours, 65536)
                except OSError:  # the other side is closed
                    break
                shown += chunk
                if typed and b"[y/N]" in shown:
                    if typed == "\x03":
                        process.send_signal(signal.SIGINT)
                    else:
                        os.write(ours, typed.encode())
                    typed = ""
    finally:
        if process.poll() is None and time.monotonic() >= deadline:
            process.kill()
        status = process.wait()
        os.close(ours)
    return status, shown.decode().replace("\r\n", "\n")


def test_a_terminal_shows_the_program_dimmed_above_the_answer(bench: Bench) -> None:
    status, shown = on_terminal(bench, "ask", "how many?", replies=[COUNT])
    assert status == 0
    assert shown == "\x1b[2mprint(git_status().file_count)\x1b[0m\n4\n"


def test_a_pipe_gets_the_answer_alone(bench: Bench) -> None:
    assert bench.punie("ask", "how many?", replies=[COUNT]) == (0, "4\n", "")


def test_escapes_are_shown_on_a_terminal_and_not_obeyed(bench: Bench) -> None:
    code = program("print('\\x1b[31mred\\x07 \u202eback')  # \x1b]0;title\x07")
    status, shown = on_terminal(bench, "ask", "colour?", replies=[code])
    dimmed, answer = shown.splitlines()
    assert status == 0
    assert answer == r"\x1b[31mred\x07 \x202eback"
    assert dimmed.startswith("\x1b[2m")
    assert dimmed.count("\x1b") == 2
    assert dimmed.endswith("\\x1b]0;title\\x07\x1b[0m")
    status, shown = on_terminal(bench, "ask", "words?", replies=["a\x1b[2Jb\rc"])
    assert shown == "a\\x1b[2Jb\\x0dc\n"


WRITE = program("print(write_file('new.py', 'x: int = 1\\n').created)")


def test_a_write_shows_its_diff_and_happens_only_when_it_is_approved(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    before = snapshot(bench.root)
    status, shown = on_terminal(bench, "ask", "write it", replies=[WRITE], typed="n\n")
    assert status == 3
    assert "+x: int = 1" in shown
    assert "Allow write: write_file path='new.py'" in shown
    assert "was refused" in shown
    assert snapshot(bench.root) == before
    status, shown = on_terminal(bench, "ask", "write it", replies=[WRITE], typed="y\n")
    assert (status, shown.splitlines()[-1]) == (0, "True")
    assert (bench.root / "new.py").read_text() == "x: int = 1\n"
    assert bench.punie("undo").status == 0
    assert snapshot(bench.root) == before


def test_ctrl_c_at_an_approval_ends_at_once(tmp_path: Path) -> None:
    """It once waited for Enter, since a thread was reading the answer."""
    bench = Bench(tmp_path)
    before = snapshot(bench.root)
    status, shown = on_terminal(bench, "ask", "write it", replies=[WRITE], typed="\x03")
    assert status == 130
    assert shown.rstrip().endswith("interrupted")
    assert snapshot(bench.root) == before


def test_what_was_typed_before_the_question_does_not_answer_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    before = snapshot(bench.root)
    status, shown = on_terminal(
        bench, "ask", "write it", replies=[WRITE], early="y\n", typed="what\nno\n"
    )
    assert status == 3
    assert "Answer y or n." in shown
    assert snapshot(bench.root) == before
