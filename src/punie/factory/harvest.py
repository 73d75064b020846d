"""Training candidates from use: good trajectories of the trace store as rows of `generate`.

A candidate was answered by a program that ran without an error, whose calls all succeeded and
whose result fields it read, and that changed nothing. `verified` then does what `generate` does
with its own examples: the program runs again in its repository, must tell again what the user saw,
every call is checked by a second way, and what asks a question of a suite is left out. Whether the
program is what the question wanted, only a person can say: the provenance marks the row.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

from punie.agent import shown
from punie.errors import PunieError
from punie.factory.examples.inventory import Inventory
from punie.factory.examples.selection import without_suites
from punie.factory.examples.workshop import Workshop, volatile
from punie.prompt import SYSTEM_TUNED, Message
from punie.redact import MARK
from punie.sandbox import Outcome
from punie.tool import Effect, load_tools

GROUP = "use"
"""Group and intent of rows that come from use."""
NUMBER = re.compile(r"0x[0-9a-f]+|\d+\.\d+")
"""What may differ in an answer with times or addresses."""


def candidates(
    records: Iterable[dict[str, Any]], rejects: Counter[str] | None = None
) -> Iterator[dict[str, Any]]:
    """Rows of good trajectories; each question with its program once. `rejects` counts why the
    others were left out."""
    rejects = Counter() if rejects is None else rejects
    seen: set[tuple[str, str]] = set()
    for record in records:
        if fault := unfit(record):
            rejects[fault] += 1
            continue
        code = record["steps"][-1]["code"]
        mark = record["query"].strip().lower(), code
        if mark in seen:
            rejects["the same question and program"] += 1
            continue
        seen.add(mark)
        yield row(record)


async def verified(
    rows: Iterable[dict[str, Any]],
    records: Mapping[int, dict[str, Any]],
    rejects: Counter[str],
) -> list[dict[str, Any]]:
    """The rows whose program runs again, tells the same and agrees with its second ways, with what
    `generate` notes of a run (`Workshop.facts`). `records` is each trace by its number; `rejects`
    counts why the others were left out."""
    by_place: defaultdict[Path, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_place[Path(records[row["provenance"]["trace"]]["workspace"])].append(row)
    found: list[dict[str, Any]] = []
    for place, group in by_place.items():
        try:
            found += await _run_again(place, group, records, rejects)
        except (OSError, subprocess.CalledProcessError, PunieError):
            rejects["its repository is gone, or no git repository"] += len(group)
    return without_suites(found, rejects)


async def _run_again(
    place: Path,
    rows: Iterable[dict[str, Any]],
    records: Mapping[int, dict[str, Any]],
    rejects: Counter[str],
) -> list[dict[str, Any]]:
    inventory = Inventory(place)
    inventory.git("rev-parse", "--git-dir")
    found = []
    async with Workshop(place, inventory) as workshop:
        for row in rows:
            outcome, fault = await workshop.run(row["messages"][-1]["code"])
            if fault or not outcome.stdout.strip():
                rejects[f"run again: {fault or 'prints nothing'}"] += 1
            elif not _told_again(outcome, records[row["provenance"]["trace"]]):
                rejects["answer changed"] += 1
            else:
                found.append(row | workshop.facts(outcome))
    return found


def _told_again(outcome: Outcome, record: dict[str, Any]) -> bool:
    """Whether a run tells what the user saw; what differs from run to run, times and addresses,
    cannot be compared letter by letter."""
    told, seen = shown(outcome), record["answer"]
    if told == seen or not volatile(outcome):
        return bool(told == seen)
    return NUMBER.sub("", told) == NUMBER.sub("", seen)


def unfit(record: dict[str, Any]) -> str:
    """Why a record is no candidate; empty when it is one."""
    steps = [step for step in record["steps"] if step["code"]]
    if record["kind"] != "tool" or not record["ok"]:
        return "not answered by a program, or failed"
    if not steps or steps[-1] is not record["steps"][-1]:
        return "prose after the program"
    last, tools = steps[-1], load_tools()
    if last["error"] or not last["calls"] or not all(call["ok"] for call in last["calls"]):
        return "a call failed, or there was none"
    if not all(call["fields"] for call in last["calls"]):
        return "a result whose fields were not read"
    used = [tools.get(call["tool"]) for step in steps for call in step["calls"]]
    if not all(tool and tool.effect in (Effect.READ, Effect.TEST) for tool in used):
        return "a tool that acts, or that is gone"
    if not last["stdout"].strip():
        return "printed nothing"
    if MARK in str(record["messages"]):
        return "held a secret"
    return ""


def row(record: dict[str, Any]) -> dict[str, Any]:
    """A record as `generate` writes rows, with its provenance."""
    steps = record["steps"]
    calls = steps[-1]["calls"]
    messages = _messages(record["messages"], steps[-1]["code"])
    turns = sum(message["role"] == "user" for message in messages)
    kind = "repair" if len(steps) > 1 else "tool" if turns == 1 else "follow-up"
    text = f"{record['query']}\n{steps[-1]['code']}"
    return {
        "id": f"use-{hashlib.sha256(text.encode()).hexdigest()[:16]}",
        "kind": kind,
        "intent": GROUP,
        "group": GROUP,
        "phrasing": record["query"],
        "workspace": PurePath(record["workspace"]).name,
        "split": "train",
        "empty": False,
        "tools": sorted({call["tool"] for call in calls}),
        "fields": sorted({name for call in calls for name in call["fields"]}),
        "messages": messages,
        "provenance": {
            "source": "use",
            "trace": record["id"],
            "asked": record["asked"],
            "model": record["model"].get("name", ""),
            "sha256": record["model"].get("sha256", ""),
            "tools": record["model"].get("tools", ""),
        },
    }


def _messages(stored: list[Message], code: str) -> list[Message]:
    """What a model is to see, up to the last program: the reply that is trained.

    Programs that failed before it in the same turn are marked as wrong.
    """
    system: Message = {"role": "system", "content": SYSTEM_TUNED}
    seen = [message for message in stored if message["role"] != "system"]
    last = max(n for n, message in enumerate(seen) if message.get("code") == code)
    asked = max(n for n, message in enumerate(seen[:last]) if message["role"] == "user")
    kept: list[Message] = [system]
    for number, message in enumerate(seen[: last + 1]):
        if asked < number < last and "code" in message:
            kept.append({**message, "wrong": True})
        else:
            kept.append(message)
    return kept
