"""What an audit looks at: the data, what it is held against, and what must not leak into it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from punie.engine.copying import literals
from punie.factory.audit.data import Data
from punie.factory.audit.findings import Finding
from punie.factory.audit.lengths import Length
from punie.factory.audit.norms import Norms
from punie.factory.examples.inventory import Inventory
from punie.factory.suite import Suite
from punie.tool import Tool

CODE_LIKE = re.compile(r"(?=.{4})[\w./-]*(?:\w_\w|[a-z0-9][A-Z]|\w[./]\w)[\w./-]*")
"""What only code is called: a plain word says nothing about where it comes from."""
CLOSED = frozenset({"test", "forty"})
"""Suites whose questions no report may show."""


@dataclass(frozen=True)
class Subject:
    """All that the checks need. Nothing in it is changed by them."""

    data: Data
    norms: Norms
    tools: Mapping[str, Tool]
    """The tools of today."""
    suites: tuple[Suite, ...] = ()
    """Suites that must share nothing with the data."""
    templates: tuple[str, ...] = ()
    """Programs of the intents: their literals need not stand in a question."""
    bank: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Intent → all its phrasings."""
    workspaces: Path | None = None
    """Folder of the built workspaces, where there is one."""
    lengths: tuple[Length, ...] = ()
    """Tokens of each example, in their order; empty when they were not counted."""
    _places: dict[str, Inventory | None] = field(default_factory=dict)

    def inventory(self, workspace: str) -> Inventory | None:
        """What a workspace holds, or None when it is not built here."""
        if workspace not in self._places:
            root = self.workspaces / workspace if self.workspaces and workspace else None
            self._places[workspace] = Inventory(root) if root and root.is_dir() else None
        return self._places[workspace]

    def declared(self, workspace: str) -> frozenset[str]:
        """The names that a workspace declares and that only code is called; none where it is not
        built here."""
        inventory = self.inventory(workspace)
        if inventory is None:
            return frozenset()
        return frozenset(d.name for d in inventory.declarations if CODE_LIKE.fullmatch(d.name))

    @cached_property
    def suite_values(self) -> dict[str, str]:
        """Symbols and paths that the suites ask about → the suite's name."""
        found: dict[str, str] = {}
        for suite in self.suites:
            for case in suite.cases:
                for reference in case.references:
                    for literal in literals(reference.encode()):
                        value = literal.value.decode("utf-8", "replace")
                        if CODE_LIKE.fullmatch(value) and value in case.query:
                            found.setdefault(value, suite.name)
        return found


Check = Callable[[Subject], list[Finding]]
