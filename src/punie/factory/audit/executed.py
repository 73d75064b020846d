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
from punie.factory.examples.workshop import Workshop
from punie.wrap import Call


async def check(subject: Subject, count: int, seed: int = 42) -> list[Finding]:
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
    for examples in places.values():
        faults += await _run(subject, examples)
    return gathered("execution", faults, f"of {len(drawn)} programs do not hold when run again")


async def _run(subject: Subject, examples: Sequence[Example]) -> list[tuple[str, str]]:
    """What is wrong with examples of one workspace."""
    inventory = subject.inventory(examples[0].workspace)
    assert inventory is not None
    faults = []
    async with Workshop(inventory.root, inventory, subject.tools.values()) as workshop:
        for example in examples:
            ran = [await workshop.run(program) for program in example.programs]
            fault = next((found for _, found in ran if found), "")
            if example.kind == "unknown":
                failed = fault or any(outcome.unread for outcome, _ in ran)
                fault = "" if failed else "it succeeds, though its name is not there"
            elif not fault:
                fault = _recorded(example, [call for outcome, _ in ran for call in outcome.calls])
            if fault:
                faults.append((example.id, fault))
    return faults


def _recorded(example: Example, calls: Sequence[Call]) -> str:
    """How what the row records differs from what its programs did."""
    called = {call.tool for call in calls}
    read = {name for call in calls for name in call.fields}
    if called != set(example.tools):
        return f"it calls {sorted(called)}, the row says {sorted(example.tools)}"
    other = sorted(read ^ set(example.fields))
    return f"the row differs in what is read: {other}" if other else ""
