"""The corpus: real repositories with an invented history and a state of work, rebuilt by hash.

A recipe names the workspaces (one pinned sdist each). `build` turns one into a git repository whose
commit hashes depend on the recipe alone, so that training data, suites and reports can name them.
"""

from __future__ import annotations

import json
import random
import shutil
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from punie.factory.corpus import history, layout, planting, work
from punie.factory.corpus.sdist import CorpusError, cache_dir, fetch, unpack

_RECIPES = Path(__file__).parents[2] / "recipes", Path(__file__).parents[4] / "recipes"
RECIPE = next((f for f in _RECIPES if f.is_dir()), _RECIPES[-1]) / "corpus.toml"
"""The corpus recipe, of the installed package or of a checkout."""

SPLITS = ("train", "dev", "suite", "test")


@dataclass(frozen=True)
class Source:
    """One workspace of the recipe: which sdist, and how its history and state of work are drawn."""

    name: str
    """Name of the workspace, also its folder."""
    package: str
    """Name of the project on the package index."""
    version: str
    """Pinned version."""
    sha256: str
    """Hash of the sdist, hexadecimal."""
    split: str
    """One of `SPLITS`: no workspace serves two."""
    seed: int
    """Everything that is drawn is drawn from the name and this number."""
    state: str = "mixed"
    """Kind of the state of work: one of `work.STATES`."""
    without: tuple[str, ...] = ()
    """Kinds of finding that are not put in: any of `lint`, `types`, `tests`."""
    drop: tuple[str, ...] = ()
    """Shell patterns of files that are left out (`*` also matches `/`)."""


def load_recipe(path: Path = RECIPE) -> dict[str, Source]:
    """The workspaces of a recipe by name; CorpusError lists all mistakes of the file at once."""
    try:
        entries = tomllib.loads(path.read_text("utf-8")).get("workspace", [])
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise CorpusError(f"The corpus recipe {str(path)!r} cannot be read: {error}") from error
    mistakes: list[str] = []
    sources: dict[str, Source] = {}
    for number, entry in enumerate(entries, 1):
        problems = _mistakes(entry)
        if entry.get("name") in sources:
            problems.append("the name is taken by an earlier entry")
        if problems:
            mistakes.append(f"workspace {number} ({entry.get('name')!r}): {'; '.join(problems)}")
            continue
        lists = {key: tuple(entry.get(key, ())) for key in ("without", "drop")}
        sources[entry["name"]] = Source(**{**entry, **lists})
    if mistakes:
        raise CorpusError(f"{path}:\n  " + "\n  ".join(mistakes))
    return sources


def of_split(
    sources: dict[str, Source], split: str, chosen: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """Names of the workspaces of a split, or the `chosen` ones of it; CorpusError names those
    that are not of it."""
    names = tuple(name for name, source in sources.items() if source.split == split)
    if unknown := sorted(set(chosen) - set(names)):
        raise CorpusError(f"workspaces {unknown} are not of split {split!r}")
    return tuple(name for name in names if not chosen or name in chosen)


def _mistakes(entry: dict[str, Any]) -> list[str]:
    known = {field.name: field for field in fields(Source)}
    problems = [f"unknown key {key!r}" for key in entry if key not in known]
    for key in ("name", "package", "version", "sha256", "split", "seed"):
        kind = int if key == "seed" else str
        if not isinstance(entry.get(key), kind):
            problems.append(f"{key} is {entry.get(key)!r}, and must be a {kind.__name__}")
    if entry.get("split") not in SPLITS:
        problems.append(f"split {entry.get('split')!r} is none of {', '.join(SPLITS)}")
    if entry.get("state", "mixed") not in work.STATES:
        problems.append(f"state {entry['state']!r} is none of {', '.join(work.STATES)}")
    odd = [kind for kind in entry.get("without", []) if kind not in planting.KINDS]
    if odd:
        problems.append(f"without {odd!r} is none of {', '.join(planting.KINDS)}")
    return problems


def build(
    name: str, out: Path, sources: dict[str, Source] | None = None, cache: Path | None = None
) -> Path:
    """Build the workspace `name` in `out/name`, replacing what is there; returns that folder.

    Beside it, `out/name.state.json` records the source, the commits, what was changed since the
    last commit (`changes`, in the words of `git status`), and which lint hits, type errors and
    tests were put in (`findings`). The project's own findings are not in that record.

    Raises CorpusError for an unknown name, a failed fetch, a wrong hash or an unsafe archive.
    """
    sources = load_recipe() if sources is None else sources
    if name not in sources:
        raise CorpusError(f"No workspace {name!r} in the recipe. It has: {', '.join(sources)}.")
    source = sources[name]
    sdist = fetch(source.package, source.version, source.sha256, cache or cache_dir())
    root, record = out / name, out / f"{name}.state.json"
    shutil.rmtree(root, ignore_errors=True)
    record.unlink(missing_ok=True)
    unpack(sdist, root, source.drop)
    rng = random.Random(f"{source.name}:{source.seed}")
    plan = layout.survey(root, source.package)
    layout.normalize(root, plan, rng, "lint" not in source.without)
    planter = planting.Planter(root, plan, rng, source.without)
    planter.plant_committed()
    # Suites rest on the other splits' histories as they are: those have no deletions.
    passing = random.Random(f"{source.name}:{source.seed}:passing")
    story = history.write(
        root,
        plan,
        rng,
        source.version,
        passing=passing if source.split == "train" else None,
        divided=source.state == "conflicted",
    )
    changes = work.apply(root, plan, planter, rng, source.state, story["branches"][-1])
    state = {
        "name": source.name,
        "package": source.package,
        "version": source.version,
        "sha256": source.sha256,
        "split": source.split,
        "seed": source.seed,
        "layout": "src" if plan.src else "flat",
        "package_folder": plan.package,
        "state": source.state,
        **story,
        "changes": changes,
        "findings": planter.findings,
    }
    record.write_text(json.dumps(state, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return root
