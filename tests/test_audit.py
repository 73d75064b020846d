"""The audit finds every planted defect, and nothing in clean data."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from punie.cli import app
from punie.errors import UsageError
from punie.factory.audit import norms, overlap
from punie.factory.audit.checks import audit
from punie.factory.audit.data import Data, Example, read
from punie.factory.audit.findings import Finding
from punie.factory.audit.lengths import measure
from punie.factory.audit.nearness import Nearest, nearness, without_values
from punie.factory.audit.norms import Norms
from punie.factory.audit.preview import choose, stretches
from punie.factory.audit.report import markdown
from punie.factory.audit.run import place as place_of
from punie.factory.audit.shares import result_fields
from punie.factory.audit.subject import CLOSED, Subject
from punie.factory.suite import Case, Suite, load_suite
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
        "tools": sorted({name for name in TOOLS if name in code}),
        "fields": sorted(fields),
    }


def fact(number: int, asked: str, answer: str) -> Row:
    system = {"role": "system", "content": SYSTEM_TUNED}
    turns = [system, {"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
    known: Row = {"intent": "direct_git", "group": "direct", "workspace": "", "split": "train"}
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
        multi_turn=(0.05, 0.3),
        unread=tuple(every - read_here),
        longest=80,
        near_duplicates=0.0,
        near_validation=0.8,
    )


def found(folder: Path, rows: list[Row], meta: dict[str, Any] | None) -> Subject:
    """Write a data folder and take it as the subject of an audit."""
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
    return Subject(data, loose(), TOOLS, (SUITE,), templates, folder / "built", lengths)


def checked(subject: Subject) -> list[Finding]:
    async def findings() -> list[Finding]:
        async with Sandbox(TOOLS.values(), Settings()) as sandbox:
            return await audit(subject, sandbox)

    return asyncio.run(findings())


def test_clean_data_passes_without_any_breach(tmp_path: Path) -> None:
    findings = checked(found(tmp_path, *clean()))
    assert [f for f in findings if f.severity == "breach"] == []
    assert {f.name for f in findings} <= {"side field never read"}


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
        report_says("mutations", {"checked": {"length": 4}, "same": {"length": 4}}),
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


def test_a_folder_without_its_report_is_unfinished(tmp_path: Path) -> None:
    rows, _ = clean()
    assert "unfinished" in {f.name for f in checked(found(tmp_path, rows, None))}


def test_a_program_may_be_deaf_now_and_then(tmp_path: Path) -> None:
    rows, meta = clean()
    meta["mutations"] = {"checked": {"length": 4}, "same": {"length": 3}}
    assert "slot without effect" not in {f.name for f in checked(found(tmp_path, rows, meta))}


def test_the_report_says_what_was_found_and_is_the_same_each_time(tmp_path: Path) -> None:
    folder = clean()
    answer(folder, "Done.")
    subject = found(tmp_path, *folder)
    findings = checked(subject)
    page = markdown(subject, findings)
    assert page == markdown(subject, findings)
    assert page.startswith("# Audit: fails (1 breaches")
    assert "### vacuous answer\n\n    direct-0: Done.\n\ndirect-0" in page
    assert "GitCommit.author" in page
    assert "git_log" in page
    assert "▏" in page or "█" in page
    assert str(tmp_path) not in page


def test_questions_of_closed_suites_are_never_shown(tmp_path: Path) -> None:
    folder = clean()
    as_the_suite(folder)
    subject = found(tmp_path, *folder)
    closed = Suite("test", "", SUITE.workspaces, SUITE.cases)
    subject = Subject(subject.data, subject.norms, TOOLS, (closed,), lengths=subject.lengths)
    leak = next(f for f in checked(subject) if f.name == "phrasing of a suite")
    assert leak.ids == ("planted",)
    assert leak.sample == ("planted: suite test",)


def test_nearness_sees_slips_and_not_values() -> None:
    assert nearness("Who calls {symbol}?", "who calls") == 1.0
    assert nearness("how many lines has it", "how manny lines has it") > 0.8
    assert nearness("who calls it", "status of the tree") < 0.2
    assert nearness("", "") == 0.0
    bare = without_values("lines of `a/b.py`?", ('print(read_file("a/b.py"))',))
    assert "a/b" not in bare
    nearest = Nearest(["status of the tree", "who calls {symbol}"])
    value, place = nearest.one("who calls f")
    assert (round(value, 3), place) == (round(9 / 11, 3), 1)
    assert Nearest([]).one("x") == (0.0, -1)


def test_norms_come_from_the_recipe(tmp_path: Path) -> None:
    recipe = tmp_path / "phase.toml"
    recipe.write_text('[audit]\nnorms = "phase27"\ncombinations = 5\n[train]\nlongest = 99\n')
    _, wanted = place_of(recipe)
    assert wanted.multi_turn == pytest.approx((0.35, 0.39))
    assert (wanted.combinations, wanted.longest) == (5, 99)
    recipe.write_text("[audit]\ndirekt = 1\nlongest = 'x'\n")
    with pytest.raises(UsageError, match=r"(?s)longest.*direkt"):
        norms.of_recipe(recipe)
    with pytest.raises(UsageError, match="neither"):
        place_of(tmp_path / "nothing")


class Words:
    """Tokens that are words, numbered as they come."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def encode(self, pieces: list[Piece]) -> tuple[list[int], list[bool]]:
        flags = []
        for piece in pieces:
            self.words.append(piece.text)
            flags.append(piece.trained)
        return list(range(len(self.words))), flags

    def decode(self, ids: list[int]) -> str:
        return "".join(self.words[number] for number in ids)


