"""A generation as a whole, on a few intents and workspaces: the same bytes each time, splits that
share nothing, and what happens when something is in its way."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from punie import demo
from punie.errors import UsageError
from punie.factory import generate
from punie.factory.audit import shares
from punie.factory.audit.data import Data, read
from punie.factory.audit.leaks import between_splits
from punie.factory.audit.norms import Norms
from punie.factory.audit.subject import Subject
from punie.factory.corpus.sdist import CorpusError
from punie.factory.examples import account, drafts, repairs, second_way, ways
from punie.factory.examples.inventory import Inventory
from punie.factory.generate import GenerateOptions, GenerationError
from punie.factory.intents import load
from punie.factory.intents.wordings import wording
from punie.tool import load_tools, own_tools

NAMES = ["shop", "stall", "store"]
INTENTS = '''
[[intent]]
name = "uses"
about = "Where a symbol is used"
slots = { symbol = "symbol" }
program = """
for r in find_references(symbol={symbol}).references:
    print(r.file, r.line)
"""
phrasings = ["who uses {symbol}", "uses of {symbol}", "Where is {symbol} used?", "{symbol}: uses?"]

[[intent]]
name = "length"
about = "How many lines a file has"
slots = { file = "text_file" }
program = """
print(read_file({file}).line_count)
"""
phrasings = ["lines of {file}", "how long is {file}", "{file} line count", "size of {file}, lines"]

[[intent]]
name = "clean"
about = "Whether the tree is clean, and how many commits there are"
program = """
print(git_status().clean, git_log(count=0).commit_count)
"""
phrasings = ["clean? and commits", "tree clean, number of commits", "commits and state", "state?"]

[[direct]]
topic = "git"
questions = ["what is a tag", "tags explained", "git tag, what for?", "tag?"]
answer = "A tag is a name for a commit that stays where it is."

[[direct]]
topic = "git"
questions = ["what is a branch", "branches explained", "git branch, what for?", "branch?"]
answer = "A branch is a name for a commit that moves on with each new commit."
'''
OPTIONS = GenerateOptions(
    each=8,
    direct_share=0.2,
    repairs=0.4,
    unknown=0.6,
    ambiguous=0.6,
    empty=1.0,
    validation=0.25,
    validation_workspaces=1,
)


def intents_in(folder: Path, more: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "few.toml").write_text(INTENTS + more)
    (folder / "followups.toml").write_text("")
    (folder / "asides.toml").write_text('before = ["hi."]\nafter = ["thanks"]\n')
    return folder


def corpus_in(folder: Path) -> Path:
    for name in NAMES:
        demo.create(folder / name)
        with (folder / name / "shop" / "orders.py").open("a") as file:
            file.write(f"\n\ndef only_in_{name}():\n    return apply_discount\n")
        for module in ("one", "two"):
            (folder / name / "shop" / f"{module}.py").write_text("def twice():\n    return 1\n")
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus_in(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return intents_in(tmp_path_factory.mktemp("intents"))


def make(corpus: Path, out: Path, intents: Path, workers: int = 1, **changes: Any) -> Any:
    options = GenerateOptions(**(vars(OPTIONS) | changes))
    return generate.run(options, corpus, NAMES, out, workers, lambda text: None, intents)


@pytest.fixture(scope="module")
def made(corpus: Path, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data")
    make(corpus, out, folder)
    return out


def rows(out: Path, *splits: str) -> list[dict[str, Any]]:
    texts = [(out / f"{s}.jsonl").read_text() for s in splits or ("train", "validation")]
    return [json.loads(line) for text in texts for line in text.splitlines()]


def test_the_same_recipe_gives_the_same_bytes_with_two_workers(
    corpus: Path, folder: Path, made: Path, tmp_path: Path
) -> None:
    make(corpus, tmp_path / "again", folder, workers=2)
    for name in ("train.jsonl", "validation.jsonl"):
        assert (tmp_path / "again" / name).read_bytes() == (made / name).read_bytes()
    make(corpus, tmp_path / "other", folder, workers=2, seed=43)
    other = (tmp_path / "other" / "train.jsonl").read_bytes()
    assert other != (made / "train.jsonl").read_bytes()
    held = {r["phrasing"] for r in rows(made, "validation")}
    other_held = {r["phrasing"] for r in rows(tmp_path / "other", "validation") if r["calls"]}
    assert other_held <= held, "another seed asks the same held-out phrasings"


def test_splits_share_neither_a_phrasing_nor_a_repository(made: Path) -> None:
    data = read(made)
    held_out = data.by_split["validation"]
    assert {e.kind for e in held_out} >= {"tool"}
    assert [e for e in data.by_split["train"] if e.kind in ("repair", "unknown")]
    findings = between_splits(Subject(data, Norms(), load_tools()))
    assert [f.name for f in findings if f.severity == "breach"] == []
    report = json.loads((made / "meta.json").read_text())
    assert len(report["held-out workspaces"]) == 1
    assert set(report["validation"]["workspaces"]) == set(report["held-out workspaces"])


def test_a_wording_of_two_intents_is_not_held_out() -> None:
    intents, _ = load()
    held = drafts.held_out(GenerateOptions(validation=0.1), intents.values())
    trained = Counter(
        wording(p) for i in intents.values() for p in i.phrasings if p not in held[i.name]
    )
    assert sum(map(len, held.values())) > 1000
    assert [p for each in held.values() for p in each if trained[wording(p)]] == []


def test_what_is_held_out_does_not_depend_on_the_seed_or_on_other_intents(folder: Path) -> None:
    intents = list(load(folder)[0].values())
    first = drafts.held_out(GenerateOptions(seed=1, validation=0.25), intents)
    again = drafts.held_out(GenerateOptions(seed=2, validation=0.25), intents[:1])
    assert first["uses"] == again["uses"]
    assert len(first["uses"]) == 1


def test_too_many_held_out_workspaces_are_refused(
    corpus: Path, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="validation_workspaces is 3, but there are 3"):
        make(corpus, tmp_path / "out", folder, validation_workspaces=3)
    assert not (tmp_path / "out").exists()


def test_a_share_raises_the_intents_that_add_to_it(folder: Path) -> None:
    intents = load(folder)[0].values()
    options = GenerateOptions(each=10, shares={"read_file": 0.5, "several_tools": 0.3})
    counts = drafts.wanted(options, intents)
    total = sum(counts.values())
    assert counts["uses"] == 10
    assert counts["length"] >= 0.5 * total
    assert counts["clean"] >= 0.3 * total
    with pytest.raises(UsageError, match="'hover'"):
        drafts.wanted(GenerateOptions(each=10, shares={"hover": 0.1}), intents)


def test_direct_answers_have_the_share_that_the_recipe_says(made: Path) -> None:
    found = rows(made)
    direct = [r for r in found if r["kind"] == "direct"]
    assert direct
    assert len(direct) == min(8, round(0.25 * (len(found) - len(direct))))


def test_a_row_says_where_it_comes_from(made: Path, corpus: Path) -> None:
    for row in rows(made):
        assert row["phrasing"]
        if row["kind"] == "direct":
            continue
        assert row["workspace"] in NAMES
        assert row["seed"] == int(row["id"].rpartition("-")[2], 16)
        assert len(row["toolset"]) == 12
        assert [c["tool"] for c in row["calls"]]
        if row["kind"] == "tool" and row["intent"] == "length":
            path = row["calls"][0]["args"]["path"]
            (text,) = (Inventory(corpus / row["workspace"]).text_files.get(path, ""),)
            assert not text or row["result"].strip() == str(len(text.splitlines()))


def test_unknown_and_ambiguous_names_end_with_what_is_so(made: Path) -> None:
    ends = {r["messages"][-1]["content"] for r in rows(made) if r["kind"] == "unknown"}
    assert ends == set(repairs.ENDINGS)
    for row in rows(made):
        if row["messages"][-1]["content"] == repairs.SEVERAL:
            assert "ambiguous" in row["messages"][-2]["content"]
            assert row["calls"][0]["args"]["symbol"] in row["messages"][1]["content"]


def test_every_own_tool_has_a_second_way_and_the_report_says_which(made: Path) -> None:
    assert set(ways.HOW) == set(second_way.WAYS) == set(own_tools())
    report = json.loads((made / "meta.json").read_text())
    table = report["second ways"]
    (lines,) = [f for f in table["fields"] if f["field"] == "ReadFileResult.line_count"]
    assert lines["how"] == "the file's bytes"
    assert lines["compared"] > 0
    assert lines["disagreed"] == lines["unchecked"] == 0
    assert table["examples"] == len([r for r in rows(made) if r["kind"] != "direct"])
    assert table["share without"] <= 0.05
    assert report["spent"]["examples a second"] > 0
    assert report["spent"]["tools"]["read_file"]["calls"] > 0
    assert sum(kind["calls"] for kind in report["spent"]["kinds"].values()) == sum(
        tool["calls"] for tool in report["spent"]["tools"].values()
    )
    drafts = report["spent"]["drafts"]
    assert drafts["attempted"] >= drafts["executed"] >= drafts["verified"] >= drafts["kept"] > 0
    assert drafts["kept"] == sum(r["kind"] == "tool" for r in rows(made))
    lost = {"more than wanted", "prints nothing too often", "same question twice"}
    assert drafts["attempted"] - drafts["verified"] == sum(
        n for reason, n in report["rejects"].items() if ":" in reason or reason.startswith("no ")
    )
    assert set(report["rejects"]) & lost
    assert "| attempted |" in (made / "report.md").read_text()
    assert sum(report["registers"]["forms"].values()) > 0
    page = (made / "report.md").read_text()
    for part in (
        "| ReadFileResult.line_count | the file's bytes |",
        "examples a second",
        "## Dropped",
        "| few |",
    ):
        assert part in page


def test_a_field_that_nothing_compares_is_counted() -> None:
    def row(*unchecked: str) -> dict[str, Any]:
        call = {"tool": "pytest_run", "second_way": True, "read": ["TestResult.passed", *unchecked]}
        return {"calls": [call | {"unchecked": list(unchecked)}]}

    case = {"tool": "pytest_run", "field": "TestResult.passed"}
    table = account.second_ways([row(), row("TestResult.duration")], [case])
    assert table["share without"] == 0.5
    passed, duration = table["fields"][1], table["fields"][0]
    assert (passed["compared"], passed["unchecked"], passed["disagreed"]) == (2, 0, 1)
    assert (duration["compared"], duration["unchecked"], duration["how"]) == (0, 1, "none")
    replayed = {"calls": [{"tool": "pytest_run", "second_way": False}]}
    assert account.second_ways([replayed])["without"] == 1


def test_an_audit_refuses_too_many_unchecked_examples() -> None:
    def names(share: float) -> list[str]:
        data = Data(report={"second ways": {"share without": share}})
        return [f.name for f in shares.norms(Subject(data, Norms(), load_tools()))]

    assert "norm: second ways" in names(0.06)
    assert "norm: second ways" not in names(0.05)


def test_data_that_follows_failures_has_other_values_and_more_repairs(
    corpus: Path, folder: Path, tmp_path: Path
) -> None:
    plain: dict[str, Any] = {"direct_share": 0.0, "repairs": 0.0, "unknown": 0.0, "ambiguous": 0.0}
    make(corpus, tmp_path / "plain", folder, **plain)
    more: dict[str, Any] = {
        "contrasts": {"uses": 1.0},
        "repairs_of": {"length": 1.0},
        "examples": {"uses": 32},
    }
    make(corpus, tmp_path / "more", folder, **plain, **more)
    kinds = {out: Counter((r["kind"], r["intent"]) for r in rows(tmp_path / out, "train"))
             for out in ("plain", "more")}  # fmt: skip
    assert not [kind for kind, _ in kinds["plain"] if kind == "repair"]
    repaired = {intent for kind, intent in kinds["more"] if kind == "repair"}
    assert repaired == {"length"}
    pairs = 0
    found = {r["seed"]: r for r in rows(tmp_path / "more", "train") if r["intent"] == "uses"}
    for seed, row in found.items():
        other = found.get(seed + 1)
        if other:
            pairs += 1
            assert (row["phrasing"], row["workspace"]) == (other["phrasing"], other["workspace"])
            assert row["calls"][0]["args"] != other["calls"][0]["args"]
    assert pairs >= 1


# What may be in the way.


def test_a_killed_worker_is_told_and_nothing_half_written(corpus: Path, tmp_path: Path) -> None:
    deadly = '[[intent]]\nname = "deadly"\nabout = "Ends its worker"\nphrasings = ["die", "end"]\n'
    deadly += "program = '''\nprint(run_command(\"kill -9 $PPID\").exit_code)\n'''\n"
    folder = intents_in(tmp_path / "intents", deadly)
    with pytest.raises(GenerationError, match="a worker was killed"):
        make(corpus, tmp_path / "out", folder)
    assert [p.name for p in (tmp_path / "out").rglob("*") if p.is_file()] == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_leaves_the_data_that_was_there(
    corpus: Path, folder: Path, made: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(made, out)
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    (out / "validation.jsonl.new").symlink_to("/dev/full")
    with pytest.raises(GenerationError, match=r"could not be written.*No space left"):
        make(corpus, out, folder, seed=44)
    assert {p.name: p.read_bytes() for p in out.iterdir() if p.is_file()} == before
    (out / "parts" / "shop.json.new").symlink_to("/dev/full")
    (out / "parts" / "shop.json").unlink()
    with pytest.raises(GenerationError, match=r"No space left.*2 of 3 workspaces are done"):
        make(corpus, out, folder, seed=44)
    make(corpus, out, folder, seed=44)
    assert (out / "train.jsonl").read_bytes() != before["train.jsonl"]


def test_a_workspace_that_changes_meanwhile_is_told(tmp_path: Path) -> None:
    corpus = corpus_in(tmp_path / "corpus")
    readme = corpus / "stall" / "README.md"
    changing = '[[intent]]\nname = "changing"\nabout = "Changes the corpus"\n'
    changing += 'phrasings = ["change it", "add to it"]\n'
    changing += f"program = '''\nprint(run_command(\"echo more >> {readme}\").exit_code)\n'''\n"
    folder = intents_in(tmp_path / "intents", changing)
    with pytest.raises(CorpusError, match=r"stall' was changed while .*: README.md\. Nothing"):
        make(corpus, tmp_path / "out", folder)
    assert not (tmp_path / "out" / "parts" / "stall.json").exists()
    assert not (tmp_path / "out" / "train.jsonl").exists()


def test_a_broken_intents_file_stops_before_anything_is_made(corpus: Path, tmp_path: Path) -> None:
    folder = intents_in(tmp_path / "intents", '[[intent]]\nname = "half"\n')
    with pytest.raises(UsageError, match=r"few\.toml: half: no program"):
        make(corpus, tmp_path / "out", folder)
    assert not (tmp_path / "out").exists()


def test_a_package_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    recipe = tmp_path / "small.toml"
    recipe.write_text('[generate]\ncorpus = "corpus.toml"\n')
    (tmp_path / "corpus.toml").write_text(
        '[[workspace]]\nname = "none"\npackage = "no-such-package-here"\nversion = "1.0"\n'
        f'sha256 = "{"0" * 64}"\nsplit = "train"\nseed = 1\n'
    )
    alone = {"PUNIE_CACHE": str(tmp_path / "cache"), "PIP_NO_INDEX": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "punie", "generate", str(recipe), "--out", str(tmp_path / "out")],
        env=os.environ | alone,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "No sdist of no-such-package-here==1.0 was found" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


# A new tool.

TOOL = '''\
"""Shouting."""

from typing import Annotated

from punie.tool import Doc, Effect, Result, tool
from punie.wrap import Context


class ShoutResult(Result):
    """A loud text."""

    text: str = ""
    """The text in capitals."""


@tool(effect=Effect.READ)
async def shout(context: Context, text: Annotated[str, Doc("What to shout.")]) -> ShoutResult:
    """The text in capitals."""
    return ShoutResult(text=text.upper())
'''
SHOUTED = '''
[[intent]]
name = "shouted"
about = "A word in capitals"
slots = { word = "message_word" }
program = """
print(shout({word}).text)
"""
phrasings = ["shout {word}", "{word} in capitals", "louder: {word}"]
'''
SCRIPT = """
import json, sys
from pathlib import Path
from punie.factory import generate
if __name__ == "__main__":
    corpus, out, intents = map(Path, sys.argv[1:])
    options = generate.GenerateOptions(examples={"few": 2}, each=6, direct=0.0, repairs=0.0)
    report = generate.run(options, corpus, ["shop"], out, 1, lambda text: None, intents)
    print(json.dumps(report["train"]["tools"]))
