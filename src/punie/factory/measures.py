"""What verdicts add up to, beside how many passed."""

from __future__ import annotations

import ast
import builtins
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

from punie.factory.suite import Case, Verdict, wilson

RUNGS = ("program", "parses", "known tools", "right tools", "right arguments", "runs", "passes")
"""How far an answer came; each rung stands on those before it."""
BUILTINS = frozenset(dir(builtins))


def ladder(verdicts: Sequence[Verdict], tools: Collection[str]) -> dict[str, int]:
    """How many of the tool cases reached each rung, `cases` of them in all."""
    asked = [v for v in verdicts if v.case.kind == "tool"]
    heights = [height(v, tools) for v in asked]
    reached = {rung: sum(h > n for h in heights) for n, rung in enumerate(RUNGS)}
    return {"cases": len(asked)} | reached


def height(verdict: Verdict, tools: Collection[str]) -> int:
    """Rungs that the answer to a tool case reached, judged by its last program. The tools are
    right when those of a reference are named, the arguments when the judge has none to blame."""
    code = next((step.code for step in reversed(verdict.answer.steps) if step.code), "")
    if not code:
        return 0
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError):
        return 1
    called = _called(tree)
    known = called & set(tools)
    if not known or called - known - BUILTINS - _bound(tree):
        return 2
    wanted = [_tools_of(reference, tools) for reference in verdict.case.references]
    if not any(needed <= known for needed in wanted):
        return 3
    kinds = {fault.split(":")[0] for fault in verdict.faults}
    if kinds & {"argument", "call"}:
        return 4
    if "error" in kinds:
        return 5
    return 7 if verdict.passed else 6


def field_access(verdicts: Sequence[Verdict]) -> tuple[int, int]:
    """(cases whose every needed field was read, cases that need any)."""
    need = [v for v in verdicts if v.case.fields]
    return sum(not any(f.startswith("field:") for f in v.faults) for v in need), len(need)


def group_of(case: Case) -> str:
    """Name of the case's paraphrase group: its own, else its workspace and reference program."""
    return case.group or (f"{case.workspace} {case.references[0]}" if case.references else case.id)


def groups(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Paraphrase groups of two and more: how many passed whole, in part, not at all, and the
    share whose cases all came out alike (`consistency`)."""
    found: dict[str, list[bool]] = defaultdict(list)
    for verdict in verdicts:
        found[group_of(verdict.case)].append(verdict.passed)
    several = [passed for passed in found.values() if len(passed) > 1]
    whole, none = sum(map(all, several)), sum(not any(passed) for passed in several)
    return {
        "groups": len(several),
        "cases": sum(map(len, several)),
        "all": whole,
        "some": len(several) - whole - none,
        "none": none,
        "consistency": round((whole + none) / len(several), 3) if several else None,
    }


def stability(temperature: float, samples: Sequence[Sequence[Verdict]]) -> dict[str, Any]:
    """Several samples of the same cases: how many pass in each, in all of them and in any."""
    outcomes = [[v.passed for v in sample] for sample in samples]
    by_case = list(zip(*outcomes, strict=True))
    every = sum(map(all, by_case))
    low, high = wilson(every, len(by_case))
    return {
        "temperature": temperature,
        "samples": len(samples),
        "passed": [sum(sample) for sample in outcomes],
        "all": every,
        "any": sum(map(any, by_case)),
        "total": len(by_case),
        "interval": [round(low, 3), round(high, 3)],
    }


def _called(tree: ast.AST) -> set[str]:
    """Names that a program calls as functions."""
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return {function.id for function in calls if isinstance(function, ast.Name)}


def _bound(tree: ast.AST) -> set[str]:
    """Names that a program makes itself."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.alias):
            found.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, ast.arg):
            found.add(node.arg)
    return found


def _tools_of(program: str, tools: Collection[str]) -> set[str]:
    try:
        return _called(ast.parse(program)) & set(tools)
    except SyntaxError:
        return set()