def examples(folder: Path) -> list[Example]:
    found(folder, *clean())
    return read(folder).examples


def test_a_preview_cuts_where_training_begins_and_ends(tmp_path: Path) -> None:
    chosen = choose(examples(tmp_path), "shop-repair")
    assert [e.id for e in chosen] == ["shop-repair"]
    shown = stretches(chosen[0], Words(), "compact")
    assert [s.trained for s in shown] == [False, True, False]
    assert shown[1].text == f"<jupyter_code>{ROWS[0][4]}<|im_end|>"
    assert "file_count" in shown[0].text, "a wrong program is seen and not trained"


def test_a_preview_without_an_id_shows_each_kind(tmp_path: Path) -> None:
    rows = examples(tmp_path)
    assert [e.kind for e in choose(rows, None)] == ["tool", "direct", "repair"]
    assert [e.id for e in choose(rows, "direct")] == ["direct-0", "direct-1"]
    assert choose(rows, "nothing") == []


def test_the_page_of_overlaps_is_fresh_and_shows_no_closed_suite() -> None:
    page = overlap.PAGE.read_text("utf-8")
    assert page == overlap.page(), "run: punie overlap"
    for name in CLOSED:
        assert not any(
            case.query in page for case in load_suite(name).cases if len(case.query) > 30
        )


def test_the_command_fails_on_a_breach_and_writes_the_report(tmp_path: Path) -> None:
    found(tmp_path, *clean())
    done = CliRunner().invoke(app, ["audit", str(tmp_path), "--report", str(tmp_path / "report")])
    assert done.exit_code == 1, done.output
    assert "breach  tool set" in done.output, "these rows are of four tools only"
    assert (tmp_path / "report" / "audit.md").read_text().startswith("# Audit: fails")
    assert CliRunner().invoke(app, ["audit", str(tmp_path / "nothing")]).exit_code == 2


@pytest.mark.train
def test_the_command_previews_a_row_with_what_is_trained_between_marks(tmp_path: Path) -> None:
    found(tmp_path, *clean())
    done = CliRunner().invoke(app, ["preview", str(tmp_path), "shop-clean"])
    assert done.exit_code == 0, done.output
    assert "«<jupyter_code>print(git_status().clean)<|im_end|>»" in done.output
    assert "<|im_start|>user\nis my tree clean<|im_end|>" in done.output