"""


@pytest.mark.parametrize("place", ["in the folder of intents", "beside its tool"])
def test_a_new_tool_gets_data_by_its_intents_file_alone(
    corpus: Path, tmp_path: Path, place: str
) -> None:
    brought = tmp_path / "brought"
    (brought / "loud-1.0.dist-info").mkdir(parents=True)
    (brought / "loud.py").write_text(TOOL)
    (brought / "loud-1.0.dist-info" / "METADATA").write_text("Name: loud\nVersion: 1.0\n")
    entry = "[punie.tools]\nloud = loud\n"
    (brought / "loud-1.0.dist-info" / "entry_points.txt").write_text(entry)
    (tmp_path / "run.py").write_text(SCRIPT)
    folder = intents_in(tmp_path / "intents")
    alone = place == "beside its tool"
    (brought / "loud.intents.toml" if alone else folder / "loud.toml").write_text(SHOUTED)
    done = subprocess.run(
        [sys.executable, tmp_path / "run.py", corpus, tmp_path / "out", folder],
        env=os.environ | {"PYTHONPATH": f"{brought}:{Path(generate.__file__).parents[2]}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["shout"] >= 3
    shouted = [r for r in rows(tmp_path / "out") if r["intent"] == "shouted"]
    assert all(r["result"].strip().isupper() for r in shouted)
    assert {r["group"] for r in shouted} == {"loud"}
    ways_of = json.loads((tmp_path / "out" / "meta.json").read_text())["second ways"]
    read = [field for field in ways_of["fields"] if field["tool"] == "shout"]
    assert read
    assert all(f["compared"] == 0 < f["unchecked"] and f["how"] == "none" for f in read)
