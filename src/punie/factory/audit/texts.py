"""Vacuous texts: programs that tell nothing, answers that say nothing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from punie.factory.audit.data import Example, names, parsed
from punie.factory.audit.findings import Finding, gathered
from punie.factory.audit.subject import Subject
from punie.factory.examples.brevity import brief, figure_alone
from punie.factory.examples.repairs import ENDINGS

SAYS_NOTHING = re.compile(
    r"(?:(?:ok|okay|yes|no|sure|done|ready|certainly|of course|understood|fixed|it works|n/?a|none"
    r"|todo|tbd|unknown|here (?:it is|you go)|i (?:don'?t|do not) know|i (?:can|could)(?:no|')?t"
    r"|as an ai\b.*|let me (?:know|check)|it depends|see above|lorem ipsum.*|all good|no problem)"
    r"[\s.,!…]*)*[\s.…!?-]*",
    re.IGNORECASE,
)
"""Answers that hold no fact."""
SHORT = 20
"""Characters below which an answer is looked at with doubt."""


def programs(subject: Subject) -> list[Finding]:
    """Programs that print nothing, print only fixed words, or call no tool."""
    faults: dict[str, list[tuple[str, str]]] = {}
    for example in subject.data.examples:
        for program in example.programs:
            if kind := _vacuous(program, subject):
                faults.setdefault(kind, []).append((example.id, program[:120]))
    return [
        finding
        for kind, found in sorted(faults.items())
        for finding in gathered(kind, found, "programs tell nothing of what they found")
    ]


def _vacuous(program: str, subject: Subject) -> str:
    tree = parsed(program)
    if not program.strip():
        return "empty program"
    if tree is None:
        return ""
    prints = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and _called(n) == "print"]
    if not prints:
        return "prints nothing"
    if not subject.tools.keys() & set(names(tree)):
        return "calls no tool"
    fixed = all(isinstance(part, ast.Constant) for call in prints for part in call.args)
    branches = any(isinstance(n, ast.If | ast.For | ast.While) for n in ast.walk(tree))
    return "prints fixed words" if fixed and not branches else ""


def _called(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""


def lists_unasked(subject: Subject) -> list[Finding]:
    """Programs that list what they have counted, where the question wants the figure alone."""
    found = []
    for example in subject.data.examples:
        program = next(iter(example.programs), "")
        if figure_alone(example.phrasing) and parsed(program) and brief(program) != program:
            found.append((example.id, example.asked))
    return gathered(
        "list that was not asked for", found, "questions that want a figure alone get a list"
    )


def answers(subject: Subject) -> list[Finding]:
    """Answers in words that are empty, say nothing or give the question back."""
    vacuous, short = [], []
    for example in subject.data.examples:
        for answer in _answers(example):
            if SAYS_NOTHING.fullmatch(answer) or answer.strip() == example.asked.strip():
                vacuous.append((example.id, answer or "(empty)"))
            elif len(answer.strip()) < SHORT and answer not in ENDINGS:
                short.append((example.id, answer))
    return [
        *gathered("vacuous answer", vacuous, "answers say nothing"),
        *gathered("short answer", short, f"answers are below {SHORT} characters", "remark"),
    ]


def _answers(example: Example) -> Iterator[str]:
    replies = [m for m in example.messages if m["role"] == "assistant"]
    if not replies:
        yield ""
    yield from example.answers


def outputs(subject: Subject) -> list[Finding]:
    """Too many programs whose run printed nothing."""
    ran = [e for e in subject.data.examples if e.kind == "tool"]
    silent = [(e.id, e.asked) for e in ran if e.empty]
    most = subject.norms.empty
    if len(silent) <= most * len(ran):
        return []
    text = f"of {len(ran)} programs printed nothing; at most {most:.0%} may"
    return gathered("silent programs", silent, text)
