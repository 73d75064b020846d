"""The texts of a release: model card and deployment summary, from measured figures only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from punie.factory.suite import wilson


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def model_card(
    facts: dict[str, Any],
    trained: dict[str, Any],
    suites: dict[str, dict[str, Any]],
    speed: dict[str, Any],
    data: dict[str, Any],
) -> str:
    """What the model is, what it was made of, what it can do, by figures of this run."""
    training = trained.get("training", {})
    gate = facts["gate"]
    held = (
        "It passed the gate of the specification."
        if gate["of_specification"]
        else f"**It was not held to the gate of the specification**, but to suite "
        f"`{gate['suite']}`, overall {gate['overall']:.0%}, "
        f"{len(gate['targets'])} category targets."
    )
    made = data.get("train", {})
    parts = [
        f"# {facts['name']}",
        f"Writes programs over Punie's tools. Made from recipe `{facts['recipe']}`. {held}",
        "## What it is",
        _table(
            ["", ""],
            [
                ["weights, SHA-256", f"`{facts['model_sha256']}`"],
                ["base, SHA-256", f"`{facts['base_sha256']}`"],
                ["dialect", f"`{facts['dialect']}`"],
                ["tool set", f"`{facts['tools_hash']}`"],
                ["vocabulary", f"{facts['tokenizer']['tokens']} tokens"],
                ["adapter", f"rank {trained.get('rank')}, alpha {trained.get('alpha')}"],
            ],
        ),
        "## Training",
        _table(
            ["", ""],
            [
                ["examples", f"{made.get('examples', '–')} of {made.get('intents', '–')} intents"],
                ["steps", f"{training.get('steps')} of {training.get('steps_planned')} planned"],
                ["tokens", f"{training.get('tokens')}, trained {training.get('target_tokens')}"],
                ["trainable", f"{training.get('trainable_parameters')} values"],
                ["validation loss", _loss(training.get("validation_loss") or {})],
                ["time", f"{training.get('seconds')} s, {training.get('tokens_per_second')} tok/s"],
                *(["warning", each] for each in training.get("warnings", ())),
            ],
        ),
        "## Validation",
        "Graded by execution; intervals are Wilson's at 95 %.",
        *(_graded(name, report) for name, report in suites.items()),
        "## Cost, measured where it was made",
        _speed(speed),
    ]
    return "\n\n".join(parts) + "\n"


def _loss(losses: dict[str, float]) -> str:
    return f"{losses['best']:.4f}, as stored {losses['stored']:.4f}" if losses else "not measured"


def _graded(name: str, report: dict[str, Any]) -> str:
    suite, _, released = name.partition(".")
    whose = f"the model before, {report['model']['name']}" if released else "this model"
    rows = [
        [category, f"{passed} / {total}", "{:.0%} to {:.0%}".format(*wilson(passed, total))]
        for category, (passed, total) in report["categories"].items()
    ]
    low, high = report["interval"]
    rows.append(["all", f"{report['passed']} / {report['total']}", f"{low:.0%} to {high:.0%}"])
    calls, refusals = report["false_calls"], report["false_refusals"]
    told = f"False calls {calls[0]} of {calls[1]}, false refusals {refusals[0]} of {refusals[1]}."
    table = _table(["category", "passed", "interval"], rows)
    return f"### Suite {suite}: {whose}\n\n{table}\n\n{told}"


def _speed(speed: dict[str, Any]) -> str:
    head = ["", *(f"{who}: {found['name']}" for who, found in speed.items())]
    figures = [
        ("disk, MB", lambda s: f"{s['disk'] / 1e6:.1f}"),
        ("memory with all tools, MB", lambda s: f"{s['memory'] / 1e6:.0f}"),
        ("load, ms", lambda s: f"{s['load_ms']:.0f}"),
        ("first query, ms", lambda s: f"{s['first_ms']:.0f}"),
        ("later queries, ms (p50, p95)", lambda s: _pair(s["later_ms"])),
        ("of it generation, ms (p50, p95)", lambda s: _pair(s["generate_ms"])),
        ("tokens/s", lambda s: f"{s['tokens_per_second']:.0f}"),
        ("answers that are ok", lambda s: f"{s['ok'][0]} of {s['ok'][1]}"),
    ]
    return _table(head, [[name, *map(form, speed.values())] for name, form in figures])


def _pair(values: dict[str, float]) -> str:
    return f"{values['p50']:.0f}, {values['p95']:.0f}"


def deployment(facts: dict[str, Any], speed: dict[str, Any], folder: Path) -> str:
    """How to bring the release to another machine, and what it needs there."""
    size = sum(path.stat().st_size for path in folder.iterdir())
    own, name = speed["new"], facts["name"]
    needs = (
        "nothing else"
        if facts["form"] == "weights"
        else f"as much again ({own['disk'] / 1e6:.0f} MB) in the cache, fused at the first use"
    )
    return f"""# Deploying {name}

```console
$ punie models archive {name}
$ punie models install {name}.punie.tar
$ punie models use {name}
$ punie models rollback
```

The second and third line are for the other machine, which needs Punie and no network; the last
one goes back.

- Disk: {size / 1e6:.0f} MB, {needs}.
- Memory: {own["memory"] / 1e6:.0f} MB at the peak, with language server and sandbox.
- Load {own["load_ms"]:.0f} ms, first query {own["first_ms"]:.0f} ms, later ones
  {own["later_ms"]["p50"]:.0f} ms (median), {own["later_ms"]["p95"]:.0f} ms (95th of a hundred).
- Tool set `{facts["tools_hash"]}`: with other tools Punie warns, and answers may be worse.
- `punie models show {name} --check` hashes every file.
"""
