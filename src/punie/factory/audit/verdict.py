"""The verdict of an audit, kept beside the rows that it is of.

`audit.json` names the rows by a hash of their bytes. Data that was made again, or changed by hand,
has no verdict until it is audited again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from punie.factory.audit.data import SPLITS, named
from punie.factory.audit.findings import Finding
from punie.factory.examples.keeping import write_whole

FILE = "audit.json"


def write(folder: Path, sha256: str, norms: str, findings: Sequence[Finding]) -> Path:
    """Keep what an audit of the rows with hash `sha256` by the set `norms` found. Raises
    `OSError`; then what was there stays."""
    kinds = {"breach": "breaches", "remark": "remarks"}
    told: dict[str, object] = {
        "passed": not any(f.severity == "breach" for f in findings),
        "rows": sha256,
        "norms": norms,
    }
    for severity, name in kinds.items():
        told[name] = {f.name: f.text for f in findings if f.severity == severity}
    path = folder / FILE
    write_whole(path, json.dumps(told, indent=1) + "\n")
    return path


def doubt(folder: Path) -> str:
    """Why the rows of a data folder may be unfit to train on; empty when an audit of just these
    rows was passed."""
    try:
        told = json.loads((folder / FILE).read_text("utf-8"))
        passed, rows, breaches = told["passed"], told["rows"], list(told["breaches"])
    except FileNotFoundError:
        return "no audit of this data was made"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"the verdict of its audit cannot be read ({error!r})"
    if rows != _of_rows(folder):
        return "the audit was of other rows than these: they were changed or made again since"
    if passed is not True:
        return f"its audit failed: {', '.join(breaches)}"
    return ""


def warning(folder: Path) -> str:
    """What `punie train` says of data in doubt, empty if not."""
    why = doubt(folder)
    if not why:
        return ""
    return (
        f"WARNING: the data in {str(folder)!r} is not known to be fit to train on: {why}.\n"
        f"WARNING: run `punie audit` on the recipe or on {str(folder)!r} first."
    )


def _of_rows(folder: Path) -> str:
    """Hash of the rows as `data.read` takes it; empty where they cannot be read."""
    whole = hashlib.sha256()
    for split in SPLITS:
        try:
            whole.update(named(split, (folder / f"{split}.jsonl").read_bytes()))
        except OSError:
            if split == "train":
                return ""
    return whole.hexdigest()
