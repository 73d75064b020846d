"""A second way for each tool: the same facts by plain means, to check every call of an example.

`ways.WAYS` says which way each tool has. A check returns `kind: what differs`, or an empty text. A
failed call is right when the plain way finds nothing either.
"""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from punie.factory.examples.inventory import Inventory
from punie.factory.examples.ways import described, name_at
from punie.workspace import child_environment, program

Check = Callable[[Inventory, dict[str, Any], Any], str]


def check(tool: str, inventory: Inventory, args: dict[str, Any], result: Any) -> str:
    """What the second way finds wrong with a call's result; empty when it agrees."""
    if not result.success:
        return _failure(tool, inventory, args, result)
    args = dict(args)
    for name in {"path", "file_path"} & set(args):
        if not (inventory.root / args[name]).exists() and "::" not in args[name]:
            # The end of just one path will do; what git alone remembers stays as it is.
            ends = [f for f in inventory.files if f.endswith("/" + args[name])]
            args[name] = ends[0] if len(ends) == 1 else args[name]
    check_call = CHECKS.get(tool)
    return check_call(inventory, args, result) if check_call else ""


def _failure(tool: str, inventory: Inventory, args: dict[str, Any], result: Any) -> str:
    """A failure is right when the name or path is unknown or stands for several; and where ruff
    cannot read the one file that it is asked about."""
    symbol = args.get("symbol")
    if symbol:
        bare = symbol.rpartition(".")[2]
        many = inventory.names[bare] > 1 and "ambiguous" in result.parse_error
        unknown = inventory.names[bare] == 0 and "no symbol" in result.parse_error
        return "" if many or unknown else f"failed: {result.parse_error}"
    file = inventory.root / args.get("path", ".")
    if (
        tool == "ruff_check"
        and file.is_file()
        and "E902" in {k for *_, k in _ruff(inventory, args)}
    ):
        return ""
    return f"failed: {result.parse_error}"


def _differ(what: str, ours: object, theirs: object) -> str:
    return "" if ours == theirs else f"{what}: tool {ours!r}, second way {theirs!r}"


def _under(path: str) -> list[str]:
    return ["--", path] if path != "." else []


def _status(inventory: Inventory, args: dict[str, Any], result: Any) -> str:
    path = args.get("path", ".").rstrip("/")
    letters = {"M": "modified", "A": "added", "D": "deleted", "R": "renamed", "C": "copied"}
    letters["T"] = "type_changed"
    expected = set()
    for state, file in inventory.changes:
        if path != "." and file != path and not file.startswith(path + "/"):
            continue
        if state == "??":
            expected.add((file, "untracked", False))
        elif "U" in state or state in ("AA", "DD"):
            expected.add((file, "conflicted", False))
        else:
            if state[0] in letters:
                expected.add((file, letters[state[0]], True))
            if state[1] in letters:
                expected.add((file, letters[state[1]], False))
    found = {(f.file, f.status, f.staged and f.status != "conflicted") for f in result.files}
    return _differ("status", found, expected) or _differ("clean", result.clean, not expected)


def _diff(inventory: Inventory, args: dict[str, Any], result: Any) -> str:
    staged = ["--cached"] if args.get("staged") else []
    text = inventory.git("diff", "--numstat", *staged, *_under(args.get("path", ".")))
    rows = [line.split("\t") for line in text.splitlines()]
    added = sum(int(r[0]) for r in rows if r[0] != "-")
    deleted = sum(int(r[1]) for r in rows if r[1] != "-")
    ours = (result.file_count, result.additions, result.deletions)
    return _differ("diff", ours, (len(rows), added, deleted))


def _log(inventory: Inventory, args: dict[str, Any], result: Any) -> str:
    count = args.get("count", 10)
    most = [f"-{count}"] if count else []
    text = inventory.git(
        "log", "--format=%H\t%an\t%ae\t%aI\t%s", *most, *_under(args.get("path", "."))
    )
    ours = [[c.hash, c.author, c.email, c.date, c.message] for c in result.commits]
    return _differ("log", ours, [line.split("\t", 4) for line in text.splitlines()])


