"""Stage `generate` of a recipe with a composition: make the examples, split and write them."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from punie.errors import UsageError
from punie.factory.composition import making
from punie.factory.composition.making import Row, direct_row, drafted
from punie.factory.composition.parts import Composition
from punie.factory.examples import account, keeping, remarks, selection
from punie.factory.intents import FOLDER, Asides, Direct, load, load_asides, plain
from punie.tool import load_tools, tools_hash

ROUNDS = 5
"""Rounds after which a part that is still not full is given up."""
EMPTY = 0.2
"""Greatest share of a part's examples whose program prints nothing."""


def run(
    composition: Composition,
    seed: int,
    corpus: Path,
    names: Sequence[str],
    out: Path,
    workers: int = 2,
    progress: Callable[[str], None] = print,
    intents_folder: Path = FOLDER,
) -> dict[str, Any]:
    """Make `out/train.jsonl`, `out/validation.jsonl` and the report `out/meta.json` on the built
    workspaces `names` in `corpus`; `out/report.md` is it to read. What a workspace gave in a round
    is kept in `out/parts` until all is done, and not made again.

    Raises `UsageError` that names the parts which do not fill, `GenerationError`, and `CorpusError`
    for a workspace that changes meanwhile; what `out` had before then stays.
    """
    (intents, direct), asides = load(intents_folder), load_asides(intents_folder)
    chosen = Chosen(composition, direct, seed, asides)
    rejects: Counter[str] = Counter()
    kept, spent, start = keeping.parts_folder(out), account.Spent(), time.perf_counter()
    for number in range(ROUNDS):
        drafts = drafted(chosen.missing(), composition, intents, names, f"{seed}/{number}")
        if not drafts:
            break
        made: list[Row] = []
        for part in _parts(drafts, f"round {number + 1}", corpus, kept, asides, workers, progress):
            made += [row | {"place": tuple(row["place"])} for row in part["rows"]]
            rejects.update(part["rejects"])
            spent.add(part)
        for row in _alternating(made, random.Random(f"{seed}/{number}/order")):
            chosen.offer(row, rejects)
        progress(f"round {number + 1}: {len(chosen.rows)} of {composition.size} examples")
    if lacking := chosen.missing():
        parts = [f"part {n + 1} ({composition.parts[n].source})" for n, _ in lacking]
        raise UsageError(f"too few examples for {', '.join(dict.fromkeys(parts))}: {dict(rejects)}")
    rows = _finished(chosen.rows, composition, seed)
    report = _report(rows, composition, seed, rejects)
    report["spent"] = spent.as_json(time.perf_counter() - start, rows)
    keeping.write_data(account.texts(rows, report), out)
    shutil.rmtree(kept, ignore_errors=True)
    return report


def _parts(
    drafts: dict[str, list[making.Draft]],
    title: str,
    corpus: Path,
    kept: Path,
    asides: Asides,
    workers: int,
    progress: Callable[[str], None],
) -> Iterator[dict[str, Any]]:
    """What each workspace gives in a round, by its name."""
    jobs = {
        name: keeping.Job(
            kept / f"{title.replace(' ', '-')}-{name}.json",
            making.part,
            (corpus / name, drafts[name], asides),
        )
        for name in sorted(drafts)
    }
    keeping.work(jobs, workers, lambda text: progress(f"{title}: {text}"))
    for job in jobs.values():
        yield json.loads(job.target.read_text("utf-8"))


def _alternating(rows: list[Row], rng: random.Random) -> list[Row]:
    """The rows in a drawn order in which each intent of a part comes once before any comes twice:
    what a part has too many of is left out evenly, whatever workspace it is of."""
    rng.shuffle(rows)
    seen: Counter[tuple[Any, str]] = Counter()
    turns: list[tuple[int, Row]] = []
    for row in rows:
        seen[row["place"], row["intent"]] += 1
        turns.append((seen[row["place"], row["intent"]], row))
    return [row for _, row in sorted(turns, key=lambda turn: turn[0])]


