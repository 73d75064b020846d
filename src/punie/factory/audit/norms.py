"""What a recipe promises of its data: the table `[audit]`, over one of two sets of norms."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from punie.factory import recipes

Span = tuple[float, float]
"""A least and a greatest share."""
SLACK = 0.02
"""How far a share may lie from an "about"."""


class Norms(BaseModel):
    """What the examples are held against. Shares are of all examples, training and validation."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    norms: Literal["release", "phase27"] = "release"
    """The set of norms that the other keys change."""
    direct: Span = (0.10, 0.12)
    """Share of examples that are answered in words."""
    tools: dict[str, float] = Field(default={"ruff_check": 0.08, "pytest_run": 0.08})
    """Tool → least share of examples that call it."""
    several_tools: float = 0.15
    """Least share of examples that call more than one tool."""
    combinations: int = 30
    """Least number of different sets of tools that an example calls together."""
    multi_turn: Span | None = None
    """Share of examples with more than one reply, where there is a norm."""
    preambles: Span | None = None
    """Share of programs that a sentence precedes, where there is a norm."""
    validation: Span | None = None
    """Share of examples in the validation split, where there is a norm."""
    empty: float = 0.25
    """Greatest share of programs that print nothing."""
    registers: float = 0.05
    """Least share of examples of each register (`audit.surface`)."""
    registers_each: int = 8
    """Least number of the eleven registers of phrasings that an intent has among its own."""
    unchecked: float = 0.05
    """Greatest share of examples with a call that no second way checked."""
    own_repositories: bool = True
    """Whether no repository may serve both training and validation."""
    untaught: tuple[str, ...] = ()
    """Tools that no example need call, nor read their fields."""
    coverage: bool = True
    """Whether every tool must be called and every field read by a trained example."""
    unread: tuple[str, ...] = ()
    """Result fields, as `Class.field`, that no example need read."""
    longest: int = 1024
    """Tokens that an example may have."""
    dialect: str = "compact"
    """Dialect in which tokens are counted."""
    near_duplicate: float = 0.9
    """Nearness from which two questions with one label are near-duplicates."""
    near_duplicates: float = 0.02
    """Greatest share of examples that have a nearer neighbour than that."""
    near_suite: float = 0.8
    """Nearness to a suite's question from which a phrasing is leaked; generation drops such rows.
    Two wordings of one question in other words lie at 0.2 to 0.4 (`nearness`)."""
    near_repository: float = 0.8
    """Share of declared names in common from which two repositories are one under two names."""
    near_validation: float = 0.9
    """Nearness to a trained phrasing from which one held out is leaked."""


PRESETS: dict[str, dict[str, Any]] = {
    "release": {},
    "phase27": {
        "direct": (40 / 1104 - SLACK, 40 / 1104 + SLACK),
        "tools": {"ruff_check": 0.08 - SLACK, "pytest_run": 0.08 - SLACK},
        "several_tools": 0.0,
        "combinations": 0,
        "registers": 0.0,
        "multi_turn": (0.37 - SLACK, 0.37 + SLACK),
        "preambles": (0.33 - SLACK, 0.33 + SLACK),
        "validation": (0.10 - SLACK, 0.10 + SLACK),
        "own_repositories": False,
        "untaught": ("search_text", "list_files", "git_blame", "git_show", "git_branch"),
    },
}
"""Norms of the specification, by name: what they change in the defaults."""


def make(table: dict[str, Any], where: str = "[audit]") -> Norms:
    """The norms of a recipe's table. Raises `UsageError` that lists every mistake."""
    preset = PRESETS.get(table.get("norms", "release"), {})
    return recipes.checked(Norms, preset | table, where)


def of_recipe(recipe: Path) -> Norms:
    """The norms of a recipe; the length of a row and the dialect are those it trains with."""
    trained = recipes.table(recipe, "train")
    known = {key: trained[key] for key in ("longest", "dialect") if key in trained}
    return make(known | recipes.table(recipe, "audit"), f"{recipe}: [audit]")
