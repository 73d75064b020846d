"""The contract that other programs rely on, checked from outside on a workspace of its own.

Each check runs `punie` as a child, without a terminal, and looks at its exit status and output.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from punie import demo
from punie.scratch import scratch

ANSWER = {
    "query": str,
    "answer": str,
    "kind": str,
    "ok": bool,
    "error": (str, type(None)),
    "model": dict,
    "steps": list,
    "ms": dict,
}
STEP = {
    "reply": str,
    "code": str,
    "stdout": str,
    "error": (str, type(None)),
    "prompt_tokens": int,
    "completion_tokens": int,
    "calls": list,
}
CALL = {
    "tool": str,
    "args": dict,
    "ok": bool,
    "error": (str, type(None)),
    "ms": float,
    "fields": list,
}
PROGRAM = "<jupyter_code>for f in git_status().files:\n    print(f.status, f.file)"
FAILING = "<jupyter_code>print(find_references(symbol='nobody').reference_count)"
WRITING = "<jupyter_code>print(write_file('new.txt', 'x').created)"


@dataclass(frozen=True)
class Ran:
    """A `punie` that has ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its standard output as JSON; every line must be an object."""
        return [json.loads(line) for line in self.out.splitlines()]


Check = tuple[str, Callable[[], str]]


class Bench:
    """A demo workspace and the means to run `punie` on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workspace = demo.create(folder / "shop")
        self.plain = folder / "plain"
        self.plain.mkdir()
        self.env = dict(os.environ) | {"PUNIE_DATA": str(folder / "data")}

    def punie(self, *args: str, replies: list[str] | None = None, text: str = "") -> Ran:
        """Run `punie`, with a scripted model if there are replies."""
        if replies is not None:
            script = self.folder / "replies.json"
            script.write_text(json.dumps(replies), "utf-8")
            args = (*args, "--model", f"scripted:{script}")
        done = subprocess.run(
            [sys.executable, "-m", "punie", *args],
            cwd=self.workspace,
            env=self.env,
            input=text.encode(),
            capture_output=True,
            timeout=120,
            check=False,
        )
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())


def _shape(value: dict[str, Any], shape: dict[str, Any], name: str) -> str:
    if set(value) != set(shape):
        return f"{name} has {sorted(value)}, not {sorted(shape)}"
    wrong = [k for k, kind in shape.items() if not isinstance(value[k], kind)]
    return f"{name}: wrong type of {wrong}" if wrong else ""


def _answer(ran: Ran, *, status: int = 0, kind: str = "tool", ok: bool = True) -> str:
    """What is wrong with one answer; empty when nothing is."""
    if ran.status != status:
        return f"exit status {ran.status}, not {status}: {ran.err[-200:]}"
    (value,) = ran.json
    wrong = _shape(value, ANSWER, "answer")
    for step in value.get("steps", []):
        wrong = wrong or _shape(step, STEP, "step")
        for call in step.get("calls", []):
            wrong = wrong or _shape(call, CALL, "call")
    if not wrong and (value["kind"], value["ok"]) != (kind, ok):
        return f"kind {value['kind']!r}, ok {value['ok']}, not {kind!r}, {ok}"
    return wrong


def _status(ran: Ran, status: int) -> str:
    if ran.status != status:
        return f"exit status {ran.status}, not {status}: {ran.err[-200:]}"
    return "" if status == 0 or ran.err.strip() else "nothing on standard error"


