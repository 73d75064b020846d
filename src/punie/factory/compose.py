"""A suite of generated cases: unseen phrasings on workspaces that no training example touches.

The same intents, slots, programs and checks as in `generate`, from the phrasings of a writer on
whom nothing trains, or from those on which none of the named recipes trains. The canonical program
is the reference; the fields that it reads and the values that it prints are what an answer must
read and hold. Programs that write or run are left out: they would change what later cases see. A
recipe and its seed give the same bytes each time.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from punie.errors import UsageError
from punie.factory import corpus, generate, recipes
from punie.factory.examples import drafts as drafting
from punie.factory.examples import making, wording
from punie.factory.examples.inventory import Inventory
from punie.factory.examples.plain_slots import NoValue
from punie.factory.examples.workshop import SETTINGS, Workshop
from punie.factory.expected import direct_facts, facts
from punie.factory.intents import Direct, Intent, load, load_asides, load_unseen, plain
from punie.factory.suite import FOLDER as SUITES
from punie.factory.suite import Case, load_suite, unmet
from punie.factory.workers import pool
from punie.tool import Effect, Result, load_tools, tools_hash

TRIES = 2
"""Drafts of an intent, each on another workspace and in other words."""
SURPLUS = 1.7
"""Groups tried for each one wanted, since some are rejected."""


@dataclass(frozen=True)
class ComposeOptions:
    """The table `[compose]` of a recipe."""

    name: str = "generated"
    """Name of the suite."""
    seed: int = 42
    """Everything that is drawn is drawn from it."""
    corpus: str = "corpus.toml"
    """Corpus recipe, relative to this recipe."""
    split: str = "test"
    """Split of the corpus that the cases are made on."""
    hand: str = ""
    """Writer of `intents/unseen/` whose words the cases are asked in."""
    unseen_by: tuple[str, ...] = ()
    """Recipes, relative to this one, on whose training phrasings no case is made."""
    groups: tuple[str, ...] = ()
    """Groups of intents, if not all."""
    cases: int = 420
    """Cases in all."""
    direct: int = 46
    """Of them cases that need no tool."""
    wordings: int = 2
    """Cases that ask the same thing, each in words of its own: a paraphrase group."""
    sha256: str = ""
    """Hash of the file that the recipe must give; empty = not known yet."""


@dataclass(frozen=True)
class Draft:
    """A group of cases that is still to be filled, run and checked."""

    intent: Intent
    phrasings: tuple[str, ...]
    seed: int


def read_options(recipe: Path) -> ComposeOptions:
    """The options of a recipe file. Raises `UsageError` that names what is wrong."""
    table = recipes.table(recipe, "compose")
    known = ComposeOptions.__dataclass_fields__
    if unknown := sorted(set(table) - set(known)):
        raise UsageError(f"{recipe}: unknown keys {unknown} in [compose]; known: {sorted(known)}")
    table = {key: tuple(v) if isinstance(v, list) else v for key, v in table.items()}
    options = ComposeOptions(**table)
    if not options.unseen_by and not options.hand:
        raise UsageError(
            f"{recipe}: [compose] names neither a hand nor recipes (unseen_by): all were seen"
        )
    return options


def seen(recipes: Sequence[Path]) -> set[str]:
    """All phrasings on which the recipes train, without case and signs (`intents.plain`)."""
    intents, direct = load()
    found: set[str] = set()
    for recipe in recipes:
        options = generate.read_options(recipe)
        sources = corpus.load_recipe(recipe.parent / options.corpus)
        names = [name for name, source in sources.items() if source.split == options.split]
        names = [name for name in names if not options.workspaces or name in options.workspaces]
        for drafts in drafting.drafts(options, intents, names).values():
            found.update(plain(draft.phrasing) for draft in drafts if not draft.held_out)
        wordings = {plain(asked) for entry in direct for asked in entry.questions}
        found |= {w for w in wordings if drafting.chance(options, w) >= options.validation}
    return found


def run(
    options: ComposeOptions,
    folder: Path,
    built: Path,
    names: Sequence[str],
    out: Path,
    workers: int = 2,
    progress: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Write the suite to `out` and return what it holds: cases by category, groups, rejects, hash.

    `folder` is the recipe's, `built` holds the workspaces `names`. A workspace that is done is
    kept beside the suite in `parts` until all are, and not redone.
    """
    intents, direct = load()
    known = seen([folder / recipe for recipe in options.unseen_by])
    if options.hand:
        intents, direct = load_unseen(options.hand, intents, direct)
    drafts = plan(options, intents, names, known)
    rejects: Counter[str] = Counter()
    made: dict[str, list[list[Case]]] = {}
    with pool(workers) as makers:
        jobs = {
            name: makers.submit(_workspace, built / name, drafts[name], out.parent / "parts")
            for name in names
        }
        for number, (name, job) in enumerate(jobs.items(), 1):
            made[name], lost = job.result()
            rejects.update(lost)
            progress(f"{name} done, {number} of {len(names)} workspaces")
    groups = _chosen(made, options.cases - options.direct)
    groups += _direct(options, direct, names, known)
    cases = [case for group in groups for case in group]
    cases.sort(key=lambda case: names.index(case.workspace))
    text = _as_toml(options, names, cases)
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f"{out.name}.{os.getpid()}.part")
    temporary.write_text(text, "utf-8")
    temporary.replace(out)
    load_suite(str(out))
    shutil.rmtree(out.parent / "parts", ignore_errors=True)
    return {
        "suite": str(out),
        "cases": len(cases),
        "groups": sum(len(group) > 1 for group in groups),
        "intents": len({case.id.rpartition("-")[0] for case in cases if case.kind == "tool"}),
        "categories": dict(Counter(case.category for case in cases).most_common()),
        "workspaces": dict(Counter(case.workspace for case in cases)),
        "rejects": dict(rejects.most_common()),
        "sha256": hashlib.sha256(text.encode("utf-8")).hexdigest(),
    }


