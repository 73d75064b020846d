"""The report of a generation: what was made, what was dropped and why, what was checked, and how
long it took."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from punie.factory.audit.registers import counted, forms, hands
from punie.factory.examples.mutation import Mutations
from punie.factory.examples.options import GenerateOptions
from punie.factory.examples.ways import HOW
from punie.tool import load_tools, tools_hash

Row = dict[str, Any]
DRAFTS = ("attempted", "executed", "verified", "run twice", "answered twice", "kept")
"""What becomes of a draft: it is tried; its program runs to its end; every call agrees with its
second way; it is among the data."""


class Spent:
    """What was tried and how long it took, by tool, summed over all workers."""

    def __init__(self) -> None:
        self.tools: dict[str, Counter[str]] = {}
        self.counts: Counter[str] = Counter()

    def add(self, part: dict[str, Any]) -> None:
        """Add the part of one workspace."""
        for tool, counts in part["spent"].items():
            self.tools.setdefault(tool, Counter()).update(counts)
        self.counts.update(part["counts"])

    def as_json(self, wall: float, rows: Sequence[Row]) -> dict[str, Any]:
        """Seconds of the run and examples a second; what became of the drafts; calls and seconds
        by effect and by tool, most first."""
        known, kinds = load_tools(), dict[str, Counter[str]]()
        for tool, counts in self.tools.items():
            kind = known[tool].effect.value if tool in known else "gone"
            kinds.setdefault(kind, Counter()).update(counts)
        # Conversations, repairs and the like come of a draft, and are not counted again.
        own = (r for r in rows if "empty" in r and not r["id"].startswith("replayed-"))
        drafted = sum(row["kind"] == "tool" for row in own)
        return {
            "seconds": round(wall, 1),
            "examples a second": round(len(rows) / wall, 2) if wall else 0.0,
            "drafts": {name: self.counts[name] for name in DRAFTS[:-1]} | {"kept": drafted},
            "kinds": _most(kinds),
            "tools": _most(self.tools),
        }


def _most(spent: dict[str, Counter[str]]) -> dict[str, dict[str, float]]:
    """Counts, what took longest first."""
    ranked = sorted(spent.items(), key=lambda item: (-item[1]["seconds"], item[0]))
    return {name: {k: round(v, 2) for k, v in counts.items()} for name, counts in ranked}


def report(
    rows: list[Row],
    rejects: Counter[str],
    mutations: Mutations,
    options: GenerateOptions,
    disagreements: list[Row],
) -> dict[str, Any]:
    """The report as it is stored in `meta.json`."""
    made: dict[str, Any] = {"tools": tools_hash(load_tools().values()), "options": vars(options)}
    for name in ("train", "validation"):
        made[name] = split([r for r in rows if r["split"] == name])
    made["rejects"] = dict(rejects.most_common())
    made["mutations"] = mutations.as_json()
    made["second ways"] = second_ways(rows, disagreements)
    made["registers"] = registers(rows)
    return made


def split(rows: Sequence[Row]) -> dict[str, Any]:
    """Counts of one split."""
    several = [tuple(r["tools"]) for r in rows if len(r["tools"]) > 1]
    return {
        "examples": len(rows),
        "kinds": _counted(r["kind"] for r in rows),
        "groups": _counted(r["group"] for r in rows),
        "tools": _counted(t for r in rows for t in r["tools"]),
        "by intent": _counted(r["intent"] for r in rows),
        "intents": len({r["intent"] for r in rows}),
        "workspaces": _counted(r["workspace"] for r in rows if r["workspace"]),
        "several tools": len(several),
        "combinations": len(set(several)),
        "by combination": _counted(" + ".join(each) for each in several),
    }


def _counted(names: Iterable[str]) -> dict[str, int]:
    """Counts, most first; as many by name."""
    return dict(sorted(Counter(names).items(), key=lambda item: (-item[1], item[0])))


def second_ways(rows: list[Row], disagreements: Iterable[Row] = ()) -> dict[str, Any]:
    """By tool and field: how it is computed a second time, how many calls that read it were
    compared, disagreed (their examples were dropped) or were not compared; and the share of
    examples that read a field that was not, or made a call of which nothing was.

    Rows of an earlier leg may not say what they read: of them only the calls count."""
    calls: Counter[str] = Counter()
    counts: dict[str, Counter[tuple[str, str]]] = {"compared": Counter(), "unchecked": Counter()}
    disagreed = Counter((each["tool"], each["field"]) for each in disagreements)
    tool_rows = [r for r in rows if r.get("calls")]
    for call in (call for row in tool_rows for call in row["calls"]):
        tool, unchecked = call["tool"], call.get("unchecked", [])
        calls[tool] += 1
        counts["unchecked"].update((tool, field) for field in unchecked)
        read = set(call.get("read", [])) - set(unchecked)
        counts["compared"].update((tool, field) for field in read)
    without = sum(
        any(not c["second_way"] or c.get("unchecked") for c in r["calls"]) for r in tool_rows
    )
    places = sorted({*counts["compared"], *counts["unchecked"], *disagreed})
    fields = [
        {"tool": tool, "field": field, "how": HOW.get(tool, {}).get(field, "none")}
        | {name: counted[tool, field] for name, counted in counts.items()}
        | {"disagreed": disagreed[tool, field]}
        for tool, field in places
    ]
    return {
        "calls": dict(sorted(calls.items())),
        "fields": fields,
        "examples": len(tool_rows),
        "without": without,
        "share without": round(without / len(tool_rows), 4) if tool_rows else 0.0,
    }


def registers(rows: list[Row]) -> dict[str, dict[str, int]]:
    """Examples by the hand of the phrasing, by register, and by the form of the question."""
    known = hands()
    worded = [r for r in rows if r["kind"] != "direct"]
    return {
        "hands": _counted(known.get(r["phrasing"], "(the intent's own)") for r in worded),
        "surface": counted(r["messages"][1]["content"] for r in rows),
        "forms": _counted(f for r in rows for f in forms(r["messages"][1]["content"])),
    }


def texts(
    rows: Sequence[Row], report: dict[str, Any], disagreements: Iterable[Row] = ()
) -> dict[str, str]:
    """File → text of a data folder."""
    found = {
        f"{name}.jsonl": "".join(
            json.dumps(row, ensure_ascii=False) + "\n" for row in rows if row["split"] == name
        )
        for name in ("train", "validation")
    }
    cases = (json.dumps(each, ensure_ascii=False) + "\n" for each in disagreements)
    found["disagreements.jsonl"] = "".join(cases)
    return found | {"report.md": markdown(report), "meta.json": json.dumps(report, indent=1)}


def markdown(report: dict[str, Any]) -> str:
    """The report to read."""
    spent, ways = report["spent"], report["second ways"]
    lines = ["# Generated data", ""]
    for name in ("train", "validation"):
        counts = report[name]
        lines.append(
            f"- {name}: {counts['examples']} examples of {counts['intents']} intents on "
            f"{len(counts['workspaces'])} workspaces; {counts['several tools']} over several "
            f"tools, in {counts['combinations']} combinations"
        )
    held = ", ".join(report["held-out workspaces"])
    lines += [
        f"- held out: phrasings, and the workspaces {held}" if held else "- held out: phrasings",
        f"- {spent['examples a second']} examples a second, {spent['seconds']} s in all "
        "(without what an interrupted run had done before)",
        f"- {ways['without']} of {ways['examples']} examples with calls "
        f"({ways['share without']:.1%}) read what no second way compared",
    ]
    columns = ["tool", "field", "how", "compared", "disagreed", "unchecked"]
    checked = [[row[name] for name in columns] for row in ways["fields"]]
    lines += _table("Second ways by field", columns, checked)
    drafts = spent["drafts"]
    became = [[n, drafts[n], f"{drafts[n] / max(drafts['attempted'], 1):.1%}"] for n in DRAFTS]
    lines += _table("Drafts of questions with a program", ["", "drafts", "share"], became)
    for name in ("kinds", "tools"):
        times = [
            [tool, int(row["calls"]), row["seconds"], row["check seconds"]]
            for tool, row in spent[name].items()
        ]
        heads = [name.removesuffix("s"), "calls that ran", "seconds", "seconds of checks"]
        title = "Time by tool" if name == "tools" else "Time by kind of tool"
        lines += _table(title, heads, times)
    lines += _table("Dropped", ["reason", "examples"], report["rejects"].items())
    for name in ("kinds", "groups", "tools", "by combination", "by intent", "workspaces"):
        lines += _table(f"Training by {name.removeprefix('by ')}", ["", "examples"],
                        report["train"][name].items())  # fmt: skip
    for name, counts in report["registers"].items():
        lines += _table(f"Registers: {name}", ["", "examples"], counts.items())
    return "\n".join(lines) + "\n"


def _table(title: str, heads: list[str], rows: Iterable[Iterable[object]]) -> list[str]:
    body = ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]
    rule = "|" + "|".join("---" for _ in heads) + "|"
    return ["", f"## {title}", "", "| " + " | ".join(heads) + " |", rule, *body]
