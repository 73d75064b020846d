"""Generate training data: every program runs on a real repository, every call is checked.

An example is kept when its program ran without an error, every call agrees with its second way
(`second_way`), and its answer is not empty of facts too often for its intent. Rejects are counted
by reason. Rows are neutral: messages, program and provenance; dialects are applied in training.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import shutil
import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from punie.errors import UsageError
from punie.factory.examples import followups, repairs, second_way, wording
from punie.factory.examples.inventory import Inventory
from punie.factory.examples.mutation import Mutations
from punie.factory.examples.plain_slots import NoValue
from punie.factory.examples.slots import Slots
from punie.factory.examples.workshop import Workshop
from punie.factory.intents import Direct, Intent, load, load_asides, load_followups, plain
from punie.factory.suite import FOLDER as SUITES
from punie.factory.suite import load_suite
from punie.prompt import SYSTEM_TUNED, Message
from punie.tool import load_tools, tools_hash

SURPLUS = 1.25
"""Examples tried for each one wanted, since some are rejected."""


@dataclass(frozen=True)
class GenerateOptions:
    """The table `[generate]` of a recipe."""

    seed: int = 42
    """Everything that is drawn is drawn from it."""
    corpus: str = "corpus.toml"
    """Corpus recipe, relative to this recipe."""
    split: str = "train"
    """Split of the corpus that the examples are made on."""
    workspaces: tuple[str, ...] = ()
    """Workspaces, if not all of the split."""
    examples: dict[str, int] = field(default_factory=dict)
    """Examples for each intent, by its name or else by its group."""
    direct: float = 2.0
    """Wordings used of each direct question, on average."""
    repairs: float = 0.04
    """Share of programs that also give a repair: wrong program, what it told, right program."""
    unknown: float = 0.0
    """Share of programs that also give a question about a misspelt name, and how it ends."""
    followups: float = 0.0
    """Share of programs that also give a conversation: a second question leans on the first."""
    validation: float = 0.04
    """Share of intents' phrasings held out for the loss on validation data."""
    empty: float = 0.25
    """Greatest share of an intent's examples whose program prints nothing."""
    mutations: float = 0.1
    """Share of programs that are also run with another value in a slot (`examples.mutation`)."""

    replay: int = 0
    """Training rows of an earlier leg that are mixed in, so that nothing is forgotten."""
    replay_from: str = ""
    """Data folder of that leg, as seen from the current folder."""

    def wanted(self, intent: str, group: str) -> int:
        """Examples that an intent shall have."""
        return self.examples.get(intent, self.examples.get(group, 0))


@dataclass(frozen=True)
class Draft:
    """An example that is still to be filled, run and checked."""

    intent: Intent
    phrasing: str
    seed: int
    held_out: bool


def read_options(recipe: Path) -> GenerateOptions:
    """The options of a recipe file. Raises `UsageError` that names what is wrong."""
    try:
        table = tomllib.loads(recipe.read_text("utf-8")).get("generate", {})
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"recipe {str(recipe)!r} cannot be read: {error}") from None
    known = set(GenerateOptions.__dataclass_fields__)
    if unknown := sorted(set(table) - known):
        raise UsageError(f"{recipe}: unknown keys {unknown} in [generate]; known: {sorted(known)}")
    if "workspaces" in table:
        table["workspaces"] = tuple(table["workspaces"])
    return GenerateOptions(**table)


