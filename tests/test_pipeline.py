"""The pipeline: whole, killed in every stage, and with every file damaged in turn."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tiny_pipeline import Bench, bench, verdicts

pytest.importorskip("torch", reason="needs the extra `train`")
pytestmark = [pytest.mark.train, pytest.mark.slow]

STAGES = (
    "generate", "audit", "train", "fuse", "quantize", "validate", "benchmark", "release",
)  # fmt: skip
EQUAL = (
    "data/train.jsonl",
    "data/validation.jsonl",
    "audit/audit.md",
    "adapter/adapter.gguf",
    "adapter/adapter-f32.gguf",
    "quantized/model.gguf",
)
"""Outputs that a broken run must have byte for byte as an unbroken one."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A bench on which the pipeline has run once, into `whole`."""
    found = bench(tmp_path_factory.mktemp("pipeline"))
    status, text = found.run("whole")
    assert status == 0, text
    return found


@pytest.fixture
def copied(made: Bench, tmp_path: Path) -> Bench:
    """A bench of its own with that run's folder."""
    shutil.copytree(made.folder, tmp_path / "bench", copy_function=shutil.copy2)
    own = Bench(tmp_path / "bench", tmp_path / "bench" / "smoke.toml")
    own.change(str(made.folder), str(own.folder))
    return own


def log(root: Path) -> str:
    return (root / "pipeline.log").read_text("utf-8")


def test_a_recipe_becomes_a_release(made: Bench) -> None:
    root = made.folder / "whole"
    for stage in STAGES:
        mark = json.loads((root / "stages" / f"{stage}.json").read_text())
        assert mark["outputs"], stage
        left = {"model/model.gguf"} if stage == "fuse" else set()  # taken away once quantized
        assert {name for name in mark["outputs"] if not (root / name).is_file()} == left
    release = json.loads((root / "release" / "release.json").read_text())
    home = made.folder / "data" / "models" / release["name"]
    for name in release["files"]:
        assert (home / name).read_bytes() == (root / "release" / name).read_bytes()
    card = (home / "MODEL_CARD.md").read_text()
    report = json.loads((root / "validation" / "smoke.json").read_text())
    assert f"| all | {report['passed']} / {report['total']} |" in card
    assert [one["temperature"] for one in report["samples"]] == [0.0, 0.7]
    assert list(report["baselines"]) == ["keywords", "nearest"]
    assert "not held to the gate of the specification" in card
    assert release["tokenizer"]["tokens"] == 1024
    assert not (made.folder / "data" / "models" / "active.json").exists()
    page = (root / "report.html").read_text()
    assert f"Released as {release['name']}" in page


def test_what_is_done_is_skipped(copied: Bench) -> None:
    root = copied.folder / "whole"
    before = {p: p.stat().st_mtime_ns for p in root.rglob("*") if p.is_file()}
    status, text = copied.run("whole")
    assert status == 0, text
    for stage in STAGES:
        assert f"{stage}: done before" in text
    changed = {p.name for p, moment in before.items() if p.stat().st_mtime_ns != moment}
    assert changed <= {"pipeline.log", "report.html", ".lock"}


def begun(stage: str) -> Callable[[Path], bool]:
    """The last line of the log says that the stage has started."""

    def reached(root: Path) -> bool:
        try:
            return f"{stage}: started" in log(root).rpartition("pipeline smoke:")[2]
        except OSError:
            return False

    return reached


def grown(name: str, least: int) -> Callable[[Path], bool]:
    """A file has so many lines."""

    def reached(root: Path) -> bool:
        try:
            return len((root / name).read_bytes().splitlines()) >= least
        except OSError:
            return False

    return reached


def there(pattern: str) -> Callable[[Path], bool]:
    """Something matches the pattern."""
    return lambda root: any(root.glob(pattern))


