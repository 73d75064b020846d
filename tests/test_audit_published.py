"""Pages of an audit for the repository: all pictures are there, and no path of the machine."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from click.testing import CliRunner

from audited import clean, found
from punie.cli import app
from punie.errors import UsageError
from punie.factory.audit import drawn, published
from punie.factory.audit.pictures import bins

REPORTS = Path(__file__).parent.parent / "recipes" / "reports"


def test_the_command_writes_pages_that_name_their_rows(tmp_path: Path) -> None:
    subject = found(tmp_path / "data", *clean())
    (tmp_path / "data" / "report.md").write_text(f"made in {tmp_path}/x.jsonl in 3 s\n")
    (tmp_path / "mine.toml").write_text("[audit]\ncombinations = 0\n")
    given = ["audit", str(tmp_path / "data"), "--recipe", str(tmp_path / "mine.toml")]
    done = CliRunner().invoke(app, [*given, "--publish", str(tmp_path / "reports")])
    assert done.exit_code == 1, "these rows are of four tools only"
    folder = tmp_path / "reports" / "mine"
    page = (folder / "audit.md").read_text()
    assert page.startswith("# Audit: fails")
    assert subject.data.sha256 in page
    named = set(re.findall(r"\]\((\S+)\)", page))
    assert named == {path.name for path in folder.iterdir()} - {"audit.md"}
    assert (folder / "generated.md").read_text() == f"made in {published.GONE} in 3 s\n"
    for picture in folder.glob("*.svg"):
        ElementTree.fromstring(picture.read_text())
    assert ">read_file<" in (folder / "tools.svg").read_text()
    (folder / "gone.svg").write_text("of an earlier audit")
    CliRunner().invoke(app, [*given, "--publish", str(tmp_path / "reports")])
    assert not (folder / "gone.svg").exists()


def test_pages_that_cannot_be_written_are_told(tmp_path: Path) -> None:
    subject = found(tmp_path / "data", *clean())
    (tmp_path / "taken").write_text("")
    with pytest.raises(UsageError, match="the pages cannot be written"):
        published.write("# Audit", subject, "mine", tmp_path / "data", tmp_path / "taken")


def test_bars_are_as_long_as_their_counts_and_the_rest_is_one() -> None:
    picture = ElementTree.fromstring(drawn.bars("<Tools>", {"a & b": 30, "c": 15}, 60))
    space = "{http://www.w3.org/2000/svg}"
    wide = [float(r.get("width", "0")) for r in picture.iter(f"{space}rect") if r.get("fill")]
    assert wide[0] == pytest.approx(2 * wide[1])
    told = [text.text for text in picture.iter(f"{space}text")]
    assert told == ["<Tools>", "a & b", "30 (50.0%)", "c", "15 (25.0%)"]
    many = drawn.bars("Many", {f"n{n}": 1 for n in range(drawn.MOST + 5)}, 100)
    assert ">5 more<" in many


def test_bins_leave_no_value_out() -> None:
    assert bins([1.0, 2.0, 9.0], 4) == {"0 to 4": 2, "4 to 8": 0, "8 to 12": 1}
    assert bins([0.5, 1.0], 0.5, 1, top=1.0) == {"0.5 to 1.0": 1, "1.0": 1}
    assert bins([], 4) == {}


def test_published_pages_are_small_and_hold_no_path_of_a_machine() -> None:
    files = [path for path in REPORTS.rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} >= {"phase27"}
    assert sum(path.stat().st_size for path in files) < 200_000
    for path in files:
        assert published.PLACE.search(path.read_text("utf-8")) is None, path
    for page in REPORTS.glob("*/audit.md"):
        text = page.read_text("utf-8")
        assert text.startswith("# Audit: passes"), page
        assert re.search(r"SHA-256 `[0-9a-f]{64}`", text)
        for name in re.findall(r"\]\((\S+)\)", text):
            assert (page.parent / name).is_file()


def test_the_reference_composition_is_published_as_it_was_made() -> None:
    page = (REPORTS / "phase27" / "audit.md").read_text("utf-8")
    assert "1104 examples (993 train, 111 validation)" in page
