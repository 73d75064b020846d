"""Whether a row says where it comes from, and what its program did when it was made.

A row that does not cannot be made again, and no one can tell whether its program ever ran.
"""

from __future__ import annotations

from collections.abc import Iterator

from punie.factory.audit.data import Example
from punie.factory.audit.findings import Finding, gathered
from punie.factory.audit.subject import Subject

CALL = frozenset({"tool", "args", "ok"})
"""What is recorded of a call."""


def origins(subject: Subject) -> list[Finding]:
    """Rows without an intent, words, workspace, tool set, and seed (or the trace they are of)."""
    faults = [
        (e.id, f"it has no {' and no '.join(lacking)}")
        for e in subject.data.examples
        if (lacking := list(_lacking(e)))
    ]
    return gathered("no provenance", faults, "rows do not say where they come from")


def _lacking(example: Example) -> Iterator[str]:
    for name in ("intent", "phrasing"):
        if not getattr(example, name).strip():
            yield name
    if example.seed is None and not example.trace:
        yield "seed"
    if example.programs:
        if not example.workspace:
            yield "workspace"
        if not example.toolset:
            yield "tool set"


def toolsets(subject: Subject) -> list[Finding]:
    """Rows whose programs ran over other tools than those that the data is said to be of."""
    stored = subject.data.report.get("tools")
    other = [
        (e.id, f"made with {e.toolset}, the data is of {stored}")
        for e in subject.data.examples
        if e.toolset and stored and e.toolset != stored
    ]
    return gathered("row of another tool set", other, "rows were made with other tools")


def runs(subject: Subject) -> list[Finding]:
    """Rows with a program whose calls or result were not recorded, or record other tools."""
    faults = [
        (e.id, fault) for e in subject.data.examples if e.programs and (fault := _unrecorded(e))
    ]
    return gathered("run not recorded", faults, "programs have no record of their run")


def _unrecorded(example: Example) -> str:
    if not example.calls:
        return "no calls"
    if any(not call.keys() >= CALL for call in example.calls):
        return f"a call without {' or '.join(sorted(CALL))}"
    if not example.has_result:
        return "no result"
    called = {str(call["tool"]) for call in example.calls}
    if called != set(example.tools):
        return f"calls of {sorted(called)}, the row names {sorted(example.tools)}"
    return ""
