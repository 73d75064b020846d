"""Stage `generate` of a recipe with a composition: make the examples, split and write them."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from punie.errors import UsageError
from punie.factory.composition.making import Row, direct_row, drafted, of_workspace
from punie.factory.composition.parts import Composition
from punie.factory.examples import remarks, second_way
from punie.factory.intents import Direct, load, load_asides, plain
from punie.factory.suite import FOLDER as SUITES
from punie.factory.suite import load_suite
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
) -> dict[str, Any]:
    """Make `out/train.jsonl`, `out/validation.jsonl` and the report `out/meta.json` on the built
    workspaces `names` in `corpus`. Raises `UsageError` that names the parts which do not fill."""
    intents, direct = load()
    chosen = Chosen(composition, direct, seed)
    rejects: Counter[str] = Counter()
    # Fresh processes: a fork of one that has threads may hang for ever.
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        for number in range(ROUNDS):
            drafts = drafted(chosen.missing(), composition, intents, names, f"{seed}/{number}")
            if not drafts:
                break
            places = sorted(drafts)
            jobs = [pool.submit(of_workspace, corpus / name, drafts[name]) for name in places]
            made: list[Row] = []
            for place, job in zip(places, jobs, strict=True):
                rows, faults = job.result()
                rejects.update(faults)
                made += rows
                progress(f"round {number + 1}, {place}: {len(chosen.rows) + len(made)} examples")
            for row in _alternating(made, random.Random(f"{seed}/{number}/order")):
                chosen.offer(row, rejects)
    if lacking := chosen.missing():
        parts = [f"part {n + 1} ({composition.parts[n].source})" for n, _ in lacking]
        raise UsageError(f"too few examples for {', '.join(dict.fromkeys(parts))}: {dict(rejects)}")
    return _write(_finished(chosen.rows, composition, seed), composition, seed, rejects, out)


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

    def __init__(self, composition: Composition, direct: Sequence[Direct], seed: int) -> None:
        self.parts = composition.parts
        suites = [load_suite(path.stem) for path in SUITES.glob("*.toml")]
        self._asked = {plain(case.query) for suite in suites for case in suite.cases}
        self._counts: Counter[tuple[int, bool]] = Counter()
        self._empty: Counter[int] = Counter()
        self.rows: list[Row] = []
        rng, asides = random.Random(f"{seed}/direct"), load_asides()
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
        if asked in self._asked:
            rejects["a question of a suite, or asked before"] += 1
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


def _write(
    rows: list[Row], composition: Composition, seed: int, rejects: Counter[str], out: Path
) -> dict[str, Any]:
    """Write both splits, and the report last: without it the folder counts as unfinished."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "meta.json").unlink(missing_ok=True)
    report: dict[str, Any] = {
        "tools": tools_hash(load_tools().values()),
        "options": {"seed": seed} | composition.model_dump(),
    }
    for split in ("train", "validation"):
        chosen = [row for row in rows if row["split"] == split]
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in chosen]
        (out / f"{split}.jsonl").write_text("".join(lines), "utf-8")
        report[split] = {
            "examples": len(chosen),
            "sources": dict(Counter(row["source"] for row in chosen)),
            "tools": dict(Counter(t for row in chosen for t in row["tools"]).most_common()),
            "conclusions": sum(len(row["messages"]) == 5 for row in chosen),
            "preambles": sum(_preamble(row) for row in chosen),
        }
    report["rejects"] = dict(rejects.most_common())
    report["second ways"] = sorted(second_way.CHECKS)
    temporary = out / "meta.json.new"
    temporary.write_text(json.dumps(report, indent=1), "utf-8")
    temporary.replace(out / "meta.json")
    return report


def _preamble(row: Row) -> bool:
    return row["kind"] == "tool" and bool(row["messages"][2]["content"])
