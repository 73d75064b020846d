"""Types and lint: `ty check` and `ruff check`, read from their structured reports."""

from __future__ import annotations

import asyncio
import glob
import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import Field

from punie.errors import ToolFailure
from punie.git.repository import ENVIRONMENT, GIT
from punie.testrun import interpreter
from punie.tool import DEFAULT_LIMIT, Effect, Item, LimitArg, PathArg, Result, cap, tool
from punie.workspace import Completed, Workspace, program
from punie.wrap import Context, middle_cut

Found = TypeVar("Found", "TypeDiagnostic", "RuffViolation")
SUFFIXES = (".py", ".pyi", ".pyw", ".ipynb")
"""Endings of what ruff and ty take for Python."""
PATIENCE = 0.5
"""Seconds after which it is worth a look whether ruff waits for a named pipe."""
PYTHON_MAGIC = (
    "capture",
    "debug",
    "ipytest",
    "prun",
    "pypy",
    "python",
    "python3",
    "time",
    "timeit",
)
"""Magics of notebook cells that ruff and ty still take for Python."""
UNREAD = "E902"
"""Ruff's code for a file that it cannot read, such as one that is not UTF-8."""
_MISSHAPEN = (LookupError, TypeError, AttributeError, RecursionError)
_QUOTED = re.compile(r"\s*\d*\s*\|")
"""A line that quotes a file, as ruff and ty set it off: `1 | text`."""
MOST_REPORT = 256 * 2**20
"""Bytes of a report that are read."""


class TypeDiagnostic(Item):
    """One error or warning of the type checker."""

    file: str = ""
    """File, relative to the workspace."""
    line: int = 0
    """Line, 1-based."""
    column: int = 0
    """Column, 1-based, in characters."""
    severity: str = ""
    """`error` or `warning`."""
    code: str = ""
    """Name of the rule, such as `invalid-argument-type`; `invalid-syntax` for a syntax error."""
    message: str = ""
    """What is wrong."""

    def __str__(self) -> str:
        """One line, as compilers write it."""
        where = f"{self.file}:{self.line}:{self.column}"
        return f"{where} {self.severity}[{self.code}] {self.message}"


class TypeCheckResult(Result):
    """What the type checker found."""

    error_count: int = 0
    """Number of type errors, also of those cut from `errors`."""
    warning_count: int = 0
    """Number of warnings, also of those cut from `errors`."""
    errors: list[TypeDiagnostic] = Field(default_factory=list)
    """Errors and warnings, by file and line; `severity` says which."""


class RuffViolation(Item):
    """One violation of a lint rule."""

    file: str = ""
    """File, relative to the workspace."""
    line: int = 0
    """Line, 1-based."""
    column: int = 0
    """Column, 1-based, in characters."""
    code: str = ""
    """Code of the rule, such as `F401`; `invalid-syntax` for a syntax error."""
    message: str = ""
    """What is wrong."""
    fixable: bool = False
    """Whether ruff can fix it safely."""

    def __str__(self) -> str:
        """One line, as ruff writes it."""
        mark = " (fixable)" if self.fixable else ""
        return f"{self.file}:{self.line}:{self.column} {self.code} {self.message}{mark}"


class RuffResult(Result):
    """What the linter found."""

    violation_count: int = 0
    """Number of violations, also of those cut from `violations`."""
    fixable_count: int = 0
    """Number of violations that ruff can fix safely, also of those cut."""
    violations: list[RuffViolation] = Field(default_factory=list)
    """Violations, by file and line."""


@tool(effect=Effect.READ)
async def typecheck(
    context: Context, path: PathArg = ".", limit: LimitArg = DEFAULT_LIMIT
) -> TypeCheckResult:
    """Type errors and warnings of a file or folder."""
    found = await check_types(context, path)
    errors, truncated = cap(found, limit)
    severities = [d.severity for d in found]
    return TypeCheckResult(
        error_count=severities.count("error"),
        warning_count=severities.count("warning"),
        errors=errors,
        truncated=truncated,
    )


@tool(effect=Effect.READ)
async def ruff_check(
    context: Context, path: PathArg = ".", limit: LimitArg = DEFAULT_LIMIT
) -> RuffResult:
    """Lint violations of a file or folder."""
    found = await check_lint(context, path)
    violations, truncated = cap(found, limit)
    return RuffResult(
        violation_count=len(found),
        fixable_count=sum(v.fixable for v in found),
        violations=violations,
        truncated=truncated,
    )