_BLAMED = re.compile(
    r"^([0-9a-f]{40,64}) \d+ (\d+).*?^author (.*?)$.*?^author-time (\d+)$.*?^\t(.*?)\r?$",
    re.M | re.S,
)


def _blame(inventory: Inventory, args: dict[str, Any], result: Any) -> str:
    text = inventory.git("blame", "--line-porcelain", "--", args["path"])
    first = args.get("start_line") or 1
    last = args.get("end_line") or len(text)
    rows = [row for row in _BLAMED.findall(text) if first <= int(row[1]) <= last]
    if result.truncated:
        rows = rows[: len(result.lines)]
    ours = [
        (one.hash, str(one.line), one.author, _seconds(one.date), one.text) for one in result.lines
    ]
    return _differ("blame", ours, rows)


def _seconds(date: str) -> str:
    return str(int(datetime.fromisoformat(date).timestamp()))


def _show(inventory: Inventory, args: dict[str, Any], result: Any) -> str:
    form = "--format=%H\t%an\t%ae\t%aI\t%s"
    text = inventory.git("show", form, "--numstat", "--first-parent", args["commit"], "--")
    head, *rows = [line.split("\t") for line in text.splitlines() if line]
    ours = [result.hash, result.author, result.email, result.date, result.message]
    added = sum(int(r[0]) for r in rows if r[0] != "-")
    deleted = sum(int(r[1]) for r in rows if r[1] != "-")
    counted = (result.additions, result.deletions)
    return _differ("commit", ours, head) or _differ("lines", counted, (added, deleted))


def _branch(inventory: Inventory, args: dict[str, Any], result: Any) -> str:
    text = inventory.git("branch", "--format=%(refname)\t%(objectname)\t%(upstream)")
    rows = [line.split("\t") for line in text.splitlines() if line.startswith("refs/heads/")]
    expected = []
    for name, sha, upstream in rows:
        counts = (0, 0)
        if upstream:
            sides = inventory.git("rev-list", "--left-right", "--count", f"{name}...{upstream}")
            ahead, behind = sides.split()
            counts = (int(ahead), int(behind))
        expected.append((name.removeprefix("refs/heads/"), sha, *counts))
    ours = [(b.name, b.hash, b.ahead, b.behind) for b in result.branches]
    current = inventory.git("branch", "--show-current").strip()
    return _differ("branches", ours, expected) or _differ("current", result.current, current)


def _run(inventory: Inventory, *command: str) -> str:
    env = child_environment()
    done = subprocess.run(command, cwd=inventory.root, env=env, capture_output=True, check=False)
    return done.stdout.decode("utf-8", "replace")


_CONCISE = re.compile(r"^(.+?):(\d+):(\d+): (?:error\[|warning\[)?([\w-]+)", re.MULTILINE)


def _ruff(inventory: Inventory, args: dict[str, Any]) -> list[tuple[str, int, int, str]]:
    """Files, lines, columns and codes; a file that ruff cannot read is one of them."""
    command = [program("ruff"), "check", "--output-format=concise", "--no-cache"]
    text = _run(inventory, *command, "--extend-select=E902", args.get("path", "."))
    return sorted((f, int(n), int(c), k) for f, n, c, k in _CONCISE.findall(text))


def _lint(inventory: Inventory, args: dict[str, Any], result: Any) -> str:
    expected = _ruff(inventory, args)
    found = sorted((v.file, v.line, v.column, v.code) for v in result.violations)
    if result.truncated:
        return _differ("lint count", result.violation_count, len(expected))
    return _differ("lint", found, expected)


