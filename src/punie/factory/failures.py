"""More examples of the kinds that a validation on the development set got wrong.

A failed case counts for its tools, those of its reference program; each intent over just these
tools then gets more examples, by the share of its cases that failed. Nothing of a question is
copied, and the suites that only report (`forty`, `test`) are refused.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from punie.errors import UsageError
from punie.factory.generate import GenerateOptions
from punie.factory.intents import Intent
from punie.factory.suite import Suite, load_suite

STEERING = ("development",)
"""Suites that data may follow."""


@dataclass(frozen=True)
class Growth:
    """What one combination of tools gets."""

    tools: tuple[str, ...]
    failed: int
    """Cases over these tools that failed."""
    cases: int
    intents: tuple[str, ...]
    """Intents over these tools; none when the data has no such program at all."""


def read_report(path: Path) -> tuple[Suite, set[str]]:
    """The suite of a validation report (`punie validate --transcripts`) and the failed cases'
    ids. Raises `UsageError` when the report cannot serve."""
    try:
        report = json.loads(path.read_text("utf-8"))
        name, sha256, cases = report["suite"], report["sha256"], report["cases"]
        failed = {case["id"] for case in cases if not case["passed"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"report {str(path)!r} cannot be used ({error!r}): write one with"
            " punie validate development --transcripts FILE"
        ) from None
    if name not in STEERING:
        raise UsageError(f"suite {name!r} only reports: data may follow {', '.join(STEERING)}")
    suite = load_suite(name)
    if suite.sha256 != sha256:
        raise UsageError(f"report {str(path)!r} is of another version of {name!r}: validate again")
    return suite, failed


def growth(
    suite: Suite, failed: set[str], intents: Iterable[Intent], tools: Iterable[str]
) -> list[Growth]:
    """What failed by combination of tools, most first."""
    known = frozenset(tools)
    total: Counter[frozenset[str]] = Counter()
    lost: Counter[frozenset[str]] = Counter()
    for case in suite.cases:
        if case.references:
            used = _used(case.references[0], known)
            total[used] += 1
            lost[used] += case.id in failed
    names: dict[frozenset[str], list[str]] = {}
    for intent in intents:
        names.setdefault(_used(intent.program, known), []).append(intent.name)
    found = [
        Growth(tuple(sorted(used)), lost[used], total[used], tuple(names.get(used, ())))
        for used in total
        if lost[used]
    ]
    return sorted(found, key=lambda g: (-g.failed, g.tools))


def grown(
    options: GenerateOptions, growths: Iterable[Growth], intents: dict[str, Intent]
) -> GenerateOptions:
    """The options with up to twice the examples of intents whose kind failed."""
    more = {
        name: round(options.wanted(name, intents[name].group) * (1 + g.failed / g.cases))
        for g in growths
        for name in g.intents
    }
    return replace(options, examples=options.examples | more)


def _used(program: str, known: frozenset[str]) -> frozenset[str]:
    return frozenset(re.findall(r"\b(\w+)\(", program)) & known
