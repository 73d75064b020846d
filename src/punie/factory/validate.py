"""Grade a model on a suite: ask every question for real, judge by execution, count honestly."""

from __future__ import annotations

import contextlib
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

from punie.agent import Agent
from punie.factory import corpus, measures
from punie.factory.paired import latency, paired
from punie.factory.sampling import Draw, Sampled
from punie.factory.suite import AsReference, Case, Judge, Suite, Verdict, unmet, wilson
from punie.models.spec import Model
from punie.navigation.lsp import Server
from punie.sandbox import Sandbox
from punie.scratch import scratch
from punie.settings import Settings
from punie.tool import load_tools
from punie.workspace import Workspace
from punie.wrap import Allow, Context


@dataclass(frozen=True)
class Report:
    """The verdicts on a suite, and what they add up to."""

    suite: Suite
    model: dict[str, str]
    verdicts: list[Verdict]
    seconds: float
    """Wall time of asking and judging."""
    samples: Mapping[Draw, list[Verdict]] = field(default_factory=dict)
    """The verdicts by draw, those of `verdicts` first."""
    baselines: Mapping[str, list[Verdict]] = field(default_factory=dict)
    """The verdicts on what the model must beat, by its name."""

    @property
    def passed(self) -> int:
        """Cases that passed."""
        return sum(v.passed for v in self.verdicts)

    def categories(self) -> dict[str, tuple[int, int]]:
        """(passed, total) by category, in the suite's order."""
        counts: dict[str, list[bool]] = defaultdict(list)
        for verdict in self.verdicts:
            counts[verdict.case.category].append(verdict.passed)
        return {name: (sum(found), len(found)) for name, found in counts.items()}

    def outcomes(self) -> dict[str, bool]:
        """Whether each case passed, by its id."""
        return {v.case.id: v.passed for v in self.verdicts}

    def _stability(self) -> list[dict[str, Any]]:
        """Several samples of each temperature; none when every case was asked once."""
        if len(self.samples) < 2:
            return []
        by_heat = groupby(self.samples.items(), key=lambda item: item[0].temperature)
        return [
            measures.stability(heat, [verdicts for _, verdicts in found]) for heat, found in by_heat
        ]

    def _beside(self, verdicts: list[Verdict]) -> dict[str, Any]:
        """A baseline's score, and the model's gain over it."""
        passed, total = sum(v.passed for v in verdicts), len(verdicts)
        low, high = wilson(passed, total)
        spent = [v.answer.ms["generate"] for v in verdicts]
        return {
            "passed": passed,
            "total": total,
            "interval": [round(low, 3), round(high, 3)],
            "ladder": measures.ladder(verdicts, load_tools()),
            "generate_ms": latency(spent),
            "paired": paired(self.outcomes(), {v.case.id: v.passed for v in verdicts}).as_json(),
        }

    def faults(self) -> dict[str, int]:
        """Failed cases by the kind of their first fault: no case is named."""
        kinds = (v.faults[0].split(":")[0] for v in self.verdicts if v.faults)
        return dict(Counter(kinds).most_common())

    def as_json(self, transcripts: bool = False) -> dict[str, Any]:
        """The report as an object; `transcripts` adds every case with its answer."""
        low, high = wilson(self.passed, len(self.verdicts))
        spent = [v.answer.ms["generate"] for v in self.verdicts]
        direct = [v for v in self.verdicts if v.case.kind == "direct"]
        tool = [v for v in self.verdicts if v.case.kind == "tool"]
        report: dict[str, Any] = {
            "suite": self.suite.name,
            "sha256": self.suite.sha256,
            "model": self.model,
            "passed": self.passed,
            "total": len(self.verdicts),
            "interval": [round(low, 3), round(high, 3)],
            "categories": {k: list(v) for k, v in self.categories().items()},
            "faults": self.faults(),
            "false_calls": [sum(v.answer.kind == "tool" for v in direct), len(direct)],
            "false_refusals": [sum(v.answer.kind == "direct" for v in tool), len(tool)],
            "generate_ms": {"median": median(spent), "max": max(spent)} | latency(spent),
            "total_ms": latency([v.answer.ms["total"] for v in self.verdicts]),
            "ladder": measures.ladder(self.verdicts, load_tools()),
            "field_access": list(measures.field_access(self.verdicts)),
            "groups": measures.groups(self.verdicts),
            "samples": self._stability(),
            "baselines": {name: self._beside(found) for name, found in self.baselines.items()},
            "seconds": round(self.seconds, 1),
        }
        if transcripts:
            report["cases"] = [
                {
                    "id": v.case.id,
                    "category": v.case.category,
                    "passed": v.passed,
                    "faults": v.faults,
                    **v.answer.as_json(),
                }
                for v in self.verdicts
            ]
        return report