def _types(inventory: Inventory, args: dict[str, Any], result: Any) -> str:
    command = [program("ty"), "check", "--output-format=concise", "--color=never"]
    text = _run(inventory, *command, args.get("path", "."))
    expected = sorted((f, int(n), k) for f, n, _, k in _CONCISE.findall(text))
    found = sorted((e.file, e.line, e.code) for e in result.errors)
    if result.truncated:
        return _differ("types count", result.error_count + result.warning_count, len(expected))
    return _differ("types", found, expected)


def _tests(inventory: Inventory, args: dict[str, Any], result: Any) -> str:
    path = args.get("path", ".")
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "junit.xml"
        options = ["-q", "-p", "no:cacheprovider", f"--junitxml={report}", "-o", "addopts="]
        options += ["--maxfail=0", "--continue-on-collection-errors"]
        env = child_environment() | {"PYTHONPATH": f"{inventory.root / 'src'}:{inventory.root}"}
        subprocess.run(
            [sys.executable, "-m", "pytest", *options, path],
            cwd=inventory.root,
            env=env,
            capture_output=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=600,
        )
        suite = ElementTree.parse(report).getroot()[0]
    counts = [int(suite.get(name, "0")) for name in ("failures", "errors", "skipped")]
    return _differ("tests", [result.failed, result.errors, result.skipped], counts)


def _definition(inventory: Inventory, args: dict[str, Any], result: Any) -> str:
    if not result.locations:
        return "no location"
    for place in result.locations:
        text = inventory.text_files.get(place.file)
        if text is None:
            return f"outside the workspace: {place.file}"
        line = text.splitlines()[place.line - 1]
        name = line[place.column - 1 :].split("(")[0]
        wanted = (args.get("symbol") or name_at(inventory, args) or name).rpartition(".")[2]
        here = [d for d in inventory.declarations if (d.file, d.line) == (place.file, place.line)]
        if not re.match(rf"{re.escape(wanted)}\b", line[place.column - 1 :]):
            return f"wrong place: {place.file}:{place.line} does not declare {wanted}"
        if not any(d.name == wanted for d in here) and inventory.names[wanted]:
            return f"no declaration for ast: {wanted} at {place.file}:{place.line}"
    return ""


def _references(inventory: Inventory, args: dict[str, Any], result: Any) -> str:
    name = (args.get("symbol") or result.symbol).rpartition(".")[2]
    for use in result.references:
        text = inventory.text_files.get(use.file, "")
        lines = text.splitlines()
        if use.line > len(lines) or not re.search(rf"\b{re.escape(name)}\b", lines[use.line - 1]):
            return f"wrong place: {use.file}:{use.line} does not hold {name}"
    if inventory.names[name] == 1 and not args.get("file_path"):
        most = sum(m.uses[name] for m in inventory.modules.values())
        strings = sum(t.count(name) for t in inventory.text_files.values())
        if result.reference_count == 0 and most > 0:
            return f"missed uses: ast sees {most} of {name}"
        if result.reference_count > strings:
            return f"too many: {result.reference_count}, but {strings} occurrences of {name}"
    return ""


def _outline(inventory: Inventory, args: dict[str, Any], result: Any) -> str:
    module = inventory.modules.get(args["file_path"])
    if module is None:
        return f"syntax: ast cannot parse {args['file_path']}"
    top = {d.name for d in module.declarations if not d.container and d.kind != "variable"}
    found = {s.name for s in result.symbols}
    return "" if top <= found else f"missing: {sorted(top - found)}"


def _search(inventory: Inventory, args: dict[str, Any], result: Any) -> str:
    query = args["query"]
    if not result.truncated:
        exact = {(d.file, d.line) for d in inventory.declarations if d.name == query}
        found = {(s.file, s.line) for s in result.symbols if s.name == query}
        plain = {p for p in exact if p in found}
        if exact and not plain:
            return f"missing: {sorted(exact)[:3]}"
    names = {d.name for d in inventory.declarations}
    odd = [s.name for s in result.symbols if s.kind in (5, 12) and s.name not in names]
    return f"unknown to ast: {odd[:3]}" if odd else ""


