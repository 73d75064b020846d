"""Which workspaces the user trusts to run their own code (tests), remembered in user data."""

from __future__ import annotations

import json
from pathlib import Path

from punie.settings import data_folder


def _file() -> Path:
    return data_folder() / "trusted.json"


def trusted() -> list[str]:
    """Roots of the trusted workspaces; an unreadable list counts as empty."""
    try:
        roots = json.loads(_file().read_text("utf-8"))
    except (OSError, ValueError):
        return []
    return [r for r in roots if isinstance(r, str)] if isinstance(roots, list) else []


def is_trusted(root: Path) -> bool:
    """Whether the user has trusted this workspace."""
    return str(root) in trusted()


def trust(root: Path) -> None:
    """Remember that the user trusts this workspace."""
    _write({*trusted(), str(root)})


def revoke(root: str) -> bool:
    """Forget that the user trusts this workspace; False when it was not trusted."""
    roots = set(trusted())
    if root not in roots:
        return False
    _write(roots - {root})
    return True


def _write(roots: set[str]) -> None:
    file = _file()
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = file.with_suffix(".new")
    temporary.write_text(json.dumps(sorted(roots), indent=1), "utf-8")
    temporary.replace(file)
