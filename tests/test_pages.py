"""The monitor's page, looked at in a browser."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from browser import Open, browser
from punie.agent import Answer, Step
from punie.cli import app
from punie.monitor import monitor
from punie.monitor_page import page
from punie.trace import Store
from punie.wrap import Call

__all__ = ["browser"]
HOSTILE = '<img src="http://evil.example/x.png" onerror="document.title=1"> & "a" model'
NAMES = ("small", "large", HOSTILE)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page of twelve days with three models, one of a hostile name, and an alarm."""
    monkeypatch.setenv("PUNIE_DATA", str(tmp_path / "data"))
    days = [day for day in range(12) for _ in NAMES]
    for day, number in zip(days, [0, 1, 2] * 12, strict=True):
        read = ["GitStatusResult.file_count"] if (day + number) % 3 else []
        call = Call("git_status", {"path": "."}, True, None, 1.0, read)
        found = Answer("how many?", "4", "tool", True, None)
        found.model = {"name": NAMES[number], "engine": "scripted", "sha256": "ab", "tools": "12"}
        found.steps = [Step("print(4)", "print(4)", "4\n", None, 1, 1, [call])]
        found.ms["generate"] = 900.0 * (number + 1) + 100 * day
        Store().add(found, tmp_path / "shop")
    records = sorted(Store().records(), key=lambda record: record["id"])
    for record, day in zip(records, days, strict=True):
        asked = datetime.fromisoformat(record["asked"]) - timedelta(days=day)
        record["asked"] = asked.isoformat()
    report = monitor(records)
    assert report.alarms  # of a third of the calls no field was read
    target = tmp_path / "use.html"
    target.write_text(page(report), "utf-8")
    return target


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280], ids=["narrow", "wide"])
def test_the_page_can_be_read(browser: Open, file: Path, width: int, dark: bool) -> None:
    shown = browser(file, width=width, dark=dark)
    for words in ("Punie in use", "Trends", "Answers a day", "Field access", *NAMES[:2]):
        assert words in shown.text
    assert shown.outside == []
    assert shown.complaints == []
    ink, paper = (shown.style("body", name) for name in ("color", "background-color"))
    assert contrast(ink, paper) > 7
    assert contrast(shown.style(".alarm", "color"), paper) > 4.5
    assert contrast(shown.style(".soft", "color"), paper) > 4.5


def test_charts_are_drawn(browser: Open, file: Path) -> None:
    shown = browser(file)
    assert shown.page.locator("svg").count() == 4
    for number in range(4):
        chart = shown.page.locator("svg").nth(number)
        box = chart.bounding_box()
        assert box["width"] > 300
        assert box["height"] > 80
        assert chart.locator("polyline").count() == len(NAMES)
        assert chart.locator("circle").count() == 12 * len(NAMES)
        for dot in chart.locator("circle").all()[::7]:
            inner = dot.bounding_box()
            assert box["x"] <= inner["x"] <= box["x"] + box["width"]
            assert box["y"] <= inner["y"] <= box["y"] + box["height"]


def test_nothing_of_a_name_is_obeyed_and_nobody_is_asked(browser: Open, file: Path) -> None:
    shown = browser(file)
    assert HOSTILE in shown.text
    assert shown.page.locator("img").count() == 0
    assert shown.page.title() == "Punie in use"
    assert shown.asked == []


def test_a_page_of_nothing_can_be_read(
    browser: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUNIE_DATA", str(tmp_path / "data"))
    target = tmp_path / "empty.html"
    assert CliRunner().invoke(app, ["monitor", "--html", str(target)]).exit_code == 0
    shown = browser(target)
    assert "nothing stored" in shown.text
    assert shown.complaints == []


def test_a_script_would_be_seen(browser: Open, tmp_path: Path) -> None:
    """The judge can fail: a page that asks, complains and stands out of the window."""
    target = tmp_path / "bad.html"
    wide = "<p style='width: 3000px'>wide</p>"
    script = "<script>console.error('no')</script>"
    target.write_text(f"<title>x</title>{wide}{script}<img src='file:///none.png'>", "utf-8")
    shown = browser(target)
    assert shown.outside
    assert "no" in shown.complaints
    assert shown.asked == ["file:///none.png"]


def contrast(one: str, other: str) -> float:
    """Contrast of two colours as WCAG 2 defines it."""

    def luminance(colour: str) -> float:
        parts = [float(part) / 255 for part in colour.partition("(")[2].rstrip(")").split(",")[:3]]
        red, green, blue = (
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
