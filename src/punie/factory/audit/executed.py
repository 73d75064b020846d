"""Stored rows, run again: whether what they say still holds where they were made.

What is true cannot be read off a row. So a sample of the programs runs again on its workspace,
and every call is checked by its second way, as when the example was made.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence

from punie.factory.audit.data import Example
from punie.factory.audit.findings import Finding, gathered
from punie.factory.audit.subject import Subject
from punie.factory.examples.mutation import timed_out
from punie.factory.examples.workshop import SETTINGS, Workshop
from punie.settings import Settings
from punie.wrap import Call


async def check(
    subject: Subject, count: int, seed: int = 42, settings: Settings = SETTINGS
) -> list[Finding]:
    """Run the programs of at most `count` examples, drawn by `seed`, whose workspace is built."""
    able = [
        e
        for e in subject.data.examples
        if e.programs and subject.inventory(e.workspace) is not None
    ]
    drawn = able if count >= len(able) else random.Random(seed).sample(able, count)
    places: dict[str, list[Example]] = defaultdict(list)
    for example in drawn:
        places[example.workspace].append(example)
    faults: list[tuple[str, str]] = []
    late: list[tuple[str, str]] = []
    for examples in places.values():
        await _run(subject, examples, faults, late, settings)
    untold = f"of {len(drawn)} programs ran out of time twice, and were not checked"
    return [
        *gathered("execution", faults, f"of {len(drawn)} programs do not hold when run again"),
        *gathered("execution not checked", late, untold, "remark"),
    ]


async def _run(
    subject: Subject,
    examples: Sequence[Example],
    faults: list[tuple[str, str]],
    late: list[tuple[str, str]],
    settings: Settings,
) -> None:
    """What is wrong with examples of one workspace, and which could not be checked. Those that
    run out of time are run once more when all others are done: it may be the machine's load."""
    inventory = subject.inventory(examples[0].workspace)
    assert inventory is not None
    again: list[Example] = []
    async with Workshop(inventory.root, inventory, subject.tools.values(), settings) as workshop:
        for example in examples:
            slow, fault = await _fault(example, workshop)
            if slow:
                again.append(example)
            elif fault:
                faults.append((example.id, fault))
        workshop.forget_failures()
        for example in again:
            slow, fault = await _fault(example, workshop)
            if slow:
                late.append((example.id, fault))
            elif fault:
                faults.append((example.id, fault))


async def _fault(example: Example, workshop: Workshop) -> tuple[bool, str]:
    """Whether a program of the example ran out of time, and what is wrong with it."""
    ran = [await workshop.run(program) for program in example.programs]
    fault = next((found for _, found in ran if found), "")
    slow = any(timed_out(outcome) for outcome, _ in ran)
    if example.kind == "unknown":
        failed = fault or any(outcome.unread for outcome, _ in ran)
        return slow, "" if failed else "it succeeds, though its name is not there"
    if not fault:
        fault = _recorded(example, [call for outcome, _ in ran for call in outcome.calls])
    return slow, fault


def _recorded(example: Example, calls: Sequence[Call]) -> str:
    """How what the row records differs from what its programs did."""
    called = {call.tool for call in calls}
    read = {name for call in calls for name in call.fields}
    if called != set(example.tools):
        return f"it calls {sorted(called)}, the row says {sorted(example.tools)}"
    other = sorted(read ^ set(example.fields))
    return f"the row differs in what is read: {other}" if other else ""
