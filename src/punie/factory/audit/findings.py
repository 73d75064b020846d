"""What an audit finds: a name, how bad it is, the examples concerned and a sample."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["breach", "remark"]
SAMPLES = 5
"""Examples that a finding shows."""


@dataclass(frozen=True)
class Finding:
    """One fault of a set of examples."""

    name: str
    """What kind of fault, in a few words: the same for all findings of a check."""
    severity: Severity
    """A breach makes the audit fail; a remark is for the eye."""
    text: str
    """What is wrong, with its figures."""
    ids: tuple[str, ...] = ()
    """The examples concerned, in order."""
    sample: tuple[str, ...] = ()
    """A few of them as they read."""


def gathered(
    name: str,
    faults: Iterable[tuple[str, str]],
    text: str,
    severity: Severity = "breach",
) -> list[Finding]:
    """One finding of all `faults`, pairs of an example's id and what it shows; [] for none."""
    found = list(faults)
    if not found:
        return []
    ids = tuple(dict.fromkeys(identifier for identifier, _ in found))
    shown = tuple(f"{identifier}: {shows}" if shows else identifier for identifier, shows in found)
    return [Finding(name, severity, f"{len(ids)} {text}", ids, shown[:SAMPLES])]
