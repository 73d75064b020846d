"""Follow-ups: a second question that leans on what the first one named.

The second program takes the first one's slot values, or rests on the same state (staged files, the
last commit); it is run and checked as every other.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from punie.agent import SHOWN, shown
from punie.factory.examples import wording
from punie.factory.examples.brevity import fitted
from punie.factory.examples.plain_slots import Value
from punie.factory.examples.workshop import Workshop
from punie.factory.intents import Followup, Intent
from punie.prompt import Message
from punie.sandbox import Outcome
from punie.wrap import middle_cut


def fitting(
    intent: Intent, followups: Sequence[Followup], intents: Mapping[str, Intent]
) -> list[tuple[Followup, Intent]]:
    """Follow-ups that can come after a question of an intent, each with what it asks."""
    found = []
    for followup in followups:
        target = intents[followup.to]
        if isinstance(followup.after, str):
            comes = set(intent.slots) == {followup.after} == set(target.slots)
        else:
            comes = intent.name in followup.after
        if comes and target.program != intent.program:
            found.append((followup, target))
    return found


async def make(
    values: dict[str, Value],
    outcome: Outcome,
    choices: Sequence[tuple[Followup, Intent]],
    workshop: Workshop,
    rng: random.Random,
) -> tuple[list[Message], dict[str, Any]]:
    """The turns after a first program that ran, and the facts of the row; empty when none fits or
    the second program is no good."""
    if not choices:
        return [], {}
    followup, target = rng.choice(choices)
    phrasing = rng.choice(followup.phrasings)
    code = wording.program(fitted(target, phrasing), values if target.slots else {})
    second, fault = await workshop.run(code)
    if fault or not second.stdout.strip():
        return [], {}
    asked = wording.question(phrasing, {}, rng)
    turns: list[Message] = [
        {"role": "tool", "content": middle_cut(shown(outcome), SHOWN["tuned"])},
        {"role": "user", "content": asked},
        {"role": "assistant", "content": "", "code": code},
    ]
    facts = workshop.facts(outcome, second)
    return turns, facts | {"kind": "followup", "intent": target.name, "group": "followups"}
