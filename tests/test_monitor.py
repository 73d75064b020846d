"""Traces and the monitor: what is stored, shown, exported and deleted, and when an alarm is on."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import subprocess
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from punie import Punie, demo
from punie.agent import Answer, Step
from punie.cli import app
from punie.engine.scripted import ScriptedEngine
from punie.factory.harvest import candidates
from punie.monitor import monitor
from punie.monitor_page import page
from punie.trace import Store
from punie.wrap import Call

STATUS = "<jupyter_code>print(git_status().file_count)"
SECRET = "ghp_" + "a1B2" * 9


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PUNIE_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def punie(*args: str) -> Result:
    return CliRunner().invoke(app, list(args), standalone_mode=True)


def answer(
    *fields: str, query: str = "how many?", ms: float = 500.0, ok: bool = True, name: str = "small"
) -> Answer:
    """An answer of one program whose calls read these fields; "" reads none."""
    calls = [
        Call("git_status", {"path": "."}, True, None, 1.0, [f"GitStatusResult.{f}"] if f else [])
        for f in fields
    ]
    code = "print(git_status().file_count)"
    found = Answer(query, "4", "tool" if calls else "direct", ok, None if ok else "it stopped")
    found.model = {"name": name, "engine": "scripted", "sha256": "ab", "tools": "12"}
    found.steps = [Step(code, code if calls else "", "4\n", None, 1, 1, calls)]
    found.ms["generate"] = ms
    found.messages = [
        {"role": "system", "content": "You are."},
        {"role": "user", "content": query},
        {"role": "assistant", "content": "", "code": code},
        {"role": "tool", "content": "4"},
    ]
    return found


def store(*answers: Answer) -> Store:
    kept = Store()
    for each in answers:
        kept.add(each, Path("/repositories/shop"))
    return kept


def test_without_answers_no_alarm_is_on_and_nothing_is_made(data: Path) -> None:
    ran = punie("monitor")
    assert ran.exit_code == 0
    assert "no answers are stored" in ran.output
    assert punie("traces", "list").output == ""
    assert not data.exists()


def test_good_use_raises_no_alarm() -> None:
    store(answer("file_count"), answer("file_count", "files"), answer(ms=100.0))
    ran = punie("monitor", "--json")
    report = json.loads(ran.output)
    assert (ran.exit_code, report["alarms"]) == (0, [])
    total = report["total"]
    assert (total["answers"], total["tool"], total["direct"]) == (3, 2, 1)
    assert (total["field_rate"], total["seconds"]) == (1.0, 0.3667)
    asked, *others = report["tools"]
    trained = asked.pop("training_share")
    assert asked == {"tool": "git_status", "calls": 3, "failed": 0, "share": 1.0}
    # The shipped model's card says what it was trained on: tools that nobody asked for are told.
    assert 0 < trained < 1
    assert {each["calls"] for each in others} == {0}
    assert trained + sum(each["training_share"] for each in others) == pytest.approx(1, abs=0.01)


def test_an_alarm_is_a_line_and_status_one() -> None:
    store(answer("file_count", ""), answer("file_count", ""))
    ran = punie("monitor")
    assert ran.exit_code == 1
    assert "alarm: field access 50% (2 of 4 calls) is below 70%" in ran.output


@pytest.mark.parametrize(
    ("read", "alarm"), [(7, False), (6, True)], ids=["seventy percent", "sixty percent"]
)
def test_the_alarm_of_field_access_begins_below_its_limit(read: int, alarm: bool) -> None:
    store(answer(*["file_count"] * read, *[""] * (10 - read)))
    assert (punie("monitor").exit_code == 1) is alarm


@pytest.mark.parametrize(("ms", "alarm"), [(5000.0, False), (5001.0, True)])
def test_the_alarm_of_generation_begins_above_its_limit(ms: float, alarm: bool) -> None:
    store(answer("file_count", ms=ms), answer("file_count", ms=5000.0))
    ran = punie("monitor")
    assert ("alarm: generation takes 5.0 s on average" in ran.output) is alarm
    assert (ran.exit_code == 1) is alarm


@pytest.mark.parametrize(("passed", "alarm"), [(32, False), (31, True)])
def test_the_active_models_last_validation_is_watched(passed: int, alarm: bool) -> None:
    kept = store(answer("file_count"))
    report: dict[str, Any] = {"suite": "forty", "passed": 1, "total": 40, "model": {"sha256": "ab"}}
    kept.add_validation(report)
    kept.add_validation(report | {"passed": passed})
    kept.add_validation(report | {"passed": 2, "model": {"sha256": "other"}})
    ran = punie("monitor")
    assert f"{passed} of 40 on suite forty" in ran.output
    assert ("alarm: validation of small is 78%" in ran.output) is alarm
    assert (ran.exit_code == 1) is alarm


@pytest.mark.parametrize(("passed", "alarm"), [(32, False), (31, True)])
def test_a_model_behind_a_server_is_watched_by_its_name(passed: int, alarm: bool) -> None:
    asked = answer("file_count")
    served = {"name": "small", "engine": "http", "sha256": ""}
    asked.model = served | {"tools": "12"}
    kept = store(asked)
    report: dict[str, Any] = {"suite": "forty", "passed": passed, "total": 40, "model": served}
    kept.add_validation(report)
    for other in ({"name": "large"}, {"engine": "scripted"}, {"sha256": "ab"}, {"name": ""}):
        kept.add_validation(report | {"passed": 2, "model": served | other})
    ran = punie("monitor")
    assert f"{passed} of 40 on suite forty" in ran.output
    assert (ran.exit_code == 1) is alarm


def test_failures_and_repairs_are_counted() -> None:
    repaired = answer("file_count")
    repaired.steps.insert(0, Step("x", "x", "", "it stopped"))
    records = store(repaired, answer("file_count", ok=False), answer("file_count")).records()
    total = monitor(records).total
    assert (total.answers, total.failed, total.repaired) == (3, 1, 1)


def test_what_the_user_interrupted_leaves_a_trace_and_is_no_failure(tmp_path: Path) -> None:
    """Ctrl-C during a slow program; the monitor would count impatience as the model's fault."""
    shop = demo.create(tmp_path / "shop")
    slow = "<jupyter_code>print('begun')\nprint(run_command('sleep 60').exit_code)"

    async def interrupted() -> None:
        async with Punie(shop, model=ScriptedEngine([STATUS, slow]), yes=True) as p:
            await p.ask("how many?")
            asking = asyncio.create_task(p.ask("wait"))
            begun = asyncio.Event()
            p._opened().printed = lambda text: begun.set()
            await asyncio.wait_for(begun.wait(), 60)
            asking.cancel()
            await asyncio.wait([asking])
            assert asking.cancelled()

    asyncio.run(interrupted())
    newest, first = Store().records()
    assert (newest["query"], newest["outcome"], first["outcome"]) == ("wait", "cancelled", "ok")
    assert "sleep 60" in newest["steps"][0]["code"]
    total = monitor(Store().records()).total
    assert (total.answers, total.failed, total.cancelled) == (1, 0, 1)
    assert "cancelled     1" in punie("monitor").output
    assert "  --  " in punie("traces", "list").output
    assert punie("traces", "list", "--failed").output == ""


