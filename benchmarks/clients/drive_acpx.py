"""`acpx`, a client without a screen: one-shot questions, sessions that last, modes, cancelling.

    .venv/bin/python benchmarks/clients/drive_acpx.py --modules DIR [--node PATH/OF/node]

Needs Node 22 and `npm install acpx` in DIR. The transcript has what acpx printed and the wire.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from scene import Scene, play

READ = "print(read_file('pyproject.toml').text)"
KEPT = "print(write_file('notes.txt', 'kept\\n'))"
NEVER = "print(write_file('notes.txt', 'never\\n'))"
STAGED = "print(len([file for file in git_status().files if file.staged]))"
RUN = "r = run_command('echo out; echo err >&2; exit 3')\nprint(r.exit_code, r.stdout, r.stderr)"
LONG = "print(run_command('echo begun; sleep 999'))"


def sleeping() -> bool:
    """Whether the long command runs anywhere."""
    done = subprocess.run(["pgrep", "-fx", "sleep 999"], capture_output=True, check=False)
    return done.returncode == 0


def story(scene: Scene) -> None:
    """Everything that acpx can do with an agent."""
    node, acpx = scene.given.node or "node", scene.module("acpx/dist/cli.js")
    notes = scene.shop / "notes.txt"
    scene.note(f"# acpx {scene.run(node, acpx, '--version').stdout.strip()}")

    def do(programs: list[str], *words: str | Path, options: tuple[str, ...] = ()) -> str:
        agent = scene.agent(programs, *options)
        done = scene.run(node, acpx, "--agent", agent, "--ttl", "1", *words)
        scene.note(f"$ acpx --agent 'punie acp …' {' '.join(map(str, words))}")
        scene.note(done.stdout + done.stderr)
        scene.note(f"(status {done.returncode})")
        scene.wire(brief=True)
        return done.stdout

    scene.heading("A question, one-shot")
    out = do([READ], "exec", "what is in pyproject.toml?")
    scene.expect("the answer is there", "[project]" in out)
    scene.expect("the turn has ended", "end_turn" in out)

    scene.heading("A write, all approved")
    out = do([KEPT], "--approve-all", "exec", "write the notes")
    scene.expect("the file is written", notes.exists() and notes.read_text() == "kept\n")

    scene.heading("A write, all denied")
    out = do([NEVER], "--deny-all", "exec", "write the notes")
    scene.expect("the file is as it was", notes.read_text() == "kept\n")
    scene.expect("the answer says so", "was refused" in out)

    scene.heading("A write, reads approved and nobody to ask")
    out = do([NEVER], "--approve-reads", "exec", "write the notes")
    scene.expect("the file is as it was", notes.read_text() == "kept\n")

    scene.heading("A command, in acpx's terminal and without it")
    out = do([RUN], "--approve-all", "exec", "run it")
    scene.expect("status and both streams", all(word in out for word in ("3 out", "err")))
    out = do([RUN], "--approve-all", "--no-terminal", "exec", "run it")
    scene.expect("status and both streams", all(word in out for word in ("3 out", "err")))

    scene.heading("A session that lasts")
    do([STAGED, NEVER, STAGED], "sessions", "new", "--name", "shop")
    out = do([STAGED, NEVER, STAGED], "prompt", "-s", "shop", "how many files are staged?")
    scene.expect("the first question is answered", "end_turn" in out)
    do([STAGED, NEVER, STAGED], "set-mode", "-s", "shop", "read-only")
    out = do([NEVER, STAGED], "--approve-all", "prompt", "-s", "shop", "write the notes")
    scene.expect("read-only holds whatever acpx approves", notes.read_text() == "kept\n")
    scene.expect("and says so", "was refused: --read-only allows no write" in out)
    time.sleep(3)  # the process of the session has gone: it is loaded again
    out = do([STAGED], "prompt", "-s", "shop", "and now?")
    scene.expect("a question in another process is answered", "end_turn" in out)
    methods = [message.get("method") for mark, message in scene.messages() if mark == ">"]
    first = methods.index("session/resume")
    scene.expect("the session was taken up again each time", "session/new" not in methods[first:])
    do([], "status", "-s", "shop")
    do([], "sessions", "list")

    scene.heading("Cancel")
    do([], "set-mode", "-s", "shop", "ask")
    time.sleep(3)
    agent = scene.agent([LONG])
    words = [node, str(acpx), "--agent", agent, "--ttl", "1", "--approve-all"]
    running = subprocess.Popen([*words, "prompt", "-s", "shop", "run long"], cwd=scene.shop,
                               env=scene.env, stdout=subprocess.PIPE, text=True)  # fmt: skip
    end = time.monotonic() + 40
    while not sleeping() and time.monotonic() < end:
        time.sleep(0.2)
    scene.expect("the command runs", sleeping())
    do([LONG], "cancel", "-s", "shop")
    out, _ = running.communicate(timeout=30)
    scene.note(out)
    scene.wire(brief=True)
    stops = [m["result"]["stopReason"] for mark, m in scene.messages()
             if mark == "<" and "stopReason" in (m.get("result") or {})]  # fmt: skip
    scene.expect("the stop reason is cancelled", stops[-1] == "cancelled")
    scene.expect("the command has ended", not sleeping())
    do([], "sessions", "close", "shop")

    scene.heading("As JSON")
    out = do([STAGED], "--format", "json", "--json-strict", "exec", "how many files are staged?")
    scene.expect("every line is JSON", all(line.startswith("{") for line in out.splitlines()))
    time.sleep(3)
    ends = [message for mark, message in scene.messages() if mark == "!"]
    scene.wire()
    starts = [m for mark, m in scene.messages() if mark == ">" and m.get("method") == "initialize"]
    scene.expect(f"all {len(starts)} agents have ended", len(ends) == len(starts))


if __name__ == "__main__":
    sys.exit(play("acpx", story))
