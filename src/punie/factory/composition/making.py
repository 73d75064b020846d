"""Examples for the parts of a composition: drafted, filled, run and checked."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from punie.factory.composition.parts import Composition, Part, intents_of
from punie.factory.examples import keeping, remarks, wording
from punie.factory.examples.brevity import fitted
from punie.factory.examples.inventory import Inventory
from punie.factory.examples.plain_slots import NoValue
from punie.factory.examples.slots import Slots
from punie.factory.examples.workshop import Workshop
from punie.factory.intents import Asides, Direct, Intent
from punie.prompt import SYSTEM_TUNED, Message

SURPLUS = 1.4
"""Examples tried for each one wanted, in each round."""
Row = dict[str, Any]
"""An example; `place` is (number of its part, whether it has a conclusion)."""


@dataclass(frozen=True)
class Draft:
    """An example that is still to be filled, run and checked."""

    part: int
    intent: Intent
    phrasing: str
    multi: bool
    seed: int


def drafted(
    missing: Iterable[tuple[int, bool]],
    composition: Composition,
    intents: dict[str, Intent],
    names: Sequence[str],
    seed: str,
) -> dict[str, list[Draft]]:
    """Which intent is asked in which words on which workspace."""
    rng = random.Random(seed)
    drafts: dict[str, list[Draft]] = defaultdict(list)
    for (number, multi), wanted in Counter(missing).items():
        pools = []
        for intent in intents_of(composition.parts[number], intents):
            phrasings = list(intent.phrasings)
            rng.shuffle(phrasings)
            pools.append((intent, phrasings))
        rng.shuffle(pools)
        for count in range(round(wanted * SURPLUS) + 2):
            intent, phrasings = pools[count % len(pools)]
            phrasing = phrasings[count // len(pools) % len(phrasings)]
            draft = Draft(number, fitted(intent, phrasing), phrasing, multi, rng.randrange(2**32))
            drafts[rng.choice(sorted(names))].append(draft)
    return drafts


def part(target: Path, root: Path, drafts: list[Draft], asides: Asides) -> None:
    """Make the part of one workspace and round, unless it is there: its rows, and why others were
    dropped. Raises as `keeping.part` does."""
    keeping.part(
        root,
        target,
        f"{drafts!r} {asides!r}",
        lambda: asyncio.run(_examples(root, drafts, asides)),
    )


async def _examples(root: Path, drafts: list[Draft], asides: Asides) -> dict[str, Any]:
    """Fill, run and check the drafts of one workspace."""
    rows: list[Row] = []
    rejects: Counter[str] = Counter()
    counts = Counter(attempted=len(drafts))
    inventory = Inventory(root)
    async with Workshop(root, inventory) as workshop:
        for draft in drafts:
            rng = random.Random(draft.seed)
            try:
                values = Slots(inventory, rng).fill(draft.intent.slots)
            except NoValue:
                rejects["no value for a slot"] += 1
                continue
            code = wording.program(draft.intent, values)
            outcome, fault = await workshop.run(code)
            counts["executed"] += outcome.error is None
            if fault:
                rejects[fault] += 1
                continue
            counts["verified"] += 1
            asked = wording.question(draft.phrasing, values, rng, asides)
            messages = _opening(asked, {"role": "assistant", "content": "", "code": code})
            if draft.multi:
                said = remarks.conclusion(outcome, rng)
                messages.append({"role": "tool", "content": remarks.output(outcome)})
                messages.append({"role": "assistant", "content": said})
            rows.append(
                {
                    "place": (draft.part, draft.multi),
                    "id": f"{root.name}-{draft.intent.name}-{draft.seed:08x}",
                    "kind": "tool",
                    "intent": draft.intent.name,
                    "group": draft.intent.group,
                    "phrasing": draft.phrasing,
                    "workspace": root.name,
                    "seed": draft.seed,
                    "messages": messages,
                    "empty": not outcome.stdout.strip(),
                }
                | workshop.facts(outcome)
            )
    return {"rows": rows, "rejects": rejects, "spent": workshop.spent, "counts": counts}


def direct_row(number: int, part: Part, entry: Direct, rng: random.Random, asides: Asides) -> Row:
    """A question that is answered in words."""
    phrasing = rng.choice(entry.questions)
    asked, seed = wording.question(phrasing, {}, rng, asides), rng.randrange(2**32)
    return {
        "place": (number, False),
        "id": f"direct-{part.topic}-{seed:08x}",
        "kind": "direct",
        "intent": f"direct_{part.topic}",
        "group": "direct",
        "phrasing": phrasing,
        "workspace": "",
        "seed": seed,
        "messages": _opening(asked, {"role": "assistant", "content": entry.answer}),
        "empty": False,
        "tools": [],
        "fields": [],
        "calls": [],
    }


def _opening(asked: str, reply: Message) -> list[Message]:
    system: Message = {"role": "system", "content": SYSTEM_TUNED}
    return [system, {"role": "user", "content": asked}, reply]