def test_use_is_compared_with_training(tmp_path: Path) -> None:
    store(answer("file_count"))
    meta = {"train": {"tools": {"git_status": 1, "git_log": 3}}}
    (tmp_path / "meta.json").write_text(json.dumps(meta))
    ran = punie("monitor", "--json", "--training", str(tmp_path))
    shares = {t["tool"]: (t["share"], t["training_share"]) for t in json.loads(ran.output)["tools"]}
    assert shares == {"git_status": (1.0, 0.25), "git_log": (0.0, 0.75)}


def age(kept: Store, number: int, days: float) -> None:
    moment = (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="milliseconds")
    with sqlite3.connect(kept.path) as database:
        database.execute("UPDATE trajectories SET asked = ? WHERE id = ?", (moment, number))
    database.close()


def test_trends_go_by_day_and_model() -> None:
    kept = store(answer("file_count"), answer("", name="large"), answer("file_count"))
    age(kept, 1, 2)
    report = monitor(kept.records())
    today, before = max(report.days), min(report.days)
    assert {d: sorted(m) for d, m in report.days.items()} == {
        before: ["small"],
        today: ["large", "small"],
    }
    assert (report.first, report.last) == (before, today)
    assert (report.models["small"].answers, report.models["large"].field_rate) == (2, 0.0)
    assert json.loads(punie("monitor", "--json", "--days", "1").output)["total"]["answers"] == 2
    only = json.loads(punie("monitor", "--json", "--model", "large").output)
    assert list(only["models"]) == ["large"]


