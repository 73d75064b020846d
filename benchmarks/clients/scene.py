"""What every foreign client is given: a repository, an agent behind a tap, and a transcript.

The drivers beside this file say what a client is to do and what has to come of it. `Scene` keeps
what was found and writes it down, without what differs from run to run: the temporary folder,
identifiers, times.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from punie import demo
from punie.terminal import visible

HERE = Path(__file__).resolve().parent
MOST = 160
"""Characters of a text on the wire that a transcript shows."""
LONGEST = 400
"""Characters of a message that it shows at most."""
IDENTIFIERS = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|call-\w{12}|\b[0-9a-f]{32}\b")
TIMES = re.compile(r"20\d\d-\d\d-\d\dT[\d:.]+(Z|\+00:00)|\bpid: \d+|\d\d:\d\d:\d\d")
ROOT = HERE.parents[1]


class Scene:
    """A place for one client, and what is written down about it."""

    def __init__(self, name: str, folder: Path, given: argparse.Namespace) -> None:
        self.name, self.folder, self.given = name, folder, given
        self.shop = demo.create(folder / "shop")
        self.log = folder / "wire.log"
        self.lines: list[str] = []
        self.failed: list[str] = []
        self.passed = 0
        self._names: dict[str, str] = {}
        self._read = 0
        self._seen: set[str] = set()
        self.env = dict(os.environ) | {
            "PUNIE_DATA": str(folder / "data"),
            "HOME": str(folder / "home"),
            "XDG_CONFIG_HOME": str(folder / "home" / "config"),
            "XDG_DATA_HOME": str(folder / "home" / "data"),
            "XDG_STATE_HOME": str(folder / "home" / "state"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        (folder / "home").mkdir()
        if given.node:
            self.env["PATH"] = f"{Path(given.node).parent}{os.pathsep}{self.env['PATH']}"

    def agent(self, programs: list[str], *options: str) -> str:
        """The command line of `punie acp` behind the tap; its model replies with `programs`."""
        replies = self.folder / "replies.json"
        replies.write_text(json.dumps([f"<jupyter_code>{code}" for code in programs]), "utf-8")
        punie = [sys.executable, "-m", "punie", "acp", "--model", f"scripted:{replies}", *options]
        return shlex.join([sys.executable, str(HERE / "tap.py"), str(self.log), *punie])

    def module(self, path: str) -> Path:
        """A file of an installed npm package."""
        return Path(self.given.modules).resolve() / "node_modules" / path

    def run(self, *words: str | Path, seconds: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a command of the client in the repository, and write down what it printed."""
        command = [str(word) for word in words]
        return subprocess.run(
            command,
            cwd=self.shop,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    # --- what is written down

    def heading(self, text: str) -> None:
        """A step begins."""
        self.lines.append(f"\n## {text}\n")
        print(f"-- {text}", file=sys.stderr)

    def note(self, text: str) -> None:
        """Something that was seen."""
        self.lines += [self.neutral(visible(line)).rstrip() for line in text.splitlines()]

    def expect(self, what: str, ok: object) -> None:
        """A fact that has to hold."""
        self.passed += bool(ok)
        if not ok:
            self.failed.append(what)
        self.lines.append(f"{'passed' if ok else 'FAILED'}: {what}")

    def messages(self) -> list[tuple[str, Any]]:
        """All that has gone over the wire, as (direction, message)."""
        found: list[tuple[str, Any]] = []
        text = self.log.read_text("utf-8") if self.log.exists() else ""
        for line in text.splitlines():
            mark, _, rest = line.partition(" ")
            found.append((mark, rest if mark == "!" else json.loads(rest)))
        return found

    def wire(self, *, brief: bool = False) -> list[tuple[str, Any]]:
        """Write down what has gone over the wire since the last time (`brief`: of updates only
        how many); returns it."""
        every = self.messages()
        new, self._read = every[self._read :], len(every)
        updates = 0
        for mark, message in new:
            if brief and mark == "<" and message.get("method") == "session/update":
                updates += 1
                continue
            if updates:
                self.lines.append(f"< … (session/update, {updates} times)")
                updates = 0
            shown = message if mark == "!" else json.dumps(_cut(message), ensure_ascii=False)
            line = self.neutral(f"{mark} {shown}")
            self.lines.append(f"{line[:70]}… (as before)" if line in self._seen else line[:LONGEST])
            if len(line) > 200:
                self._seen.add(line)
        return new

    def neutral(self, text: str) -> str:
        """Text without what belongs to this run or this machine."""
        text = text.replace(str(self.folder), "FOLDER").replace(sys.executable, "python")
        text = text.replace(str(ROOT), "PUNIE").replace(self.folder.name, "FOLDER")
        text = TIMES.sub("TIME", text)
        return IDENTIFIERS.sub(lambda found: self._named(found[0]), text)

    def _named(self, identifier: str) -> str:
        kind = "call" if identifier.startswith("call-") else "id"
        number = sum(name.startswith(kind) for name in self._names.values()) + 1
        return self._names.setdefault(identifier, f"{kind}-{number}")

    def finish(self) -> int:
        """Write the transcript and say how it went."""
        self.lines.append(f"\n{self.passed} passed, {len(self.failed)} failed\n")
        text = "\n".join(self.lines).lstrip("\n")
        out = Path(self.given.out)
        out.mkdir(parents=True, exist_ok=True)
        (out / f"{self.name}.txt").write_text(text, "utf-8")
        print(
            f"{self.name}: {self.passed} passed, {len(self.failed)} failed", *self.failed, sep="\n"
        )
        return 1 if self.failed else 0


def _cut(value: Any) -> Any:
    """A message with long texts cut and what is empty left out."""
    if isinstance(value, dict):
        return {name: _cut(inner) for name, inner in value.items() if name != "jsonrpc"}
    if isinstance(value, list):
        return [_cut(inner) for inner in value]
    if isinstance(value, str) and len(value) > MOST:
        return f"{value[:MOST]}… ({len(value)} characters)"
    return value


def play(name: str, story: Callable[[Scene], None]) -> int:
    """Read the command line, give the client its place, let it play, write the transcript."""
    parser = argparse.ArgumentParser(description=f"Drive Punie with {name}.")
    parser.add_argument(
        "--modules", default=".", help="Folder with the npm packages' node_modules."
    )
    parser.add_argument("--node", default="", help="Path of `node`, if the one on PATH is too old.")
    parser.add_argument("--toad", default="toad", help="Path of the command `toad`.")
    parser.add_argument("--out", default=str(HERE / "transcripts"), help="Folder of transcripts.")
    with tempfile.TemporaryDirectory(prefix="clients-") as folder:
        scene = Scene(name, Path(folder).resolve(), parser.parse_args())
        try:
            story(scene)
        except Exception as error:  # what was seen until then is what one needs
            scene.wire()
            scene.expect(f"the driver runs to its end: {type(error).__name__}: {error}", False)
        return scene.finish()
