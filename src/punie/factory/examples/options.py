"""The table `[generate]` of a recipe."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from punie.errors import UsageError
from punie.factory import recipes


@dataclass(frozen=True)
class GenerateOptions:
    """What a recipe asks of the training data."""

    seed: int = 42
    """Everything that is drawn is drawn from it, but for the split."""
    corpus: str = "corpus.toml"
    """Corpus recipe, relative to this recipe."""
    split: str = "train"
    """Split of the corpus that the examples are made on."""
    workspaces: tuple[str, ...] = ()
    """Workspaces, if not all of the split."""

    examples: dict[str, int] = field(default_factory=dict)
    """Examples for each intent, by its name or else by its group."""
    each: int = 0
    """Examples for an intent that `examples` has neither by name nor by group."""
    brought: int = 8
    """Examples for an intent that stands beside its tool, if `examples` has it neither by name nor
    by its group."""
    shares: dict[str, float] = field(default_factory=dict)
    """Tool, group or `several_tools` → least share: the intents that call the tool, are of the
    group or call several tools get more examples than `examples` says where it takes that."""
    direct: float = 2.0
    """Wordings used of each direct question, on average."""
    direct_share: float = 0.0
    """Share of direct answers; if given, `direct` does not count."""

    repairs: float = 0.04
    """Share of programs that also give a repair: wrong program, what it told, right program."""
    repairs_of: dict[str, float] = field(default_factory=dict)
    """Intent → its own share of such programs."""
    contrasts: dict[str, float] = field(default_factory=dict)
    """Intent → share of its programs that also come with other values in their slots, in the
    same words on the same workspace."""
    near_misses: dict[str, int] = field(default_factory=dict)
    """Tool → how many more wordings are used of each general question that speaks of it; with
    `direct_share`, in the place of others."""
    unknown: float = 0.0
    """Share of programs that also give a question about a misspelt name, and how it ends."""
    ambiguous: float = 0.0
    """Share of programs that also give a question about a name that is declared several times."""
    followups: float = 0.0
    """Share of programs that also give a conversation: a second question leans on the first."""

    validation: float = 0.04
    """Share of intents' phrasings held out for the loss on validation data."""
    validation_workspaces: int = 0
    """Workspaces that only serve the held-out phrasings; with 0, both splits share them all."""
    split_seed: int = 42
    """Which phrasings and workspaces are held out. One for all legs of a model: else a later leg
    holds out what an earlier one trained."""

    empty: float = 0.25
    """Greatest share of an intent's examples whose program prints nothing."""
    mutations: float = 0.25
    """Share of programs that are also run with another value in a slot (`examples.mutation`)."""

    replay: int = 0
    """Training rows of an earlier leg that are mixed in, so that nothing is forgotten."""
    replay_from: str = ""
    """Data folder of that leg, as seen from the current folder."""

    def wanted(self, intent: str, group: str, brought: bool = False) -> int:
        """Examples that an intent shall have."""
        others = max(self.brought, self.each) if brought else self.each
        return self.examples.get(intent, self.examples.get(group, others))


SHARES = ("direct_share", "repairs", "unknown", "ambiguous", "followups", "validation", "empty")
"""Options that are a share."""
BY_INTENT = ("repairs_of", "contrasts")
"""Options that are a share by intent."""


def read_options(recipe: Path) -> GenerateOptions:
    """The options of a recipe file. Raises `UsageError` that names what is wrong."""
    table = recipes.table(recipe, "generate")
    known = set(GenerateOptions.__dataclass_fields__)
    if unknown := sorted(set(table) - known):
        raise UsageError(f"{recipe}: unknown keys {unknown} in [generate]; known: {sorted(known)}")
    each = {name: table[name] for name in SHARES if name in table} | table.get("shares", {})
    each |= {f"{n}.{k}": v for n in BY_INTENT for k, v in table.get(n, {}).items()}
    if odd := {n: v for n, v in each.items() if not isinstance(v, int | float) or not 0 <= v < 1}:
        raise UsageError(f"{recipe}: shares must lie between 0 and 1: {odd}")
    if "workspaces" in table:
        table["workspaces"] = tuple(table["workspaces"])
    return GenerateOptions(**table)
