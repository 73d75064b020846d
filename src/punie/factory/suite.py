"""A suite of graded questions: its cases, and the judge that grades them by execution.

A case passes when the program ran, made the calls that a reference program makes (same arguments
or same result), read the fields that the answer rests on, gave the facts that were verified when
the case was written, and did nothing forbidden. A direct case passes without any call.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import sqrt
from pathlib import Path
from typing import Any

from punie.agent import Answer
from punie.errors import UsageError
from punie.sandbox import Outcome, Sandbox
from punie.tool import Result
from punie.wrap import Call, Context, Request

ECHOES = {"symbol", "query", "file_path", "path"}
"""Result fields that repeat an argument of the call."""
FOLDER = Path(__file__).parent / "suites"


@dataclass(frozen=True)
class Case:
    """One question and what a right answer must do and say."""

    id: str
    category: str
    workspace: str
    query: str
    kind: str
    """`tool` or `direct`."""
    references: tuple[str, ...] = ()
    """Accepted programs: the calls of one of them must be made."""
    fields: tuple[str, ...] = ()
    """Fields that must be read, as `Class.field`."""
    expect: tuple[str, ...] = ()
    """Facts that the answer must hold; `re:` starts a regular expression without case."""
    reject: tuple[str, ...] = ()
    """Facts that it must not hold."""
    forbid: tuple[str, ...] = ()
    """Tools that must not be called."""
    group: str = ""
    """Name of its paraphrase group: cases that ask the same thing in other words."""


@dataclass(frozen=True)
class Suite:
    """A named list of cases."""

    name: str
    sha256: str
    """Hash of the file, which names the suite's exact content."""
    workspaces: tuple[str, ...]
    cases: tuple[Case, ...]


@dataclass
class Verdict:
    """How one case went. `faults` is empty when it passed."""

    case: Case
    answer: Answer
    faults: list[str] = field(default_factory=list)
    """What was wrong, one of: error, kind, call, argument, field, fact, forbidden; with detail."""

    @property
    def passed(self) -> bool:
        """Whether nothing was wrong."""
        return not self.faults


def load_suite(name: str) -> Suite:
    """A suite by name or path. Raises `UsageError` that lists every mistake of the file."""
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    try:
        data = path.read_bytes()
        table = tomllib.loads(data.decode("utf-8"))
    except OSError:
        known = ", ".join(sorted(p.stem for p in FOLDER.glob("*.toml")))
        raise UsageError(f"no suite {name!r}; there are: {known}; or give a path") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"suite {name!r} cannot be read: {error}") from None
    problems: list[str] = []
    cases: list[Case] = []
    for number, entry in enumerate(table.get("case", []), 1):
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()
        }
        try:
            case = Case(**values)
        except TypeError as error:
            problems.append(f"case {number}: {error}")
            continue
        if case.kind not in ("tool", "direct") or (case.kind == "tool") != bool(case.references):
            problems.append(f"case {case.id}: kind {case.kind!r} does not fit its references")
        if case.workspace not in table.get("workspaces", []):
            problems.append(f"case {case.id}: workspace {case.workspace!r} is not in the list")
        if not case.expect:
            problems.append(f"case {case.id}: nothing is expected")
        cases.append(case)
    if problems or not cases:
        raise UsageError(
            "\n  ".join([f"suite {name!r} cannot be used:", *(problems or ["no case"])])
        )
    digest = hashlib.sha256(data).hexdigest()
    return Suite(table.get("name", path.stem), digest, tuple(table["workspaces"]), tuple(cases))


def frozen() -> dict[str, str]:
    """SHA-256 of the suites that never change, by name."""
    lines = (FOLDER / "SHA256SUMS").read_text("utf-8").splitlines()
    pairs = (line.split() for line in lines if line.strip())
    return {Path(file).stem: sha256 for sha256, file in pairs}


REPORTED = ("forty", "test")
"""Suites that only report: what rests on them would be tuned on them."""


def deciding(name: str) -> Suite:
    """The suite by name or path, for a choice that will rest on it. Raises `UsageError` as
    `load_suite` does, and for one that only reports, under whatever name."""
    suite = load_suite(name)
    if suite.sha256 in [load_suite(each).sha256 for each in REPORTED]:
        raise UsageError(f"suite {name!r} only reports: choose by another one, as 'development'")
    return suite