class Chosen:
    """The rows taken so far: no question twice, none of a suite, each part as large as it is."""

    def __init__(
        self, composition: Composition, direct: Sequence[Direct], seed: int, asides: Asides
    ) -> None:
        self.parts = composition.parts
        self._graded, self._asked = selection.Graded(), set[str]()
        self._counts: Counter[tuple[int, bool]] = Counter()
        self._empty: Counter[int] = Counter()
        self.rows: list[Row] = []
        rng = random.Random(f"{seed}/direct")
        for number, part in enumerate(self.parts):
            if part.topic:
                entries = [d for d in direct if d.topic == part.topic]
                rng.shuffle(entries)
                for entry in entries:
                    self.offer(direct_row(number, part, entry, rng, asides), Counter())

    def missing(self) -> list[tuple[int, bool]]:
        """(part, whether with a conclusion) for each example that is still wanted."""
        return [
            (number, multi)
            for number, part in enumerate(self.parts)
            for multi, wanted in ((False, part.single), (True, part.multi))
            for _ in range(wanted - self._counts[number, multi])
        ]

    def offer(self, row: Row, rejects: Counter[str]) -> None:
        """Take a row if there is room for it."""
        number, multi = row.pop("place")
        part, asked = self.parts[number], plain(row["messages"][1]["content"])
        if fault := self._graded.fault(row):
            rejects[fault] += 1
        elif asked in self._asked:
            rejects["same question twice"] += 1
        elif self._counts[number, multi] >= (part.multi if multi else part.single):
            rejects["more than wanted"] += 1
        elif row["empty"] and self._empty[number] >= EMPTY * (part.single + part.multi):
            rejects["prints nothing too often"] += 1
        else:
            self._asked.add(asked)
            self._counts[number, multi] += 1
            self._empty[number] += row["empty"]
            self.rows.append({"source": part.source} | row)


def _finished(rows: list[Row], composition: Composition, seed: int) -> list[Row]:
    """The rows in a drawn order, with preambles and splits."""
    rng = random.Random(seed)
    rows = sorted(rows, key=lambda row: str(row["id"]))
    rng.shuffle(rows)
    programs = [row for row in rows if row["kind"] == "tool"]
    for row in rng.sample(programs, round(composition.preambles * len(programs))):
        row["messages"][2]["content"] = remarks.preamble(row["tools"], rng)
    held_out = _held_out(rows, composition.validation, rng)
    for row in rows:
        row["split"] = "validation" if plain(row["phrasing"]) in held_out else "train"
    return rows


def _held_out(rows: Sequence[Row], wanted: int, rng: random.Random) -> set[str]:
    """Phrasings that have exactly `wanted` examples between them. Raises `UsageError` when there
    are none such."""
    counts = Counter(plain(row["phrasing"]) for row in rows)
    phrasings = sorted(counts)
    rng.shuffle(phrasings)
    chosen: set[str] = set()
    for phrasing in phrasings:
        if counts[phrasing] <= wanted:
            chosen.add(phrasing)
            wanted -= counts[phrasing]
    if wanted:
        raise UsageError(f"no phrasings can be held out whole: {wanted} examples are left over")
    return chosen


def _report(
    rows: Sequence[Row], composition: Composition, seed: int, rejects: Counter[str]
) -> dict[str, Any]:
    """What was made, as `generate` tells it, and by source."""
    report: dict[str, Any] = {
        "tools": tools_hash(load_tools().values()),
        "options": {"seed": seed} | composition.model_dump(),
        "held-out workspaces": [],
    }
    for split in ("train", "validation"):
        chosen = [row for row in rows if row["split"] == split]
        report[split] = account.split(chosen) | {
            "sources": dict(Counter(row["source"] for row in chosen)),
            "conclusions": sum(len(row["messages"]) == 5 for row in chosen),
            "preambles": sum(_preamble(row) for row in chosen),
        }
    report["rejects"] = dict(rejects.most_common())
    report["second ways"] = account.second_ways(list(rows))
    report["registers"] = account.registers(list(rows))
    return report


def _preamble(row: Row) -> bool:
    return row["kind"] == "tool" and bool(row["messages"][2]["content"])