async def check_types(context: Context, path: str) -> list[TypeDiagnostic]:
    """Errors and warnings of `ty check`, with the workspace's configuration.

    What ty only remarks (`reveal_type`) is left out. Types of installed packages come from the
    environment that the configuration names, else from that of the workspace's tests.
    Raises `ToolFailure` when `path` has no Python code, or with ty's words when it cannot check.
    """
    target = await _python_path(context, path)
    venv = interpreter(context).venv
    # ty prefers an activated environment, which may be our own, to the workspace's.
    ours = os.environ.get("VIRTUAL_ENV") == sys.prefix
    env = {"VIRTUAL_ENV": str(venv) if venv else None} if venv or ours else {}
    # SARIF: the other formats put the rule into the message or the path in relation to CI's.
    arguments = ["check", "--output-format", "sarif", "--", target]
    done = await _run(context, "ty", arguments, env)
    # Exit status 2 comes with a report where ty cannot read a file: that is a finding too.
    found = _read(context, "ty", done, (0, 1, 2), read_types)
    if any(each.file.endswith(".ipynb") for each in found):
        await asyncio.to_thread(_in_cells, context.workspace, found)
    return _ordered(context, "ty", path, found, done)


async def check_lint(context: Context, path: str) -> list[RuffViolation]:
    """Violations that `ruff check` finds, with the workspace's configuration.

    Changes nothing, even where the configuration asks for fixes. A file that ruff cannot read is a
    finding, `E902`, also where the configuration leaves that out: it would pass for clean.
    Raises `ToolFailure` when `path` has no Python code, or with ruff's words when it cannot check.
    """
    target = await _python_path(context, path)
    arguments = ["check", "--output-format", "json", "--no-cache", "--no-fix", "--no-fix-only"]
    arguments += ["--exit-zero", f"--extend-select={UNREAD}"]

    def start(exclude: list[str]) -> asyncio.Task[Completed]:
        options = [f"--extend-exclude={path}" for path in exclude]
        env = {"RUFF_OUTPUT_FILE": None}
        return asyncio.create_task(_run(context, "ruff", [*arguments, *options, "--", target], env))

    running = start([])
    try:
        await asyncio.wait({running}, timeout=PATIENCE)
        if not running.done() and (pipes := await asyncio.to_thread(_pipes, context, target)):
            running.cancel()
            await asyncio.wait({running})
            running = start(pipes)
        done = await running
    finally:
        running.cancel()
        await asyncio.wait({running})
    found = _read(context, "ruff", done, (0,), read_lint)
    if context.workspace.existing(path).is_file():
        for violation in found:
            if violation.code == UNREAD:
                raise ToolFailure(f"ruff cannot read {path!r}: {violation.message}")
    return _ordered(context, "ruff", path, found, done)


def _in_cells(workspace: Workspace, found: list[TypeDiagnostic]) -> None:
    """Place a notebook's findings in their cells, as ruff's are; ty counts through all of them."""
    lines: dict[str, list[tuple[int, int]]] = {}
    for each in found:
        if each.file.endswith(".ipynb"):
            if each.file not in lines:
                lines[each.file] = cell_lines(workspace.root / each.file)
            if 0 < each.line <= len(lines[each.file]):
                cell, each.line = lines[each.file][each.line - 1]
                each.message += f" (cell {cell})"


def cell_lines(notebook: Path) -> list[tuple[int, int]]:
    """Cell and line in it, both 1-based, of each line of a notebook's Python code.

    Cells that another program runs (`%%bash`) are no Python. Empty when it cannot be read.
    """
    found = []
    try:
        for number, cell in enumerate(json.loads(notebook.read_bytes())["cells"], 1):
            source = cell["source"]
            text = source if isinstance(source, str) else "".join(source)
            magic = re.match(r"\s*%%(\w+)", text)
            if cell["cell_type"] == "code" and not (magic and magic[1] not in PYTHON_MAGIC):
                found += [(number, row) for row in range(1, text.count("\n") + 2)]
    except (OSError, ValueError, *_MISSHAPEN):
        return []
    return found


def _pipes(context: Context, target: str) -> list[str]:
    """Patterns of what has a Python file's name and is none: ruff waits for ever to read it."""
    root = context.workspace.root
    files = (f for f in context.workspace.walk() if root / target in f.parents)
    named = (f for f in files if f.suffix in SUFFIXES or f.name == "pyproject.toml")
    odd = [str(f) for f in named if f.exists() and not f.is_file()]
    return [glob.escape(f).replace(",", "?") for f in odd]  # a comma would separate two patterns


def read_types(report: bytes, workspace: Workspace) -> list[TypeDiagnostic]:
    """The findings of ty's SARIF report. Raises `ValueError` when it is none."""
    found = []
    try:
        for entry in json.loads(report)["runs"][0]["results"]:
            if entry["level"] == "note":
                continue
            place = entry["locations"][0]["physicalLocation"] if entry["locations"] else {}
            region = place.get("region", {})
            uri = place.get("artifactLocation", {}).get("uri", "")
            file = Path(unquote(urlsplit(uri).path)) if uri else workspace.root
            found.append(
                TypeDiagnostic(
                    file=workspace.relative(file),
                    line=region.get("startLine", 1),
                    column=region.get("startColumn", 1),
                    severity=entry["level"],
                    code=entry["ruleId"],
                    message=entry["message"]["text"],
                )
            )
    except _MISSHAPEN as error:
        raise ValueError(f"{error!r}") from None
    return found


