"""What was made is kept: parts by workspace, processes that may be killed, files that are whole.

Both ways to make data, `generate` and a recipe's composition, go through here. A part is whole or
not there; its mark says what it was made from, so that a run that was killed goes on with the parts
that still hold. The data appears as a whole too, and its `meta.json` last.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from punie.errors import PunieError
from punie.factory.corpus.sdist import CorpusError
from punie.factory.examples.inventory import Inventory
from punie.factory.workers import pool
from punie.tool import load_tools, tools_hash

Progress = Callable[[str], None]


class GenerationError(PunieError):
    """A generation stopped; what was done is kept, and the text says how to go on."""


@dataclass(frozen=True)
class Job:
    """The making of one part, in a process of its own."""

    target: Path
    """File of the part."""
    function: Callable[..., None]
    """Called with the target and the arguments; it ends in `part`."""
    arguments: tuple[Any, ...]


def parts_folder(out: Path) -> Path:
    """The folder of the parts, made. Raises `GenerationError`."""
    parts = out / "parts"
    try:
        parts.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GenerationError(f"the data cannot be written to {str(out)!r}: {error}") from error
    return parts


def work(jobs: Mapping[str, Job], workers: int, progress: Progress) -> None:
    """Make the parts of all jobs, by workspace. Raises `GenerationError` when one cannot be made,
    and what a job raises."""
    with pool(workers) as makers:
        running = {
            makers.submit(job.function, job.target, *job.arguments): name
            for name, job in jobs.items()
        }
        try:
            for number, done in enumerate(as_completed(running), 1):
                done.result()
                progress(f"{running[done]} done, {number} of {len(jobs)} workspaces")
        except (BrokenProcessPool, OSError) as error:
            makers.shutdown(cancel_futures=True)
            what = f"{error}" if isinstance(error, OSError) else "a worker was killed"
            kept = sum(job.target.exists() for job in jobs.values())
            parts = next(iter(jobs.values())).target.parent
            raise GenerationError(
                f"The generation stopped: {what}. {kept} of {len(jobs)} workspaces are done and "
                f"kept in {str(parts)!r}; mend that (memory, disk) and run the same command again."
            ) from error
        except BaseException:
            makers.shutdown(cancel_futures=True)  # else all others would be made first
            raise


def part(root: Path, target: Path, made_of: str, make: Callable[[], dict[str, Any]]) -> None:
    """Make the part of a workspace, unless one of the same is there. Raises `CorpusError` when the
    workspace changes meanwhile, and `OSError` when it cannot be written; then there is none."""
    before = state(root)
    whole = f"{made_of} {tools_hash(load_tools().values())} {before!r}"
    mark = hashlib.sha256(whole.encode()).hexdigest()
    if target.exists() and json.loads(target.read_text("utf-8")).get("mark") == mark:
        return
    try:
        made = make()
    except Exception:
        _unchanged(root, before)  # the likelier reason, if it has changed
        raise
    _unchanged(root, before)
    write_whole(target, json.dumps(made | {"mark": mark}))


def write_whole(path: Path, text: str) -> None:
    """Write a file that is there as a whole or not at all. Raises `OSError`."""
    temporary = path.with_name(f"{path.name}.new")
    try:
        temporary.write_text(text, "utf-8")
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def write_data(texts: Mapping[str, str], out: Path) -> None:
    """Write the files of a data folder, `meta.json` among them: all, or what was there stays as it
    was. Raises `GenerationError`."""
    fresh = {name: out / f"{name}.new" for name in texts}
    try:
        for name, text in texts.items():
            fresh[name].write_text(text, "utf-8")
        (out / "meta.json").unlink(missing_ok=True)  # without it the folder counts as unfinished
        for name in sorted(texts, key=lambda name: name == "meta.json"):
            fresh[name].replace(out / name)
    except OSError as error:
        for path in fresh.values():
            path.unlink(missing_ok=True)
        raise GenerationError(
            f"The data could not be written to {str(out)!r}: {error}. All workspaces are kept in "
            f"its folder parts: make room and run the same command again."
        ) from error


def state(root: Path) -> dict[str, str]:
    """Hashes of a workspace's files, its index and its branches."""
    try:
        inventory = Inventory(root)
        found = {f: _hash((root / f).read_bytes()) for f in inventory.files}
        found[""] = _hash(inventory.git("ls-files", "-s").encode())
        return found | {"HEAD": inventory.git("show-ref", "--head")}
    except (OSError, subprocess.CalledProcessError) as error:
        raise CorpusError(f"workspace {str(root)!r} cannot be read: {error}") from error


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _unchanged(root: Path, before: dict[str, str]) -> None:
    """Raise `CorpusError` when something that was there is another. New files, such as tests
    leave behind, do not count."""
    after = state(root)
    if changed := sorted(name for name in before if after.get(name) != before[name]):
        shown = ", ".join(name or "the index" for name in changed[:5])
        raise CorpusError(
            f"Workspace {str(root)!r} was changed while examples were made on it: {shown}"
            + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")
            + ". Nothing of it was kept. Leave it alone and run the same command again."
        )
