"""What is kept of the runs of foreign clients: whole, neutral, and as the pages say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pages import ROOT

PLACE = ROOT / "benchmarks" / "clients"
TRANSCRIPTS = sorted((PLACE / "transcripts").glob("*.txt"))
PAGES = {
    "acp.md": {
        "batrachian-toad": "toad",
        "acpx": "acpx",
        "@agentclientprotocol/sdk": "sdk",
    },
    "mcp.md": {"@modelcontextprotocol/inspector-cli": "inspector"},
}


def counted(transcript: Path) -> tuple[int, int]:
    """What passed and what failed, by the transcript's last line."""
    found = re.search(r"\n(\d+) passed, (\d+) failed\n$", transcript.read_text("utf-8"))
    assert found, transcript
    return int(found[1]), int(found[2])


def version(transcript: Path) -> str:
    return transcript.read_text("utf-8").partition("\n")[0].rpartition(" ")[2]


def test_every_driver_has_a_transcript() -> None:
    drivers = {path.stem.removeprefix("drive_") for path in PLACE.glob("drive_*.py")}
    assert {path.stem for path in TRANSCRIPTS} == drivers
    kept = [path for path in PLACE.rglob("*.*") if path.suffix != ".pyc"]
    assert sum(path.stat().st_size for path in kept if path.is_file()) < 150_000


@pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda path: path.stem)
def test_a_transcript_is_of_a_whole_run_and_names_no_machine(transcript: Path) -> None:
    text = transcript.read_text("utf-8")
    passed, failed = counted(transcript)
    assert (passed, failed) == (len(re.findall("(?m)^passed: ", text)), 0)
    assert not re.search(r"(?<![\w/])/(?:tmp|home|root|work|Users|usr)/", text)


@pytest.mark.parametrize(("page", "name"), [(p, n) for p, names in PAGES.items() for n in names])
def test_the_pages_tell_what_the_transcripts_hold(page: str, name: str) -> None:
    transcript = PLACE / "transcripts" / f"{PAGES[page][name]}.txt"
    passed, _ = counted(transcript)
    for text in (
        (ROOT / "docs" / page).read_text("utf-8"),
        (PLACE / "README.md").read_text("utf-8"),
    ):
        (line,) = [
            x for x in re.split(r"\n(?=[|`\n])", text) if f"`{name}`" in x and f"{passed} of" in x
        ]
        assert version(transcript) in line
        assert f"{passed} of {passed}" in line


def test_what_fails_in_the_conformance_suite_is_what_its_file_names() -> None:
    text = (PLACE / "transcripts" / "conformance.txt").read_text("utf-8")
    failed = set(re.findall(r"(?m)^failure +(\S+) /", text))
    named = set(re.findall(r"(?m)^  - (\S+)$", (PLACE / "conformance.yml").read_text("utf-8")))
    assert failed == named
    passed = len(re.findall(r"(?m)^success ", text))
    total = f"{passed} passed, {len(failed)} failed"
    assert f"Total: {total}" in text
    told = f"{passed} checks pass, {len(failed)} fail"
    assert told in (ROOT / "docs" / "mcp.md").read_text("utf-8")
    assert told in (PLACE / "README.md").read_text("utf-8")
