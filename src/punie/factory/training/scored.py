"""Candidates judged by what they answer: fused as they would be released, and asked a suite."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from punie import settings
from punie.factory import fuse, validate
from punie.factory.fuse import FuseOptions
from punie.factory.suite import Suite, deciding
from punie.factory.training.options import TrainOptions
from punie.factory.training.outputs import card
from punie.factory.training.records import write_json
from punie.models.adapter import write_adapter
from punie.models.spec import open_model
from punie.terminal import Progress

if TYPE_CHECKING:
    from punie.factory.train import Trainer


def judge(options: TrainOptions, mark: dict[str, Any]) -> Callable[[Trainer], float]:
    """What scores a trainer's network, 0 to 1: the share of the suite's questions (or of every
    n-th, so that they are about `score_cases`) that pass. Raises UsageError for no such suite."""
    suite = thinned(deciding(options.score_suite), options.score_cases)

    def score(trainer: Trainer) -> float:
        with tempfile.TemporaryDirectory(prefix="candidate-", dir=options.out) as name:
            folder = Path(name)
            write_adapter(trainer.network.adapter(), folder / "adapter.gguf")
            write_json(folder / "adapter.json", card(options, mark, folder / "adapter.gguf"))
            fused = fuse.run(FuseOptions(adapter=folder, out=folder / "fused", base=options.base))
            return asyncio.run(_score(suite, fused / "model.gguf"))

    return score


def thinned(suite: Suite, cases: int) -> Suite:
    """The suite with every n-th of its cases, about `cases` in all."""
    step = max(1, round(len(suite.cases) / cases))
    kept = suite.cases[::step]
    asked = {case.workspace for case in kept}
    places = tuple(name for name in suite.workspaces if name in asked)
    return replace(suite, cases=kept, workspaces=places)


async def _score(suite: Suite, file: Path) -> float:
    chosen = settings.load(None, model=str(file))
    model = await open_model(chosen, Progress())
    try:
        report = await validate.run(suite, model, chosen)
    finally:
        await model.engine.close()
    return report.passed / max(1, len(suite.cases))
