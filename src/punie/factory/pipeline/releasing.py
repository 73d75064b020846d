"""Stage `release`: the gate, then a model folder that stands alone, with its card.

The card and the deployment summary are written from what the stages before measured, and from
nothing else. The folder is copied to the user's releases; what is in use changes only where the
recipe says `promote`.
"""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from punie import __version__
from punie.errors import StageFailed
from punie.factory.gate import Gate
from punie.factory.pipeline import card
from punie.factory.pipeline.marks import write_json
from punie.models import base_file, describe_gguf, read_card, releases, sha256_of
from punie.models.weights import open_gguf

if TYPE_CHECKING:
    from punie.factory.pipeline.running import Plan


def work(plan: Plan) -> dict[str, Any]:
    """Judge, build, install; promote if the recipe says so. Raises StageFailed with every
    reason why the model is not released."""
    options = plan.recipe.options["release"]
    reports = read_reports(plan.root)
    own, released = reports[options.gate.suite], reports.get(f"{options.gate.suite}.released")
    objections = options.gate.objections(own, released)
    write_json(plan.root / "gate.json", options.gate.as_json() | {"objections": objections})
    if objections:
        raise StageFailed("\n  ".join(["not released, the gate is not passed:", *objections]))
    folder = build(plan, options.gate, reports)
    release = releases.put(folder)
    plan.log.line(f"released {release.name} in {release.folder}")
    if options.promote:
        releases.use(release.name)
        plan.log.line(f"in use: {release.name}")
    else:
        plan.log.line(f"take it with: punie models use {release.name}")
    return {"name": release.name, "promoted": options.promote}


def read_reports(root: Path) -> dict[str, dict[str, Any]]:
    """The validation reports of a pipeline's folder by suite, `<suite>.released` for those of
    the model in use."""
    found = {}
    for path in sorted((root / "validation").glob("*.json")):
        found[path.stem] = json.loads(path.read_text("utf-8"))
    return found


def build(plan: Plan, gate: Gate, reports: dict[str, dict[str, Any]]) -> Path:
    """Make `release/` anew, as a whole or not at all; gives the folder."""
    options, model = plan.recipe.options["release"], plan.root / plan.model("release")
    part = plan.root / "release.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    trained = read_card(plan.root / "adapter")
    described, sha256 = describe_gguf(model), sha256_of(model)
    if options.form == "weights":
        _link(model, part / "model.gguf")
    else:
        sha256 = _as_adapter(plan, part)
    suites = {name: short(report) for name, report in reports.items()}
    speed = json.loads((plan.root / "benchmark" / "benchmark.json").read_text("utf-8"))
    facts: dict[str, Any] = {
        "format": releases.FORMAT,
        "name": options.name or f"{described.name}-{sha256[:8]}",
        "recipe": plan.recipe.name,
        "form": options.form,
        "model_sha256": sha256,
        "dialect": described.dialect,
        "tools_hash": described.tools_hash,
        "tokenizer": tokenizer(model),
        "base_sha256": trained["base_sha256"],
        "gate": gate.as_json(),
        "scores": {name: suites[name] for name in suites if not name.endswith(".released")},
        "punie": __version__,
    }
    write_json(part / "validation.json", suites)
    write_json(part / "benchmark.json", speed)
    data = json.loads((plan.root / "data" / "meta.json").read_text("utf-8"))
    text = card.model_card(facts, trained, suites, speed, data)
    (part / "MODEL_CARD.md").write_text(text, "utf-8")
    (part / "DEPLOYMENT.md").write_text(card.deployment(facts, speed, part), "utf-8")
    facts["files"] = {
        path.name: {"sha256": sha256_of(path), "bytes": path.stat().st_size}
        for path in sorted(part.iterdir())
    }
    # The moment stands beside the files, not in them: the same release twice is the same files.
    facts["made"] = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(part / releases.FACTS, facts)
    folder = plan.root / "release"
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
    return folder


def _as_adapter(plan: Plan, part: Path) -> str:
    """Adapter, card and base; gives the hash of what they are fused to at the first use. Raises
    StageFailed when that is not the model that was judged."""
    model = plan.root / plan.model("release")
    base = plan.recipe.options["fuse"].base or base_file()
    for name in ("adapter.gguf", "adapter.json"):
        shutil.copyfile(plan.root / "adapter" / name, part / name)
    shutil.copyfile(base, part / "base.gguf")
    from punie.models import default_model

    fused = default_model(folder=part, base=base, cache=plan.root / "release.cache")
    shutil.rmtree(plan.root / "release.cache")
    if fused.sha256 != sha256_of(model):
        raise StageFailed(
            "adapter and base give another model than the one that was validated (another number"
            ' format?): release it as weights, form = "weights"'
        )
    return fused.sha256


def short(report: dict[str, Any]) -> dict[str, Any]:
    """A report without its cases and times."""
    kept = ("suite", "sha256", "model", "passed", "total", "interval", "categories", "faults")
    return {key: report[key] for key in (*kept, "false_calls", "false_refusals", "generate_ms")}


def tokenizer(model: Path) -> dict[str, Any]:
    """What a GGUF says of its tokenizer."""
    reader = open_gguf(model)
    keys = ("model", "pre", "bos_token_id", "eos_token_id", "add_bos_token")
    found = {key: reader.get_field(f"tokenizer.ggml.{key}") for key in keys}
    tokens = reader.get_field("tokenizer.ggml.tokens")
    facts = {key: field.contents() for key, field in found.items() if field is not None}
    return facts | {"tokens": len(tokens.data) if tokens else 0}


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copyfile(source, target)