def released(root: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads((root / "release" / "release.json").read_text())
    return found


def losses(root: Path) -> list[float]:
    lines = (root / "adapter" / "log.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


def test_killed_in_every_stage_it_ends_as_an_unbroken_run(made: Bench) -> None:
    moments = [
        ("generate", begun("generate")),
        ("generate, later", there("data/parts")),
        ("audit", begun("audit")),
        ("train", grown("adapter/log.jsonl", 2)),
        ("train, later", grown("adapter/log.jsonl", 4)),
        ("fuse", begun("fuse")),
        ("quantize", begun("quantize")),
        ("validate", begun("validate")),
        ("benchmark", begun("benchmark")),
        ("release", begun("release")),
    ]
    missed = [name for name, reached in moments if not made.kill_when("broken", reached)]
    assert len(missed) <= 2, missed  # a stage that is over within milliseconds may be missed
    status, text = made.run("broken")
    assert status == 0, text
    broken, whole = made.folder / "broken", made.folder / "whole"
    for name in EQUAL:
        assert (broken / name).read_bytes() == (whole / name).read_bytes(), name
    assert verdicts(broken) == verdicts(whole)
    assert released(broken)["model_sha256"] == released(whole)["model_sha256"]
    assert losses(broken) == losses(whole)
    assert not list(broken.rglob("*.part"))


@pytest.mark.parametrize(
    ("name", "stage"),
    [("data/train.jsonl", "generate"), ("adapter/adapter.gguf", "train"),
     ("quantized/model.gguf", "quantize")],
)  # fmt: skip
def test_a_damaged_output_is_named_and_nothing_is_built_on_it(
    copied: Bench, name: str, stage: str
) -> None:
    root = copied.folder / "whole"
    released = {p: p.read_bytes() for p in (copied.folder / "data" / "models").rglob("*.gguf")}
    damaged = root / name
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 0xFF
    damaged.write_bytes(bytes(content))
    status, text = copied.run("whole")
    assert status == 1, text
    assert f"{damaged}: SHA-256" in text
    assert f"--again {stage}" in text
    assert "Traceback" not in text
    assert released
    assert all(path.read_bytes() == content for path, content in released.items())
    status, text = copied.run("whole", "--again", stage)
    assert status == 0, text
    assert (root / f"{damaged.parent.name}.old").is_dir()


def test_a_damaged_checkpoint_is_named(copied: Bench) -> None:
    copied.change("learning_rate = .*", "learning_rate = 2e-3")
    assert copied.kill_when("other", grown("adapter/log.jsonl", 2))
    checkpoint = copied.folder / "other" / "adapter" / "checkpoint.pt"
    for content in (checkpoint.read_bytes()[:2000], b"", b"no checkpoint"):
        checkpoint.write_bytes(content)
        status, text = copied.run("other", "--until", "train")
        assert status == 2, text
        assert "stage train" in text
        assert "checkpoint.pt is damaged" in text
        assert "Traceback" not in text
    checkpoint.unlink()
    status, text = copied.run("other", "--until", "train")
    assert status == 0, text


def test_other_options_are_no_reason_to_lose_an_adapter(copied: Bench) -> None:
    copied.change("learning_rate = .*", "learning_rate = 2e-3")
    adapter = copied.folder / "whole" / "adapter" / "adapter.gguf"
    before = adapter.read_bytes()
    status, text = copied.run("whole")
    assert status == 2, text
    assert "options.learning_rate: there 0.001, now 0.002" in text
    assert adapter.read_bytes() == before


def test_an_audit_that_fails_stops_it(copied: Bench) -> None:
    copied.change(r"combinations = 0", "combinations = 500")
    status, text = copied.run("whole")
    assert status == 1, text
    assert "the data is not fit to train on" in text
    assert "train: " not in text.rpartition("audit: started")[2]
    assert "audit.md" in text


def test_a_gate_that_fails_releases_nothing(copied: Bench) -> None:
    copied.change("overall = 0.0", "overall = 1.0")
    copied.change("targets = {}", "targets = { git = 1.0 }")
    shutil.rmtree(copied.folder / "data" / "models")
    status, text = copied.run("whole")
    assert status == 1, text
    assert "not released, the gate is not passed" in text
    assert "overall: " in text
    assert "git: 0 of 1, target 100%" in text
    assert not (copied.folder / "data" / "models").exists()
    assert "the gate is not passed" in (copied.folder / "whole" / "report.html").read_text()


def test_the_release_is_a_command_of_its_own(copied: Bench) -> None:
    root, home = copied.folder / "whole", copied.folder / "data" / "models"
    name = json.loads((root / "release" / "release.json").read_text())["name"]
    shutil.rmtree(home)
    shutil.rmtree(root / "release")
    status, text = copied.release("whole")
    assert (status, text.splitlines()[-1]) == (0, name), text
    assert {"MODEL_CARD.md", "DEPLOYMENT.md", "model.gguf"} <= {
        path.name for path in (home / name).iterdir()
    }
    assert "train: " not in text
    status, text = copied.release("whole", "--use")
    assert (status, "a weaker gate than the specification's" in text) == (1, True), text
    assert not (home / "active.json").exists()
    # A gate that is not passed, a stage that is not done, no folder: nothing is released.
    before = {path.name: path.stat().st_mtime_ns for path in home.iterdir()}
    copied.change("overall = 0.0", "overall = 1.0")
    status, text = copied.release("whole")
    assert (status, "not released, the gate is not passed" in text) == (1, True), text
    (root / "stages" / "validate.json").unlink()
    status, text = copied.release("whole")
    assert (status, "stage validate is not done in" in text) == (1, True), text
    status, text = copied.release("nowhere")
    assert (status, "there is no folder" in text) == (2, True), text
    assert not (copied.folder / "nowhere").exists()
    assert {path.name: path.stat().st_mtime_ns for path in home.iterdir()} == before


def test_all_mistakes_of_a_recipe_are_named_before_any_work(copied: Bench) -> None:
    copied.change(r"learning_rate = .*", "learning_rate = -1\nrang = 3")
    copied.change(r"rounds = 1", "rounds = 0")
    copied.change(r'suite = "smoke"', 'suite = "forty"')
    status, text = copied.run("new")
    assert status == 2, text
    for part in ("[train] learning_rate", "[train] rang", "[benchmark] rounds", "'forty'"):
        assert part in text
    copied.recipe.write_text("[train\n")
    status, text = copied.run("new")
    assert (status, "cannot be read" in text) == (2, True)
    assert not (copied.folder / "new" / "pipeline.log").exists()


def test_two_pipelines_do_not_meet(copied: Bench) -> None:
    import fcntl

    with (copied.folder / "whole" / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        status, text = copied.run("whole")
    assert status == 2
    assert "another pipeline works on" in text
