"""A recipe: one TOML file with one table a stage. All mistakes are found before any work."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from punie.errors import PunieError, UsageError
from punie.factory import corpus, generate, recipes
from punie.factory.audit.norms import of_recipe
from punie.factory.composition import parts
from punie.factory.composition.parts import Composition
from punie.factory.corpus import Source
from punie.factory.fuse import FuseOptions
from punie.factory.gate import Gate
from punie.factory.quantize import QuantizeOptions
from punie.factory.suite import Suite, frozen, load_suite
from punie.factory.training.options import TrainOptions
from punie.models.releases import NAME, SHIPPED

UNQUANTIZED = ("F16", "BF16", "F32")
"""Number formats that levels are made from."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ValidateOptions(_Table):
    """The table `[validate]`."""

    suites: tuple[str, ...] = ("forty", "development", "test")
    """Suites by name, or TOML files relative to the recipe."""
    against: Literal["released", ""] = "released"
    """Whether the model in use is graded beside the new one."""
    temperatures: tuple[Annotated[float, Field(gt=0, le=2)], ...] = ()
    """Temperatures at which the new model is asked beside 0, which alone counts."""
    samples: int = Field(default=1, ge=1)
    """How often each question is asked at each of them; passed in all is told."""
    baselines: tuple[Literal["untuned", "keywords", "nearest"], ...] = ()
    """What is graded beside the new model; `nearest` reads this run's training rows."""


class BenchmarkOptions(_Table):
    """The table `[benchmark]`."""

    rounds: int = Field(default=3, ge=1)
    """How often each model is started and asked the demo's questions."""
    against: Literal["released", ""] = "released"
    """Whether the model in use is measured beside the new one."""


class ReleaseOptions(_Table):
    """The table `[release]`."""

    name: str = ""
    """Name of the release; empty = the model's name and the start of its hash."""
    form: Literal["weights", "adapter"] = "weights"
    """What it holds: the fused weights, or the adapter beside its base (fused at first use)."""
    gate: Gate = Gate()
    """What the model must reach."""
    promote: bool = False
    """Whether it is in use from then on; else `punie models use` takes it."""


@dataclass(frozen=True)
class Recipe:
    """A recipe that was read; `options` has an entry for every stage that it may run."""

    path: Path
    tables: dict[str, dict[str, Any]]
    options: dict[str, Any]
    suites: tuple[Suite, ...]
    sources: dict[str, Source]
    """Workspaces of the corpus, by name."""
    training: tuple[str, ...]
    """Those that the examples are made on."""
    composition: Composition | None = None
    """What `[composition]` states: then the data has exactly these parts."""

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.stem

    def shown(self, stage: str, without: frozenset[str] = frozenset()) -> dict[str, Any]:
        """The options of a stage as JSON, for its mark."""
        options = self.options[stage]
        if isinstance(options, BaseModel):
            found: dict[str, Any] = json.loads(options.model_dump_json(exclude=set(without)))
            return found
        plain = asdict(options) if is_dataclass(options) else options  # type: ignore[arg-type]
        made: dict[str, Any] = json.loads(json.dumps(plain))
        return made


