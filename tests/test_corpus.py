"""The corpus: the same recipe gives the same repository, and the record tells what is in it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from punie.factory.corpus import Source, build, load_recipe
from punie.factory.corpus.__main__ import main
from punie.factory.corpus.gitrun import git
from punie.factory.corpus.sdist import CorpusError, fetch, unpack

MODULE = '''"""Work with {name} values."""

import os


def first_{name}(values, limit=3):
    """Return the first {name} values."""
    # an empty list has no first value
    if values is None or len(values) >= limit:
        return values[:limit]
    return list(values)


def save_{name}(path, values):
    """Write the {name} values to a file."""
    with open(os.path.abspath(path), "w") as stream:
        stream.write("\\n".join(values))
    return len(values)
'''
PROSE = "\n\n".join(
    f"Paragraph {n} tells at some length how the `depot` package is used and why." for n in range(9)
)
TEST = "def test_truth():\n    assert True\n" + "# a longer comment about the depot\n" * 20


def pack(path: Path, files: dict[str, str]) -> str:
    """Write a tar.gz of `files`; returns its sha256."""
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """A tiny project, packed into the cache as an sdist."""
    names = ("shelf", "crate", "truck", "dock", "gate", "lane", "ramp", "yard")
    files = {f"depot-1.0/src/depot/{name}.py": MODULE.format(name=name) for name in names}
    files |= {
        "depot-1.0/PKG-INFO": "Name: depot\n",
        "depot-1.0/uv.lock": "version = 1\n",
        "depot-1.0/.gitattributes": "* text eol=crlf\n",
        "depot-1.0/README.md": f"# depot\r\n\r\n{PROSE}\r\n",
        "depot-1.0/pyproject.toml": '[project]\nname = "depot"\n\n[tool.ruff]\nline-length = 40\n',
        "depot-1.0/src/depot/__init__.py": '"""Goods in a depot."""\n',
        "depot-1.0/docs/usage.rst": PROSE,
        "depot-1.0/docs/more.rst": PROSE.upper(),
        "depot-1.0/tests/test_shelf.py": TEST,
        "depot-1.0/tests/test_crate.py": TEST.replace("truth", "crate"),
    }
    (tmp_path / "cache").mkdir()
    sha256 = pack(tmp_path / "cache" / "depot-1.0.tar.gz", files)
    return Source("depot", "depot", "1.0", sha256, "train", 7)


def program(name: str) -> str:
    """A program of the environment that the tests run in."""
    return str(Path(sys.executable).with_name(name))


def statuses(root: Path) -> set[tuple[str, str, bool, str | None]]:
    """What git says has changed, in the form of the record."""
    words = {"M": "modified", "A": "added", "D": "deleted", "R": "renamed"}
    found: set[tuple[str, str, bool, str | None]] = set()
    parts = iter(git(root, "status", "--porcelain=v1", "-uall", "-z").split("\0")[:-1])
    for part in parts:
        index, tree, path = part[0], part[1], part[3:]
        if index == "?" or part[:2] == "UU":
            found.add((path, "untracked" if index == "?" else "conflicted", False, None))
            continue
        if index in words:
            found.add((path, words[index], True, next(parts) if index == "R" else None))
        if tree in words:
            found.add((path, words[tree], False, None))
    return found


def test_two_builds_are_equal(source: Source, tmp_path: Path) -> None:
    seen = []
    for out in ("one", "two"):
        root = build("depot", tmp_path / out, {"depot": source}, tmp_path / "cache")
        refs = git(root, "for-each-ref", "--format=%(objectname) %(refname)")
        status = git(root, "status", "--porcelain=v2", "-uall")
        record = (tmp_path / out / "depot.state.json").read_text("utf-8")
        seen.append((refs, status, git(root, "diff"), record))
    assert seen[0] == seen[1]


def test_another_seed_gives_another_history(source: Source, tmp_path: Path) -> None:
    heads = set()
    for seed in (1, 2):
        sources = {"depot": replace(source, seed=seed)}
        root = build("depot", tmp_path / str(seed), sources, tmp_path / "cache")
        heads.add(git(root, "rev-parse", "HEAD"))
    assert len(heads) == 2


@pytest.mark.parametrize(
    "state", ["mixed", "conflicted", "staged", "unstaged", "untracked", "light", "clean"]
)
def test_the_record_is_what_git_says(source: Source, tmp_path: Path, state: str) -> None:
    root = build("depot", tmp_path, {"depot": replace(source, state=state)}, tmp_path / "cache")
    assert git(root, "rev-parse", "HEAD").strip() in (tmp_path / "depot.state.json").read_text()
    changes = json.loads((tmp_path / "depot.state.json").read_text("utf-8"))["changes"]
    recorded = {(c["file"], c["status"], c["staged"], c["old_file"]) for c in changes}
    assert statuses(root) == recorded
    assert bool(recorded) == (state != "clean")
    if state in ("mixed", "conflicted"):
        kinds = {status for _, status, _, _ in recorded}
        assert kinds >= {"modified", "deleted", "renamed", "untracked"}
        assert ("conflicted" in kinds) == (root / ".git/MERGE_HEAD").exists()
        assert ("conflicted" in kinds) == (state == "conflicted")
        files = Counter(file for file, _, _, _ in recorded)
        assert max(files.values()) == 2, "no file is staged and changed again"


def test_history_has_a_merge_a_side_branch_and_fixes(source: Source, tmp_path: Path) -> None:
    root = build("depot", tmp_path, {"depot": source}, tmp_path / "cache")
    record = json.loads((tmp_path / "depot.state.json").read_text("utf-8"))
    branches = git(root, "branch", "--format=%(refname:short)").split()
    assert sorted(branches) == sorted(record["branches"])
    assert len(git(root, "log", "--merges", "--format=%h").split()) == 1
    assert git(root, "branch", "--no-merged", "main").split() == [record["branches"][2]]
    assert 8 <= record["commits"] <= 25
    assert any(not author["name"].isascii() for author in record["authors"])
    assert "1\t1\t" in git(root, "log", "--numstat", "--format="), "no commit changes a line"


def test_files_come_and_go_where_a_model_learns_and_nowhere_else(
    source: Source, tmp_path: Path
) -> None:
    kinds = {}
    for split in ("train", "development"):
        sources = {"depot": replace(source, split=split)}
        root = build("depot", tmp_path / split, sources, tmp_path / "cache")
        log = git(root, "log", "--first-parent", "-M", "--format=", "--name-status", "--reverse")
        kinds[split] = Counter(line[0] for line in log.splitlines() if line)
        files = git(root, "ls-files")
        gone = [line[2:] for line in log.splitlines() if line.startswith("D\t")]
        assert not set(gone) & set(files.splitlines())
    assert kinds["train"]["D"] == 1
    assert kinds["train"]["R"] <= 1
    assert not kinds["development"].keys() & set("DR")


def test_the_tree_holds_what_a_repository_has(source: Source, tmp_path: Path) -> None:
    root = build("depot", tmp_path, {"depot": replace(source, state="clean")}, tmp_path / "cache")
    files = git(root, "ls-files").split("\n")
    assert {".gitignore", "README.md", "pyproject.toml", "docs/usage.rst"} <= set(files)
    assert not {"PKG-INFO", "uv.lock", ".gitattributes", "depot.state.json"} & set(files)
    assert b"\r" not in (root / "README.md").read_bytes()
    project = (root / "pyproject.toml").read_text("utf-8")
    assert "line-length" not in project
    assert 'pythonpath = ["src"]' in project


def test_findings_are_found(source: Source, tmp_path: Path) -> None:
    root = build("depot", tmp_path, {"depot": source}, tmp_path / "cache")
    findings = json.loads((tmp_path / "depot.state.json").read_text("utf-8"))["findings"]
    assert all(findings.values())
    ruff = [program("ruff"), "check", "--no-cache", "--output-format", "json", "."]
    hits = json.loads(subprocess.run(ruff, cwd=root, capture_output=True, check=False).stdout)
    found = {(str(Path(hit["filename"]).relative_to(root)), hit["code"]) for hit in hits}
    assert {(entry["file"], entry["code"]) for entry in findings["lint"]} <= found
    ty = [program("ty"), "check", "--output-format", "concise", "."]
    said = subprocess.run(ty, cwd=root, capture_output=True, check=False, text=True).stdout
    for entry in findings["types"]:
        lines = [line for line in said.splitlines() if line.startswith(f"{entry['file']}:")]
        assert any(f"[{entry['code']}]" in line for line in lines), entry


def test_a_project_without_a_line_to_quarrel_about_cannot_be_conflicted(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    sha256 = pack(tmp_path / "cache" / "one-1.0.tar.gz", {"one-1.0/one.py": "LIMIT = 3\n" * 9})
    source = Source("one", "one", "1.0", sha256, "train", 7, state="conflicted")
    with pytest.raises(CorpusError, match="needs a document"):
        build("one", tmp_path, {"one": source}, tmp_path / "cache")


def test_a_project_of_one_module_has_a_history(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    files = {"one-1.0/one.py": MODULE.format(name="shelf"), "one-1.0/README.md": PROSE}
    sha256 = pack(tmp_path / "cache" / "one-1.0.tar.gz", files)
    root = build(
        "one",
        tmp_path,
        {"one": Source("one", "one", "1.0", sha256, "train", 7)},
        tmp_path / "cache",
    )
    assert git(root, "log", "--diff-filter=D", "--format=%s").strip()


def test_wrong_hash_is_refused(source: Source, tmp_path: Path) -> None:
    wrong = replace(source, sha256="0" * 64)
    with pytest.raises(CorpusError, match=f"{source.sha256}.*{'0' * 64}"):
        build("depot", tmp_path, {"depot": wrong}, tmp_path / "cache")
    assert not (tmp_path / "depot").exists()


@pytest.mark.parametrize("name", ["../escape.py", "/escape/of.py", "a/../../escape.py"])
def test_path_traversal_is_refused(tmp_path: Path, name: str) -> None:
    pack(tmp_path / "bad.tar.gz", {"bad-1.0/ok.py": "", name: "x = 1\n"})
    with pytest.raises(CorpusError):
        unpack(tmp_path / "bad.tar.gz", tmp_path / "deep" / "bad")
    assert not (tmp_path / "deep" / "bad").exists()
    assert not list(tmp_path.rglob("escape*"))


def test_an_unknown_name_lists_the_known_ones(source: Source, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"'depo'.*depot"):
        build("depo", tmp_path, {"depot": source}, tmp_path / "cache")


def test_a_bad_recipe_lists_all_mistakes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "corpus.toml"
    recipe.write_text('[[workspace]]\nname = "a"\nsplit = "dve"\ncolour = 1\n', "utf-8")
    assert main(["build", "--out", str(tmp_path / "out"), "--recipe", str(recipe)]) == 2
    said = capsys.readouterr().err
    assert [word for word in ("'colour'", "'dve'", "sha256 is None") if word not in said] == []


def test_only_workspaces_of_training_stand_in_a_merge_that_stopped() -> None:
    stopped = [each for each in load_recipe().values() if each.state == "conflicted"]
    assert len(stopped) >= 4
    assert {each.split for each in stopped} == {"train"}


def test_the_recipe_of_the_checkout_is_disjoint_by_split() -> None:
    sources = load_recipe()
    splits = Counter(source.split for source in sources.values())
    assert splits["train"] >= 20
    assert (splits["dev"], splits["suite"], splits["test"]) == (6, 2, 6)
    assert len({source.package for source in sources.values()}) == len(sources)


def test_a_cached_sdist_is_checked_again(source: Source, tmp_path: Path) -> None:
    path = fetch("depot", "1.0", source.sha256, tmp_path / "cache")
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(CorpusError, match="delete it"):
        fetch("depot", "1.0", source.sha256, tmp_path / "cache")


def test_an_index_that_cannot_be_reached_is_said_and_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(CorpusError, match=r"depot==1\.0 .*could not be reached"):
        fetch("depot", "1.0", "0" * 64, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
