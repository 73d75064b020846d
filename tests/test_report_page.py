"""The page of a pipeline, read as text and looked at in a real headless browser."""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
import zlib
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from punie.cli import app
from punie.factory.suite import wilson

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
browser = pytest.mark.skipif(not CHROMIUM, reason="no chromium here: apt-get install chromium")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--enable-logging=stderr", "--window-size=1000,1800",
]  # fmt: skip


def case(number: int, category: str, passed: bool) -> dict[str, Any]:
    return {
        "id": f"{category}-{number}",
        "category": category,
        "passed": passed,
        "faults": [] if passed else ["fact: '<b>7</b>' is missing"],
        "query": f"how many <files> are in place {number}?",
        "answer": f"{number} zebras & friends",
        "steps": [{"code": f"print({number} < 9)", "error": None}],
    }


def report(cases: list[dict[str, Any]], name: str) -> dict[str, Any]:
    counts: dict[str, list[int]] = {}
    for each in cases:
        counted = counts.setdefault(each["category"], [0, 0])
        counted[0] += each["passed"]
        counted[1] += 1
    passed = sum(each["passed"] for each in cases)
    return {
        "suite": "forty",
        "sha256": "ab",
        "model": {"name": name},
        "passed": passed,
        "total": len(cases),
        "interval": list(wilson(passed, len(cases))),
        "categories": counts,
        "faults": {"fact": len(cases) - passed},
        "false_calls": [0, 1],
        "false_refusals": [0, 1],
        "generate_ms": {"median": 500.0, "max": 900.0},
        "samples": [
            {"temperature": 0.7, "samples": 2, "passed": [5, 6], "total": 9, "all": 4, "any": 7}
        ],
        "baselines": {
            "keywords": {
                "passed": 3,
                "total": 9,
                "interval": [0.1, 0.6],
                "paired": {"cases": 9, "won": 4, "lost": 0, "p": 0.125},
            }
        },
        "cases": cases,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the stages of a run leave, in small."""
    root = tmp_path / "trial"
    own = [case(n, "git" if n % 2 else "direct", n < 7) for n in range(9)]
    before = [case(n, "git" if n % 2 else "direct", n > 1) for n in range(9)]
    counts = {"examples": 90, "intents": 7, "several tools": 9, "combinations": 3}
    data = counts | {"kinds": {"tool": 80, "direct": 10}, "groups": {"git": 80, "direct": 10}}
    level = {
        "level": "F16", "label": "F16", "bits": 16.0, "bytes": 3e8, "update": None,
        "divergence": 0.0, "agreement": 1.0, "tokens_per_second": 50.0, "suite": None,
        "objections": [],
    }  # fmt: skip
    files: dict[str, Any] = {
        "data/meta.json": {
            "train": data | {"tools": {"git_log": 50, "git_status": 30}},
            "validation": counts,
            "rejects": {"more than wanted": 4},
            "tools": "abc",
        },
        "validation/forty.json": report(own, "new one"),
        "validation/forty.released.json": report(before, "old one"),
        "gate.json": {
            "suite": "forty", "targets": {"git": 0.8}, "overall": 0.85, "of_specification": False,
            "objections": ["git: 3 of 4, target 80%"],
        },
        "quantized/report.json": {
            "chosen": "Q8_0", "reference": level, "levels": [level | {"level": "Q8_0"}],
        },
        "stages/train.json": {"stage": "train", "done": "2026-11-23T01:00", "seconds": 12.0},
    }  # fmt: skip
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(json.dumps(content), "utf-8")
    steps = [{"step": n, "loss": 3 / n, "lr": 1e-3, "tok_s": 300.0} for n in range(1, 40)]
    steps[19]["validation_loss"] = 0.5
    (root / "adapter").mkdir()
    (root / "adapter" / "log.jsonl").write_text("\n".join(map(json.dumps, steps)), "utf-8")
    return root


def written(folder: Path) -> str:
    ran = CliRunner().invoke(app, ["report", str(folder)])
    assert ran.exit_code == 0, ran.output
    return (folder / "report.html").read_text("utf-8")


class Page(HTMLParser):
    """Collects tags, what would be loaded, and whether tags are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.loads += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "input", "line", "rect", "circle", "polyline", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("line", "rect", "circle", "polyline"):
            assert self.open.pop() == tag


def test_the_page_shows_every_stage_and_loads_nothing(folder: Path) -> None:
    text = written(folder)
    page = Page(text)
    assert page.open == []
    assert page.loads == []
    for heading in ("Data", "Training", "Quantization", "Validation", "Transcripts"):
        assert f"<h2>{heading}</h2>" in text
    assert "git: 3 of 4, target 80%" in text
    assert "2 won, 2 lost (McNemar, p = 1)" in text
    assert "<td>5, 6</td><td>4 of 9</td><td>7 of 9</td>" in text.replace("\n", "")
    assert "<td>3 of 9</td><td>10% to 60%</td><td>4, 0</td><td>0.125</td>" in text.replace("\n", "")
    assert "<files>" not in text
    assert text.count("class=case ") == 9
    low, high = wilson(3, 4)
    assert f"3 of 4, 95 % interval {low:.0%} to {high:.0%}" in text


def test_signs_of_a_bad_training_are_alarms(folder: Path) -> None:
    path = folder / "adapter" / "meta.json"
    meta = json.loads(path.read_text("utf-8")) if path.exists() else {"training": {}}
    assert "<p class=alarm>the gap" not in written(folder)
    meta["training"]["warnings"] = ["the gap grows, <b>1</b>"]
    path.write_text(json.dumps(meta), "utf-8")
    assert "<p class=alarm>the gap grows, &lt;b&gt;1&lt;/b&gt;</p>" in written(folder)


def test_a_page_of_what_has_not_run_yet(tmp_path: Path) -> None:
    (tmp_path / "empty" / "validation").mkdir(parents=True)
    (tmp_path / "empty" / "validation" / "forty.json").write_text('{"cut": ')
    text = written(tmp_path / "empty")
    assert "<h2>Training</h2>" not in text
    assert "The gate has not been reached" in text


def chromium(page: str, profile: Path, *more: str) -> subprocess.CompletedProcess[str]:
    assert CHROMIUM
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", *more, page]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300)
    complaints = [line for line in ran.stderr.splitlines() if "CONSOLE" in line]
    assert complaints == []
    return ran


def pixels(path: Path) -> tuple[int, Counter[tuple[int, int, int]]]:
    """Width of a PNG (8 bits, RGB or RGBA, as the browser writes it) and how often each colour
    occurs in every tenth line."""
    content, place, data = path.read_bytes(), 8, b""
    width = height = channels = 0
    while place < len(content):
        size, kind = struct.unpack(">I4s", content[place : place + 8])
        body = content[place + 8 : place + 8 + size]
        if kind == b"IHDR":
            width, height, _, colour = struct.unpack(">IIBB", body[:10])
            channels = {2: 3, 6: 4}[colour]
        data += body if kind == b"IDAT" else b""
        place += size + 12
    raw, stride = zlib.decompress(data), width * channels
    before, counts = bytearray(stride), Counter[tuple[int, int, int]]()
    for number in range(height):
        start = number * (stride + 1)
        line = _unfiltered(raw[start], raw[start + 1 : start + 1 + stride], before, channels)
        if number % 10 == 0:
            counts.update(zip(line[0::channels], line[1::channels], line[2::channels], strict=True))
        before = line
    return width, counts


def _unfiltered(kind: int, line: bytes, above: bytearray, channels: int) -> bytearray:
    """One line of a PNG without its filter (PNG specification, section 9)."""
    out = bytearray(line)
    for n in range(len(out)):
        left = out[n - channels] if n >= channels else 0
        corner = above[n - channels] if n >= channels else 0
        guess = left + above[n] - corner
        near = min((left, above[n], corner), key=lambda each: abs(guess - each))
        out[n] = (out[n] + (0, left, above[n], (left + above[n]) // 2, near)[kind]) & 0xFF
    return out


@browser
@pytest.mark.slow
@pytest.mark.parametrize(
    ("scheme", "paper", "bar"),
    [("light", (0xFF, 0xFF, 0xFF), (0x2A, 0x6F, 0xDB)),
     ("dark", (0x17, 0x19, 0x1C), (0x6E, 0xA2, 0xF2))],
)  # fmt: skip
def test_a_browser_paints_it_in_light_and_dark(
    folder: Path, tmp_path: Path, scheme: str, paper: tuple[int, ...], bar: tuple[int, ...]
) -> None:
    written(folder)
    shot = tmp_path / "shot.png"
    chosen = f"--blink-settings=preferredColorScheme={int(scheme == 'light')}"
    address = (folder / "report.html").as_uri()
    chromium(address, tmp_path / "profile", chosen, f"--screenshot={shot}")
    width, counts = pixels(shot)
    total = sum(counts.values())
    assert width == 1000
    assert counts[paper] > 0.6 * total  # type: ignore[index]
    assert counts[bar] > 0.01 * total  # type: ignore[index]
    assert len(counts) > 20


@browser
@pytest.mark.slow
def test_a_browser_searches_the_transcripts(folder: Path, tmp_path: Path) -> None:
    written(folder)
    address = (folder / "report.html").as_uri()
    found = {
        words: chromium(f"{address}#q={words}", tmp_path / "profile", "--dump-dom").stdout
        for words in ("ZEBRAS", "place+3?+zebras", "nowhere")
    }
    shown = {
        words: re.search(r"<output id=\"?count\"?>([^<]*)<", text) for words, text in found.items()
    }
    assert {words: match and match[1] for words, match in shown.items()} == {
        "ZEBRAS": "9 of 9",
        "place+3?+zebras": "1 of 9",
        "nowhere": "0 of 9",
    }
    hidden = re.findall(r"<details class=\"case\"[^>]*hidden", found["place+3?+zebras"])
    assert len(hidden) == 8
