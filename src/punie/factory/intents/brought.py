"""Intents that stand beside their tools, so that a tool comes with its data.

Beside the module `notes.py` it is `notes.intents.toml`; a package of its own may have one
`intents.toml` for all its tools. That holds for Punie's own tools and for those of installed
packages alike; a file here has the same form as one in the folder of intents.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from punie.tool import Tool, load_tools

FILE = "intents.toml"


def files(tools: Iterable[Tool] | None = None) -> dict[Path, str]:
    """File → name of its group, for the tools' modules (default: all tools that there are)."""
    found: dict[Path, str] = {}
    for tool in load_tools().values() if tools is None else tools:
        module = sys.modules.get(tool.function.__module__)
        place = getattr(module, "__file__", None)
        if module is None or not place:
            continue
        path, package = Path(place), module.__package__ or ""
        beside = path.with_name(f"{path.stem}.{FILE}")
        if path.stem != "__init__" and beside.is_file():
            found.setdefault(beside, path.stem)
        if package and package != "punie.tools" and (own := path.with_name(FILE)).is_file():
            found.setdefault(own, package.rpartition(".")[2])
    return found
