"""Whether programs can run, do what their row says, and copy what they were asked about."""

from __future__ import annotations

import ast
import builtins
from collections import Counter
from collections.abc import Iterator

from punie.engine.copying import Copying, literals
from punie.factory.audit.data import Example, names, parsed
from punie.factory.audit.findings import Finding, gathered
from punie.factory.audit.subject import Subject
from punie.sandbox import Sandbox

COMMON = 5
"""Examples from which on a literal that no question holds counts as a fixed word."""


def syntax(subject: Subject) -> list[Finding]:
    """Programs that do not parse, as when a row was cut."""
    cut = [(e.id, p[-80:]) for e in subject.data.examples for p in e.programs if parsed(p) is None]
    return gathered("truncated program", cut, "programs do not parse")


def calls(subject: Subject) -> list[Finding]:
    """Functions that are no tool, and tools that a row names and its program does not call."""
    unknown, other = [], []
    for example in subject.data.examples:
        used: set[str] = set()
        for tree in filter(None, map(parsed, example.programs)):
            used |= set(names(tree))
            unknown += [(example.id, f"{name}()") for name in _undefined(tree, subject)]
        other += [(example.id, f"{t} is not called") for t in example.tools if t not in used]
    return [
        *gathered("unknown tool", unknown, "programs call what is no tool"),
        *gathered("recorded tools", other, "rows name tools that their programs do not call"),
    ]


def _undefined(tree: ast.Module, subject: Subject) -> Iterator[str]:
    """Functions that a program calls by a name that nothing defines."""
    known = set(subject.tools) | set(dir(builtins))
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            known.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            known.add(node.name)
        elif isinstance(node, ast.arg):
            known.add(node.arg)
        elif isinstance(node, ast.alias):
            known.add(node.asname or node.name)
    called = [n.func for n in ast.walk(tree) if isinstance(n, ast.Call)]
    yield from (f.id for f in called if isinstance(f, ast.Name) and f.id not in known)


def copies(subject: Subject) -> list[Finding]:
    """Programs with a name, path or word that no one said and no intent has: the question asks
    about one file, or author, and the program about another."""
    fixed = {v.value for t in subject.templates for v in literals(t.encode())}
    unsaid = [(e, value) for e in subject.data.examples for value in _unsaid(e)]
    rows = Counter(value for _, value in {(e.id, value) for e, value in unsaid})
    faults = [
        (e.id, f"{value.decode('utf-8', 'replace')!r} is not in {e.asked!r}")
        for e, value in unsaid
        if value not in fixed and rows[value] < COMMON
    ]
    return gathered("value that no one said", faults, "programs name what no one asked about")


def _unsaid(example: Example) -> Iterator[bytes]:
    """Literals of the trained programs that no earlier message holds."""
    for place, message in enumerate(example.messages):
        if "code" in message and not message.get("wrong"):
            copying = Copying(example.messages[:place], ())
            for literal in literals(message["code"].encode()):
                if literal.value and not copying.said(literal.value):
                    yield literal.value


async def types(subject: Subject, sandbox: Sandbox) -> list[Finding]:
    """Programs that the sandbox would not let run: wrong fields, arguments, syntax."""
    told: dict[str, str | None] = {}
    faults = []
    for example in subject.data.examples:
        for program in example.programs:
            if parsed(program) is None:
                continue
            if program not in told:
                told[program] = await sandbox.check(program)
            if reason := told[program]:
                faults.append((example.id, reason))
    return gathered("type check", faults, "programs do not pass the type check")
