"""More examples of what a validation on the development set got wrong, by the kind of its failure.

The kind is that of a failed case's first fault, as `suite.Judge` tells it; each has its remedy:

| kind | what grows |
|---|---|
| `fact` | intents over just the tools of the case's reference |
| `call` | those, and intents that call the tool that was left out beside another one of them |
| `field` | intents that read the field, over one of the tools; else as `fact` |
| `argument` | intents that take a value where it was wrong, each question with other values, too |
| `error` | intents over the tools, with more repairs |
| `kind` | words for a program, or the other way: both sides, intents and near-miss questions |
| `forbidden` | near-miss questions about the tool that must not be called |

Nothing of a question is copied: `selection.without_suites` drops what asks or is worded as one.
The suites that only report (`forty`, `test`) are refused.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from punie.errors import UsageError
from punie.factory.generate import GenerateOptions
from punie.factory.intents import Intent
from punie.factory.suite import Case, Suite, load_suite

STEERING = ("development",)
"""Suites that data may follow."""
KINDS = ("fact", "call", "field", "argument", "error", "kind", "forbidden")
"""The kinds of a first fault."""
MOST_REPAIRS = 0.5
"""Greatest share of an intent's programs that also give a repair."""


@dataclass(frozen=True)
class Failure:
    """A failed case: the kind of its first fault, what it tells, and the tools it is about."""

    case: str
    kind: str
    told: str
    tools: frozenset[str]
    """Of the reference program; where there is none, those that were called."""


@dataclass(frozen=True)
class Growth:
    """What failed in one way over one combination of tools, and what grows."""

    kind: str
    tools: tuple[str, ...]
    failed: int
    """Cases over these tools that failed in this way."""
    cases: int
    """Cases over these tools; of those without a program, all of them."""
    intents: tuple[str, ...]
    """Intents that get more examples."""

    @property
    def share(self) -> float:
        """Share of the cases."""
        return self.failed / self.cases


def read_report(path: Path, tools: Collection[str]) -> tuple[Suite, list[Failure]]:
    """The suite of a validation report (`punie validate --transcripts`) and its failures.
    Raises `UsageError` when the report cannot serve."""
    try:
        report = json.loads(path.read_text("utf-8"))
        name, sha256 = report["suite"], report["sha256"]
        failed = {c["id"]: (c["faults"][0], _called(c)) for c in report["cases"] if not c["passed"]}
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise UsageError(
            f"report {str(path)!r} cannot be used ({error!r}): write one with"
            " punie validate development --transcripts FILE"
        ) from None
    if name not in STEERING:
        raise UsageError(f"suite {name!r} only reports: data may follow {', '.join(STEERING)}")
    suite = load_suite(name)
    if suite.sha256 != sha256:
        raise UsageError(f"report {str(path)!r} is of another version of {name!r}: validate again")
    found, unknown = [], []
    for case in suite.cases:
        if case.id not in failed:
            continue
        fault, called = failed[case.id]
        kind, _, told = fault.partition(": ")
        if kind not in KINDS:
            unknown.append(f"{case.id}: {fault}")
        used = _of_case(case, frozenset(tools)) or called
        used = frozenset({told}) if kind == "forbidden" else used
        found.append(Failure(case.id, kind, told, used & frozenset(tools)))
    if unknown:
        raise UsageError(
            f"report {str(path)!r} tells of faults that are none of {', '.join(KINDS)}:\n  "
            + "\n  ".join(unknown[:5])
        )
    return suite, found


def growth(
    suite: Suite, failures: Iterable[Failure], intents: Iterable[Intent], tools: Collection[str]
) -> list[Growth]:
    """What grows, by kind of failure and combination of tools, most failures first."""
    known, intents = frozenset(tools), list(intents)
    total = Counter(_of_case(case, known) for case in suite.cases)
    groups: dict[tuple[str, frozenset[str]], list[Failure]] = defaultdict(list)
    for failure in failures:
        groups[failure.kind, failure.tools].append(failure)
    found = []
    for (kind, used), group in groups.items():
        names = dict.fromkeys(
            intent.name
            for failure in group
            for intent in intents
            if _serves(failure, intent, intents, known)
        )
        cases = total[used] or total[frozenset()] or len(group)
        found.append(
            Growth(kind, tuple(sorted(used)), len(group), max(cases, len(group)), tuple(names))
        )
    return sorted(found, key=lambda g: (-g.failed, KINDS.index(g.kind), g.tools))