def read(path: Path, known: Sequence[str]) -> Recipe:
    """Read a recipe; `known` are the tables that there may be. Raises UsageError that lists
    every mistake of every table."""
    tables = recipes.tables(path)
    mistakes: list[str] = []

    def attempt(table: str, make: Callable[[], Any]) -> Any:
        try:
            return make()
        except ValidationError as error:
            for each in error.errors():
                where = ".".join(map(str, each["loc"]))
                mistakes.append(f"[{table}] {where}: {each['msg']}")
        except (PunieError, TypeError) as error:
            mistakes.append(f"[{table}] {error}")
        return None

    tables_known = [*known, "composition"]
    for name, table in tables.items():
        if name not in tables_known:
            mistakes.append(f"[{name}] is no stage; there are: {', '.join(known)}")
        elif not isinstance(table, dict):
            mistakes.append(f"{name} = {table!r} must be a table")
        elif name == "train" and (backend := table.pop("backend", "torch")) != "torch":
            mistakes.append(
                f"[train] backend {backend!r}: a pipeline trains with torch; run the stages by"
                " their commands: punie generate, audit, train, fuse, quantize, validate"
            )
    if mistakes:
        raise UsageError("\n  ".join([f"recipe {str(path)!r} cannot be used:", *mistakes]))

    def given(stage: str) -> dict[str, Any]:
        return recipes.stated(tables, stage) | recipes.files(recipes.folder(path), stage)

    makers: dict[str, Callable[[], Any]] = {
        "generate": lambda: generate.read_options(path),
        "audit": lambda: of_recipe(path),
        "train": lambda: TrainOptions.model_validate(given("train")),
        "fuse": lambda: FuseOptions.model_validate(given("fuse")),
        "quantize": lambda: QuantizeOptions.model_validate(given("quantize")),
        "validate": lambda: ValidateOptions.model_validate(tables.get("validate", {})),
        "benchmark": lambda: BenchmarkOptions.model_validate(tables.get("benchmark", {})),
        "release": lambda: ReleaseOptions.model_validate(tables.get("release", {})),
    }
    options = {name: attempt(name, make) for name, make in makers.items()}
    composition = attempt("composition", lambda: parts.read(path))
    if "quantize" in tables and (made := options["fuse"]) and made.kind not in UNQUANTIZED:
        mistakes.append(
            f"[fuse] kind {made.kind!r} is quantized already: with [quantize] it must be one of"
            f" {', '.join(UNQUANTIZED)}"
        )
    made, graded, release = options["generate"], options["validate"], options["release"]
    sources: dict[str, Source] = {}
    training: tuple[str, ...] = ()
    if made:
        sources = attempt("generate", lambda: corpus.load_recipe(path.parent / made.corpus)) or {}
        if sources:
            training = (
                attempt("generate", lambda: corpus.of_split(sources, made.split, made.workspaces))
                or ()
            )
    suites: list[Suite] = []
    for name in graded.suites if graded else ():
        where = str(path.parent / name) if name.endswith(".toml") else name
        suite = attempt("validate", partial(load_suite, where))
        if suite and suite.name in {each.name for each in suites}:
            mistakes.append(f"[validate] two suites are called {suite.name!r}")
        elif suite:
            suites.append(suite)
            mistakes += [
                f"[validate] suite {suite.name!r} asks about {each!r}, which the corpus has not"
                for each in suite.workspaces
                if sources and each not in sources
            ]
    kept = frozen()
    mistakes += [
        f"[validate] suite {suite.name!r} is not the one of that name that is frozen"
        f" (SHA-256 {suite.sha256[:12]}…, not {kept[suite.name][:12]}…): give it another name"
        for suite in suites
        if kept.get(suite.name, suite.sha256) != suite.sha256
    ]
    if release and release.promote and not release.gate.of_specification:
        mistakes.append(
            "[release] promote = true: the gate asks for less than the specification does;"
            " such a release can be made, but not be put into use"
        )
    if release and release.gate.regression and graded and not graded.against:
        mistakes.append(
            "[release.gate] regression = true compares with the model in use:"
            ' [validate] against must be "released"'
        )
    if release and release.gate.suite not in {suite.name for suite in suites}:
        mistakes.append(f"[release] the gate asks for suite {release.gate.suite!r}: not validated")
    if release and release.name and (not NAME.fullmatch(release.name) or release.name == SHIPPED):
        mistakes.append(f"[release] name {release.name!r}: letters, digits, . _ -")
    if mistakes:
        raise UsageError("\n  ".join([f"recipe {str(path)!r} cannot be used:", *mistakes]))
    return Recipe(path, tables, options, tuple(suites), sources, training, composition)


def digest(*parts: Any) -> str:
    """A hash of JSON values and of files (given as paths), in hex."""
    hashed = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, Path) else json.dumps(part).encode()
        hashed.update(hashlib.sha256(data).digest())
    return hashed.hexdigest()
