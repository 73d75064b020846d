"""Candidates from use as files and folders: the same answer again, whole or not there, audited."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from punie import Punie, demo
from punie.cli import app
from punie.engine.scripted import ScriptedEngine
from punie.errors import UsageError
from punie.factory import exported
from punie.trace import Store

CODE = "print([file.path for file in list_files('*.py', 'shop').files if 'g' in file.path])"
QUESTION = "tell me which modules of the shop have a g somewhere in their name?"


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PUNIE_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = demo.create(tmp_path / "shop")
    ask(root, QUESTION, CODE)
    return root


def ask(root: Path, question: str, code: str) -> None:
    async def use() -> None:
        async with Punie(root, model=ScriptedEngine([f"<jupyter_code>{code}"]), yes=True) as p:
            assert (await p.ask(question)).ok

    asyncio.run(use())


def punie(*args: str) -> Result:
    return CliRunner().invoke(app, list(args), standalone_mode=True)


def test_a_row_tells_what_the_user_saw(root: Path, tmp_path: Path) -> None:
    (seen,) = Store().last()
    ran = punie("traces", "export", "--output", str(tmp_path / "rows.jsonl"))
    assert "1 of 1 exported" in ran.output
    row = json.loads((tmp_path / "rows.jsonl").read_text())
    assert row["result"].strip() == seen["answer"]


def test_an_answer_that_is_another_one_now_is_left_out(root: Path) -> None:
    (root / "shop" / "gone.py").write_text("")
    ran = punie("traces", "export")
    assert "0 of 1 exported (left out: 1 answer changed)" in ran.output
    assert "1 of 1 exported" in punie("traces", "export", "--unchecked").output


def test_times_may_differ_and_nothing_else(tmp_path: Path) -> None:
    root = demo.create(tmp_path / "shop")
    code = "r = pytest_run()\nprint(r.passed, 'passed in', r.duration, 's')"
    ask(root, "how long does it take this shop to be tested all through?", code)
    ran = punie("traces", "export")
    assert "1 of 1 exported" in ran.output, ran.output
    tests = root / "tests" / "test_orders.py"
    tests.write_text(tests.read_text() + "\n\ndef test_more() -> None:\n    assert True\n")
    assert "1 answer changed" in punie("traces", "export").output


def test_an_exported_folder_is_audited_alone(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "use"
    ran = punie("traces", "export", "--folder", str(folder))
    assert ran.exit_code == 0
    assert json.loads((folder / "meta.json").read_text())["train"]["examples"] == 1
    audited = punie("audit", str(folder))
    assert audited.exit_code == 0, audited.output
    assert (folder / "audit.md").is_file()
    row = json.loads((folder / "train.jsonl").read_text())
    row["messages"][-1]["code"] = "print(git_frob())"
    (folder / "train.jsonl").write_text(json.dumps(row))
    audited = punie("audit", str(folder))
    assert audited.exit_code == 1
    assert "breach" in audited.output


def test_what_cannot_be_written_is_said_before_anything_runs(root: Path, tmp_path: Path) -> None:
    for option, place in (
        ("--output", tmp_path / "nowhere" / "rows.jsonl"),
        ("--output", tmp_path),
        ("--folder", tmp_path / "nowhere" / "use"),
        ("--folder", tmp_path),
    ):
        ran = punie("traces", "export", option, str(place))
        assert isinstance(ran.exception, UsageError), (option, place)
        assert "exported" not in ran.output
    both = punie("traces", "export", "--folder", str(tmp_path / "x"), "--all")
    assert isinstance(both.exception, UsageError)


def test_an_export_that_fails_leaves_nothing_half_written(tmp_path: Path) -> None:
    kept = tmp_path / "rows.jsonl"
    kept.write_text("kept\n")
    broken = [{"tools": [], "text": "\ud800"}]  # no UTF-8, as a full disk in the middle of a file
    with pytest.raises(UnicodeEncodeError):
        exported.write_file(kept, broken)
    with pytest.raises(UnicodeEncodeError):
        exported.write_folder(tmp_path / "use", broken, {})
    assert kept.read_text() == "kept\n"
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]