def _serves(
    failure: Failure, intent: Intent, intents: Iterable[Intent], known: frozenset[str]
) -> bool:
    """Whether more examples of the intent are a remedy."""
    used = _used(intent.program, known)
    alike = bool(used) and used == failure.tools
    if failure.kind == "forbidden" or not used:
        return False
    if failure.kind == "call":
        left_out = failure.told.partition(" ")[0]
        return alike or (left_out in used and len(used & failure.tools) > 1)
    if failure.kind == "field":
        read = [i for i in intents if _reads(failure, i) and _used(i.program, known)]
        return (intent in read and bool(used & failure.tools)) or (not read and alike)
    if failure.kind == "argument":
        tool = failure.told.partition("(")[0]
        return bool(used & failure.tools) and bool(_given(intent, tool) & _told_of(failure, tool))
    return alike


def _reads(failure: Failure, intent: Intent) -> bool:
    name = failure.told.partition(" ")[0].rpartition(".")[2]
    return bool(re.search(rf"\.{re.escape(name)}\b", intent.program))


def _told_of(failure: Failure, tool: str) -> set[str]:
    """Parameters that a told call of `tool` was given: `git_log({'count': 3}) was …`."""
    return set(re.findall(r"'(\w+)': ", failure.told)) | {tool}


def _given(intent: Intent, tool: str) -> set[str]:
    """Parameters of `tool` that the program gives a slot; the tool itself for one by position."""
    found: set[str] = set()
    for call in re.findall(rf"\b{re.escape(tool)}\(([^()]*)\)", intent.program):
        found |= set(re.findall(r"(\w+)=\{\w+\}", call))
        if re.match(r"\s*\{\w+\}", call):
            found.add(tool)
    return found


def grown(
    options: GenerateOptions, growths: Iterable[Growth], intents: Mapping[str, Intent]
) -> GenerateOptions:
    """The options with up to twice the examples of what failed, and the remedy of each kind."""
    more: dict[str, float] = defaultdict(float)
    contrasts: dict[str, float] = dict(options.contrasts)
    repairs: dict[str, float] = dict(options.repairs_of)
    beside: dict[str, int] = dict(options.near_misses)
    for g in growths:
        for name in g.intents:
            more[name] = min(1.0, more[name] + g.share)
            if g.kind == "argument":
                contrasts[name] = min(1.0, contrasts.get(name, 0.0) + g.share)
            if g.kind == "error":
                share = repairs.get(name, options.repairs) + g.share
                repairs[name] = min(MOST_REPAIRS, share)
        if g.kind in ("kind", "forbidden"):
            for tool in g.tools:
                beside[tool] = beside.get(tool, 0) + 1 + round(2 * g.share)
    examples = {
        name: round(options.wanted(name, its.group, its.brought) * (1 + share))
        for name, share in more.items()
        if (its := intents[name])
    }
    return replace(
        options,
        examples=options.examples | examples,
        contrasts=contrasts,
        repairs_of=repairs,
        near_misses=beside,
    )


def _called(case: Mapping[str, Any]) -> frozenset[str]:
    """Tools that the answer to a case called."""
    return frozenset(str(c["tool"]) for step in case.get("steps", ()) for c in step["calls"])


def _of_case(case: Case, known: frozenset[str]) -> frozenset[str]:
    return _used(case.references[0], known) if case.references else frozenset()


def _used(program: str, known: frozenset[str]) -> frozenset[str]:
    return frozenset(re.findall(r"\b(\w+)\(", program)) & known
