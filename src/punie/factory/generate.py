"""Generate training data: every program runs on a real repository, every call is checked.

An example is kept when its program ran without an error, every call agrees with its second way
(`second_way`), and its answer is not empty of facts too often for its intent. Rejects are counted
by reason. Rows are neutral: messages, program and provenance; dialects are applied in training.
The same recipe gives the same bytes, however many processes make them.
"""

from __future__ import annotations

import json
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from punie.factory.examples import account, keeping, making, selection
from punie.factory.examples import drafts as drafting
from punie.factory.examples.keeping import GenerationError as GenerationError
from punie.factory.examples.making import Material
from punie.factory.examples.mutation import Mutations
from punie.factory.examples.options import GenerateOptions as GenerateOptions
from punie.factory.examples.options import read_options as read_options
from punie.factory.intents import FOLDER, load, load_asides, load_followups, plain


def run(
    options: GenerateOptions,
    corpus: Path,
    names: list[str],
    out: Path,
    workers: int = 2,
    progress: Callable[[str], None] = print,
    intents_folder: Path = FOLDER,
) -> dict[str, Any]:
    """Make `out/train.jsonl`, `out/validation.jsonl`, `out/disagreements.jsonl` (what a second way
    rejects, with both values), `out/report.md` and last `out/meta.json`.

    `corpus` holds the built workspaces `names`. Returns the report: counts by intent, group and
    tool, and rejects by reason. A workspace that is done is kept in `out/parts` and not redone.

    Raises `GenerationError`, `CorpusError` for a workspace that changes meanwhile and `UsageError`
    for intents or options that cannot be used; what `out` had before then stays.
    """
    start = time.perf_counter()
    intents, direct = load(intents_folder)
    asides = load_asides(intents_folder)
    material = Material(intents, load_followups(intents, intents_folder), asides)
    stopped = [name for name in names if (corpus / name / ".git" / "MERGE_HEAD").exists()]
    drafts = drafting.drafts(options, intents, names, stopped)
    parts = keeping.parts_folder(out)
    jobs = {
        name: keeping.Job(
            parts / f"{name}.json", making.part, (corpus / name, drafts[name], options, material)
        )
        for name in drafts
    }
    keeping.work(jobs, workers, progress)
    rejects: Counter[str] = Counter()
    mutations, spent = Mutations(), account.Spent()
    rows: list[dict[str, Any]] = []
    disagreements: list[dict[str, Any]] = []
    for name in names:
        part = json.loads((parts / f"{name}.json").read_text("utf-8"))
        rows += part["rows"]
        rejects.update(part["rejects"])
        disagreements += part["disagreements"]
        mutations.add(part["mutations"])
        spent.add(part)
    wanted = drafting.wanted(options, intents.values())
    rows = selection.balanced(rows, wanted, options, rejects)
    rows += _replayed(rows, options, intents.values(), names)
    rows += selection.direct_rows(direct, options, len(rows), asides)
    rows = selection.apart(selection.without_suites(rows, rejects), rejects)
    random.Random(options.seed).shuffle(rows)
    report = account.report(rows, rejects, mutations, options, disagreements)
    report["held-out workspaces"] = sorted(drafting.held_places(options, names))
    report["spent"] = spent.as_json(time.perf_counter() - start, rows)
    keeping.write_data(account.texts(rows, report, disagreements), out)
    shutil.rmtree(parts, ignore_errors=True)
    return report


def _replayed(
    rows: list[dict[str, Any]],
    options: GenerateOptions,
    intents: Any,
    names: list[str],
) -> list[dict[str, Any]]:
    """Rows of an earlier leg whose questions are not asked already."""
    held = drafting.held_out(options, intents)
    phrasings = {phrasing for each in held.values() for phrasing in each}
    earlier = selection.replayed(options, drafting.held_places(options, names), phrasings)
    asked = {plain(row["messages"][1]["content"]) for row in rows}
    return [r for r in earlier if plain(r["messages"][1]["content"]) not in asked]