class AsReference:
    """Approves only what a reference program of the case would do itself.

    A model that is being graded is not trusted: it may run or write nothing else.
    """

    def __init__(self) -> None:
        self.titles: set[str] = set()
        self.learning = False

    async def learn(self, case: Case, sandbox: Sandbox, context: Context) -> None:
        """Find out which approvals the references ask for, refusing them all."""
        self.titles, self.learning = set(), True
        for reference in case.references:
            await sandbox.run(reference, context)
        self.learning = False

    async def approve(self, request: Request) -> bool:
        """Whether a reference asks for just that."""
        if self.learning:
            self.titles.add(request.title)
            return False
        return request.title in self.titles


class Judge:
    """Grades answers on one workspace, against its reference programs."""

    def __init__(self, sandbox: Sandbox, context: Context) -> None:
        self.sandbox, self.context = sandbox, context

    async def grade(self, case: Case, answer: Answer) -> Verdict:
        """The verdict on an answer."""
        verdict = Verdict(case, answer)
        calls = [call for step in answer.steps for call in step.calls]
        results = [result for step in answer.steps for result in step.results]
        faults = verdict.faults
        if not answer.ok:
            faults.append(f"error: {answer.error}")
        if answer.kind != case.kind:
            faults.append(f"kind: {answer.kind}, not {case.kind}")
        faults += [f"forbidden: {c.tool}" for c in calls if c.tool in case.forbid]
        if case.kind == "tool":
            faults += await self._compare(case, calls, results)
            read = {name for call in calls for name in call.fields}
            faults += [f"field: {name} was not read" for name in case.fields if name not in read]
        faults += [f"fact: {f!r} is missing" for f in case.expect if not holds(answer.answer, f)]
        faults += [f"fact: {f!r} is wrong" for f in case.reject if holds(answer.answer, f)]
        return verdict

    async def _compare(
        self, case: Case, calls: Sequence[Call], results: Sequence[Result]
    ) -> list[str]:
        """What the calls lack, against the reference that they come nearest to."""
        nearest: list[str] | None = None
        for reference in case.references:
            outcome = await self.sandbox.run(reference, self.context)
            if outcome.error:
                raise UsageError(f"case {case.id}: its reference fails: {outcome.error}")
            lacking = _lacking(outcome, calls, results)
            if nearest is None or len(lacking) < len(nearest):
                nearest = lacking
        return nearest or []


def unmet(case: Case, outcome: Outcome) -> list[str]:
    """What a reference program of the case fails to show: a case that it does not pass is wrong."""
    text = "\n".join([outcome.stdout, *outcome.unread])
    read = {name for call in outcome.calls for name in call.fields}
    faults = [f"error: {outcome.error}"] if outcome.error else []
    faults += [f"fact {f!r} is missing" for f in case.expect if not holds(text, f)]
    faults += [f"fact {f!r} is wrong" for f in case.reject if holds(text, f)]
    faults += [f"field {name} was not read" for name in case.fields if name not in read]
    return faults + [f"{c.tool} is forbidden" for c in outcome.calls if c.tool in case.forbid]


def _lacking(outcome: Outcome, calls: Sequence[Call], results: Sequence[Result]) -> list[str]:
    faults = []
    for wanted, right in zip(outcome.calls, outcome.results, strict=True):
        same = [(c, r) for c, r in zip(calls, results, strict=True) if c.tool == wanted.tool]
        if not same:
            faults.append(f"call: {wanted.tool} was not called")
        elif not any(c.args == wanted.args or _alike(r, right) for c, r in same):
            faults.append(f"argument: {wanted.tool}({wanted.args}) was called otherwise")
    return list(dict.fromkeys(faults))


def _alike(one: Result, other: Result) -> bool:
    """Whether two results say the same, apart from times and what merely repeats the call."""
    ours, theirs = (_timeless(r.model_dump(exclude=ECHOES)) for r in (one, other))
    return bool(ours == theirs)


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _timeless(v) for k, v in value.items() if k != "duration"}
    return [_timeless(v) for v in value] if isinstance(value, list) else value


def holds(text: str, fact: str) -> bool:
    """Whether a fact stands in a text; a pure number must stand by itself."""
    if fact.startswith("re:"):
        return re.search(fact[3:], text, re.IGNORECASE) is not None
    if re.fullmatch(r"[+-]?\d+(\.\d+)?", fact):
        return re.search(rf"(?<![\w.]){re.escape(fact)}(?![\w]|\.\d)", text) is not None
    return fact in text


def wilson(passed: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927), as two numbers between 0 and 1."""
    if total == 0:
        return 0.0, 1.0
    share = passed / total
    middle = share + z * z / (2 * total)
    spread = z * sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    return (middle - spread) / scale, (middle + spread) / scale
