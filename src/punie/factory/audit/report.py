"""The report of an audit: Markdown that is the same for the same data, whenever it is made."""

from __future__ import annotations

from collections.abc import Sequence

from punie.factory.audit import registers
from punie.factory.audit.findings import Finding
from punie.factory.audit.nearness import Nearest, without_values
from punie.factory.audit.pictures import bars, histogram, quantiles, ranked
from punie.factory.audit.shares import result_fields
from punie.factory.audit.subject import Subject

IDS = 20
"""Ids that a finding names."""
CUT = 240
"""Characters of a sample."""


def markdown(subject: Subject, findings: Sequence[Finding]) -> str:
    """The whole report."""
    breaches = sum(f.severity == "breach" for f in findings)
    verdict = "fails" if breaches else "passes"
    head = f"# Audit: {verdict} ({breaches} breaches, {len(findings) - breaches} remarks)"
    parts = [head, _overview(subject), _findings(findings), *_counts(subject)]
    return "\n\n".join([*parts, *_distributions(subject)]) + "\n"


def _overview(subject: Subject) -> str:
    data, norms = subject.data, subject.norms
    rows = ", ".join(f"{len(found)} {split}" for split, found in data.by_split.items())
    tools = data.report.get("tools", "not stated")
    return (
        f"{len(data.examples)} examples ({rows}) of tool set {tools}, held against the norms "
        f"`{norms.norms}`. Shares are of all examples."
    )


def _findings(findings: Sequence[Finding]) -> str:
    if not findings:
        return "## Findings\n\nNone."
    rows = [f"| {f.severity} | {f.name} | {_cell(f.text)} |" for f in findings]
    table = "\n".join(["| | what | how many |", "|---|---|---|", *rows])
    samples = [text for finding in findings if (text := _sample(finding))]
    return "\n\n".join(["## Findings", table, *samples])


def _sample(finding: Finding) -> str:
    if not (finding.sample or finding.ids):
        return ""
    shown = [f"    {' '.join(line.split())[:CUT]}" for line in finding.sample]
    more = len(finding.ids) - IDS
    ids = ", ".join(finding.ids[:IDS]) + (f" and {more} more" if more > 0 else "")
    return "\n\n".join(filter(None, [f"### {finding.name}", "\n".join(shown), ids]))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _section(title: str, picture: str) -> str:
    return f"## {title}\n\n```text\n{picture}\n```"


def _counts(subject: Subject) -> list[str]:
    examples = subject.data.examples
    total, known = len(examples), registers.hands()
    together = [" + ".join(e.tools) for e in examples if len(e.tools) > 1]
    asked, _ = result_fields(subject)
    read = ranked(f for e in examples for f in e.fields if f in asked)
    turns = [f"{e.kind}, {len(e.messages)} messages" for e in examples]
    return [
        _section("Kinds", bars(ranked(turns), total)),
        _section("Groups", bars(ranked(e.group for e in examples), total)),
        _section("Tools", bars(ranked(t for e in examples for t in e.tools), total)),
        _section("Combinations of tools", bars(ranked(together), total)),
        _section("Fields read", bars(read | dict.fromkeys(sorted(asked - read.keys()), 0))),
        _section("Registers", bars(registers.counted(e.asked for e in examples), total)),
        _section("Registers by hand", bars(ranked(registers.hand(e, known) for e in examples))),
        _section(
            "Registers by form",
            bars(ranked(f for e in examples for f in registers.forms(e.asked)), total),
        ),
        _section("Repositories", bars(ranked(e.workspace or "(none)" for e in examples))),
        _section("Intents", bars(ranked(e.intent for e in examples))),
    ]


def _distributions(subject: Subject) -> list[str]:
    parts = []
    for name, values in (
        ("Tokens of an example", [float(n.tokens) for n in subject.lengths]),
        ("Trained tokens of an example", [float(n.trained) for n in subject.lengths]),
        ("Words of a question", [float(len(e.asked.split())) for e in subject.data.examples]),
    ):
        if values:
            step = max(1.0, round(max(values) / 24))
            parts.append(_section(name, f"{quantiles(values)}\n\n{histogram(values, step)}"))
    train, held_out = subject.data.by_split["train"], subject.data.by_split["validation"]
    nearest = Nearest(list(dict.fromkeys(e.phrasing for e in train)))
    sets = [("validation", list(dict.fromkeys(e.phrasing for e in held_out)))]
    for suite in subject.suites:
        asked = [without_values(case.query, case.references) for case in suite.cases]
        sets.append((f"suite {suite.name}", asked))
    for name, texts in sets:
        found = [nearest.one(text)[0] for text in texts]
        if found:
            picture = f"{quantiles(found, 2)}\n\n{histogram(found, 0.05, 2, top=1.0)}"
            parts.append(_section(f"Nearest trained phrasing: {name}", picture))
    return parts
