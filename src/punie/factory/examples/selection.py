"""Which of the examples become data: as many as wanted, no question twice, nothing held out."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from punie.errors import UsageError
from punie.factory.audit.leaks import SHORT
from punie.factory.audit.nearness import Nearest, without_values
from punie.factory.audit.norms import Norms
from punie.factory.examples import nearmiss, wording
from punie.factory.examples.drafts import chance, parts
from punie.factory.examples.options import GenerateOptions
from punie.factory.intents import Asides, Direct, plain
from punie.factory.intents import wordings as words
from punie.factory.suite import FOLDER as SUITES
from punie.factory.suite import load_suite
from punie.prompt import SYSTEM_TUNED

Row = dict[str, Any]
NEAR = Norms().near_suite
"""Nearness to a suite's question from which a phrasing is not used."""
LONGEST = 3000
"""Characters of an example's messages and programs, about a thousand tokens."""


def balanced(
    rows: Iterable[Row], wanted: Counter[str], options: GenerateOptions, rejects: Counter[str]
) -> list[Row]:
    """At most the wanted number for each intent and split, and few empty answers."""
    kept: list[Row] = []
    counts: Counter[tuple[str, str]] = Counter()
    empties: Counter[str] = Counter()
    asked: set[str] = set()
    for row in sorted(rows, key=lambda r: (r["kind"], r["id"].rpartition("-")[2])):
        intent, place = row["intent"], (row["intent"], row["split"])
        most = parts(wanted[intent], options)[row["split"] == "validation"]
        question = plain(_asked(row))
        if _length(row) > LONGEST:
            rejects[f"longer than {LONGEST} characters"] += 1
        elif row["kind"] != "tool":
            kept.append(row)
        elif question in asked:
            rejects["same question twice"] += 1
        elif counts[place] >= most:
            rejects["more than wanted"] += 1
        elif row["empty"] and empties[intent] >= wanted[intent] * options.empty:
            rejects["prints nothing too often"] += 1
        else:
            kept.append(row)
            asked.add(question)
            counts[place] += 1
            empties[intent] += bool(row["empty"])
    return kept


def direct_rows(
    direct: list[Direct], options: GenerateOptions, others: int, asides: Asides
) -> Iterator[Row]:
    """Questions that are answered in words, beside so many `others`: with a share, all of them in
    one wording before any in two."""
    rng = random.Random(options.seed + 1)
    turns: list[tuple[int, int, int, int, str]] = []
    for number, entry in enumerate(direct):
        choices = list({plain(asked): asked for asked in entry.questions}.values())
        rng.shuffle(choices)
        whole, part = divmod(options.direct, 1)
        most = len(choices) if options.direct_share else int(whole) + (rng.random() < part)
        turn, more = rng.randrange(2**32), _near_miss(entry, options)
        chosen = choices[: most + more]
        turns += [(max(0, n - more), turn, number, n, asked) for n, asked in enumerate(chosen)]
    if options.direct_share:
        share = options.direct_share / (1 - options.direct_share)
        turns = sorted(turns)[: round(others * share)]
    for _, _, number, place, asked in sorted(turns, key=lambda turn: turn[2:4]):
        entry = direct[number]
        yield {
            "id": f"direct-{number}-{place}",
            "kind": "direct",
            "intent": f"direct_{entry.topic}",
            "group": "direct",
            "phrasing": asked,
            "workspace": "",
            "seed": options.seed,
            "split": "validation"
            if chance(options, plain(asked)) < options.validation
            else "train",
            "tools": [],
            "fields": [],
            "calls": [],
            "messages": [
                {"role": "system", "content": SYSTEM_TUNED},
                {"role": "user", "content": wording.question(asked, {}, rng, asides)},
                {"role": "assistant", "content": entry.answer},
            ],
        }


def _near_miss(entry: Direct, options: GenerateOptions) -> int:
    """How many more wordings of a general question are used for the tools that it lies beside."""
    wanted = options.near_misses.items()
    return max((more for tool, more in wanted if nearmiss.beside(tool, entry.questions)), default=0)


class Graded:
    """The questions of all suites, that no row may ask or be worded nearly as."""

    def __init__(self) -> None:
        suites = [load_suite(path.stem) for path in sorted(SUITES.glob("*.toml"))]
        cases = [case for suite in suites for case in suite.cases]
        self._asked = {plain(case.query) for case in cases}
        bare = [without_values(case.query, case.references) for case in cases]
        self._nearest = Nearest([text for text in bare if len(text.split()) > SHORT])
        self._near: dict[str, bool] = {}

    def fault(self, row: Row) -> str:
        """Why a row is not used; empty for one that is."""
        phrasing = str(row.get("phrasing", ""))
        if plain(_asked(row)) in self._asked:
            return "a question of a suite"
        if phrasing not in self._near:
            self._near[phrasing] = self._nearest.one(phrasing)[0] >= NEAR
        return "worded as a question of a suite" if self._near[phrasing] else ""


def without_suites(rows: list[Row], rejects: Counter[str]) -> list[Row]:
    """The rows that neither ask a question of a suite, whatever the case and the signs, nor are
    worded nearly as one."""
    graded, kept = Graded(), []
    for row in rows:
        if fault := graded.fault(row):
            rejects[fault] += 1
        else:
            kept.append(row)
    return kept


def apart(rows: list[Row], rejects: Counter[str]) -> list[Row]:
    """The rows without those that would make the splits share something, or a question have two
    answers: of two labels the first stays, and validation gives way to training."""
    labels: dict[str, str] = {}
    trained = [row for row in rows if row["split"] == "train"]
    taught = {words.wording(row["phrasing"]) for row in trained}
    kept = []
    for row in [*trained, *(row for row in rows if row["split"] != "train")]:
        question, label = plain(_asked(row)), _label(row)
        if labels.setdefault(question, label) != label:
            rejects["same question, other answer"] += 1
        elif row["split"] != "train" and (words.wording(row["phrasing"]) in taught):
            rejects["held-out phrasing that is trained"] += 1
        else:
            kept.append(row)
    return kept


def replayed(options: GenerateOptions, held: set[str], phrasings: set[str]) -> list[Row]:
    """Training rows of an earlier leg that call tools (answers in words are drawn for each leg from
    all there are), but for those that this leg holds out: workspaces `held` and `phrasings`.
    Raises `UsageError` when there are none."""
    if not options.replay:
        return []
    earlier = Path(options.replay_from) / "train.jsonl"
    try:
        rows = [json.loads(line) for line in earlier.read_text("utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise UsageError(f"no rows to replay: {error}; generate that leg first") from None
    rows = [
        row | {"id": f"replayed-{row['id']}"}
        for row in rows
        if row["kind"] != "direct"
        and row["workspace"] not in held
        and row["phrasing"] not in phrasings
    ]
    return random.Random(options.seed + 2).sample(rows, min(options.replay, len(rows)))


def _asked(row: Row) -> str:
    return str(row["messages"][1]["content"])


def _length(row: Row) -> int:
    return sum(len(m["content"]) + len(m.get("code", "")) for m in row["messages"])


def _label(row: Row) -> str:
    """The first reply that is trained."""
    first = next(m for m in row["messages"] if m["role"] == "assistant" and not m.get("wrong"))
    return str(first.get("code", first["content"]))
