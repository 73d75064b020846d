"""Releases: which model is in use, how it changes, travels, and what a damaged one does."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from punie.cli import app
from punie.errors import ModelUnavailable, UsageError
from punie.factory.gate import TARGETS, Gate
from punie.models import releases, sha256_of
from punie.models.adapter import Adapter
from punie.models.fuse import fuse
from tiny_llama import write_tiny


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PUNIE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PUNIE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "data" / "models"


def make(folder: Path, name: str, *, seed: int = 0, passed: bool = True) -> Path:
    """A release folder of a tiny model."""
    folder.mkdir(parents=True)
    base = write_tiny(folder.parent / f"{name}-base.gguf", seed)
    facts = {"name": name, "dialect": "compact", "tools_hash": "abc"}
    fuse(base, Adapter(4, 8.0, {}, {}), folder / "model.gguf", facts=facts)
    (folder / "MODEL_CARD.md").write_text(f"# {name}\n")
    release: dict[str, Any] = {
        "format": 1,
        "name": name,
        "form": "weights",
        "made": "2026-11-23",
        "model_sha256": sha256_of(folder / "model.gguf"),
        "tools_hash": "abc",
        "gate": {"of_specification": passed},
        "scores": {"forty": {"passed": 38, "total": 40}},
        "files": {
            path.name: {"sha256": sha256_of(path), "bytes": path.stat().st_size}
            for path in sorted(folder.iterdir())
        },
    }
    (folder / "release.json").write_text(json.dumps(release))
    return folder


def punie(*args: str) -> Result:
    return CliRunner().invoke(app, list(args), standalone_mode=True)


def failed(result: Result) -> str:
    """The text of the error that a command ended with."""
    assert result.exception is not None, result.output
    return str(result.exception)


def test_a_release_is_used_listed_and_rolled_back(tmp_path: Path) -> None:
    assert releases.active() == "shipped"
    releases.put(make(tmp_path / "made" / "one", "one"))
    releases.put(make(tmp_path / "made" / "two", "two", seed=1))
    assert releases.active() == "shipped"
    assert punie("models", "use", "one").output == "in use: one\n"
    assert punie("models", "use", "two").exit_code == 0
    listed = punie("models", "list").output
    assert "* two" in listed
    assert "forty 38/40" in listed
    assert punie("models", "show").output.startswith("# two")
    assert json.loads(punie("models", "list", "--json").output)["active"] == "two"
    assert punie("models", "rollback").output == "in use: one\n"
    assert punie("models", "rollback").output == "in use: shipped\n"
    assert "no release before" in failed(punie("models", "rollback"))


def test_ask_takes_the_release_in_use(tmp_path: Path) -> None:
    release = releases.put(make(tmp_path / "made" / "one", "one"))
    releases.use("one")
    (tmp_path / "work").mkdir()
    command = [
        sys.executable,
        "-m",
        "punie",
        "ask",
        "hello",
        "--json",
        "-w",
        str(tmp_path / "work"),
    ]
    ran = subprocess.run(command, capture_output=True, text=True)
    model = json.loads(ran.stdout)["model"]
    assert (model["name"], model["sha256"]) == ("one", release.sha256)
    named = subprocess.run([*command, "--model", "release:nobody"], capture_output=True, text=True)
    assert named.returncode == 2
    assert "there are: shipped, one" in named.stderr


def test_an_archive_goes_to_another_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    releases.put(make(tmp_path / "made" / "one", "one"))
    file = tmp_path / "one.punie.tar"
    assert punie("models", "archive", "one", "--out", str(file)).exit_code == 0
    again = releases.pack("one", tmp_path / "again.tar")
    assert again.read_bytes() == file.read_bytes()
    monkeypatch.setenv("PUNIE_DATA", str(tmp_path / "elsewhere"))
    assert punie("models", "install", str(file)).exit_code == 0
    releases.find("one").verify()
    assert releases.active() == "shipped"
    assert punie("models", "install", str(file)).exit_code == 0  # the same once more


@pytest.mark.parametrize("how", ["cut", "other byte", "no archive", "climbing"])
def test_a_damaged_archive_installs_nothing(tmp_path: Path, home: Path, how: str) -> None:
    import io
    import tarfile

    releases.put(make(tmp_path / "made" / "one", "one"))
    file = releases.pack("one", tmp_path / "one.tar")
    content = file.read_bytes()
    shutil.rmtree(home / "one")
    if how == "cut":
        file.write_bytes(content[: len(content) // 2])
    elif how == "other byte":
        middle = len(content) // 2
        file.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    elif how == "no archive":
        file.write_bytes(b"nothing of the kind")
    else:
        with tarfile.open(file, "w") as archive:
            archive.addfile(tarfile.TarInfo("../../escaped"), io.BytesIO())
    with pytest.raises((UsageError, ModelUnavailable)):
        releases.install(file)
    assert [path.name for path in home.iterdir()] == []
    assert not (tmp_path / "escaped").exists()


def test_a_damaged_release_is_not_taken_and_the_one_in_use_stays(
    tmp_path: Path, home: Path
) -> None:
    releases.put(make(tmp_path / "made" / "one", "one"))
    releases.put(make(tmp_path / "made" / "two", "two", seed=1))
    releases.use("one")
    model = home / "two" / "model.gguf"
    content = bytearray(model.read_bytes())
    content[-5] ^= 1
    model.write_bytes(bytes(content))
    with pytest.raises(ModelUnavailable, match=r"(?s)'two'.*damaged.*model\.gguf: SHA-256"):
        releases.use("two")
    with pytest.raises(ModelUnavailable, match="released as"):
        releases.find("two").files()
    assert releases.active() == "one"
    model.write_bytes(bytes(content[:100]))
    with pytest.raises(ModelUnavailable, match="100 bytes, not"):
        releases.find("two")
    assert "is damaged" in punie("models", "list").output
    releases.put(tmp_path / "made" / "two")  # brings it back
    releases.use("two")


def test_what_is_in_use_is_never_guessed(tmp_path: Path, home: Path) -> None:
    releases.put(make(tmp_path / "made" / "one", "one"))
    releases.use("one")
    (home / "active.json").write_text('{"names": [')
    with pytest.raises(ModelUnavailable, match="punie models use"):
        releases.active()
    releases.use("one")
    assert releases.active() == "one"
    shutil.rmtree(home / "one")
    with pytest.raises(UsageError, match="no release 'one'"):
        releases.find(releases.active())
    releases.use("shipped")


def test_a_weaker_gate_is_no_way_into_use(tmp_path: Path) -> None:
    releases.put(make(tmp_path / "made" / "smoke", "smoke", passed=False))
    assert "weaker gate" in failed(punie("models", "use", "smoke"))
    assert releases.active() == "shipped"
    assert punie("models", "use", "smoke", "--anyway").exit_code == 0
    assert releases.active() == "smoke"


def test_a_name_is_one_model(tmp_path: Path, home: Path) -> None:
    releases.put(make(tmp_path / "made" / "one", "one"))
    card = home / "one" / "MODEL_CARD.md"
    again = make(tmp_path / "again" / "one", "one")  # the same model, say with another card
    assert releases.put(again).folder == home / "one"
    assert card.read_text() == "# one\n"
    with pytest.raises(UsageError, match="'one' is another model"):
        releases.put(make(tmp_path / "other" / "one", "one", seed=1))
    releases.find("one").verify()


def test_names_and_files_stay_inside(tmp_path: Path, home: Path) -> None:
    folder = make(tmp_path / "made" / "one", "one")
    facts = json.loads((folder / "release.json").read_text())
    for change in ({"name": "../one"}, {"name": "shipped"}, {"files": {"../x": {"bytes": 1}}}):
        (folder / "release.json").write_text(json.dumps(facts | change))
        with pytest.raises((UsageError, ModelUnavailable)):
            releases.put(folder)
    assert not home.exists() or list(home.iterdir()) == []


def test_a_release_in_use_is_not_removed(tmp_path: Path, home: Path) -> None:
    releases.put(make(tmp_path / "made" / "one", "one"))
    releases.use("one")
    assert "in use" in failed(punie("models", "remove", "one"))
    releases.use("shipped")
    assert punie("models", "remove", "one").exit_code == 0
    assert not (home / "one").exists()
    assert releases.active() == "shipped"


def graded(**passed: int) -> dict[str, Any]:
    """A report on the forty, five of each category unless it says otherwise."""
    counts = {name: [passed.get(name, 5), 5] for name in TARGETS}
    every = sum(each for each, _ in counts.values())
    return {
        "suite": "forty",
        "sha256": "ab",
        "categories": counts,
        "passed": every,
        "total": 40,
        "model": {"name": "before"},
    }


def test_the_gate_is_that_of_the_specification() -> None:
    gate = Gate()
    assert gate.of_specification
    assert gate.objections(graded()) == []
    assert gate.objections(graded(workflow=3, git=4)) == []
    assert gate.objections(graded(direct=4)) == ["direct: 4 of 5, target 100%"]
    assert gate.objections(graded(workflow=3, git=4, new_lsp=4, field_access=4)) == []
    weak = graded(workflow=2, existing_lsp=4, git=3, new_lsp=3)
    assert [text.split(":")[0] for text in gate.objections(weak)] == [
        "existing_lsp", "new_lsp", "git", "workflow", "overall",
    ]  # fmt: skip
    assert gate.objections(graded(git=4), graded()) == [
        "regression: 39 of 40, the released model 'before' passes 40"
    ]
    assert gate.objections(graded(), graded(git=4)) == []
    other = graded() | {"sha256": "cd"}
    assert "another suite" in gate.objections(graded(), other)[0]
    lacking = graded()
    del lacking["categories"]["git"]
    assert gate.objections(lacking)[0] == "git: no case was asked, target 80%"
    assert not Gate(overall=0.8).of_specification
    assert not Gate(targets={"git": 1.0}).of_specification
