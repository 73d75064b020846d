"""A small clean data folder as the audit reads it, for tests to plant defects in."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from punie.factory.audit.checks import audit
from punie.factory.audit.data import Data, read
from punie.factory.audit.findings import Finding
from punie.factory.audit.lengths import measure
from punie.factory.audit.norms import Norms
from punie.factory.audit.shares import result_fields
from punie.factory.audit.subject import Subject
from punie.factory.suite import Case, Suite
from punie.prompt import SYSTEM_TUNED, Piece
from punie.sandbox import Sandbox
from punie.settings import Settings
from punie.tool import load_tools, tools_hash

TOOLS = {name: load_tools()[name] for name in ("git_log", "git_status", "read_file", "ruff_check")}
LOG, COMMIT = "GitLogResult.commits", "GitCommit."
BY_ADA = """for c in git_log().commits:
    if c.author == "Ada Lovelace":
        print(c.message)"""
ROWS: tuple[tuple[str, ...], ...] = (
    (
        *("who made the last 3 commits?", "who made the last {count} commits?", "shop", "authors"),
        *("for c in git_log(count=3).commits:\n    print(c.author)", LOG, COMMIT + "author"),
    ),
    (
        *("anything by Ada Lovelace lately", "anything by {author} lately", "shop", "by_author"),
        *(BY_ADA, LOG, COMMIT + "author", COMMIT + "message"),
    ),
    (
        *("is my tree clean", "is my tree clean", "shop", "clean"),
        *("print(git_status().clean)", "GitStatusResult.clean"),
    ),
    (
        *("how long is shop/cart.py in lines?", "how long is {file} in lines?", "shop", "length"),
        *('print(read_file("shop/cart.py").line_count)', "ReadFileResult.line_count"),
    ),
    (
        *("lint findings in shop/cart.py, how many", "lint findings in {file}, how many"),
        *("shop", "lint", 'print(ruff_check("shop/cart.py").violation_count)'),
        "RuffResult.violation_count",
    ),
    (
        *("when did the newest change land", "when did the newest change land", "depot"),
        *("newest", "print(git_log(count=1).commits[0].date)", LOG, COMMIT + "date"),
    ),
)
"""Question, phrasing, workspace, intent, program, fields; the last one is held out."""
FACTS = (
    ("what is a rebase", "A rebase puts your commits on top of another branch, one by one."),
    ("why type hints?", "Type hints let a checker find wrong calls before the program runs."),
)
SUITE = Suite(
    "graded",
    "",
    ("harbour",),
    (
        Case(
            "field-1",
            "fields",
            "harbour",
            "which of the people wrote most of quay/crane.py in the last year?",
            "tool",
            ('print(git_log(path="quay/crane.py"))',),
        ),
    ),
)

Row = dict[str, Any]
Folder = tuple[list[Row], dict[str, Any]]
"""All rows, and what `meta.json` says."""


def row(asked: str, phrasing: str, workspace: str, intent: str, code: str, *fields: str) -> Row:
    tools = sorted({name for name in TOOLS if name in code})
    return {
        "id": f"{workspace}-{intent}",
        "kind": "tool",
        "intent": intent,
        "group": "git",
        "phrasing": phrasing,
        "workspace": workspace,
        "split": "validation" if workspace == "depot" else "train",
        "messages": [
            {"role": "system", "content": SYSTEM_TUNED},
            {"role": "user", "content": asked},
            {"role": "assistant", "content": "", "code": code},
        ],
        "empty": False,
        "tools": tools,
        "fields": sorted(fields),
        "seed": 7,
        "toolset": tools_hash(TOOLS.values()),
        "calls": [{"tool": name, "args": {}, "ok": True} for name in tools],
        "result": "3",
    }


def fact(number: int, asked: str, answer: str) -> Row:
    system = {"role": "system", "content": SYSTEM_TUNED}
    turns = [system, {"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
    known: Row = {
        "intent": "direct_git",
        "group": "direct",
        "workspace": "",
        "split": "train",
        "seed": 7,
    }
    made: Row = {"id": f"direct-{number}", "kind": "direct", "phrasing": asked, "messages": turns}
    return made | known | {"tools": [], "fields": []}


def clean() -> Folder:
    rows = [row(*each) for each in ROWS]
    rows += [fact(n, *each) for n, each in enumerate(FACTS)]
    asked, silent = ROWS[0][4], "print(git_status().file_count)"
    repair = row(*ROWS[0]) | {"id": "shop-repair", "kind": "repair"}
    wrong = {"role": "assistant", "content": "", "code": silent, "wrong": True}
    repair["messages"] = [
        *repair["messages"][:1],
        {"role": "user", "content": "the last 3 commits are by whom"},
        wrong,
        {"role": "tool", "content": "no such field"},
        {"role": "assistant", "content": "", "code": asked},
    ]
    rows.append(repair | {"phrasing": "the last {count} commits are by whom"})
    return rows, {"tools": tools_hash(TOOLS.values())}


def words(pieces: Iterable[Piece]) -> tuple[list[int], list[bool]]:
    """A tokenizer for which every word is a token."""
    flags = [piece.trained for piece in pieces for _ in piece.text.split()]
    return list(range(len(flags))), flags


def loose() -> Norms:
    """Norms that the small clean set keeps."""
    every, _ = result_fields(Subject(Data(), Norms(), TOOLS))
    read_here = {f for r in clean()[0] if r["split"] == "train" for f in r["fields"]}
    return Norms(
        direct=(0.1, 0.5),
        tools={"git_log": 0.2},
        several_tools=0.0,
        combinations=0,
        registers=0.0,
        multi_turn=(0.05, 0.3),
        unread=tuple(every - read_here),
        longest=80,
        near_duplicates=0.0,
        near_validation=0.8,
    )


def found(folder: Path, rows: list[Row], meta: dict[str, Any] | None) -> Subject:
    """Write a data folder and take it as the subject of an audit."""
    folder.mkdir(exist_ok=True)
    for split in ("train", "validation"):
        lines = [json.dumps(r) for r in rows if r.get("file", r["split"]) == split]
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
        if meta is not None:
            meta.setdefault(split, {"examples": len(lines)})
    if meta is not None:
        (folder / "meta.json").write_text(json.dumps(meta))
    data = read(folder)
    for name in ("shop", "depot"):
        (folder / "built" / name).mkdir(parents=True, exist_ok=True)
        (folder / "built" / name / "cart.py").write_text("def total(): ...\n")
    lengths = measure(data.examples, words, "compact")
    programs = tuple(each[4].replace("Ada Lovelace", "{author}") for each in ROWS)
    templates = tuple(p.replace("shop/cart.py", "{file}") for p in programs)
    return Subject(data, loose(), TOOLS, (SUITE,), templates, {}, folder / "built", lengths)


def checked(subject: Subject) -> list[Finding]:
    async def findings() -> list[Finding]:
        async with Sandbox(TOOLS.values(), Settings()) as sandbox:
            return await audit(subject, sandbox)

    return asyncio.run(findings())


# Changes to a row of the folder; each gives the row's id.


# Each defect changes the clean folder and gives the id of the row it is in, or "".


# Each defect changes the clean folder and gives the id of the row it is in, or "".


def code(folder: Folder, text: str, number: int = 0) -> str:
    folder[0][number]["messages"][-1]["code"] = text
    return str(folder[0][number]["id"])


def ask(folder: Folder, text: str, number: int = 0) -> str:
    folder[0][number]["messages"][1]["content"] = text
    return str(folder[0][number]["id"])


def answer(folder: Folder, text: str) -> str:
    folder[0][6]["messages"][-1]["content"] = text
    return "direct-0"


def put(folder: Folder, number: int, **values: Any) -> str:
    folder[0][number].update(values)
    return str(folder[0][number]["id"])


def again(folder: Folder, number: int, **values: Any) -> str:
    """A copy of a row, with another id and other values."""
    new = copy.deepcopy(folder[0][number]) | {"id": "planted"} | values
    folder[0].append(new)
    return "planted"
