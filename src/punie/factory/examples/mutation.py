"""Mutation check: a program whose slot gets another value must give another output.

Where it does not, the program ignores what the question names, or the workspace answers alike for
both values. So it is counted by intent, no example is dropped for it, and the audit decides
(`audit.deaf`). Two runs that print nothing tell nothing, and are counted apart; so is a run that
ended by a limit of time twice, the second time after all other work: that is the machine's load.
Only programs whose calls just read are tried: another test run costs seconds, and a write
or command leaves something behind.
"""

from __future__ import annotations

import random
import re
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
COUNTED = ("checked", "same", "silent", "unchecked")
OUT_OF_TIME = re.compile(r"(?:took|computed) longer than|time or memory ran out|timed out")
"""How limits of time are told, by the sandbox and by tools."""


@dataclass
class Mutations:
    """How many programs were tried with another value, by intent, and how many said the same."""

    checked: Counter[str] = field(default_factory=Counter)
    same: Counter[str] = field(default_factory=Counter)
    silent: Counter[str] = field(default_factory=Counter)
    """Tries in which neither program printed anything; they count as neither of the above."""
    unchecked: Counter[str] = field(default_factory=Counter)
    """Tries that ran out of time twice."""
    _late: list[tuple[str, str, Outcome]] = field(default_factory=list)
    """Intent, program and first outcome of tries that are made again."""

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
        if timed_out(again):
            self._late.append((intent.name, code, outcome))
        else:
            self._count(intent.name, again, outcome)

    async def finish(self, workshop: Workshop) -> None:
        """Make the tries that ran out of time once more, now that nothing else runs beside."""
        workshop.forget_failures()
        for name, code, outcome in self._late:
            again = await workshop.sandbox.run(code, workshop.context)
            if timed_out(again):
                self.unchecked[name] += 1
            else:
                self._count(name, again, outcome)
        self._late.clear()

    def _count(self, name: str, again: Outcome, outcome: Outcome) -> None:
        if _says(again) == _says(outcome) == ("", None, []):
            self.silent[name] += 1
            return
        self.checked[name] += 1
        self.same[name] += _says(again) == _says(outcome)

    def add(self, counts: dict[str, dict[str, int]]) -> None:
        """Add what `as_json` gave."""
        for name in COUNTED:
            getattr(self, name).update(counts[name])

    def as_json(self) -> dict[str, dict[str, int]]:
        """All counts by intent, in order; a checked intent that never said the same has 0."""
        found = {name: dict(sorted(getattr(self, name).items())) for name in COUNTED}
        return found | {"same": {name: self.same[name] for name in found["checked"]}}


def timed_out(outcome: Outcome) -> bool:
    """Whether a limit of time ended the program or one of its tools."""
    failed = (call.error for call in outcome.calls if not call.ok)
    texts = [outcome.error, *outcome.unread, *failed]
    return any(OUT_OF_TIME.search(text) for text in texts if text)


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
