"""The examples of one workspace: drafts are filled, run, checked, and written as one part."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from punie.factory.examples import followups, keeping, repairs, twins, wording
from punie.factory.examples.drafts import Draft
from punie.factory.examples.inventory import Inventory
from punie.factory.examples.mutation import Mutations
from punie.factory.examples.options import GenerateOptions
from punie.factory.examples.plain_slots import NoValue, Value
from punie.factory.examples.slots import Slots
from punie.factory.examples.workshop import OTHERWISE, VOLATILE, Workshop, volatile
from punie.factory.intents import Asides, Followup, Intent
from punie.prompt import SYSTEM_TUNED, Message
from punie.sandbox import Outcome

TRIES = 12
"""Draws of values for a draft."""


@dataclass(frozen=True)
class Material:
    """What goes into examples beside the drafts."""

    intents: Mapping[str, Intent]
    followups: Sequence[Followup]
    asides: Asides


@dataclass
class Made:
    """What became of the drafts of one workspace."""

    rows: list[dict[str, Any]]
    rejects: Counter[str]
    mutations: Mutations
    spent: dict[str, dict[str, float]]
    """Tool → calls, seconds in it, seconds in its second way."""
    counts: Counter[str]
    """Drafts: `attempted`; `executed` to the program's end; `verified` by second ways; of these,
    `run twice`: CPython printed the same over what the second ways found, and `answered twice`: a
    shell command gave the same answer."""
    disagreements: list[dict[str, Any]]
    """Examples that a second way rejects: question, program, call, field and both values."""


def part(
    target: Path, root: Path, drafts: list[Draft], options: GenerateOptions, material: Material
) -> None:
    """Make the part of a workspace, unless it is there; raises as `keeping.part` does."""

    def make() -> dict[str, Any]:
        made = asyncio.run(_examples(root, drafts, options, material))
        return vars(made) | {"mutations": made.mutations.as_json()}

    keeping.part(root, target, f"{drafts!r} {options!r} {material!r}", make)


async def _examples(
    root: Path, drafts: list[Draft], options: GenerateOptions, material: Material
) -> Made:
    inventory = Inventory(root)
    made = Made([], Counter(), Mutations(), {}, Counter(), [])
    async with Workshop(root, inventory) as workshop:
        for draft in drafts:
            rng = random.Random(draft.seed)
            made.counts["attempted"] += 1
            try:
                values = fill(draft.intent, inventory, rng)
            except NoValue:
                made.rejects["no value for a slot"] += 1
                continue
            code = wording.program(draft.intent, values)
            outcome, fault = await workshop.run(code)
            made.counts["executed"] += outcome.error is None
            twin = None if fault else twins.differs(draft.intent.name, values, outcome, root)
            if fault or twin:
                made.rejects[fault or "another way to the answer"] += 1
                asked = wording.question(draft.phrasing, values, rng, material.asides)
                about = {"workspace": root.name, "question": asked, "program": code}
                told = workshop.disagreements(outcome)
                if fault == OTHERWISE:
                    twin = workshop.again(code, outcome).differs(outcome.stdout)
                if twin:
                    told.append({"tool": "", "args": values, "field": "", "says": twin})
                made.disagreements += [{"second": ""} | about | each for each in told]
                continue
            made.counts["verified"] += 1
            made.counts["run twice"] += not workshop.again(code, outcome).lacks
            made.counts["answered twice"] += twin == ""
            asked = wording.question(draft.phrasing, values, rng, material.asides)
            row = _row(draft, root.name, asked, code) | workshop.facts(outcome)
            row["empty"] = not outcome.stdout.strip()
            made.rows.append(row)
            # A draw of its own: the examples are the same whether it is made or not.
            aside = random.Random(f"{draft.seed}/mutation")
            if aside.random() < options.mutations:
                await made.mutations.check(draft.intent, values, outcome, workshop, aside)
            if not draft.held_out:
                more = await _more(row, draft, values, outcome, workshop, options, material)
                made.rows += more
                contrasts = sum("empty" in each for each in more)
                for name in ("attempted", "executed", "verified"):
                    made.counts[name] += contrasts
        await made.mutations.finish(workshop)
        made.spent = workshop.spent
    return made


async def _more(
    row: dict[str, Any],
    draft: Draft,
    values: dict[str, Value],
    outcome: Outcome,
    workshop: Workshop,
    options: GenerateOptions,
    material: Material,
) -> list[dict[str, Any]]:
    """Repairs, unanswerable questions and conversations that come of an example."""
    rng, found = random.Random(f"{draft.seed}/more"), []
    asked, code = row["messages"][1]["content"], row["messages"][2]["code"]
    if rng.random() < options.repairs_of.get(draft.intent.name, options.repairs):
        repaired = await repairs.make(code, asked, workshop, rng)
        if repaired and not VOLATILE.search(repaired[-1]["content"]):
            messages = row["messages"]
            again = {"kind": "repair", "messages": [*messages[:2], *repaired, *messages[2:]]}
            found.append(_without(row, "empty") | again)
    if rng.random() < options.unknown:
        wrong = repairs.misspelt(values, draft.intent.slots, rng)
        found += await _unanswerable(draft, wrong, workshop, rng)
    if rng.random() < options.ambiguous:
        several = repairs.ambiguous(values, draft.intent.slots, workshop.inventory, rng)
        found += await _unanswerable(draft, several, workshop, rng)
    if rng.random() < options.followups and not volatile(outcome):
        choices = followups.fitting(draft.intent, material.followups, material.intents)
        turns, facts = await followups.make(values, outcome, choices, workshop, rng)
        if turns:
            messages = [*row["messages"], *turns]
            found.append(_without(row, "empty") | facts | {"messages": messages})
    return found + await _contrast(draft, values, workshop, options, material)


async def _contrast(
    draft: Draft,
    values: dict[str, Value],
    workshop: Workshop,
    options: GenerateOptions,
    material: Material,
) -> list[dict[str, Any]]:
    """The draft in the same words with other values: a row that stands beside it, or none."""
    rng = random.Random(f"{draft.seed}/contrast")
    if rng.random() >= options.contrasts.get(draft.intent.name, 0.0):
        return []
    try:
        other = fill(draft.intent, workshop.inventory, rng)
    except NoValue:
        return []
    if other == values:
        return []
    code = wording.program(draft.intent, other)
    outcome, fault = await workshop.run(code)
    if fault:
        return []
    # Rows are chosen in the order of their seeds: both of a pair are, or neither.
    beside = dataclasses.replace(draft, seed=(draft.seed + 1) % 2**32)
    asked = wording.question(draft.phrasing, other, rng, material.asides)
    row = _row(beside, workshop.root.name, asked, code) | workshop.facts(outcome)
    return [row | {"empty": not outcome.stdout.strip()}]


def _without(row: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != key}


async def _unanswerable(
    draft: Draft, values: dict[str, Any], workshop: Workshop, rng: random.Random
) -> list[dict[str, Any]]:
    """The draft asked about a name that does not exist or stands for several: a row, or none."""
    if not values:
        return []
    code = wording.program(draft.intent, values)
    outcome, ending = await repairs.unanswerable(code, workshop)
    if not ending:
        return []
    row = _row(draft, workshop.root.name, wording.question(draft.phrasing, values, rng), code)
    row["messages"] += ending
    return [row | workshop.facts(outcome) | {"kind": "unknown"}]


def fill(intent: Intent, inventory: Inventory, rng: random.Random) -> dict[str, Any]:
    """Values for an intent's slots. Raises NoValue when twelve draws find none."""
    for _ in range(TRIES):
        try:
            return Slots(inventory, rng).fill(intent.slots)
        except NoValue:
            continue
    raise NoValue


def _row(draft: Draft, workspace: str, asked: str, code: str) -> dict[str, Any]:
    messages: list[Message] = [
        {"role": "system", "content": SYSTEM_TUNED},
        {"role": "user", "content": asked},
        {"role": "assistant", "content": "", "code": code},
    ]
    return {
        "id": f"{workspace}-{draft.intent.name}-{draft.seed:08x}",
        "kind": "tool",
        "intent": draft.intent.name,
        "group": draft.intent.group,
        "phrasing": draft.phrasing,
        "workspace": workspace,
        "seed": draft.seed,
        "split": "validation" if draft.held_out else "train",
        "messages": messages,
    }
