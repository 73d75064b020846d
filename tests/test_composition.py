"""An exact composition, made and checked on a small real repository."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from punie import demo
from punie.errors import UsageError
from punie.factory.audit import provenance
from punie.factory.audit.data import read
from punie.factory.audit.norms import of_recipe
from punie.factory.audit.subject import Subject
from punie.factory.composition import parts, run
from punie.factory.composition.parts import Composition
from punie.factory.corpus.sdist import CorpusError
from punie.factory.examples import remarks
from punie.factory.examples.keeping import GenerationError
from punie.factory.intents import plain
from punie.prompt import QWEN3_CODER, SYSTEM_TUNED, render
from punie.sandbox import Outcome
from punie.tool import load_tools

RECIPE = Path(__file__).parent.parent / "recipes" / "phase27.toml"
SMALL = Composition.model_validate(
    {
        "validation": 3,
        "preambles": 0.5,
        "parts": [
            {"source": "core", "tools": ["ruff_check"], "single": 4, "multi": 3},
            {"source": "core", "intents": ["read_file", "log_count"], "single": 3, "multi": 2},
            {"source": "git", "tools": ["git_diff"], "single": 2, "multi": 2},
            {"source": "direct", "topic": "git", "single": 4},
        ],
    }
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    demo.create(folder / "shop")
    findings = {"lint": [{"file": "shop/report.py", "code": "F401"}]}
    (folder / "shop.state.json").write_text(json.dumps({"findings": findings}))
    return folder


@pytest.fixture(scope="module")
def made(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data")
    run.run(SMALL, 42, corpus, ["shop"], out, workers=1, progress=lambda text: None)
    return out


def rows(out: Path, *splits: str) -> list[dict[str, Any]]:
    chosen = splits or ("train", "validation")
    lines = [line for s in chosen for line in (out / f"{s}.jsonl").read_text().splitlines()]
    return [json.loads(line) for line in lines]


def test_every_part_has_exactly_its_examples(made: Path) -> None:
    found = rows(made)
    assert Counter(row["source"] for row in found) == {"core": 12, "git": 4, "direct": 4}
    assert Counter(len(row["messages"]) for row in found) == {3: 13, 5: 7}
    assert len(rows(made, "validation")) == 3
    assert sum(bool(r["messages"][2]["content"]) for r in found if r["kind"] == "tool") == 8
    held_out = {plain(row["phrasing"]) for row in rows(made, "validation")}
    assert held_out.isdisjoint(plain(row["phrasing"]) for row in rows(made, "train"))
    report = json.loads((made / "meta.json").read_text())
    assert report["train"]["examples"] == 17
    assert report["train"]["conclusions"] + report["validation"]["conclusions"] == 7


def test_five_messages_are_system_question_program_output_conclusion(made: Path) -> None:
    for row in rows(made):
        roles = [message["role"] for message in row["messages"]]
        assert roles == ["system", "user", "assistant", "tool", "assistant"][: len(roles)]
        assert row["messages"][0]["content"] == SYSTEM_TUNED
        assert "code" in row["messages"][2] or row["kind"] == "direct"
        assert all(tool in row["messages"][2]["code"] for tool in row["tools"])
        preamble = row["messages"][2]["content"]
        assert row["kind"] == "direct" or not preamble or row["tools"][0] in preamble
        trained = "".join(p.text for p in render(row["messages"], QWEN3_CODER) if p.trained)
        assert trained.count("<|im_end|>") == roles.count("assistant")
        if len(roles) == 5:
            said, told = row["messages"][4]["content"], row["messages"][3]["content"]
            quoted = said.partition(": ")[2]
            assert not quoted or quoted in told or quoted == "there is none."


def test_every_row_tells_its_origin_and_its_run(made: Path) -> None:
    subject = Subject(read(made), of_recipe(RECIPE), load_tools())
    checks = (provenance.origins, provenance.toolsets, provenance.runs)
    assert [finding for check in checks for finding in check(subject)] == []
    for row in rows(made):
        assert row["kind"] == "direct" or row["calls"][0]["ok"]
        assert row["seed"] == int(row["id"].rpartition("-")[2], 16)


def test_the_same_seed_gives_the_same_rows(made: Path, corpus: Path, tmp_path: Path) -> None:
    run.run(SMALL, 42, corpus, ["shop"], tmp_path / "a", workers=2, progress=lambda text: None)
    assert rows(tmp_path / "a") == rows(made)
    run.run(SMALL, 43, corpus, ["shop"], tmp_path / "b", workers=1, progress=lambda text: None)
    assert rows(tmp_path / "b") != rows(made)


def test_a_part_that_cannot_be_filled_is_named(corpus: Path, tmp_path: Path) -> None:
    part = {"source": "git", "intents": ["status_conflicted"], "single": 40}
    composition = Composition.model_validate({"validation": 0, "parts": [part]})
    with pytest.raises(UsageError, match=r"too few examples for part 1 \(git\)"):
        run.run(composition, 42, corpus, ["shop"], tmp_path, 1, progress=lambda text: None)
    assert not (tmp_path / "meta.json").exists()


DEADLY = """
[[intent]]
name = "deadly"
about = "Ends its worker, as the machine does when memory is short"
phrasings = ["die"]
program = '''
print(run_command("kill -9 $PPID").exit_code)
'''
"""


def make(corpus: Path, out: Path, *parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    composition = Composition.model_validate({"validation": 1, "parts": parts})
    names, more = more.pop("names", ["shop"]), {"progress": lambda text: None} | more
    return run.run(composition, 42, corpus, names, out, 1, **more)


def test_a_killed_worker_is_told_and_nothing_half_written(corpus: Path, tmp_path: Path) -> None:
    folder = tmp_path / "intents"
    folder.mkdir()
    (folder / "few.toml").write_text(DEADLY)
    (folder / "asides.toml").write_text('before = ["hi."]\nafter = ["thanks"]\n')
    part = {"source": "core", "intents": ["deadly"], "single": 2}
    with pytest.raises(GenerationError, match=r"a worker was killed\. 0 of 1 workspaces"):
        make(corpus, tmp_path / "out", part, intents_folder=folder)
    assert [p.name for p in (tmp_path / "out").rglob("*") if p.is_file()] == []


def test_what_a_workspace_gave_is_not_made_again(corpus: Path, made: Path, tmp_path: Path) -> None:
    """Killed after the first workspace: the second run goes on, and gives the same bytes."""
    both, out = tmp_path / "corpus", tmp_path / "out"
    for name in ("shop", "stall"):
        shutil.copytree(corpus / "shop", both / name, symlinks=True)
    part = {"source": "core", "intents": ["read_file", "log_count"], "single": 6}
    make(both, tmp_path / "unbroken", part, names=["shop", "stall"])
    told: list[str] = []

    def killed(text: str) -> None:
        told.append(text)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(both, out, part, names=["shop", "stall"], progress=killed)
    assert not (out / "train.jsonl").exists()
    kept = {p: p.stat().st_mtime_ns for p in (out / "parts").glob("round-1-*.json")}
    assert kept
    parts_then: dict[Path, int] = {}

    def watched(text: str) -> None:
        parts_then.update({p: p.stat().st_mtime_ns for p in kept if p.exists()})

    make(both, out, part, names=["shop", "stall"], progress=watched)
    assert parts_then == kept, "a part that was kept was made again"
    for name in ("train.jsonl", "validation.jsonl"):
        assert (out / name).read_bytes() == (tmp_path / "unbroken" / name).read_bytes()
    assert not (out / "parts").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_leaves_the_data_that_was_there(
    corpus: Path, made: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(made, out)
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    part = {"source": "core", "intents": ["log_count"], "single": 3}
    (out / "validation.jsonl.new").symlink_to("/dev/full")
    with pytest.raises(GenerationError, match=r"could not be written.*No space left"):
        make(corpus, out, part)
    assert {p.name: p.read_bytes() for p in out.iterdir() if p.is_file()} == before
    (out / "parts" / "round-1-shop.json").unlink()
    (out / "parts" / "round-1-shop.json.new").symlink_to("/dev/full")
    with pytest.raises(GenerationError, match=r"No space left.*0 of 1 workspaces are done"):
        make(corpus, out, part)
    make(corpus, out, part)
    assert len(rows(out)) == 3


def test_a_workspace_that_changes_meanwhile_is_told(corpus: Path, tmp_path: Path) -> None:
    both, folder = tmp_path / "corpus", tmp_path / "intents"
    shutil.copytree(corpus / "shop", both / "shop", symlinks=True)
    folder.mkdir()
    command = f"echo more >> {both / 'shop' / 'README.md'}"
    (folder / "few.toml").write_text(DEADLY.replace("kill -9 $PPID", command))
    (folder / "asides.toml").write_text('before = ["hi."]\nafter = ["thanks"]\n')
    part = {"source": "core", "intents": ["deadly"], "single": 1}
    with pytest.raises(CorpusError, match=r"shop' was changed while .*: README\.md\. Nothing"):
        make(both, tmp_path / "out", part, intents_folder=folder)
    assert [p.name for p in (tmp_path / "out").rglob("*") if p.is_file()] == []


def test_the_report_says_what_was_checked_and_how_long_it_took(made: Path) -> None:
    report = json.loads((made / "meta.json").read_text())
    assert report["second ways"]["examples"] == 16
    ways = {(row["tool"], row["field"]): row["how"] for row in report["second ways"]["fields"]}
    assert {how for (tool, _), how in ways.items() if tool == "git_diff"} & {
        "git diff --numstat", "git diff --name-status", "git diff -U3 without raw records",
    }  # fmt: skip
    assert report["spent"]["tools"]["ruff_check"]["calls"] > 0
    page = (made / "report.md").read_text()
    assert "| ruff_check | RuffResult.violation_count | ruff's concise text |" in page


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("validation = 1\nparts = [{ source = 'x', single = 1 }]", "part 1: give one of tools"),
        (
            "validation = 1\nparts = [{ source = 'x', intents = ['none_such'], single = 1 }]",
            "unknown intents",
        ),
        (
            "validation = 1\nparts = [{ source = 'x', tools = ['fly'], single = 1 }]",
            "no intent calls just",
        ),
        (
            "validation = 1\nparts = [{ source = 'x', topic = 'git', multi = 1 }]",
            "asked for conclusions",
        ),
        ("parts = []", "validation: Field required"),
        ("validation = 1\nparts = []\nmood = 'good'", "mood: Extra inputs"),
    ],
)
def test_a_table_that_cannot_be_used_says_why(tmp_path: Path, table: str, said: str) -> None:
    (tmp_path / "recipe.toml").write_text(f"[composition]\n{table}\n")
    with pytest.raises(UsageError, match=said):
        parts.read(tmp_path / "recipe.toml")
    (tmp_path / "recipe.toml").write_text("[generate]\nseed = 1\n")
    assert parts.read(tmp_path / "recipe.toml") is None


def test_phase27_is_the_reference_composition() -> None:
    composition = parts.read(RECIPE)
    assert composition is not None
    sizes: Counter[str] = Counter()
    for part in composition.parts:
        sizes[part.source] += part.single + part.multi
    assert sizes == {"core": 800, "lsp": 84, "git": 84, "rebalance": 96, "direct": 40}
    assert (composition.size, composition.size - composition.validation) == (1104, 993)
    multi = Counter({part.source: 0 for part in composition.parts})
    for part in composition.parts:
        multi[part.source] += part.multi
    assert multi == {"core": 324, "lsp": 24, "git": 24, "rebalance": 36, "direct": 0}
    for tool in ("ruff_check", "pytest_run"):
        calling = [p for p in composition.parts if tool in p.tools or "health" in p.intents]
        assert sum(p.single + p.multi for p in calling) == 88  # 8 % of 1,104
    assert of_recipe(RECIPE).multi_turn == pytest.approx((0.35, 0.39))


def test_every_tool_has_words_for_what_it_is_for() -> None:
    untaught = set(of_recipe(RECIPE).untaught)
    assert set(load_tools()) == set(remarks.PURPOSES) | untaught


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        ("", "none"),
        ("14\n", ": 14"),
        ("a.py\nb.py\n", "2 lines"),
        ("x" * 300 + "\n", "above"),
        ("line\n" * 1000, "begins with: line"),
    ],
)
def test_a_conclusion_repeats_what_was_printed(printed: str, said: str) -> None:
    outcome = Outcome(stdout=printed)
    for seed in range(8):
        assert said in remarks.conclusion(outcome, random.Random(seed))
