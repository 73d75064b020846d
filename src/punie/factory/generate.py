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
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from punie.errors import PunieError
from punie.factory.examples import account, making, selection
from punie.factory.examples import drafts as drafting
from punie.factory.examples.making import Material
from punie.factory.examples.mutation import Mutations
from punie.factory.examples.options import GenerateOptions as GenerateOptions
from punie.factory.examples.options import read_options as read_options
from punie.factory.intents import FOLDER, load, load_asides, load_followups, plain


class GenerationError(PunieError):
    """A generation stopped; what was done is kept, and the text says how to go on."""


def run(
    options: GenerateOptions,
    corpus: Path,
    names: list[str],
    out: Path,
    workers: int = 2,
    progress: Callable[[str], None] = print,
    intents_folder: Path = FOLDER,
) -> dict[str, Any]:
    """Make `out/train.jsonl`, `out/validation.jsonl`, `out/report.md` and last `out/meta.json`.

    `corpus` holds the built workspaces `names`. Returns the report: counts by intent, group and
    tool, and rejects by reason. A workspace that is done is kept in `out/parts` and not redone.

    Raises `GenerationError`, `CorpusError` for a workspace that changes meanwhile and `UsageError`
    for intents or options that cannot be used; what `out` had before then stays.
    """
    start = time.perf_counter()
    intents, direct = load(intents_folder)
    asides = load_asides(intents_folder)
    material = Material(intents, load_followups(intents, intents_folder), asides)
    drafts = drafting.drafts(options, intents, names)
    parts = out / "parts"
    try:
        parts.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GenerationError(f"the data cannot be written to {str(out)!r}: {error}") from error
    _make(corpus, drafts, options, material, parts, workers, progress)
    rejects: Counter[str] = Counter()
    mutations, spent = Mutations(), account.Spent()
    rows: list[dict[str, Any]] = []
    for name in names:
        part = json.loads((parts / f"{name}.json").read_text("utf-8"))
        rows += part["rows"]
        rejects.update(part["rejects"])
        mutations.add(part["mutations"])
        spent.add(part["spent"])
    wanted = drafting.wanted(options, intents.values())
    rows = selection.balanced(rows, wanted, options, rejects)
    rows += _replayed(rows, options, intents.values(), names)
    rows += selection.direct_rows(direct, options, len(rows), asides)
    rows = selection.apart(selection.without_suites(rows, rejects), rejects)
    random.Random(options.seed).shuffle(rows)
    report = account.report(rows, rejects, mutations, options)
    report["held-out workspaces"] = sorted(drafting.held_places(options, names))
    report["spent"] = spent.as_json(time.perf_counter() - start, len(rows))
    _write(rows, report, out)
    shutil.rmtree(parts, ignore_errors=True)
    return report


def _make(
    corpus: Path,
    drafts: dict[str, list[drafting.Draft]],
    options: GenerateOptions,
    material: Material,
    parts: Path,
    workers: int,
    progress: Callable[[str], None],
) -> None:
    """The parts of all workspaces. Raises `GenerationError` when one cannot be made."""
    # Fresh processes: a fork of one that has threads (torch, llama.cpp) may hang for ever.
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        jobs = {
            pool.submit(making.part, corpus / name, drafts[name], options, material, parts): name
            for name in drafts
        }
        try:
            for number, job in enumerate(as_completed(jobs), 1):
                job.result()
                progress(f"{jobs[job]} done, {number} of {len(jobs)} workspaces")
        except (BrokenProcessPool, OSError) as error:
            pool.shutdown(cancel_futures=True)
            done = sum((parts / f"{name}.json").exists() for name in drafts)
            what = f"{error}" if isinstance(error, OSError) else "a worker was killed"
            raise GenerationError(
                f"The generation stopped: {what}. {done} of {len(jobs)} workspaces are done and "
                f"kept in {str(parts)!r}; mend that (memory, disk) and run the same command again."
            ) from error
        except BaseException:
            pool.shutdown(cancel_futures=True)  # else all others would be made first
            raise


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


def _write(rows: list[dict[str, Any]], report: dict[str, Any], out: Path) -> None:
    """Write the data and the report: all of it, or what was there stays as it was."""
    texts = {
        f"{split}.jsonl": "".join(
            json.dumps(row, ensure_ascii=False) + "\n" for row in rows if row["split"] == split
        )
        for split in ("train", "validation")
    }
    texts["report.md"] = account.markdown(report)
    texts["meta.json"] = json.dumps(report, indent=1)
    fresh = {name: out / f"{name}.new" for name in texts}
    try:
        for name, text in texts.items():
            fresh[name].write_text(text, "utf-8")
        (out / "meta.json").unlink(missing_ok=True)  # without it the folder counts as unfinished
        for name in texts:
            fresh[name].replace(out / name)
    except OSError as error:
        for path in fresh.values():
            path.unlink(missing_ok=True)
        raise GenerationError(
            f"The data could not be written to {str(out)!r}: {error}. All workspaces are kept in "
            f"its folder parts: make room and run the same command again."
        ) from error
