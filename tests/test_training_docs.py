"""docs/training.md names every option of `train` with its default and its own words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from punie.factory.training.options import TrainOptions

PAGE = Path(__file__).parent.parent / "docs" / "training.md"


def _shown(default: Any) -> str:
    if default in (None, ""):
        return "none"
    return f"{default:g}" if isinstance(default, float) else str(default)


@pytest.mark.parametrize("name", TrainOptions.model_fields)
def test_option_stands_on_the_page(name: str) -> None:
    field = TrainOptions.model_fields[name]
    assert "\n" not in str(field.description)  # a row of a table is one line
    default = "required" if field.is_required() else _shown(field.default)
    assert f"| `{name}` | {default} | {field.description} |" in PAGE.read_text("utf-8")


def test_page_names_no_option_that_is_gone() -> None:
    part = PAGE.read_text("utf-8").split("## The options of `train`")[1].split("\n## ")[0]
    named = [line.split("`")[1] for line in part.splitlines() if line.startswith("| `")]
    assert named == list(TrainOptions.model_fields)
