"""A pipeline's run as one HTML page: opens offline, in light and dark, and loads nothing.

It shows what the stages left in their folders, whichever of them have run.
"""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from punie.factory.gate import TARGETS
from punie.factory.paired import mcnemar
from punie.factory.pipeline import bars, transcripts
from punie.page import chart, document, key, table

if TYPE_CHECKING:
    from punie.factory.pipeline.running import Plan

POINTS = 240
"""Points that a curve is thinned to, by means."""


def write(plan: Plan) -> str:
    """The page of a run."""
    return of(plan.root, plan.recipe.name)


def of(root: Path, name: str = "") -> str:
    """The page of a pipeline's folder."""
    reports = {
        p.stem: found for p in sorted((root / "validation").glob("*.json")) if (found := load(p))
    }
    parts = [
        _state(root),
        _data(load(root / "data" / "meta.json")),
        _training(root / "adapter"),
        _quantization(root / "quantized"),
        _validation(reports, load(root / "gate.json")),
        _benchmark(load(root / "benchmark" / "benchmark.json")),
        transcripts.section(reports),
    ]
    title = f"Punie: {name or root.resolve().name}, from recipe to model"
    style = bars.STYLE + transcripts.STYLE
    return document(title, "\n".join(filter(None, parts)), style, transcripts.SCRIPT)


