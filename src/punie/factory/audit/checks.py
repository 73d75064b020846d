"""All checks of an audit, in the order of its report."""

from __future__ import annotations

from punie.factory.audit import (
    deaf,
    leaks,
    lengths,
    programs,
    provenance,
    registers,
    repeats,
    shape,
    shares,
    texts,
)
from punie.factory.audit.findings import Finding
from punie.factory.audit.subject import Check, Subject
from punie.sandbox import Sandbox


def too_long(subject: Subject) -> list[Finding]:
    """Rows that the trainer would leave out."""
    return lengths.check(subject.data.examples, subject.lengths, subject.norms.longest)


CHECKS: tuple[Check, ...] = (
    shape.complete,
    shape.tool_set,
    shape.identifiers,
    provenance.origins,
    provenance.toolsets,
    provenance.runs,
    shape.system_message,
    shape.roles,
    shape.questions,
    too_long,
    texts.programs,
    texts.lists_unasked,
    texts.answers,
    texts.outputs,
    programs.syntax,
    programs.calls,
    programs.copies,
    repeats.duplicates,
    repeats.near_duplicates,
    repeats.conflicts,
    repeats.wordings,
    leaks.between_splits,
    leaks.repositories,
    leaks.alike,
    leaks.questions,
    leaks.values,
    shares.norms,
    shares.coverage,
    deaf.slots,
    registers.shares,
    registers.of_intents,
)


async def audit(subject: Subject, sandbox: Sandbox | None) -> list[Finding]:
    """The findings of every check, breaches first; without a sandbox nothing is type-checked."""
    found = [finding for check in CHECKS for finding in check(subject)]
    if sandbox is not None:
        found += await programs.types(subject, sandbox)
    return sorted(found, key=lambda finding: finding.severity != "breach")
