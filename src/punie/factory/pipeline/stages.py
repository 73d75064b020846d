"""The stages, in order. Each calls what its own command calls."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from punie import __version__, settings
from punie.errors import ModelUnavailable, PunieError, StageFailed
from punie.factory import benchmark, corpus, fuse, generate, intents, quantize, recipes, validate
from punie.factory.audit import run as auditing
from punie.factory.baselines import open_baseline
from punie.factory.benchmark import Subject
from punie.factory.composition import run as composed
from punie.factory.corpus.sdist import cache_dir
from punie.factory.pipeline import recipe, releasing
from punie.factory.pipeline.marks import write_json
from punie.factory.pipeline.recipe import ValidateOptions, digest
from punie.factory.pipeline.running import Log, Plan, Stage
from punie.factory.sampling import Draw, draws
from punie.factory.suite import FOLDER as SUITES
from punie.factory.suite import Suite, load_suite
from punie.models import SHIPPED as SHIPPED_ADAPTER
from punie.models import base_file, read_card, releases, sha256_of
from punie.models.spec import Model, open_model
from punie.terminal import Progress
from punie.tool import load_tools, tools_hash
from punie.trace import Store


def _tools() -> str:
    return tools_hash(load_tools().values())


def _built() -> Path:
    return cache_dir().parent / "workspaces"


# generate


def _generate(plan: Plan) -> dict[str, Any]:
    recipe, names = plan.recipe, list(plan.recipe.training)
    for number, name in enumerate(names, 1):
        plan.log.now(f"building {name} ({number} of {len(names)})")
        corpus.build(name, _built(), recipe.sources)
    options, place = recipe.options["generate"], (plan.root / "data", plan.workers, plan.log.now)
    if recipe.composition:
        made = composed.run(recipe.composition, options.seed, _built(), names, *place)
    else:
        made = generate.run(options, _built(), names, *place)
    return {split: made[split]["examples"] for split in ("train", "validation")}


def _data_is_of(plan: Plan) -> dict[str, Any]:
    recipe = plan.recipe
    words = sorted(Path(intents.__file__).parent.rglob("*.toml")) + sorted(SUITES.glob("*.toml"))
    words += sorted(intents.beside.files())
    places = {name: vars(recipe.sources[name]) for name in recipe.training}
    made_of = {"tools": _tools(), "intents": digest(*words), "corpus": digest(places)}
    if recipe.composition:
        made_of["composition"] = digest(recipe.composition.model_dump(mode="json"))
    if again := recipe.options["generate"].replay_from:
        made_of["replay"] = digest(Path(again) / "train.jsonl")
    return made_of


# audit


def _audit(plan: Plan) -> dict[str, Any]:
    done = auditing.run(
        plan.root / "data", plan.recipe.options["audit"], _built(), progress=plan.log.now
    )
    page = plan.root / "audit" / "audit.md"
    page.parent.mkdir(exist_ok=True)
    page.write_text(done.report, "utf-8")
    breaches = [f"  {f.name}: {f.text}" for f in done.findings if f.severity == "breach"]
    if breaches:
        raise StageFailed("\n".join(["the data is not fit to train on:", *breaches, f"see {page}"]))
    return {"remarks": len(done.findings)}


# train, fuse


def _train(plan: Plan) -> dict[str, Any]:
    try:
        from punie.factory import train
    except ImportError as error:
        raise ModelUnavailable(
            f"training needs the extra 'train' ({error}): pip install -e '.[train]'"
        ) from None
    report = json.loads((plan.root / "data" / "meta.json").read_text("utf-8"))
    files = recipes.files(plan.root, "train") | {"tools_hash": report["tools"]}
    options = plan.recipe.options["train"].model_copy(update=files)
    out = train.run(options, lambda done, total, text: plan.log.now(text))
    meta: dict[str, Any] = json.loads((out / "meta.json").read_text("utf-8"))
    return dict(meta["training"])


def _trained_from(plan: Plan) -> dict[str, Any]:
    options = plan.recipe.options["train"]
    files = {"base": options.base_file, "init_adapter": options.init_adapter}
    return {name: _hash(path) for name, path in files.items() if path}


def _hash(path: Path) -> str:
    if not path.is_file():
        raise ModelUnavailable(f"there is no file {str(path)!r}, which the recipe names")
    return sha256_of(path)


def _fuse(plan: Plan) -> dict[str, Any]:
    files = recipes.files(plan.root, "fuse")
    options = plan.recipe.options["fuse"].model_copy(update=files)
    out = fuse.run(options, lambda done, total, text: plan.log.now(f"fusing {done / total:.0%}"))
    meta: dict[str, Any] = json.loads((out / "meta.json").read_text("utf-8"))
    return {"kind": options.kind, "update_kept": meta["update_kept"]}


# quantize


def _quantize(plan: Plan) -> dict[str, Any]:
    files = recipes.files(plan.root, "quantize")
    options = plan.recipe.options["quantize"].model_copy(update=files)
    out = asyncio.run(quantize.run(options, plan.settings, plan.log.progress))
    chosen = json.loads((out / "meta.json").read_text("utf-8"))["chosen"]
    if not chosen:
        raise StageFailed(f"no level passes the rule: see {out / 'report.md'}")
    return {"chosen": chosen}


def _quantized_with(plan: Plan) -> dict[str, Any]:
    options = plan.recipe.options["quantize"]
    suite = load_suite(options.suite).sha256 if options.suite else ""
    return {"tools": _tools(), "suite": suite, "base": _hash(options.base or base_file())}


# validate


def _validate(plan: Plan) -> dict[str, Any]:
    model = plan.model("validate")
    specs = {"": (str(plan.root / model), plan.sha(model))}
    if plan.recipe.options["validate"].against and (name := _released(plan)["name"]):
        specs[".released"] = (f"release:{name}", _released(plan)["sha256"])
    facts: dict[str, Any] = {}
    for suite in plan.recipe.suites:
        for suffix, (spec, sha256) in specs.items():
            path = plan.root / "validation" / f"{suite.name}{suffix}.json"
            asked = [repr(plan.recipe.sources.get(name)) for name in suite.workspaces]
            how = [] if suffix else [plan.recipe.shown("validate", WHAT), _rows_beside(plan)]
            key = digest(suite.sha256, sha256, _tools(), asked, __version__, *how)
            report = _kept(path, key)
            if report is None:
                plan.log.line(f"validate: {suite.name}, {spec}")
                report = asyncio.run(_graded(plan, suite, spec, own=not suffix)) | {"key": key}
                write_json(path, report)
            facts[path.stem] = [report["passed"], report["total"]]
            if not suffix:
                _remember(report)
    return facts


def _rows_beside(plan: Plan) -> str:
    """Hash of the training rows, where a baseline reads them."""
    nearest = "nearest" in plan.recipe.options["validate"].baselines
    return plan.sha("data/train.jsonl") if nearest else ""


WHAT = frozenset({"suites", "against"})
"""Options that say what is graded; the others say how."""


def _kept(path: Path, key: str) -> dict[str, Any] | None:
    """The report of an earlier run on the same model and suite."""
    try:
        report: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return report if report["key"] == key else None
    except (OSError, ValueError, KeyError):
        return None


async def _graded(plan: Plan, suite: Suite, spec: str, *, own: bool) -> dict[str, Any]:
    """The report of a suite; the model that is `own` is also sampled and put beside baselines."""
    settings = plan.settings.model_copy(update={"model": spec})
    options: ValidateOptions = plan.recipe.options["validate"]
    async with AsyncExitStack() as stack:
        model = await open_model(settings, plan.log.progress)
        stack.push_async_callback(model.engine.close)
        beside: dict[str, Model] = {}
        for name in options.baselines if own else ():
            rows = plan.root / "data" / "train.jsonl"
            beside[name] = await open_baseline(name, settings, plan.log.progress, rows)
            stack.push_async_callback(beside[name].engine.close)
        report = await validate.run(
            suite,
            model,
            settings,
            plan.log.now,
            draws=draws((0.0, *options.temperatures), options.samples) if own else (Draw(),),
            baselines=beside,
            sources=plan.recipe.sources,
        )
    return report.as_json(transcripts=True)


def _remember(report: dict[str, Any]) -> None:
    """Let `punie monitor` know; a store that cannot be written costs nothing else."""
    shown = {k: v for k, v in report.items() if k not in ("cases", "key")}
    try:
        Store().add_validation(shown)
    except (OSError, sqlite3.Error):
        return


def _released(plan: Plan) -> dict[str, str]:
    """Name and hash of the model in use; of the one before, if that is the plan's own model.

    Raises StageFailed when the model in use is damaged: nothing else may stand in for it."""
    own = plan.sha(plan.model("validate"))
    history = releases.history()
    for name in reversed(history):
        try:
            sha256 = (
                str(read_card(SHIPPED_ADAPTER)["sha256"])
                if name == releases.SHIPPED
                else releases.find(name).sha256
            )
        except PunieError as error:
            if name == history[-1]:
                raise StageFailed(
                    f"the model in use cannot be compared with: {error}\n"
                    "  take another: punie models use NAME, or punie models rollback"
                ) from error
            continue
        if sha256 != own:
            return {"name": name, "sha256": sha256}
    return {"name": "", "sha256": ""}


def _judged_on(plan: Plan) -> dict[str, Any]:
    suites = {suite.name: suite.sha256 for suite in plan.recipe.suites}
    asked = plan.recipe.options["validate"].against
    return {"suites": suites, "released": _released(plan) if asked else "", "tools": _tools()}


# benchmark


def _benchmark(plan: Plan) -> dict[str, Any]:
    options = plan.recipe.options["benchmark"]
    file = plan.root / plan.model("benchmark")
    models = {"new": Subject(str(file))}
    if options.against and (name := _released(plan)["name"]):
        in_use = asyncio.run(_file_of(plan, name))
        models["released"] = Subject(f"release:{name}", file=in_use)
    folder = plan.root / "benchmark"
    benchmark.run(list(models.values()), folder, options.rounds, progress=plan.log.now)
    for subject in models.values():
        if subject.error:
            raise StageFailed(f"{subject.name} could not be measured: {subject.error}")
    found = {who: subject.as_json() for who, subject in models.items()}
    write_json(folder / "benchmark.json", found)
    return {}


async def _file_of(plan: Plan, name: str) -> Path:
    from punie.models import default_model

    make = default_model if name == releases.SHIPPED else releases.find(name).files
    return (await asyncio.to_thread(make)).path


def _measured_beside(plan: Plan) -> dict[str, Any]:
    return {"released": _released(plan) if plan.recipe.options["benchmark"].against else ""}


# the list


PATHS = frozenset({"data", "validation", "out", "base", "init_adapter", "adapter", "model", "rows"})
"""Options that are paths: what counts is the content, in `made_of` or `reads`."""
FREE = PATHS | {"max_minutes", "checkpoint_minutes", "name", "tools_hash"}
"""Those that may change between an interrupted training and its end."""

STAGES = (
    Stage(
        "generate",
        folder="data",
        outputs=("train.jsonl", "validation.jsonl", "meta.json"),
        work=_generate,
        made_of=_data_is_of,
    ),
    Stage(
        "audit",
        folder="audit",
        outputs=("audit.md",),
        work=_audit,
        reads=lambda plan: ["data/train.jsonl", "data/validation.jsonl"],
        made_of=lambda plan: {"tools": _tools(), "suites": digest(*sorted(SUITES.glob("*.toml")))},
    ),
    Stage(
        "train",
        folder="adapter",
        outputs=("adapter.gguf", "adapter-f32.gguf", "adapter.json", "log.jsonl", "meta.json"),
        work=_train,
        reads=lambda plan: ["data/train.jsonl", "data/validation.jsonl"],
        made_of=_trained_from,
        free=FREE,
    ),
    Stage(
        "fuse",
        folder="model",
        outputs=("model.gguf", "meta.json"),
        work=_fuse,
        reads=lambda plan: ["adapter/adapter.gguf", "adapter/adapter.json"],
        made_of=lambda plan: {"base": _hash(plan.recipe.options["fuse"].base or base_file())},
        free=PATHS,
        model="model/model.gguf",
    ),
    Stage(
        "quantize",
        folder="quantized",
        outputs=("model.gguf", "meta.json", "report.json", "report.md", "picture.svg"),
        work=_quantize,
        reads=lambda plan: ["model/model.gguf", "adapter/adapter.gguf", "data/validation.jsonl"],
        made_of=_quantized_with,
        free=PATHS,
        model="quantized/model.gguf",
        optional=True,
    ),
    Stage(
        "validate",
        folder="validation",
        outputs=("*.json",),
        work=_validate,
        reads=lambda plan: [plan.model("validate")],
        made_of=_judged_on,
    ),
    Stage(
        "benchmark",
        folder="benchmark",
        outputs=("benchmark.json",),
        work=_benchmark,
        reads=lambda plan: [plan.model("benchmark")],
        made_of=_measured_beside,
    ),
    Stage(
        "release",
        folder="release",
        outputs=("*",),
        work=releasing.work,
        reads=lambda plan: [
            plan.model("release"),
            *sorted(plan.marks.outputs("validate")),
            "benchmark/benchmark.json",
        ],
    ),
)
"""A stage between `fuse` and `validate` that leaves a `model` is what all later ones work on."""


def plan_of(path: Path, root: Path, progress: Progress, workers: int = 2) -> Plan:
    """The plan of a recipe whose outputs are in `root`, which is made. Raises UsageError that
    names every mistake of the recipe before that."""
    read = recipe.read(path, [stage.name for stage in STAGES])
    root.mkdir(parents=True, exist_ok=True)
    log = Log(root / "pipeline.log", progress)
    return Plan(read, root, settings.load(None), chosen(read.tables), log, workers)


def chosen(tables: dict[str, Any]) -> list[Stage]:
    """The stages of a recipe with these tables: optional ones only where they have one."""
    return [stage for stage in STAGES if not stage.optional or stage.name in tables]
