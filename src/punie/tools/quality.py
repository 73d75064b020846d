"""Types and lint: `ty check` and `ruff check`, read from their structured reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import Field

from punie.errors import ToolFailure
from punie.tool import DEFAULT_LIMIT, Effect, Item, LimitArg, PathArg, Result, cap, tool
from punie.workspace import Completed, program
from punie.wrap import Context, middle_cut

Found = TypeVar("Found", "TypeDiagnostic", "RuffViolation")


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
    environment that the configuration names, else from the workspace's `.venv`.
    Raises `ToolFailure` when `path` has no Python code, or with ty's words when it cannot check.
    """
    target = await _python_path(context, path)
    venv = context.workspace.root / ".venv"
    # ty prefers an activated environment, which may be our own, to the workspace's.
    env = {"VIRTUAL_ENV": str(venv)} if (venv / "pyvenv.cfg").is_file() else {}
    # SARIF: the other formats put the rule into the message or the path in relation to CI's.
    arguments = ["check", "--output-format", "sarif", "--", target]
    # Exit status 2 comes with a report where ty cannot read a file: that is a finding too.
    document, done = await _report(context, "ty", arguments, (0, 1, 2), env)
    found = []
    try:
        for entry in document["runs"][0]["results"]:
            if entry["level"] == "note":
                continue
            place = entry["locations"][0]["physicalLocation"] if entry["locations"] else {}
            region = place.get("region", {})
            uri = place.get("artifactLocation", {}).get("uri", "")
            file = Path(unquote(urlsplit(uri).path)) if uri else context.workspace.root
            found.append(
                TypeDiagnostic(
                    file=context.workspace.relative(file),
                    line=region.get("startLine", 1),
                    column=region.get("startColumn", 1),
                    severity=entry["level"],
                    code=entry["ruleId"],
                    message=entry["message"]["text"],
                )
            )
    except (LookupError, TypeError, AttributeError):
        raise ToolFailure(f"ty's report cannot be read: {_words(done)}") from None
    return _ordered(path, found, done)


async def check_lint(context: Context, path: str) -> list[RuffViolation]:
    """Violations that `ruff check` finds, with the workspace's configuration.

    Changes nothing, even where the configuration asks for fixes.
    Raises `ToolFailure` when `path` has no Python code, or with ruff's words when it cannot check.
    """
    target = await _python_path(context, path)
    arguments = ["check", "--output-format", "json", "--no-cache", "--no-fix", "--no-fix-only"]
    arguments += ["--exit-zero", "--", target]
    document, done = await _report(context, "ruff", arguments, (0,), {})
    found = []
    try:
        for entry in document:
            fix = entry["fix"]
            found.append(
                RuffViolation(
                    file=context.workspace.relative(Path(entry["filename"])),
                    line=entry["location"]["row"],
                    column=entry["location"]["column"],
                    code=entry["code"],
                    message=entry["message"],
                    fixable=fix is not None and fix["applicability"] == "safe",
                )
            )
    except (LookupError, TypeError):
        raise ToolFailure(f"ruff's report cannot be read: {_words(done)}") from None
    return _ordered(path, found, done)


async def _report(
    context: Context, name: str, arguments: list[str], fine: tuple[int, ...], env: dict[str, str]
) -> tuple[Any, Completed]:
    """The JSON document that a program wrote; its own words are the failure."""
    seconds = context.settings.tool_seconds
    done = await context.workspace.run([program(name), *arguments], timeout=seconds, env=env)
    if done.timed_out:
        raise ToolFailure(f"{name} check took longer than its limit of {seconds:g} s")
    failed = ToolFailure(f"{name} check failed (exit status {done.exit_code}): {_words(done)}")
    if done.exit_code not in fine:
        raise failed
    try:
        return json.loads(done.out), done
    except ValueError:
        raise failed from None


def _words(done: Completed) -> str:
    return middle_cut(done.err.strip() or done.out.strip(), 2000)


def _ordered(path: str, found: list[Found], done: Completed) -> list[Found]:
    """By file and place. Nothing found because nothing was checked is a failure."""
    # Both say so on standard error, also where the configuration leaves all files out.
    if not found and "no python files found" in done.err.lower():
        raise ToolFailure(f"no Python files to check under {path!r}")
    return sorted(found, key=lambda f: (f.file, f.line, f.column))


async def _python_path(context: Context, given: str) -> str:
    """The path for a checker's command line: a folder or a Python file that is there."""
    workspace = context.workspace
    path = workspace.path(given)
    if not path.exists() and await _committed(context, given):
        raise ToolFailure(f"{given!r} is deleted: it is in the last commit but not on disk")
    path = workspace.existing(given)
    if path.is_file() and path.suffix not in (".py", ".pyi") and not _python_script(path):
        raise ToolFailure(f"{given!r} is no Python file")
    return workspace.relative(path)


async def _committed(context: Context, given: str) -> bool:
    try:
        git = program("git")
    except ToolFailure:
        return False
    name = f"HEAD:./{context.workspace.relative(context.workspace.path(given))}"
    done = await context.workspace.run([git, "cat-file", "-e", name], timeout=10)
    return done.exit_code == 0


def _python_script(path: Path) -> bool:
    """Whether the first line asks for Python, as in scripts without a suffix."""
    try:
        with path.open("rb") as file:
            first = file.readline(200)
    except OSError:
        return False
    return not path.suffix and first.startswith(b"#!") and b"python" in first
