"""Every planted defect is found by the audit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audited import (
    BY_ADA,
    FACTS,
    SUITE,
    TOOLS,
    Folder,
    again,
    answer,
    ask,
    checked,
    clean,
    code,
    fact,
    found,
    put,
)
from punie.factory.audit.subject import Subject
from punie.factory.suite import Suite

LISTED = """found = git_log(count=3)
print(found.commit_count)
for c in found.commits:
    print(c.author)"""


def no_system(folder: Folder) -> str:
    del folder[0][0]["messages"][0]
    return "shop-authors"


def second_system(folder: Folder) -> str:
    folder[0][0]["messages"].insert(1, folder[0][0]["messages"][0])
    return "shop-authors"


def other_system(folder: Folder) -> str:
    folder[0][0]["messages"][0]["content"] = "You are a pirate."
    return "shop-authors"


def swapped_roles(folder: Folder) -> str:
    messages = folder[0][0]["messages"]
    messages[1], messages[2] = messages[2], messages[1]
    return "shop-authors"


def output_of_nothing(folder: Folder) -> str:
    folder[0][8]["messages"].pop(2)
    return "shop-repair"


def ends_wrong(folder: Folder) -> str:
    folder[0][8]["messages"][-1]["wrong"] = True
    return "shop-repair"


def broken_line(folder: Folder) -> str:
    del folder[0][0]["messages"][1]["content"]
    return "train.jsonl:1"


def report_says(key: str, value: Any) -> Callable[[Folder], str]:
    def plant(folder: Folder) -> str:
        folder[1][key] = value
        return ""

    return plant


def near_copy(folder: Folder) -> str:
    again(folder, 3)
    return ask(folder, "How long iss `shop/cart.py` in lines", -1)


def held_out_again(folder: Folder, phrasing: str) -> str:
    again(folder, 5, id="depot-planted", phrasing=phrasing, intent="planted")
    return ask(folder, "a question of its own about the newest one", -1) and "depot-planted"


def as_the_suite(folder: Folder) -> str:
    phrasing = "which of the people wrote most of {file} in the last year"
    again(folder, 0, phrasing=phrasing)
    return ask(folder, "which of the people wrote most of shop/cart.py in the last year", -1)


def of_the_suite(folder: Folder) -> str:
    ask(folder, "how long is quay/crane.py in lines?", 3)
    return code(folder, 'print(read_file("quay/crane.py").line_count)', 3)


def nothing_read(folder: Folder) -> str:
    put(folder, 3, fields=[])
    return ""


def second_answer(folder: Folder) -> str:
    folder[0].append(fact(9, FACTS[0][0], "A rebase deletes a branch for good."))
    return "direct-9"


def no_repair(folder: Folder) -> str:
    del folder[0][8]
    return ""


def few_logs(folder: Folder) -> str:
    for number in (0, 1, 5):
        put(folder, number, tools=[])
    return ""


def too_many_facts(folder: Folder) -> str:
    for number in range(9):
        asked = f"{['why', 'when', 'where', 'how'][number % 4]} does thing number{number} matter"
        folder[0].append(fact(10 + number, asked, f"Because of reason {number} and of no other."))
    return ""


DEFECTS: dict[str, tuple[str, Callable[[Folder], str]]] = {
    "a line that is no row": ("malformed row", broken_line),
    "fewer rows than reported": ("row count", report_says("train", {"examples": 99})),
    "another tool set": ("tool set", report_says("tools", "0123456789ab")),
    "an id twice": ("id twice", lambda d: again(d, 0, id="shop-authors") and "shop-authors"),
    "wrong file of the split": ("wrong split", lambda d: put(d, 0, file="validation")),
    "a row that tells no seed": ("no provenance", lambda d: put(d, 0, seed=None)),
    "a fact that tells no seed": ("no provenance", lambda d: put(d, 6, seed="7")),
    "a program of no workspace": ("no provenance", lambda d: put(d, 0, workspace="")),
    "a program of no tool set": ("no provenance", lambda d: put(d, 0, toolset="")),
    "a row of other tools": (
        "row of another tool set",
        lambda d: put(d, 0, toolset="0123456789ab"),
    ),
    "a program without calls": ("run not recorded", lambda d: put(d, 0, calls=[])),
    "a call half recorded": (
        "run not recorded",
        lambda d: put(d, 0, calls=[{"tool": "git_log", "ok": True}]),
    ),
    "calls of another tool": (
        "run not recorded",
        lambda d: put(d, 0, calls=[{"tool": "git_status", "args": {}, "ok": True}]),
    ),
    "a program without a result": (
        "run not recorded",
        lambda d: str(d[0][0].pop("result")) and put(d, 0),
    ),
    "missing system message": ("system message missing", no_system),
    "two system messages": ("system message twice", second_system),
    "another system message": ("other system message", other_system),
    "roles out of order": ("roles out of order", swapped_roles),
    "an output of no program": ("roles out of order", output_of_nothing),
    "a wrong program at the end": ("roles out of order", ends_wrong),
    "nothing to train": ("nothing to train", ends_wrong),
    "empty question": ("empty question", lambda d: ask(d, "  ")),
    "unfilled slot": ("unfilled slot", lambda d: ask(d, "who made the last {count} commits?")),
    "control token": ("control token", lambda d: ask(d, "the last 3 commits <|im_end|>?")),
    "over-long row": ("over-long row", lambda d: ask(d, "the last 3 commits " + "x " * 80)),
    "empty program": ("empty program", lambda d: code(d, "")),
    "prints nothing": ("prints nothing", lambda d: code(d, "git_log(count=3)")),
    "no tool": ("calls no tool", lambda d: code(d, 'print("Ada")')),
    "fixed words": ("prints fixed words", lambda d: code(d, 'git_log(count=3)\nprint("done")')),
    "a list beside the figure": (
        "list that was not asked for",
        lambda d: put(d, 0, phrasing="commits by Ada, just the number") and code(d, LISTED),
    ),
    "vacuous answer": ("vacuous answer", lambda d: answer(d, "Done.")),
    "empty answer": ("vacuous answer", lambda d: answer(d, "")),
    "evasive answer": ("vacuous answer", lambda d: answer(d, "I don't know, it depends.")),
    "question as answer": ("vacuous answer", lambda d: answer(d, "what is a rebase")),
    "short answer": ("short answer", lambda d: answer(d, "Moves commits.")),
    "silent programs": (
        "silent programs",
        lambda d: put(d, 1, empty=True) and put(d, 0, empty=True),
    ),
    "truncated program": (
        "truncated program",
        lambda d: code(d, "for c in git_log(count=3).comm:"),
    ),
    "unknown tool": ("unknown tool", lambda d: code(d, "print(git_history(count=3))")),
    "wrong field": ("type check", lambda d: code(d, "print(git_log(count=3).entries)")),
    "wrong argument": ("type check", lambda d: code(d, "print(git_log(number=3).commits)")),
    "other tools recorded": ("recorded tools", lambda d: put(d, 0, tools=["git_status"])),
    "field of no result": ("unknown field", lambda d: put(d, 0, fields=["GitCommit.writer"])),
    "wrong author": (
        "value that no one said",
        lambda d: code(d, BY_ADA.replace("Ada Lovelace", "Grace Hopper"), 1),
    ),
    "wrong file": (
        "value that no one said",
        lambda d: code(d, 'print(read_file("shop/orders.py").line_count)', 3),
    ),
    "duplicate": ("duplicate", lambda d: again(d, 0)),
    "near-duplicate": ("near-duplicate", near_copy),
    "two programs for a question": (
        "conflicting labels",
        lambda d: again(d, 2) and code(d, "print(git_status().file_count)", -1),
    ),
    "two answers for a question": ("conflicting labels", second_answer),
    "a wording of two intents": (
        "wording of two intents",
        lambda d: again(d, 2, intent="other", phrasing="is my tree clean?"),
    ),
    "leaked phrasing": (
        "phrasing in both splits",
        lambda d: held_out_again(d, "is my tree clean"),
    ),
    "nearly leaked phrasing": (
        "near phrasing in both splits",
        lambda d: held_out_again(d, "lint findingss in {file}, how many"),
    ),
    "leaked repository": ("repository in both splits", lambda d: put(d, 5, workspace="shop")),
    "repository of a suite": ("repository of a suite", lambda d: put(d, 0, workspace="harbour")),
    "question of a suite": (
        "question of a suite",
        lambda d: ask(d, SUITE.cases[0].query.upper()),
    ),
    "phrasing of a suite": ("phrasing of a suite", as_the_suite),
    "value of a suite": ("value of a suite", of_the_suite),
    "too many direct answers": ("norm: direct answers", too_many_facts),
    "no conversation": ("norm: several turns", no_repair),
    "a tool too rarely": ("norm: tool git_log", few_logs),
    "a tool that nothing calls": ("tool never called", lambda d: put(d, 4, tools=[]) and ""),
    "a field that nothing reads": ("field never read", nothing_read),
    "a slot without effect": (
        "slot without effect",
        report_says("mutations", {"checked": {"length": 5}, "same": {"length": 5}}),
    ),
    "a program that is deaf": (
        "deaf program",
        report_says("mutations", {"checked": {"length": 6}, "same": {"length": 6}}),
    ),
}


@pytest.mark.parametrize("kind", DEFECTS)
def test_a_planted_defect_is_found(kind: str, tmp_path: Path) -> None:
    name, plant = DEFECTS[kind]
    folder = clean()
    planted = plant(folder)
    findings = [f for f in checked(found(tmp_path, *folder)) if f.name == name]
    assert findings, f"{kind}: not found"
    assert not planted or any(planted in f.ids for f in findings), findings
    remarks = {"control token", "short answer", "near phrasing in both splits"}
    remarks |= {"wording of two intents", "slot without effect"}
    assert {f.severity for f in findings} == {"remark" if name in remarks else "breach"}


def test_questions_of_closed_suites_are_never_shown(tmp_path: Path) -> None:
    folder = clean()
    as_the_suite(folder)
    subject = found(tmp_path, *folder)
    closed = Suite("test", "", SUITE.workspaces, SUITE.cases)
    subject = Subject(subject.data, subject.norms, TOOLS, (closed,), lengths=subject.lengths)
    leak = next(f for f in checked(subject) if f.name == "phrasing of a suite")
    assert leak.ids == ("planted",)
    assert leak.sample == ("planted: suite test",)
