"""Marks: what a finished stage was made of and what it left, so that it need not run again."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from punie.errors import StageFailed
from punie.models import sha256_of


def write_json(path: Path, content: Any) -> None:
    """Write `content` to `path` atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
    temporary.replace(path)


@dataclass(frozen=True)
class Marks:
    """The marks of one pipeline's folder."""

    root: Path

    def path(self, stage: str) -> Path:
        """Where a stage's mark is."""
        return self.root / "stages" / f"{stage}.json"

    def get(self, stage: str) -> dict[str, Any] | None:
        """A stage's mark; None when there is none or it cannot be read."""
        try:
            mark: dict[str, Any] = json.loads(self.path(stage).read_text("utf-8"))
            return mark if {"key", "outputs", "seconds"} <= mark.keys() else None
        except (OSError, ValueError, AttributeError):
            return None

    def outputs(self, stage: str) -> dict[str, dict[str, Any]]:
        """Output of a stage, relative to the pipeline's folder → its hash and size."""
        mark = self.get(stage)
        return mark["outputs"] if mark else {}

    def fits(self, stage: str, folder: Path, key: dict[str, Any]) -> bool:
        """Whether the stage is done and made of `key`. Raises StageFailed when it is done but a
        file is not what it wrote: nothing is built on that, nor silently done again."""
        mark = self.get(stage)
        if not mark or mark["key"] != key or not folder.is_dir():
            return False
        wrong = []
        for name, fact in mark["outputs"].items():
            path = self.root / name
            if fact.get("removed"):
                continue
            if not path.is_file():
                wrong.append(f"  {path}: missing")
            elif (found := sha256_of(path)) != fact["sha256"]:
                wrong.append(f"  {path}: SHA-256 {found}, was {fact['sha256']}")
        if wrong:
            raise StageFailed(
                "\n".join(
                    [
                        f"stage {stage}: its outputs are damaged or were changed:",
                        *wrong,
                        f"`--again {stage}` sets the folder aside and makes it anew",
                    ]
                )
            )
        return True

    def save(
        self,
        stage: str,
        key: dict[str, Any],
        files: list[Path],
        facts: dict[str, Any],
        seconds: float,
        done: str,
    ) -> None:
        """Mark a stage as done, hashing its outputs."""
        outputs = {
            str(path.relative_to(self.root)): {
                "sha256": sha256_of(path),
                "bytes": path.stat().st_size,
            }
            for path in sorted(files)
        }
        mark = {"stage": stage, "key": key, "outputs": outputs, "facts": facts}
        write_json(self.path(stage), mark | {"seconds": round(seconds, 1), "done": done})

    def drop(self, stage: str) -> None:
        """Forget that a stage is done."""
        self.path(stage).unlink(missing_ok=True)

    def removed(self, name: str, why: str) -> None:
        """Delete an output and say so in its mark."""
        for path in (self.root / "stages").glob("*.json"):
            mark = self.get(path.stem)
            if mark and name in mark["outputs"] and not mark["outputs"][name].get("removed"):
                mark["outputs"][name]["removed"] = why
                write_json(path, mark)
                (self.root / name).unlink(missing_ok=True)
