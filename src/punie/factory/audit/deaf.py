"""Programs that are deaf: another value in the question, and the same is printed.

Generation runs a part of the programs again with another value and counts by intent how many said
the same (`examples.mutation`). Six of six are no chance: the program does not use what it was asked
about. Fewer tries are a remark.
"""

from __future__ import annotations

from punie.factory.audit.findings import Finding, Severity
from punie.factory.audit.subject import Subject

TRIES = 6
"""Tries from which on an intent that always said the same is a breach."""
FEW = 3
"""Tries from which on it is a remark."""
EXCEPTIONS: dict[str, str] = {}
"""Intent → why its program may say the same for every value."""


def slots(subject: Subject) -> list[Finding]:
    """Intents whose program printed the same with every other value that was tried."""
    counts = subject.data.report.get("mutations", {})
    checked, same = counts.get("checked", {}), counts.get("same", {})
    deaf = sorted(n for n, c in checked.items() if c >= FEW and same.get(n, 0) == c)
    found: list[Finding] = []
    excused = {name: EXCEPTIONS[name] for name in deaf if name in EXCEPTIONS}
    certain = [n for n in deaf if checked[n] >= TRIES and n not in excused]
    unsure = [n for n in deaf if checked[n] < TRIES and n not in excused]
    kinds: tuple[tuple[str, Severity, list[str]], ...] = (
        ("deaf program", "breach", certain),
        ("slot without effect", "remark", unsure),
    )
    for name, severity, names in kinds:
        if names:
            shown = tuple(f"{each}: {checked[each]} tried" for each in names)
            text = f"{len(names)} intents printed the same for every value that was tried"
            found.append(Finding(name, severity, text, sample=shown))
    if excused:
        told = tuple(f"{name}: {why}" for name, why in excused.items())
        text = f"{len(excused)} intents may print the same for every value"
        found.append(Finding("deaf by nature", "remark", text, sample=told))
    if late := counts.get("unchecked", {}):
        text = f"{sum(late.values())} tries with another value ran out of time twice"
        found.append(Finding("slots not checked", "remark", text, sample=tuple(sorted(late))))
    return found