def run(
    options: GenerateOptions,
    corpus: Path,
    names: list[str],
    out: Path,
    workers: int = 2,
    progress: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Make `out/train.jsonl`, `out/validation.jsonl` and the report `out/meta.json`.

    `corpus` holds the built workspaces `names`. Returns the report: counts by intent, group and
    tool, and rejects by reason. A workspace that is done is kept in `out/parts` and not redone.
    """
    intents, direct = load()
    drafts = plan(options, intents, names)
    parts = out / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    rejects: Counter[str] = Counter()
    mutations = Mutations()
    rows: list[dict[str, Any]] = []
    # Fresh processes: a fork of one that has threads (torch, llama.cpp) may hang for ever.
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        jobs = {
            pool.submit(_workspace, corpus / name, drafts[name], options, parts): name
            for name in names
        }
        for number, job in enumerate(as_completed(jobs), 1):
            job.result()
            progress(f"{jobs[job]} done, {number} of {len(jobs)} workspaces")
    for name in names:
        part = json.loads((parts / f"{name}.json").read_text("utf-8"))
        rows += part["rows"]
        rejects.update(part["rejects"])
        mutations.add(part["mutations"])
    rows = _balanced(rows, options, rejects)
    rows += direct_rows(direct, options)
    asked = {row["messages"][1]["content"].lower() for row in rows}
    rows += (r for r in _replayed(options) if r["messages"][1]["content"].lower() not in asked)
    rows = without_suites(rows, rejects)
    random.Random(options.seed).shuffle(rows)
    return _write(rows, rejects, mutations, options, out)


def plan(
    options: GenerateOptions, intents: dict[str, Intent], names: list[str]
) -> dict[str, list[Draft]]:
    """Which intent is asked in which words on which workspace: a pure function of its arguments."""
    rng = random.Random(options.seed)
    drafts: dict[str, list[Draft]] = defaultdict(list)
    for intent in intents.values():
        wanted = options.wanted(intent.name, intent.group)
        if not wanted or not intent.phrasings:
            continue
        phrasings = list(intent.phrasings)
        rng.shuffle(phrasings)
        held_out = set(rng.sample(phrasings, max(1, round(len(phrasings) * options.validation))))
        places = sorted(names)
        rng.shuffle(places)
        for number in range(round(wanted * SURPLUS)):
            phrasing = phrasings[number % len(phrasings)]
            draft = Draft(intent, phrasing, rng.randrange(2**32), phrasing in held_out)
            drafts[places[number % len(places)]].append(draft)
    return drafts


def _workspace(root: Path, drafts: list[Draft], options: GenerateOptions, parts: Path) -> None:
    """Fill, run and check all drafts of one workspace; write its part last."""
    target = parts / f"{root.name}.json"
    # Recipe, intents and tools are in the mark: a part of other ones is made again.
    made_of = f"{drafts!r} {options!r} {tools_hash(load_tools().values())}"
    mark = hashlib.sha256(made_of.encode()).hexdigest()
    if target.exists() and json.loads(target.read_text("utf-8")).get("mark") == mark:
        return
    rows, rejects, mutations = asyncio.run(_examples(root, drafts, options))
    temporary = target.with_suffix(".new")
    part = {"mark": mark, "rows": rows, "rejects": rejects, "mutations": mutations.as_json()}
    temporary.write_text(json.dumps(part), "utf-8")
    temporary.replace(target)


async def _examples(
    root: Path, drafts: list[Draft], options: GenerateOptions
) -> tuple[list[dict[str, Any]], Counter[str], Mutations]:
    rows: list[dict[str, Any]] = []
    rejects: Counter[str] = Counter()
    mutations = Mutations()
    inventory, asides = Inventory(root), load_asides()
    intents, _ = load()
    nexts = load_followups(intents)
    async with Workshop(root, inventory) as workshop:
        for draft in drafts:
            rng = random.Random(draft.seed)
            try:
                values = fill(draft.intent, inventory, rng)
            except NoValue:
                rejects["no value for a slot"] += 1
                continue
            code = wording.program(draft.intent, values)
            outcome, fault = await workshop.run(code)
            if fault:
                rejects[fault] += 1
                continue
            asked = wording.question(draft.phrasing, values, rng, asides)
            row = _row(draft, root.name, asked, code)
            row["empty"] = not outcome.stdout.strip()
            row["tools"] = sorted({c.tool for c in outcome.calls})
            row["fields"] = sorted({f for c in outcome.calls for f in c.fields})
            rows.append(row)
            # A draw of its own: the examples are the same whether it is made or not.
            aside = random.Random(f"{draft.seed}/mutation")
            if aside.random() < options.mutations:
                await mutations.check(draft.intent, values, outcome, workshop, aside)
            facts = {"tools": row["tools"], "fields": row["fields"]}
            if not draft.held_out and rng.random() < options.repairs:
                repaired = await repairs.make(code, asked, workshop, rng)
                if repaired:
                    again = _row(draft, root.name, asked, code) | {"kind": "repair"}
                    again["messages"][2:2] = repaired
                    rows.append(again | facts)
            if not draft.held_out and rng.random() < options.unknown:
                rows += await _unknown(draft, values, workshop, rng, facts)
            if not draft.held_out and rng.random() < options.followups:
                choices = followups.fitting(draft.intent, nexts, intents)
                turns, facts = await followups.make(values, outcome, choices, workshop, rng)
                if turns:
                    talk = _row(draft, root.name, asked, code) | facts
                    rows.append(talk | {"messages": [*talk["messages"], *turns]})
    return rows, rejects, mutations


async def _unknown(
    draft: Draft,
    values: dict[str, Any],
    workshop: Workshop,
    rng: random.Random,
    facts: dict[str, list[str]],
) -> list[dict[str, Any]]:
    """The draft asked about a name that does not exist: a row, or none."""
    wrong = repairs.misspelt(values, draft.intent.slots, rng)
    if not wrong:
        return []
    code = wording.program(draft.intent, wrong)
    ending = await repairs.unanswerable(code, workshop)
    if not ending:
        return []
    row = _row(draft, workshop.root.name, wording.question(draft.phrasing, wrong, rng), code)
    row["messages"] += ending
    return [row | facts | {"kind": "unknown"}]


def fill(intent: Intent, inventory: Inventory, rng: random.Random) -> dict[str, Any]:
    """Values for an intent's slots. Raises NoValue when twelve draws find none."""
    for _ in range(12):
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
        "split": "validation" if draft.held_out else "train",
        "messages": messages,
    }