async def run(
    suite: Suite,
    model: Model,
    settings: Settings,
    progress: Callable[[str], None] = lambda text: None,
    folder: Path | None = None,
    *,
    draws: Sequence[Draw] = (Draw(),),
    baselines: Mapping[str, Model] | None = None,
    sources: dict[str, corpus.Source] | None = None,
) -> Report:
    """Ask and grade every case, with each of `draws`, and put it to the `baselines` once.
    Workspaces are built afresh in `folder` (default: a temporary one, so that runs do not meet),
    from `sources` (default: the corpus of the package).

    Raises `CorpusError` when a workspace cannot be had, `UsageError` for a broken case.
    """
    start = time.perf_counter()
    settings = settings.model_copy(update={"yes": False, "read_only": False})
    drawn = [
        replace(model, engine=Sampled(model.engine, draw)) if draw != Draw() else model
        for draw in draws
    ]
    others = dict(baselines or {})
    asked = [*drawn, *others.values()]
    rows: list[list[Verdict]] = []
    with scratch("suite") as temporary:
        for name in suite.workspaces:
            progress(f"building the workspace {name}")
            root = corpus.build(name, folder or temporary, sources)
            cases = [case for case in suite.cases if case.workspace == name]
            async for row in graded(cases, root, asked, settings):
                rows.append(row)
                progress(f"{len(rows)} of {len(suite.cases)} cases")
    order = {case.id: number for number, case in enumerate(suite.cases)}
    rows.sort(key=lambda row: order[row[0].case.id])
    columns = [list(column) for column in zip(*rows, strict=True)]
    described = {"name": model.engine.name, "engine": model.engine.kind}
    described["sha256"] = model.engine.sha256
    return Report(
        suite,
        described,
        columns[0],
        time.perf_counter() - start,
        dict(zip(draws, columns, strict=False)),
        dict(zip(others, columns[len(drawn) :], strict=True)),
    )


async def check(
    suite: Suite, settings: Settings, progress: Callable[[str], None] = lambda text: None
) -> list[str]:
    """Run every reference program of a suite: what does not hold, a line each."""
    problems: list[str] = []
    settings = settings.model_copy(update={"yes": True, "read_only": False})
    with scratch("suite") as temporary:
        for name in suite.workspaces:
            progress(f"running the references on {name}")
            workspace = Workspace(corpus.build(name, temporary))
            context = Context(
                workspace, settings, Server(workspace, settings), Allow(), trusted=True
            )
            async with contextlib.AsyncExitStack() as stack:
                stack.push_async_callback(context.language_server.close)
                sandbox = await stack.enter_async_context(Sandbox(load_tools().values(), settings))
                for case in (c for c in suite.cases if c.workspace == name):
                    for number, reference in enumerate(case.references, 1):
                        outcome = await sandbox.run(reference, context)
                        lacking = unmet(case, outcome)
                        problems += [f"{case.id}, reference {number}: {p}" for p in lacking]
    return problems


async def graded(
    cases: Sequence[Case], root: Path, models: Sequence[Model], settings: Settings
) -> AsyncIterator[list[Verdict]]:
    """For each case of one workspace, in order, the verdicts on all models."""
    workspace = Workspace(root)
    server = Server(workspace, settings)
    approver = AsReference()
    context = Context(workspace, settings, server, approver, trusted=True)
    sandbox = Sandbox(load_tools().values(), settings)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(server.close)
        await stack.enter_async_context(sandbox)
        agents = [
            Agent(m.engine, sandbox, context, dialect=m.dialect, profile=m.profile) for m in models
        ]
        judge = Judge(sandbox, replace(context, approver=Allow()))
        for case in cases:
            await approver.learn(case, sandbox, context)
            yield [await judge.grade(case, await agent.ask(case.query)) for agent in agents]
