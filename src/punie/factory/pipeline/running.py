"""Runs the stages of a recipe: skips what is done, stops at what fails, keeps a log."""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from punie.errors import PunieError, StageFailed, UsageError
from punie.factory.pipeline.marks import Marks
from punie.factory.pipeline.recipe import Recipe
from punie.settings import Settings
from punie.terminal import Progress, visible

QUIET = 30.0
"""Seconds between two lines of progress in the log and where there is no terminal."""


class Log:
    """Tells how far the pipeline is: on standard error, and with the time in `pipeline.log`."""

    def __init__(self, path: Path, progress: Progress) -> None:
        self.path, self.progress, self._last = path, progress, 0.0

    def line(self, text: str) -> None:
        """A line that stays."""
        moment = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{moment} {text}\n")
        self.progress("")
        print(visible(text), file=sys.stderr, flush=True)
        self._last = time.monotonic()

    def now(self, text: str) -> None:
        """What is being done: on a terminal always, elsewhere now and then."""
        self.progress.now(text)
        if time.monotonic() - self._last >= QUIET:
            if self.progress.shown:
                self._last = time.monotonic()
            else:
                self.line(text)


@dataclass(frozen=True)
class Stage:
    """One stage: what it reads, does and leaves. Paths are relative to the pipeline's folder."""

    name: str
    folder: str
    """Its outputs folder."""
    outputs: tuple[str, ...]
    """Shell patterns of the outputs in it; each must match a file at the end."""
    work: Callable[[Plan], dict[str, Any]]
    """Does it; gives facts for the mark. Goes on where a kill left off if that saves much."""
    reads: Callable[[Plan], list[str]] = lambda plan: []
    """Outputs of earlier stages that it works on."""
    made_of: Callable[[Plan], dict[str, Any]] = lambda plan: {}
    """All else that its outputs depend on, as JSON, beside its options."""
    free: frozenset[str] = frozenset()
    """Options that its outputs do not depend on."""
    model: str = ""
    """The model file that it leaves, if it makes one: later stages take the last of these."""
    optional: bool = False
    """Whether it only runs for recipes that have its table."""


@dataclass(frozen=True)
class Plan:
    """A recipe on its way: where its outputs are, and what its stages need."""

    recipe: Recipe
    root: Path
    settings: Settings
    stages: Sequence[Stage]
    log: Log
    workers: int = 2
    marks: Marks = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "marks", Marks(self.root))

    def model(self, before: str) -> str:
        """The model file that the stage `before` works on."""
        names = [stage.name for stage in self.stages]
        made = [s.model for s in self.stages[: names.index(before)] if s.model]
        return made[-1]

    def sha(self, output: str) -> str:
        """Hash of an output of an earlier stage, of its mark."""
        for stage in self.stages:
            if fact := self.marks.outputs(stage.name).get(output):
                return str(fact["sha256"])
        raise StageFailed(f"no stage has made {output!r}")

    def key(self, stage: Stage) -> dict[str, Any]:
        """What a stage's outputs are made of."""
        options = self.recipe.shown(stage.name, stage.free)
        inputs = {name: self.sha(name) for name in stage.reads(self)}
        return {"options": options, "inputs": inputs, "made_of": stage.made_of(self)}


def run(
    plan: Plan,
    page: Callable[[Plan], str],
    *,
    until: str | None = None,
    again: Sequence[str] = (),
    only: str | None = None,
) -> Path:
    """Run what is not done; gives the pipeline's folder, in which `report.html` stands, also
    when a stage fails. `again` sets the folders of stages aside; `only` runs this stage on what
    those before it left, and fails where one of them is not done.

    Raises StageFailed when an audit or a gate is not passed or an output is damaged, and every
    other PunieError of a stage with its name before the text.
    """
    plan.root.mkdir(parents=True, exist_ok=True)
    names = [stage.name for stage in plan.stages]
    if unknown := [name for name in (*again, *filter(None, [until, only])) if name not in names]:
        raise UsageError(f"no stage {unknown[0]!r}; there are: {', '.join(names)}")
    with _alone(plan.root):
        for stage in plan.stages:
            if stage.name in again:
                _set_aside(plan, stage)
        plan.log.line(f"pipeline {plan.recipe.name}: {', '.join(names)}")
        try:
            for stage in plan.stages:
                if only and stage.name != only:
                    _must_be_done(plan, stage)
                    continue
                _one(plan, stage)
                if stage.name in (until, only):
                    break
        except PunieError as error:
            plan.log.line(f"stopped: {error}")
            raise
        finally:
            (plan.root / "report.html").write_text(page(plan), "utf-8")
        if plan.stages and (until or only) in (None, names[-1]):
            _thin_out(plan)
        plan.log.line(f"done; {plan.root / 'report.html'}")
    return plan.root


def _one(plan: Plan, stage: Stage) -> None:
    """Bring one stage to its end, unless it is there."""
    key = plan.key(stage)
    if plan.marks.fits(stage.name, plan.root / stage.folder, key):
        plan.log.line(f"{stage.name}: done before")
        return
    for name in stage.reads(plan):
        if not (plan.root / name).exists():  # thinned out after a release, and needed again
            _work(plan, next(s for s in plan.stages if name in plan.marks.outputs(s.name)))
    _work(plan, stage)


def _must_be_done(plan: Plan, stage: Stage) -> None:
    if not plan.marks.fits(stage.name, plan.root / stage.folder, plan.key(stage)):
        raise StageFailed(
            f"stage {stage.name} is not done in {str(plan.root)!r}, or what it is made of has"
            f" changed: `punie pipeline {plan.recipe.path} --out {plan.root}` does it"
        )


def _work(plan: Plan, stage: Stage) -> None:
    plan.log.line(f"{stage.name}: started")
    key, began = plan.key(stage), time.monotonic()
    plan.marks.drop(stage.name)
    try:
        facts = stage.work(plan)
    except PunieError as error:
        raise type(error)(f"stage {stage.name}: {error}") from error
    folder = plan.root / stage.folder
    found = [sorted(folder.glob(pattern)) for pattern in stage.outputs]
    if lacking := [p for p, files in zip(stage.outputs, found, strict=True) if not files]:
        raise StageFailed(
            f"stage {stage.name} left no {', '.join(lacking)} in {folder}: `--again {stage.name}`"
            " makes it anew"
        )
    seconds, done = time.monotonic() - began, datetime.now(UTC).isoformat(timespec="seconds")
    files = [path for paths in found for path in paths]
    plan.marks.save(stage.name, key, files, facts, seconds, done)
    plan.log.line(f"{stage.name}: done in {seconds:.0f} s")


def _thin_out(plan: Plan) -> None:
    """Delete the models that a later one was made from: they are the large ones, and the last
    has passed."""
    for name in [stage.model for stage in plan.stages if stage.model][:-1]:
        if (plan.root / name).exists():
            plan.log.line(f"{name} is removed: the model made from it is released")
        plan.marks.removed(name, "after the release")


def _set_aside(plan: Plan, stage: Stage) -> None:
    plan.marks.drop(stage.name)
    folder = plan.root / stage.folder
    if folder.exists():
        aside = folder.with_name(f"{folder.name}.old")
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
        plan.log.line(f"{stage.name}: {folder} is set aside as {aside.name}")


@contextlib.contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Hold the folder's lock, which ends with the process. Raises UsageError when it is held."""
    import fcntl

    with (root / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(f"another pipeline works on {str(root)!r}: wait for its end") from None
        yield