def plan(
    options: ComposeOptions, intents: Mapping[str, Intent], names: Sequence[str], known: set[str]
) -> dict[str, list[Draft]]:
    """Groups to try by workspace: every intent that has unseen phrasings once, then again."""
    acting = acting_tools()
    ranked: list[tuple[int, str, str, Draft]] = []
    places = list(names)
    random.Random(options.seed).shuffle(places)
    for name, intent in sorted(intents.items()):
        if options.groups and intent.group not in options.groups:
            continue
        free = [phrasing for phrasing in intent.phrasings if plain(phrasing) not in known]
        if not free or any(f"{tool}(" in intent.program for tool in acting):
            continue
        rng = random.Random(f"{options.seed}/{name}")
        rng.shuffle(free)
        first = rng.randrange(len(places))
        for attempt in range(min(TRIES, len(places))):
            start = attempt * options.wordings
            chosen = tuple(free[start : start + options.wordings])
            if chosen:
                place = places[(first + attempt) % len(places)]
                draft = Draft(intent, chosen, rng.randrange(2**32))
                digest = hashlib.sha256(f"{options.seed}/{name}".encode()).hexdigest()
                ranked.append((attempt, digest, place, draft))
    ranked.sort(key=lambda entry: entry[:2])
    found: dict[str, list[Draft]] = {name: [] for name in names}
    enough = SURPLUS * (options.cases - options.direct) / options.wordings
    for _, _, place, draft in ranked[: round(enough)]:
        found[place].append(draft)
    return found


def _workspace(
    root: Path, drafts: list[Draft], parts: Path
) -> tuple[list[list[Case]], Counter[str]]:
    """The groups of one workspace, or what an interrupted run of the same drafts found."""
    part = parts / f"{root.name}.json"
    state = root.with_name(f"{root.name}.state.json")
    made_of = f"{drafts!r} {tools_hash(load_tools().values())} {state.read_text('utf-8')}"
    mark = hashlib.sha256(made_of.encode()).hexdigest()
    if part.exists():
        known = json.loads(part.read_text("utf-8"))
        if known["mark"] == mark:
            return [[_case(each) for each in g] for g in known["groups"]], Counter(known["rejects"])
    groups, rejects = asyncio.run(_groups(root, drafts))
    content = {"mark": mark, "groups": [[asdict(c) for c in g] for g in groups], "rejects": rejects}
    parts.mkdir(parents=True, exist_ok=True)
    temporary = part.with_suffix(".new")
    temporary.write_text(json.dumps(content), "utf-8")
    temporary.replace(part)
    return groups, rejects


def _case(values: dict[str, Any]) -> Case:
    plain_values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
    }
    return Case(**plain_values)