def _balanced(
    rows: list[dict[str, Any]], options: GenerateOptions, rejects: Counter[str]
) -> list[dict[str, Any]]:
    """At most the wanted number for each intent, few empty answers, no question twice."""
    kept: list[dict[str, Any]] = []
    counts: Counter[str] = Counter()
    empties: Counter[str] = Counter()
    programs: dict[str, str] = {}
    for row in sorted(rows, key=lambda r: (r["kind"], r["id"].rpartition("-")[2])):
        intent, wanted = row["intent"], options.wanted(row["intent"], row["group"])
        asked = row["messages"][1]["content"].lower()
        code = row["messages"][-1].get("code", "")
        if row["kind"] != "tool":
            kept.append(row)
        elif asked in programs:
            rejects["same question twice"] += 1
            if programs[asked] != code:
                rejects["same question, other program"] += 1
        elif counts[intent] >= wanted:
            rejects["more than wanted"] += 1
        elif row["empty"] and empties[intent] >= wanted * options.empty:
            rejects["prints nothing too often"] += 1
        else:
            kept.append(row)
            programs[asked] = code
            counts[intent] += 1
            empties[intent] += bool(row["empty"])
    return kept


def direct_rows(direct: list[Direct], options: GenerateOptions) -> Iterator[dict[str, Any]]:
    """The rows of questions that need no tool."""
    rng, asides = random.Random(options.seed + 1), load_asides()
    for number, entry in enumerate(direct):
        wordings = list(entry.questions)
        rng.shuffle(wordings)
        whole, part = divmod(options.direct, 1)
        for asked in wordings[: int(whole) + (rng.random() < part)]:
            split = "validation" if rng.random() < options.validation else "train"
            yield {
                "id": f"direct-{number}-{wordings.index(asked)}",
                "kind": "direct",
                "intent": f"direct_{entry.topic}",
                "group": "direct",
                "phrasing": asked,
                "workspace": "",
                "split": split,
                "tools": [],
                "fields": [],
                "messages": [
                    {"role": "system", "content": SYSTEM_TUNED},
                    {"role": "user", "content": wording.question(asked, {}, rng, asides)},
                    {"role": "assistant", "content": entry.answer},
                ],
            }


def without_suites(rows: list[dict[str, Any]], rejects: Counter[str]) -> list[dict[str, Any]]:
    """The rows that do not ask a question of a suite, whatever the case and the signs."""
    suites = [load_suite(path.stem) for path in SUITES.glob("*.toml")]
    graded = {plain(case.query) for suite in suites for case in suite.cases}
    kept = [row for row in rows if plain(row["messages"][1]["content"]) not in graded]
    rejects["a question of a suite"] += len(rows) - len(kept)
    return kept


def _replayed(options: GenerateOptions) -> list[dict[str, Any]]:
    if not options.replay:
        return []
    earlier = Path(options.replay_from) / "train.jsonl"
    try:
        rows = [json.loads(line) for line in earlier.read_text("utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise UsageError(f"no rows to replay: {error}; generate that leg first") from None
    return random.Random(options.seed + 2).sample(rows, min(options.replay, len(rows)))


def _write(
    rows: list[dict[str, Any]],
    rejects: Counter[str],
    mutations: Mutations,
    options: GenerateOptions,
    out: Path,
) -> dict[str, Any]:
    report: dict[str, Any] = {"tools": tools_hash(load_tools().values()), "options": vars(options)}
    (out / "meta.json").unlink(missing_ok=True)  # without it the folder counts as unfinished
    for split in ("train", "validation"):
        chosen = [r for r in rows if r["split"] == split]
        with (out / f"{split}.jsonl").open("w", encoding="utf-8") as file:
            for row in chosen:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        report[split] = {
            "examples": len(chosen),
            "kinds": dict(Counter(r["kind"] for r in chosen)),
            "groups": dict(Counter(r["group"] for r in chosen)),
            "tools": dict(Counter(t for r in chosen for t in r["tools"]).most_common()),
            "intents": len({r["intent"] for r in chosen}),
            "several tools": sum(len(r["tools"]) > 1 for r in chosen),
            "combinations": len({tuple(r["tools"]) for r in chosen if len(r["tools"]) > 1}),
        }
    report["rejects"] = dict(rejects.most_common())
    report["mutations"] = mutations.as_json()
    report["second ways"] = sorted(second_way.CHECKS)
    temporary = out / "meta.json.new"
    temporary.write_text(json.dumps(report, indent=1), "utf-8")
    temporary.replace(out / "meta.json")
    shutil.rmtree(out / "parts", ignore_errors=True)
    return report
