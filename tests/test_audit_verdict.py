"""The verdict of an audit holds for its rows alone, and training says where there is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from audited import clean, found
from punie.cli import app
from punie.factory.audit import verdict
from punie.factory.audit.findings import Finding

BREACH = Finding("duplicate", "breach", "1 examples say what another one says")
REMARK = Finding("short answer", "remark", "1 answers are short")


def judged(folder: Path, *findings: Finding) -> Path:
    subject = found(folder, *clean())
    return verdict.write(folder, subject.data.sha256, "release", findings)


def test_rows_that_passed_are_in_no_doubt(tmp_path: Path) -> None:
    told = json.loads(judged(tmp_path, REMARK).read_text())
    assert (told["passed"], told["breaches"], list(told["remarks"])) == (True, {}, ["short answer"])
    assert verdict.doubt(tmp_path) == ""
    assert verdict.warning(tmp_path) == ""


def test_rows_that_failed_are_in_doubt_by_the_breach(tmp_path: Path) -> None:
    judged(tmp_path, BREACH, REMARK)
    assert verdict.doubt(tmp_path) == "its audit failed: duplicate"


def test_data_without_an_audit_is_in_doubt(tmp_path: Path) -> None:
    found(tmp_path, *clean())
    assert "no audit" in verdict.doubt(tmp_path)
    for broken in ("{", "[]", '{"passed": true}'):
        (tmp_path / verdict.FILE).write_text(broken)
        assert "cannot be read" in verdict.doubt(tmp_path)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_the_verdict_is_of_these_rows_alone(tmp_path: Path, split: str) -> None:
    judged(tmp_path)
    rows = tmp_path / f"{split}.jsonl"
    rows.write_text(rows.read_text().replace("newest", "oldest").replace("Ada", "Eve"))
    assert "other rows" in verdict.doubt(tmp_path)


def test_a_row_that_changes_its_file_is_another_data(tmp_path: Path) -> None:
    judged(tmp_path)
    train, held_out = tmp_path / "train.jsonl", tmp_path / "validation.jsonl"
    first, _, rest = train.read_text().partition("\n")
    last = train.read_text().rstrip("\n").rpartition("\n")[2]
    assert first != last
    train.write_text(train.read_text().removesuffix(last + "\n"))
    held_out.write_text(last + "\n" + held_out.read_text())
    assert rest
    assert "other rows" in verdict.doubt(tmp_path)


def test_the_audit_keeps_its_verdict_and_training_warns_of_it(tmp_path: Path) -> None:
    found(tmp_path / "data", *clean())
    (tmp_path / "recipe.toml").write_text("[train]\nno_such_key = 1\n")
    train = ["train", str(tmp_path / "recipe.toml"), "--data", str(tmp_path / "data")]
    assert "WARNING" in (said := CliRunner().invoke(app, train).output)
    assert "no audit of this data was made" in said
    assert CliRunner().invoke(app, ["audit", str(tmp_path / "data")]).exit_code == 1
    told = json.loads((tmp_path / "data" / verdict.FILE).read_text())
    assert told["passed"] is False
    assert "tool set" in told["breaches"]
    assert "its audit failed" in CliRunner().invoke(app, train).output
    (tmp_path / "data" / verdict.FILE).write_text(
        json.dumps(told | {"passed": True, "breaches": {}})
    )
    assert "WARNING" not in CliRunner().invoke(app, train).output