def load(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None when there is none or it is damaged."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _state(root: Path) -> str:
    marks = [found for path in (root / "stages").glob("*.json") if (found := load(path))]
    marks.sort(key=lambda mark: str(mark.get("done")))
    rows = [[m["stage"], str(m["done"]), f"{m['seconds']:,.0f} s"] for m in marks]
    gate, released = load(root / "gate.json"), load(root / "release" / "release.json")
    verdict = "<p class=soft>The gate has not been reached.</p>"
    if gate and gate["objections"]:
        lines = "".join(f"<li>{escape(text)}</li>" for text in gate["objections"])
        verdict = f"<p class=alarm>Not released: the gate is not passed.</p><ul>{lines}</ul>"
    elif gate and released:
        weaker = (
            "" if gate["of_specification"] else " through a weaker gate than the specification's"
        )
        verdict = f"<p class=fine>Released as {escape(released['name'])}{weaker}.</p>"
    return verdict + "<h2>Stages</h2>" + table(["stage", "done (UTC)", "took"], rows)


def _data(report: dict[str, Any] | None) -> str:
    if not report:
        return ""
    train, held_out = report["train"], report["validation"]
    total = train["examples"]
    figures = "".join(
        bars.shares(title, train[part], total)
        for title, part in (("Kinds", "kinds"), ("Groups", "groups"), ("Tools called", "tools"))
    )
    rejects = [[reason, f"{count:,}"] for reason, count in report["rejects"].items() if count]
    return (
        f"<h2>Data</h2><p>{total:,} training examples of {train['intents']} intents, "
        f"{held_out['examples']:,} held out; {train['several tools']:,} call several tools, in "
        f"{train['combinations']} combinations. Tool set {escape(str(report['tools']))}.</p>"
        f"<div class=charts>{figures}</div><details><summary>What was dropped, and why</summary>"
        f"{table(['reason', 'examples'], rejects)}</details>"
    )


def _training(folder: Path) -> str:
    try:
        lines = (folder / "log.jsonl").read_text("utf-8").splitlines()
        steps = [json.loads(line) for line in lines]
    except (OSError, ValueError):
        return ""
    if not steps:
        return ""
    size = max(1, -(-len(steps) // POINTS))
    groups = [steps[start : start + size] for start in range(0, len(steps), size)]
    where = [f"step {group[-1]['step']}" for group in groups]

    def means(name: str) -> list[float | None]:
        found = [[step[name] for step in group if name in step] for group in groups]
        return [sum(values) / len(values) if values else None for values in found]

    losses = {"training loss": means("loss"), "validation loss": means("validation_loss")}
    charts = [
        chart("Loss a target token", where, losses, "{:.2f}", dots=len(groups) <= 40),
        chart("Learning rate", where, {"rate": means("lr")}, "{:.1e}", dots=False),
        chart("Tokens a second", where, {"tok/s": means("tok_s")}, "{:.0f}", dots=False),
    ]
    meta = load(folder / "meta.json")
    rows = [
        [name.replace("_", " "), _plain(value)]
        for name, value in (meta["training"] if meta else {}).items()
    ]
    told = table(["", ""], rows) if rows else "<p class=soft>Training has not ended.</p>"
    for sign in meta["training"].get("warnings", ()) if meta else ():
        told = f"<p class=alarm>{escape(sign)}</p>{told}"
    return f"<h2>Training</h2>{key(list(losses))}<div class=charts>{''.join(charts)}</div>{told}"


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(each)}" for name, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return (
        f"{value:,.4g}"
        if isinstance(value, float) and value < 1000
        else (f"{value:,}" if isinstance(value, int | float) else str(value))
    )


def _quantization(folder: Path) -> str:
    """The levels beside each other, where there was a stage that made them."""
    report = load(folder / "report.json")
    if not report:
        return ""
    rows = []
    for level in (report["reference"], *report["levels"]):
        suite, update = level.get("suite"), level.get("update")
        rows.append(
            [
                level["level"] + (" (picked)" if level["level"] == report["chosen"] else ""),
                level["label"],
                f"{level['bits']:.2f}",
                f"{level['bytes'] / 1e6:.1f}",
                f"{update['mean']:.1%} ({update['worst']:.1%})" if update else "–",
                f"{level['divergence']:.4f}",
                f"{level['agreement']:.2%}",
                f"{level['tokens_per_second']:.0f}",
                f"{suite['passed']} / {suite['total']}" if suite else "–",
                "; ".join(level["objections"]) or "none",
            ]
        )
    head = ["level", "in truth", "bits", "MB", "update kept (worst)", "divergence", "same token"]
    picture = folder / "picture.svg"
    drawn = picture.read_text("utf-8") if picture.exists() else ""
    drawn = drawn[drawn.find("<svg") :] if "<svg" in drawn else ""
    shown = table([*head, "tokens/s", "suite", "objections"], rows)
    return f"<h2>Quantization</h2>{shown}<figure>{drawn}</figure>"


def _validation(reports: dict[str, dict[str, Any]], gate: dict[str, Any] | None) -> str:
    parts = []
    for name, report in reports.items():
        if name.endswith(".released"):
            continue
        before = reports.get(f"{name}.released")
        targets = (gate or {}).get("targets", TARGETS) if not gate or gate["suite"] == name else {}
        calls, refusals = report["false_calls"], report["false_refusals"]
        low, high = report["interval"]
        spent = report["generate_ms"]
        faults = escape(_plain(report["faults"]) or "none")
        parts.append(
            f"<h3>Suite {escape(name)}: {report['passed']} of {report['total']}, "
            f"95 % interval {low:.0%} to {high:.0%}</h3>"
            f"{bars.categories(report, before, targets)}"
            f"<p class=soft>False calls {calls[0]} of {calls[1]}, false refusals {refusals[0]} of "
            f"{refusals[1]}; generation median {spent['median']:.0f} ms, longest "
            f"{spent['max']:.0f} ms. First faults: {faults}.</p>"
            f"{_sampled(report)}{_beside(report)}{_before(report, before)}"
        )
    legend = (
        "<p class=key><span><b class=own>■</b> this model</span><span><b class=other>■</b> the "
        "model before</span><span>thin line: Wilson's 95 % interval</span><span>"
        "<b class=alarm>┊</b> target</span></p>"
    )
    return f"<h2>Validation</h2>{legend}{''.join(parts)}" if parts else ""


def _sampled(report: dict[str, Any]) -> str:
    """How steady the answers are over samples, where there were several."""
    rows = [
        [
            f"{one['temperature']:g}",
            str(one["samples"]),
            ", ".join(map(str, one["passed"])),
            f"{one['all']} of {one['total']}",
            f"{one['any']} of {one['total']}",
        ]
        for one in report.get("samples", ())
    ]
    head = ["temperature", "samples", "passed in each", "passed in all", "passed in any"]
    return table(head, rows) if rows else ""


def _beside(report: dict[str, Any]) -> str:
    """What the model must beat, where it was graded."""
    rows = [
        [
            name,
            f"{one['passed']} of {one['total']}",
            "{:.0%} to {:.0%}".format(*one["interval"]),
            f"{one['paired']['won']}, {one['paired']['lost']}",
            f"{one['paired']['p']:.3g}",
        ]
        for name, one in report.get("baselines", {}).items()
    ]
    head = ["baseline", "passed", "95 % interval", "the model wins, loses", "McNemar's p"]
    return table(head, rows) if rows else ""


def _before(report: dict[str, Any], before: dict[str, Any] | None) -> str:
    """What changed from the model before, case by case."""
    if not before:
        return "<p class=soft>No model before was graded on this suite.</p>"
    now = {case["id"]: case["passed"] for case in report["cases"]}
    then = {case["id"]: case["passed"] for case in before["cases"]}
    won = [name for name in now if now[name] and then.get(name) is False]
    lost = [name for name in now if not now[name] and then.get(name) is True]
    return (
        f"<p>Beside {escape(before['model']['name'])} ({before['passed']} of {before['total']}): "
        f"{len(won)} won, {len(lost)} lost (McNemar, p = {mcnemar(len(won), len(lost)):.3g}).</p>"
        + "".join(
            f"<details><summary>{len(names)} {word}</summary>"
            f"<p>{escape(', '.join(names))}</p></details>"
            for word, names in (("won", won), ("lost", lost))
            if names
        )
    )


def _benchmark(speed: dict[str, Any] | None) -> str:
    if not speed:
        return ""
    rows = [
        [
            f"{who}: {found['name']}",
            f"{found['disk'] / 1e6:.0f} MB",
            f"{found['memory'] / 1e6:.0f} MB",
            f"{found['load_ms']:.0f} ms",
            f"{found['first_ms']:.0f} ms",
            f"{found['later_ms']['p50']:.0f}, {found['later_ms']['p95']:.0f} ms",
            f"{found['generate_ms']['p50']:.0f}, {found['generate_ms']['p95']:.0f} ms",
            f"{found['tokens_per_second']:.0f}",
        ]
        for who, found in speed.items()
    ]
    head = ["model", "disk", "memory", "load", "first query", "later (p50, p95)"]
    return "<h2>Benchmark</h2>" + table([*head, "generation (p50, p95)", "tokens/s"], rows)
