"""Mutation check: a program whose slot gets another value must give another output.

Where it does not, the program ignores what the question names, or the workspace answers alike for
both values (no commit of either author). So it is counted by intent, and no example is dropped
for it. Only programs whose calls just read are tried: another test run costs seconds, and a write
or command leaves something behind.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from punie.factory.examples import wording
from punie.factory.examples.plain_slots import NoValue, Value
from punie.factory.examples.slots import Slots
from punie.factory.intents import Intent
from punie.sandbox import Outcome
from punie.tool import Effect, load_tools

if TYPE_CHECKING:
    from punie.factory.examples.workshop import Workshop

TRIES = 6
"""Draws for a value that differs."""


@dataclass
class Mutations:
    """How many programs were tried with another value, by intent, and how many said the same."""

    checked: Counter[str] = field(default_factory=Counter)
    same: Counter[str] = field(default_factory=Counter)

    async def check(
        self,
        intent: Intent,
        values: dict[str, Value],
        outcome: Outcome,
        workshop: Workshop,
        rng: random.Random,
    ) -> None:
        """Run the program of `outcome` with another value in one slot, and count."""
        tools = load_tools()
        if any(tools[call.tool].effect is not Effect.READ for call in outcome.calls):
            return
        other = another(intent, values, workshop, rng)
        if not other:
            return
        code = wording.program(intent, other)
        again = await workshop.sandbox.run(code, workshop.context)
        self.checked[intent.name] += 1
        self.same[intent.name] += _says(again) == _says(outcome)

    def add(self, counts: dict[str, dict[str, int]]) -> None:
        """Add what `as_json` gave."""
        self.checked.update(counts["checked"])
        self.same.update(counts["same"])

    def as_json(self) -> dict[str, dict[str, int]]:
        """Both counts by intent, in order; an intent that never said the same has 0."""
        names = sorted(self.checked)
        return {
            "checked": {name: self.checked[name] for name in names},
            "same": {name: self.same[name] for name in names},
        }


def another(
    intent: Intent, values: dict[str, Value], workshop: Workshop, rng: random.Random
) -> dict[str, Any]:
    """The values with another one of the same kind in one slot; {} where none is found."""
    for _ in range(TRIES if intent.slots else 0):
        try:
            drawn = Slots(workshop.inventory, rng).fill(intent.slots)
        except NoValue:
            continue
        changed = sorted(n for n, value in drawn.items() if not _alike(value, values[n]))
        if changed:
            name = rng.choice(changed)
            return values | {name: drawn[name]}
    return {}


def _alike(one: Value, other: Value) -> bool:
    """Whether two values may mean the same: a path and its end, a name and its first part."""
    if isinstance(one, int) or isinstance(other, int):
        return one == other
    return one in other or other in one


def _says(outcome: Outcome) -> tuple[str, str | None, list[str]]:
    """What a user would see of a run."""
    return outcome.stdout, outcome.error, outcome.unread
