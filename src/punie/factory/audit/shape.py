"""Whether rows are what the trainer reads: complete, in order, with one system message."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from punie.factory.audit.data import SPLITS, Example
from punie.factory.audit.findings import Finding, gathered
from punie.factory.audit.subject import Subject
from punie.prompt import SYSTEM_TUNED, neutralise
from punie.tool import tools_hash

ORDER = re.compile(r"s(?:ua(?:ta)*t?)*ua(?:ta)*")
"""System; then questions, each with its replies, a tool's output between two of them."""
LETTERS = {"system": "s", "user": "u", "assistant": "a", "tool": "t"}
SLOT = re.compile(r"\{[a-z][a-z_0-9]*\}")


def complete(subject: Subject) -> list[Finding]:
    """Rows that cannot be read, counts that differ from the report, a folder without its end."""
    data = subject.data
    found = gathered("malformed row", data.malformed, "rows cannot be read")
    if not data.report:
        return [*found, Finding("unfinished", "breach", "there is no meta.json: generate again")]
    for split in SPLITS:
        says = data.report.get(split, {}).get("examples")
        here = len(data.by_split[split]) + sum(
            place.startswith(f"{split}.jsonl:") for place, _ in data.malformed
        )
        if says != here:
            text = f"{split}.jsonl holds {here} rows, meta.json says {says}"
            found.append(Finding("row count", "breach", text))
    return found


def tool_set(subject: Subject) -> list[Finding]:
    """Data of other tools than those of today."""
    stored, ours = subject.data.report.get("tools"), tools_hash(subject.tools.values())
    if not subject.data.report or stored == ours:
        return []
    text = f"the data was made with tools {stored}, here are {ours}: generate again"
    return [Finding("tool set", "breach", text)]


def identifiers(subject: Subject) -> list[Finding]:
    """Two rows of one id, and rows that stand in the other split's file."""
    counts = Counter((e.id, e.kind) for e in subject.data.examples)
    twice = [(name, f"{n} times") for (name, _), n in counts.items() if n > 1]
    misplaced = [
        (e.id, f"{e.split} in {e.file}.jsonl") for e in subject.data.examples if e.split != e.file
    ]
    return [
        *gathered("id twice", twice, "ids stand for several rows"),
        *gathered("wrong split", misplaced, "rows stand in the other split's file"),
    ]


def system_message(subject: Subject) -> list[Finding]:
    """Rows without exactly one system message, or with another text than the model is served."""
    examples = subject.data.examples
    counts = [(e, sum(m["role"] == "system" for m in e.messages)) for e in examples]
    other = [
        (e.id, m["content"][:60])
        for e in examples
        for m in e.messages
        if m["role"] == "system" and m["content"] != SYSTEM_TUNED
    ]
    missing = [(e.id, "") for e, n in counts if n == 0]
    several = [(e.id, f"{n} of them") for e, n in counts if n > 1]
    return [
        *gathered("system message missing", missing, "rows have no system message"),
        *gathered("system message twice", several, "rows have several system messages"),
        *gathered("other system message", other, "rows have another system message"),
    ]


def roles(subject: Subject) -> list[Finding]:
    """Roles in an order that no conversation has, and outputs without a program."""
    faults = [(e.id, fault) for e in subject.data.examples for fault in _disorder(e)]
    return gathered("roles out of order", faults, "rows have their roles out of order")


def _disorder(example: Example) -> Iterator[str]:
    order = "".join(LETTERS.get(m["role"], "?") for m in example.messages)
    if not ORDER.fullmatch("s" + order.lstrip("s")):  # how many there are is another check
        yield " ".join(m["role"] for m in example.messages) or "no message"
    for before, message in zip(example.messages, example.messages[1:], strict=False):
        if message["role"] == "tool" and "code" not in before:
            yield "an output follows no program"
        if before.get("wrong") and message["role"] != "tool":
            yield "a wrong program is followed by no output"
    if example.messages and example.messages[-1].get("wrong"):
        yield "the last program is a wrong one"


def questions(subject: Subject) -> list[Finding]:
    """Questions that are empty or still have a slot, and text that spells control tokens."""
    examples = subject.data.examples
    empty = [(e.id, "") for e in examples if not e.asked.strip()]
    slots = [
        (e.id, e.asked)
        for e in examples
        for slot in SLOT.findall(e.asked)
        if e.programs and slot in e.phrasing and slot not in "".join(e.programs)
    ]
    control = [
        (e.id, m["content"][:80] or m.get("code", "")[:80])
        for e in examples
        for m in e.messages
        for text in (m["content"], m.get("code", ""))
        if m["role"] != "system" and neutralise(text) != text
    ]
    return [
        *gathered("empty question", empty, "rows ask nothing"),
        *gathered("unfilled slot", slots, "questions still have a slot"),
        *gathered("control token", control, "rows spell a control token", "remark"),
    ]