class Tags(HTMLParser):
    """Collects what a page loads, and whether its tags are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.scripts = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [v or "" for k, v in attrs if k in ("src", "href", "action", "data")]
        self.scripts += tag == "script"
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_stands_alone_in_light_and_dark(tmp_path: Path) -> None:
    kept = store(answer("file_count"), answer("", name="<b>large</b>"), answer("file_count"))
    age(kept, 1, 2)
    ran = punie("monitor", "--html", str(tmp_path / "use.html"))
    text = (tmp_path / "use.html").read_text("utf-8")
    tags = Tags(text)
    assert ran.exit_code == 1
    assert (tags.open, tags.links, tags.scripts) == ([], [], 0)
    assert not re.search(r"https?://|@import|url\(", text)
    assert "prefers-color-scheme: dark" in text
    assert "&lt;b&gt;large&lt;/b&gt;" in text
    assert "<b>large" not in text
    assert "field access 67% (2 of 3 calls) is below 70%" in text
    assert text.count("<svg") == 4
    assert "NaN" not in page(monitor([]))


# --- what is stored, shown, deleted


def test_a_secret_is_nowhere_on_disk(tmp_path: Path, data: Path) -> None:
    root = demo.create(tmp_path / "shop")
    (root / "settings.py").write_text(f"TOKEN = '{SECRET}'\nPASSWORD = 'sword-fish'\n")
    program = f"<jupyter_code>print(read_file('settings.py'))  # {SECRET}"

    async def go() -> Answer:
        async with Punie(root, model=ScriptedEngine([program])) as p:
            return await p.ask(f"is {SECRET} in settings.py?")

    told = asyncio.run(go())
    assert SECRET in told.answer
    files = [path.read_bytes() for path in data.rglob("*") if path.is_file()]
    assert files
    assert not any(SECRET.encode() in data or b"sword-fish" in data for data in files)
    shown = punie("traces", "show", "1").output
    assert "[redacted: GitHub token]" in shown


def test_traces_are_listed_and_shown() -> None:
    store(answer("file_count"), answer("file_count", query="what \x1b[31mstopped?", ok=False))
    first, second = punie("traces", "list").output.splitlines()
    assert re.fullmatch(r"    2  [\d-]{10} [\d:]{5}  !!  tool    what \\x1b\[31mstopped\?", first)
    assert second.endswith("ok  tool    how many?")
    assert len(punie("traces", "list", "--failed").output.splitlines()) == 1
    assert punie("traces", "list", "--count", "1").output == first + "\n"
    assert punie("traces", "list", "-w", "/nowhere").output == ""
    assert json.loads(punie("traces", "list", "-n1", "--json").output)["id"] == 2
    shown = punie("traces", "show", "2").output
    assert "> what \\x1b[31mstopped?" in shown
    assert "git_status(path='.')  1 ms  ok" in shown
    assert "read GitStatusResult.file_count" in shown
    assert shown.endswith("error: it stopped\n")
    assert "no trace 9" in str(punie("traces", "show", "9").exception)


def test_pruned_traces_are_gone_from_the_file(data: Path) -> None:
    kept = store(answer("file_count", query="an old word: xylophone"), answer("file_count"))
    age(kept, 1, 10)
    assert "say what to delete" in str(punie("traces", "prune").exception)
    assert (
        punie("traces", "prune", "--days", "20").output
        == "deleted 0 answers, 0 conversations and 0 sessions\n"
    )
    assert (
        punie("traces", "prune", "--days", "9").output
        == "deleted 1 answers, 0 conversations and 0 sessions\n"
    )
    assert not any(b"xylophone" in path.read_bytes() for path in data.iterdir())
    assert [record["id"] for record in kept.records()] == [2]
    assert (
        punie("traces", "prune", "--all").output
        == "deleted 1 answers, 0 conversations and 0 sessions\n"
    )
    assert kept.last() == []


# --- training candidates


def test_good_trajectories_become_rows_of_the_generator(tmp_path: Path) -> None:
    later = answer("file_count", query="and now?")
    later.messages[1:1] = [
        {"role": "user", "content": "how many?"},
        {"role": "assistant", "content": "", "code": "print(1)"},
        {"role": "tool", "content": "1"},
    ]
    repaired = answer("file_count", query="once more?")
    repaired.steps.insert(0, Step("x", "x", "", "it stopped"))
    repaired.messages[2:2] = [
        {"role": "assistant", "content": "", "code": "x"},
        {"role": "tool", "content": "it stopped"},
    ]
    store(answer("file_count"), answer("file_count"), later, repaired)
    ran = punie("traces", "export", "--unchecked", "--output", str(tmp_path / "rows.jsonl"))
    assert "3 of 4 exported (left out: 1 the same question and program)" in ran.output
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [row["kind"] for row in rows] == ["follow-up", "repair", "tool"] or [
        row["kind"] for row in rows
    ] == ["tool", "follow-up", "repair"]
    by_kind = {row["kind"]: row for row in rows}
    plain = by_kind["tool"]
    assert [m["role"] for m in plain["messages"]] == ["system", "user", "assistant"]
    assert (plain["tools"], plain["fields"]) == (["git_status"], ["GitStatusResult.file_count"])
    assert plain["workspace"] == "shop"
    assert plain["provenance"]["source"] == "use"
    assert plain["provenance"]["model"] == "small"
    assert [m.get("wrong") for m in by_kind["repair"]["messages"]] == [None, None, True, None, None]
    assert len(by_kind["follow-up"]["messages"]) == 6
    generated = {"id", "kind", "intent", "group", "phrasing", "workspace", "split", "messages"}
    assert generated | {"tools", "fields", "empty"} < plain.keys()


def test_a_candidate_runs_again_and_is_checked_by_a_second_way(tmp_path: Path) -> None:
    length = "<jupyter_code>print(read_file('shop/report.py').line_count)"
    asked = {"how much is going on here right now?": STATUS, "how long is the report?": length}

    async def use(root: Path, before: str = "") -> None:
        async with Punie(root, model=ScriptedEngine(list(asked.values()))) as p:
            for question in asked:
                assert (await p.ask(before + question)).ok

    root, gone = demo.create(tmp_path / "shop"), demo.create(tmp_path / "gone")
    asyncio.run(use(root))
    asyncio.run(use(gone, "Tell me: "))
    gone.rename(tmp_path / "elsewhere")
    (root / "shop" / "report.py").unlink()
    ran = punie("traces", "export", "--output", str(tmp_path / "rows.jsonl"))
    assert "1 of 4 exported" in ran.output
    assert "its repository is gone" in ran.output
    assert "1 run again: read_file" in ran.output
    (row,) = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    now = subprocess.run(["git", "status", "--short"], cwd=root, capture_output=True, check=True)
    assert int(row["result"]) == len(now.stdout.splitlines())
    assert [call["second_way"] for call in row["calls"]] == [True]


def test_what_is_no_good_example_is_left_out() -> None:
    wrote = answer("file_count")
    wrote.steps[0].calls[0].tool = "write_file"
    quiet = answer("file_count")
    quiet.steps[0].stdout = ""
    failed = answer("file_count")
    failed.steps[0].calls[0].ok = False
    bad = [
        answer("file_count", ok=False),
        answer(),
        answer(""),
        wrote,
        quiet,
        failed,
        answer("file_count", query=f"is {SECRET} there?"),
    ]
    assert list(candidates(store(*bad).records())) == []
    assert len(list(candidates(store(answer("file_count")).records()))) == 1