async def _groups(root: Path, drafts: list[Draft]) -> tuple[list[list[Case]], Counter[str]]:
    """The groups of cases that the drafts of one workspace give, and why others do not."""
    found: list[list[Case]] = []
    rejects: Counter[str] = Counter()
    inventory, asides = Inventory(root), load_asides()
    graded = {
        plain(case.query) for path in SUITES.glob("*.toml") for case in load_suite(path.stem).cases
    }
    # Far more time than anything needs: what is kept must not hang on how busy the machine is.
    limits = {"program_seconds": 60.0, "tool_seconds": 300.0, "test_seconds": 600.0}
    settings = SETTINGS.model_copy(update=limits)
    async with Workshop(root, inventory, settings=settings) as workshop:
        for draft in drafts:
            rng = random.Random(draft.seed)
            try:
                values = making.fill(draft.intent, inventory, rng)
            except NoValue:
                rejects["no value for a slot"] += 1
                continue
            code = wording.program(draft.intent, values)
            outcome, fault = await workshop.run(code)
            if fault or not outcome.stdout.strip():
                rejects[fault or "prints nothing"] += 1
                continue
            expect, reject = facts(outcome, str(root))
            read = {name for call in outcome.calls for name in call.fields}
            if any(name.endswith(".duration") for name in read):
                rejects["rests on how long something took"] += 1
                continue
            fields = sorted(f for f in read if f.split(".")[1] not in Result.model_fields)
            pattern = Case(
                id="",
                category=draft.intent.group,
                workspace=root.name,
                query="",
                kind="tool",
                references=(code,),
                fields=tuple(fields),
                expect=expect,
                reject=reject,
                forbid=acting_tools(),
                group=f"{draft.intent.name}-{root.name}" if len(draft.phrasings) > 1 else "",
            )
            cases: list[Case] = []
            for phrasing in draft.phrasings:
                asked = wording.question(phrasing, values, rng, asides)
                if plain(asked) in graded:
                    rejects["a question of a suite"] += 1
                    continue
                graded.add(plain(asked))
                name = f"{draft.intent.name}-{root.name}{len(found) * 10 + len(cases)}"
                cases.append(replace(pattern, id=name, query=asked))
            if not expect or any(unmet(case, outcome) for case in cases):
                rejects["no fact"] += 1
            elif cases:
                found.append(cases)
    return found, rejects


def _chosen(made: Mapping[str, list[list[Case]]], wanted: int) -> list[list[Case]]:
    """Whole groups up to `wanted` cases: each intent once before any has a second group."""
    taken: Counter[str] = Counter()
    ranked: list[tuple[int, str, list[Case]]] = []
    for name in sorted(made):
        for group in made[name]:
            intent = group[0].id.rpartition("-")[0]
            digest = hashlib.sha256(f"{intent}/{name}".encode()).hexdigest()
            ranked.append((taken[intent], digest, group))
            taken[intent] += 1
    chosen: list[list[Case]] = []
    left = wanted
    for _, _, group in sorted(ranked, key=lambda entry: entry[:2]):
        if left > 0:
            chosen.append(group[:left])
            left -= len(chosen[-1])
    return chosen


def _direct(
    options: ComposeOptions, direct: Sequence[Direct], names: Sequence[str], known: set[str]
) -> list[list[Case]]:
    """Groups of questions that need no tool, up to `options.direct` cases."""
    rng = random.Random(f"{options.seed}/direct")
    expected = direct_facts([entry.answer for entry in direct])
    order = list(range(len(direct)))
    rng.shuffle(order)
    found: list[list[Case]] = []
    left = options.direct
    for number in order:
        entry = direct[number]
        free = [asked for asked in entry.questions if plain(asked) not in known]
        fact = expected(entry.answer, " ".join(entry.questions))
        if left <= 0 or not free or not fact:
            continue
        place = names[len(found) % len(names)]
        found.append(
            [
                Case(
                    id=f"direct_{entry.topic}-{number * 10 + part}",
                    category="direct",
                    workspace=place,
                    query=asked,
                    kind="direct",
                    expect=(fact,),
                    forbid=acting_tools(),
                    group=f"direct-{number}",
                )
                for part, asked in enumerate(free[: min(options.wordings, left)])
            ]
        )
        left -= len(found[-1])
    return found


def acting_tools() -> tuple[str, ...]:
    """Tools that change something or run any command."""
    own = load_tools().values()
    return tuple(sorted(t.name for t in own if t.effect in (Effect.WRITE, Effect.RUN)))


def _as_toml(options: ComposeOptions, names: Sequence[str], cases: Sequence[Case]) -> str:
    def lines() -> Iterator[str]:
        yield "# Written by `punie compose`: generated cases, not to be edited by hand.\n"
        yield f"name = {_toml(options.name)}\nworkspaces = {_toml(list(names))}\n"
        for case in cases:
            yield "\n[[case]]\n"
            for key, value in asdict(case).items():
                if value:
                    yield f"{key} = {_toml(value)}\n"

    return "".join(lines())


def _toml(value: str | Sequence[str]) -> str:
    """A string or list of strings; JSON's escapes are TOML's."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return f"[{', '.join(_toml(each) for each in value)}]"
