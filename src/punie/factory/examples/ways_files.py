"""The second way of tools for files, text and commands: plain reading, `git grep`, subprocesses."""

from __future__ import annotations

import io
import re
import subprocess
import tokenize
from pathlib import Path
from typing import Any

from punie.factory.examples import ways_runs
from punie.factory.examples.comparison import Facts, Like
from punie.factory.examples.inventory import Inventory
from punie.factory.examples.ways_git import cut_text
from punie.workspace import child_environment

OUTPUT = 54_400
"""Bytes of a command's two outputs together that are not cut."""
TEXT = 60_000
"""Bytes of a file's text that are surely not cut."""
LINE = 300
"""Characters of a found line that are surely not cut."""


def read(inventory: Inventory, args: dict[str, Any]) -> Facts:
    """The file's bytes, split by Python's own reader of text."""
    path = inventory.root / args["path"]
    data = path.read_bytes()
    encoding = "utf-8-sig"
    if path.suffix in (".py", ".pyi", ".pyw"):
        encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0]
        encoding = "utf-8-sig" if encoding == "utf-8" else encoding
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    lines = list(io.StringIO(text, newline=""))
    start, end = args.get("start_line") or 1, args.get("end_line") or len(lines)
    chosen = "".join(lines[start - 1 : end])
    facts = {"path": _inside(inventory, path), "start_line": start, "line_count": len(lines)}
    if len(chosen.encode()) > TEXT:
        return facts | {"text": cut_text(chosen), "truncated": True}
    return facts | {"text": chosen, "truncated": False}


def write(inventory: Inventory, args: dict[str, Any]) -> Facts:
    """The file as it is after the write, in a copy of the workspace that git still knows."""
    path = inventory.root / args["path"]
    name = _inside(inventory, path)
    if path.read_text("utf-8").rstrip("\n") != args["content"].rstrip("\n"):
        return {"path": f"{name}, but it holds another text"}
    facts: Facts = {"path": name, "truncated": False}
    known = inventory.git("ls-files", "--", name).strip()
    if known:
        return facts | {"created": False}
    lines = args["content"].split("\n")
    ended = lines[-1] == ""
    lines = lines[:-1] if ended else lines
    count = f"1,{len(lines)}" if len(lines) != 1 else "1"
    body = f"@@ -0,0 +{count} @@\n" + "".join(f"+{line}\n" for line in lines) if lines else ""
    body += "" if ended or not lines else "\\ No newline at end of file\n"
    facts |= {"created": True, "diff": f"--- /dev/null\n+++ b/{name}\n{body}"}
    if path.suffix != ".py":
        return facts | {"errors": [], "violations": []}
    types = ways_runs.types(inventory, {"path": name})["errors"]
    return facts | {"errors": types, "violations": ways_runs.lint_rows(inventory, name)}


def command(inventory: Inventory, args: dict[str, Any]) -> Facts:
    """The same line run twice more; what differs between these two is not foretold."""
    first, second = _shell(inventory, args["command"]), _shell(inventory, args["command"])
    facts: Facts = {"exit_code": first[0]}
    if sum(len(text.encode()) for text in first[1:]) > OUTPUT:
        return facts
    pairs = zip(("stdout", "stderr"), first[1:], second[1:], strict=True)
    same = {name: one for name, one, other in pairs if one == other}
    return facts | same | {"truncated": False}


def _shell(inventory: Inventory, line: str) -> tuple[int, str, str]:
    done = subprocess.run(
        ["/bin/sh", "-c", line],
        cwd=inventory.root,
        env=child_environment(),
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    out, err = (each.decode("utf-8", "replace") for each in (done.stdout, done.stderr))
    return done.returncode, out, err


def search(inventory: Inventory, args: dict[str, Any]) -> Facts:
    """From `git grep` with Perl's expressions; what matches nothing is searched as plain text."""
    base = ["git", "grep", "--untracked", "-I", "-n", "-z", "--full-name", "--no-color"]
    path, limit = args.get("path", "."), args.get("limit", 200)
    rows: list[tuple[str, int, str]] = []
    for kind in ("-P", "-F"):
        given = [*base, kind, "-e", args["pattern"], *(["--", path] if path != "." else [])]
        done = subprocess.run(
            given, cwd=inventory.root, env=child_environment(), capture_output=True, check=False
        )
        for line in done.stdout.decode("utf-8", "replace").split("\n"):
            if not rows or kind == "-P" or line:
                fields = line.split("\0")
                if len(fields) == 3:
                    rows.append((fields[0], int(fields[1]), fields[2].removesuffix("\r")))
        if rows:
            break
    rows.sort(key=lambda row: (row[0].encode(), row[1]))
    shown = rows[:limit]
    matches: list[Facts] = [{"file": f, "line": n, "text": _line(t)} for f, n, t in shown]
    long = any(isinstance(m["text"], Like) for m in matches)
    facts: Facts = {"match_count": len(rows), "matches": matches}
    if len(rows) > limit or not long:
        facts["truncated"] = len(rows) > limit
    return facts


def _line(text: str) -> str | Like:
    """A long line is shown in part: around the match, with dots where it goes on."""
    text = text.removeprefix("\ufeff")
    if len(text) <= LINE:
        return text

    def agrees(ours: str) -> bool:
        parts = [part.strip() for part in re.split(r"…(?: \[\d+ characters cut\] …)?", ours)]
        return any(parts) and all(part in text for part in parts)

    return Like(agrees, "parts of the line")


def listed(inventory: Inventory, args: dict[str, Any]) -> Facts:
    """From `git ls-files` with git's own globs; sizes and lines from the files."""
    path, pattern = args.get("path", ".").rstrip("/"), args.get("pattern", "*")
    limit, below = args.get("limit", 200), "" if path in (".", "") else f"{path}/"
    options = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--"]
    glob = f":(glob){below}{pattern if '/' in pattern else f'**/{pattern}'}"
    names = {name for name in inventory.git(*options, glob).split("\0") if name}
    places = {name: inventory.root / name for name in names}
    names = {name for name in names if places[name].is_symlink() or places[name].is_file()}
    chosen = sorted(names, key=str.encode)
    files = [
        {"path": name, "size": places[name].lstat().st_size, "line_count": _lines(places[name])}
        for name in chosen[:limit]
    ]
    return {"file_count": len(chosen), "files": files, "truncated": len(chosen) > limit}


def _lines(path: Path) -> int:
    """Lines of a text; 0 for a link or what holds a NUL."""
    if path.is_symlink():
        return 0
    data = path.read_bytes()
    return 0 if b"\0" in data[:8000] else len(io.BytesIO(data).readlines())


def _inside(inventory: Inventory, path: Path) -> str:
    return path.resolve().relative_to(inventory.root.resolve()).as_posix()