def read_lint(report: bytes, workspace: Workspace) -> list[RuffViolation]:
    """The findings of ruff's JSON report. Raises `ValueError` when it is none."""
    found = []
    try:
        for entry in json.loads(report):
            fix, cell = entry["fix"], entry["cell"]  # a notebook's lines count in their cell
            found.append(
                RuffViolation(
                    file=workspace.relative(Path(entry["filename"])),
                    line=entry["location"]["row"],
                    column=entry["location"]["column"],
                    code=entry["code"] or entry["name"],  # no code: syntax errors in preview mode
                    message=entry["message"] + (f" (cell {cell})" if cell else ""),
                    fixable=fix is not None and fix["applicability"] == "safe",
                )
            )
    except _MISSHAPEN as error:
        raise ValueError(f"{error!r}") from None
    return found


async def _run(
    context: Context, name: str, arguments: list[str], env: Mapping[str, str | None]
) -> Completed:
    seconds = context.settings.tool_seconds
    return await context.workspace.run(
        [program(name), *arguments], timeout=seconds, env=env, most_bytes=MOST_REPORT
    )


def _read(
    context: Context,
    name: str,
    done: Completed,
    fine: tuple[int, ...],
    read: Callable[[bytes, Workspace], list[Found]],
) -> list[Found]:
    """The findings in a program's report; where there is none, its own words are the failure."""
    if done.timed_out:
        raise ToolFailure(f"{name} check took longer than {done.duration:.0f} s")
    if done.cut:
        most = MOST_REPORT // 2**20
        raise ToolFailure(f"{name} found more than {most} MiB: give a smaller folder or a file")
    words = _inside(context.workspace, middle_cut(done.err.strip() or done.out.strip(), 2000))
    if done.exit_code in fine:
        try:
            return read(done.stdout, context.workspace)
        except ValueError as error:
            words = f"its report cannot be read ({middle_cut(str(error), 200)}); {words}"
    raise ToolFailure(f"{name} check failed (exit status {done.exit_code}): {words}")


def _inside(workspace: Workspace, words: str) -> str:
    """A program's words; lines of a file outside, to which a configuration leads, are left out."""
    named = [Path(path) for path in re.findall(r"(?<![\w.])/[^\s`'\"()]+", words)]
    if all(path.resolve().is_relative_to(workspace.root) for path in named if path.exists()):
        return words
    return "\n".join(line for line in words.splitlines() if not _QUOTED.match(line))


def _ordered(
    context: Context, name: str, path: str, found: list[Found], done: Completed
) -> list[Found]:
    """By file and place. Nothing found because nothing was checked is a failure."""
    # Both say so on standard error, also where the configuration leaves all files out.
    if not found and "no python files found" in done.err.lower():
        target = context.workspace.existing(path)
        files = context.workspace.python_files()
        if target.is_file() or any(target in file.parents for file in files):
            raise ToolFailure(
                f"{name} checked nothing: its configuration or .gitignore excludes {path!r}"
            )
        raise ToolFailure(f"no Python files to check under {path!r}")
    return sorted(found, key=lambda f: (f.file, f.line, f.column))


async def _python_path(context: Context, given: str) -> str:
    """The path for a checker's command line: a folder or a Python file that is there."""
    workspace = context.workspace
    path = workspace.path(given)
    if not path.exists() and await _committed(context, given):
        raise ToolFailure(f"{given!r} is deleted: it is in the last commit but not on disk")
    path = workspace.existing(given)
    if not path.is_dir() and (not path.is_file() or not is_python(path)):
        raise ToolFailure(f"{given!r} is no Python file")
    return workspace.relative(path)


async def _committed(context: Context, given: str) -> bool:
    name = f"HEAD:./{context.workspace.relative(context.workspace.path(given))}"
    command = [*GIT, "cat-file", "-e", name]
    try:
        done = await context.workspace.run(command, timeout=10, env=ENVIRONMENT)
    except ToolFailure:  # no git
        return False
    return done.exit_code == 0


def is_python(path: Path) -> bool:
    """Whether ruff and ty take it for Python: by its name, or without a suffix its first line."""
    if path.suffix:
        return path.suffix in SUFFIXES
    try:
        with path.open("rb") as file:
            first = file.readline(200)
    except OSError:
        return False
    return first.startswith(b"#!") and b"python" in first