def checks(bench: Bench) -> Iterator[Check]:
    """Every check: its name, and a function that says what is wrong."""

    def ask(query: str, *more: str, replies: list[str]) -> Ran:
        return bench.punie("ask", query, "--json", *more, replies=replies)

    yield "ask, tool", lambda: _answer(ask("what changed?", replies=[PROGRAM]))
    yield "ask, direct", lambda: _answer(ask("hello", replies=["Hello."]), kind="direct")
    yield (
        "ask, repaired",
        lambda: _answer(ask("what changed?", replies=["<jupyter_code>print(x)", PROGRAM])),
    )
    yield (
        "ask, failed tool",
        lambda: _answer(ask("who calls nobody?", replies=[FAILING]), status=1, ok=False),
    )
    yield (
        "ask, write refused without a terminal",
        lambda: _answer(ask("write", replies=[WRITING]), status=3, ok=False),
    )
    yield (
        "ask, write refused when read-only",
        lambda: _answer(ask("write", "--read-only", replies=[WRITING]), status=3, ok=False),
    )
    yield "ask, echo", lambda: _echo(ask('a "b" \\ ü\t', replies=["x"]), 'a "b" \\ ü\t')
    yield "ask, empty question", lambda: _error(ask(" ", replies=["x"]), " ", 2)
    yield (
        "ask, no model",
        lambda: _error(bench.punie("ask", "q", "--json", "--model", "no.gguf"), "q", 4),
    )
    yield "ask --batch", lambda: _batch(bench)
    yield "ask, yes and read-only", lambda: _status(ask("q", "--yes", "--read-only", replies=[]), 2)
    yield (
        "ask, no workspace",
        lambda: _error(ask("q", "--workspace", "nowhere", replies=["x"]), "q", 2),
    )
    yield "unknown command", lambda: _status(bench.punie("frobnicate"), 2)
    yield "unknown option", lambda: _status(bench.punie("ask", "q", "--frob"), 2)
    yield "tools --json", lambda: _tools(bench.punie("tools", "--json"))
    yield "tools --stubs", lambda: _stubs(bench.punie("tools", "--stubs"))
    yield "call", lambda: _call(bench.punie("call", "git_log", "count=2", "--json"), 0)
    yield (
        "call, failed",
        lambda: _call(bench.punie("call", "find_references", "symbol=nobody", "--json"), 1),
    )
    yield "call, unknown tool", lambda: _status(bench.punie("call", "git_lag"), 2)
    yield "call, unknown parameter", lambda: _status(bench.punie("call", "git_log", "cout=2"), 2)
    yield "call, wrong type", lambda: _status(bench.punie("call", "git_log", "count=two"), 2)
    yield "call, tests not trusted", lambda: _status(bench.punie("call", "pytest_run"), 3)
    yield "call, no repository", lambda: _no_repository(bench)
    yield "exec", lambda: _exec(bench, "print(git_status().file_count)", 0)
    yield "exec, failed", lambda: _exec(bench, "print(git_status().file_cont)", 1)
    yield "exec, refused", lambda: _exec(bench, "write_file('a.txt', 'x')", 3)


def _echo(ran: Ran, query: str) -> str:
    return "" if ran.json[0]["query"] == query else f"query came back as {ran.json[0]['query']!r}"


def _error(ran: Ran, query: str, status: int) -> str:
    if ran.status != status:
        return f"exit status {ran.status}, not {status}"
    (value,) = ran.json
    fine = value["query"] == query and value["error"] and value["ok"] is False
    return "" if fine else f"no error object: {ran.out[:200]}"


def _batch(bench: Bench) -> str:
    lines = ["what changed?", "", json.dumps(["hello", "and now?"])]
    ran = bench.punie(
        "ask", "--batch", "-", "--json", replies=[PROGRAM, "Hi.", "Fine."], text="\n".join(lines)
    )
    turns = [(value["query"], value.get("turn")) for value in ran.json]
    expected = [("what changed?", None), ("hello", 1), ("and now?", 2)]
    return "" if turns == expected and ran.status == 0 else f"{turns}, status {ran.status}"


def _tools(ran: Ran) -> str:
    (value,) = ran.json
    keys = {"name", "effect", "description", "input_schema", "output_schema"}
    fine = len(value["tools"]) >= 14 and all(set(t) == keys for t in value["tools"])
    return "" if fine and value["hash"] else "tools lack parts"


def _stubs(ran: Ran) -> str:
    compile(ran.out, "stubs.pyi", "exec")
    return "" if "def git_log(" in ran.out else "no git_log"


def _call(ran: Ran, status: int) -> str:
    (value,) = ran.json
    fine = value["success"] is (status == 0) and (status == 0) == (value["parse_error"] is None)
    return _status(Ran(ran.status, "", "x"), status) or ("" if fine else ran.out[:200])


def _no_repository(bench: Bench) -> str:
    git = bench.punie("call", "git_status", "--json", "--workspace", str(bench.plain))
    files = bench.punie("call", "ruff_check", "--json", "--workspace", str(bench.workspace))
    if git.status != 1 or "repository" not in git.json[0]["parse_error"]:
        return f"git_status: status {git.status}, {git.out[:200]}"
    return _call(files, 0)


def _exec(bench: Bench, code: str, status: int) -> str:
    ran = bench.punie("exec", "-", "--json", text=code)
    (value,) = ran.json
    if set(value) != {"ok", "stdout", "error", "calls"}:
        return f"exec has {sorted(value)}"
    return "" if (ran.status, value["ok"]) == (status, status == 0) else ran.out[:200]


def run(show: Callable[[str, str], None]) -> bool:
    """Run all checks, telling `show` each name and what was wrong; True when nothing was."""
    fine = True
    with scratch("contract") as folder:
        bench = Bench(folder)
        for name, check in checks(bench):
            try:
                wrong = check()
            except (ValueError, KeyError, SyntaxError, subprocess.TimeoutExpired) as error:
                wrong = f"{type(error).__name__}: {error}"
            fine = fine and not wrong
            show(name, wrong)
    return fine