def _hover(inventory: Inventory, args: dict[str, Any], result: Any) -> str:
    if not result.content:
        return "no content"
    found = described(inventory, args)
    if len(found) != 1:
        return ""
    if found[0].name not in result.signature:
        return f"signature: {result.signature!r} of {found[0].name}"
    if result.docstring:
        ours = "".join(re.findall(r"\w+", result.docstring))[:80]
        theirs = "".join(re.findall(r"\w+", inspect.cleandoc(found[0].docstring)))[:80]
        return _differ("docstring", ours, theirs)
    return ""


def _read(inventory: Inventory, args: dict[str, Any], result: Any) -> str:
    path = inventory.root / args["path"]
    lines = path.read_bytes().decode("utf-8-sig").splitlines()
    start, end = args.get("start_line") or 1, args.get("end_line") or len(lines)
    if result.truncated:
        return ""
    ours = (result.text.splitlines(), result.line_count)
    return _differ("text", ours, (lines[start - 1 : end], len(lines)))


def _write(inventory: Inventory, args: dict[str, Any], result: Any) -> str:
    path = inventory.root / args["path"]
    return _differ("written", path.read_text("utf-8").rstrip("\n"), args["content"].rstrip("\n"))


def _command(inventory: Inventory, args: dict[str, Any], result: Any) -> str:
    first, second = _shell(inventory, args["command"]), _shell(inventory, args["command"])
    if fault := _differ("exit code", result.exit_code, first[0]):
        return fault
    steady = first == second and not result.truncated  # a clock or a process id differs by itself
    return _differ("output", result.stdout, first[1]) if steady else ""


def _shell(inventory: Inventory, command: str) -> tuple[int, str]:
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=inventory.root,
        env=child_environment(),
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return done.returncode, done.stdout.decode("utf-8", "replace")


def _lines_found(inventory: Inventory, args: dict[str, Any], result: Any) -> str:
    command = ["git", "grep", "--untracked", "-I", "-n", "-z", "--full-name", "--no-color"]
    expected: set[tuple[str, int]] = set()
    for kind in ("-P", "-F"):  # what matches nothing is searched as plain text
        text = _run(
            inventory, *command, kind, "-e", args["pattern"], *_under(args.get("path", "."))
        )
        fields = [line.split("\0") for line in text.split("\n") if line.count("\0") == 2]
        expected = expected or {(file, int(line)) for file, line, _ in fields}
    if result.truncated:
        return _differ("search count", result.match_count, len(expected))
    return _differ("search", {(m.file, m.line) for m in result.matches}, expected)


def _files_listed(inventory: Inventory, args: dict[str, Any], result: Any) -> str:
    path, pattern = args.get("path", ".").rstrip("/"), args.get("pattern", "*")
    below = "" if path == "." else f"{path}/"
    glob = f":(glob){below}{pattern if '/' in pattern else f'**/{pattern}'}"
    listing = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", glob]
    names = {name for name in inventory.git(*listing).split("\0") if name}
    names = {name for name in names if (inventory.root / name).is_file()}
    for file in result.files:
        size = (inventory.root / file.path).lstat().st_size
        if fault := _differ(f"size of {file.path}", file.size, size):
            return fault
    if result.truncated:
        return _differ("file count", result.file_count, len(names))
    return _differ("files", {file.path for file in result.files}, names)


CHECKS: dict[str, Check] = {
    "git_status": _status,
    "git_diff": _diff,
    "git_log": _log,
    "git_blame": _blame,
    "git_show": _show,
    "git_branch": _branch,
    "ruff_check": _lint,
    "typecheck": _types,
    "pytest_run": _tests,
    "goto_definition": _definition,
    "find_references": _references,
    "document_symbols": _outline,
    "workspace_symbols": _search,
    "hover": _hover,
    "read_file": _read,
    "write_file": _write,
    "run_command": _command,
    "search_text": _lines_found,
    "list_files": _files_listed,
}
"""Second way by tool."""
