"""The audit finds nothing in clean data, and its report, norms and commands are right."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from audited import answer, checked, clean, found
from punie.cli import app
from punie.errors import UsageError
from punie.factory.audit import norms, overlap
from punie.factory.audit.nearness import Nearest, nearness, without_values
from punie.factory.audit.report import markdown
from punie.factory.audit.run import place as place_of
from punie.factory.audit.subject import CLOSED
from punie.factory.suite import load_suite


def test_clean_data_passes_without_any_breach(tmp_path: Path) -> None:
    findings = checked(found(tmp_path, *clean()))
    assert [f for f in findings if f.severity == "breach"] == []
    assert {f.name for f in findings} <= {"side field never read"}


def test_a_folder_without_its_report_is_unfinished(tmp_path: Path) -> None:
    rows, _ = clean()
    assert "unfinished" in {f.name for f in checked(found(tmp_path, rows, None))}


def test_a_program_may_be_deaf_now_and_then(tmp_path: Path) -> None:
    rows, meta = clean()
    meta["mutations"] = {"checked": {"length": 9}, "same": {"length": 8}}
    names = {f.name for f in checked(found(tmp_path, rows, meta))}
    assert not names & {"slot without effect", "deaf program"}


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
