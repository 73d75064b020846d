"""A client on `@agentclientprotocol/sdk` (`sdk.mjs`), the protocol's own for JavaScript.

    .venv/bin/python benchmarks/clients/drive_sdk.py --modules DIR [--node PATH/OF/node]

Needs Node and `npm install @agentclientprotocol/sdk` in DIR.
"""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

from scene import HERE, Scene, play

PROGRAMS = [
    "print(read_file('notes.txt').text)",
    "print(write_file('notes.txt', 'first\\n'))",
    "print(write_file('notes.txt', 'second\\n'))",
    "print(write_file('notes.txt', 'third\\n'))",
    "print(write_file('notes.txt', 'fourth\\n'))",
    "print(write_file('notes.txt', 'never\\n'))",
    "while True:\n    pass",
    "print('still here')",
]


def before_its_answer(scene: Scene) -> bool:
    """Whether the agent sent nothing more between its answer to `session/load` and the next."""
    lines = scene.messages()
    (asked,) = [n for n, (_, m) in enumerate(lines) if _method(m) == "session/load"]
    rest = [m for mark, m in lines[asked:] if mark == "<"]
    answer = next(n for n, m in enumerate(rest) if "result" in m)
    return answer > 0 and not any(_method(m) == "session/update" for m in rest[answer:])


def _method(message: Any) -> str:
    return str(message.get("method")) if isinstance(message, dict) else ""


def story(scene: Scene) -> None:
    """Run the client and look at what it saw."""
    notes = scene.shop / "notes.txt"
    notes.write_text("old\n")
    modules = Path(scene.given.modules).resolve()
    package = json.loads(scene.module("@agentclientprotocol/sdk/package.json").read_text("utf-8"))
    scene.note(f"# @agentclientprotocol/sdk {package['version']}")
    agent = shlex.split(scene.agent(PROGRAMS))
    done = scene.run(scene.given.node or "node", HERE / "sdk.mjs", modules, scene.shop, *agent)
    scene.heading("What the client saw")
    scene.note(done.stdout + done.stderr)
    seen = [json.loads(line) for line in done.stdout.splitlines()]
    facts = {each["what"]: each["fact"] for each in seen}
    scene.heading("What has to hold")

    def said(what: str, stop: str, words: str) -> None:
        fact = facts.get(f"prompt: {what}", {})
        scene.expect(f"{what}: {stop}, {words!r}",
                     fact.get("stopReason") == stop and words in fact.get("said", ""))  # fmt: skip

    scene.expect("status 0 of the client", done.returncode == 0)
    scene.expect("protocol version 1", facts["initialize"]["version"] == 1)
    said("read the notes", "end_turn", "old")
    said("write the notes", "end_turn", "changed: notes.txt")
    said("write them again", "end_turn", "was refused")
    said("and a third time", "end_turn", "changed: notes.txt")
    said("and a fourth time", "end_turn", "changed: notes.txt")
    scene.expect("the fourth write was not asked for: always was chosen",
                 sum(each["what"] == "permission" for each in seen) == 3)  # fmt: skip
    said("write, read-only", "end_turn", "--read-only allows no write")
    scene.expect("the file holds the fourth text", notes.read_text() == "fourth\n")
    scene.expect("the mode is an option, too", "mode=ask" in facts["options"])
    scene.expect("cancel", facts["cancelled"] == {"stopReason": "cancelled"})
    said("still there?", "end_turn", "still here")
    scene.expect("the session is listed", facts["list"] == ["read the notes"])
    scene.expect("no prompt after close", facts["prompt after close"]["code"] == -32002)
    scene.expect("no unknown method", facts["a method that is not there"]["code"] == -32601)
    scene.expect("no session about no folder", facts["a session about no folder"]["code"] == -32602)
    scene.expect("load shows all eight questions again", facts["load"]["asked"] == 8)
    scene.expect("all of load comes before its answer", before_its_answer(scene))
    scene.expect("resume shows nothing", facts["resume"] == 0)
    statuses = [each["fact"] for each in seen if each["what"] == "exit status"]
    scene.expect("both agents end with status 0", statuses == [0, 0])
    scene.heading("The wire")
    scene.wire(brief=True)


if __name__ == "__main__":
    sys.exit(play("sdk", story))
