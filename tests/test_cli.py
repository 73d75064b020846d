"""The command line from outside: help, batches and odd input.

What `punie doctor --contract` checks is not checked here again.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from programs import COUNT, program
from punie.cli import COMMANDS
from repos import snapshot, write
from workbench import LIGHT, Bench


def test_the_contract_holds(bench: Bench) -> None:
    ran = bench.punie("doctor", "--contract")
    assert ran.status == 0, ran.out
    assert ran.out.count("ok  ") > 20
    assert "!!" not in ran.out


def test_a_pipe_gets_the_answer_alone(bench: Bench) -> None:
    assert bench.punie("ask", "how many?", replies=[program(COUNT)]) == (0, "4\n", "")


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
    ran = bench.punie("ask", "how many files changed?", replies=[program(COUNT)], light=True)
    assert ran == (0, "4\n", "heavy: []\n")


@pytest.mark.parametrize("args", [["frobnicate"], ["ask", "q", "--frob"], ["call"]])
def test_wrong_usage_says_where_help_is(bench: Bench, args: list[str]) -> None:
    ran = bench.punie(*args)
    assert (ran.status, ran.out) == (2, "")
    assert "--help" in ran.err


# --- odd input that is answered


def test_a_question_of_100_kb_is_answered_and_echoed(bench: Bench) -> None:
    question = "ä漢 " * 17_000
    ran = bench.punie("ask", question, "--json", replies=["Shorter, please."])
    assert ran.status == 0
    assert json.loads(ran.out)["query"] == question
    assert len(question.encode()) > 100_000


def test_a_program_may_start_with_a_byte_order_mark(bench: Bench) -> None:
    write(bench.folder, {"marked.py": b"\xef\xbb\xbfprint(git_status().file_count)\n"})
    assert bench.punie("exec", str(bench.folder / "marked.py")) == (0, "4\n", "")


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
