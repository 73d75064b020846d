"""Definitions and references of our tools against two independent implementations.

    .venv/bin/python benchmarks/oracle/oracle.py [--symbols 100] [--judges PYTHON]
        [--report FILE] [NAMES…]

The judges are basedpyright and jedi (extra `bench`); syntax trees arbitrate where scopes, imports
and base classes settle what a name means, else two of three do. Repositories are the pinned sdists
of the corpus recipe. Judges' answers are kept in the cache folder, keyed by version and place.

A place is *right* when the trees say so or two of the three have it, *wrong* when the trees say
that it means something else, *open* when one of the three has it and the trees do not know.
Precision and recall leave open places out. A place that our note speaks of is *said*. A *silent
empty* is an answer without places and without such a note to a name that has right places.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from case import Case
from judges import Jedi, Judge, Pyright, outside
from punie.factory.corpus import load_recipe
from punie.factory.corpus.sdist import cache_dir, fetch, unpack
from punie.navigation.lsp import Server
from punie.settings import Settings
from punie.tool import load_tools
from punie.workspace import Workspace
from punie.wrap import Context, call
from report import report
from scopes import Declared, Meaning, Place
from syntax import Arbiter

REPOSITORIES = ("rich", "werkzeug", "starlette")
SHARES = {"function": 6, "method": 8, "class": 5, "variable": 3, "attribute": 2, "nested": 1}
"""Symbols of each kind are drawn in these proportions, as far as there are as many."""
TOOL_SECONDS = 60.0


class Kept:
    """A judge whose answers are kept in a file."""

    def __init__(self, name: str, file: Path) -> None:
        self.name, self.file = name, file
        self.known: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
        self._start: Callable[[], Any] | None = None
        self._judge: Judge | None = None

    def starts(self, start: Callable[[], Any]) -> None:
        """Give what starts the judge, which happens at the first question that is new."""
        self._start = start

    async def ask(self, what: str, place: Place) -> tuple[set[Place], float]:
        """The places and how long the judge took, in ms."""
        key = f"{what} {place.file}:{place.line}:{place.column}"
        if key not in self.known:
            if self._judge is None:
                assert self._start
                self._judge = await self._start()
            begin = time.perf_counter()
            method = self._judge.references if what == "references" else self._judge.definitions
            found = await method(place)
            spent = (time.perf_counter() - begin) * 1000
            rows = sorted([p.file, p.line, p.column] for p in found)
            self.known[key] = [round(spent, 1), rows]
        spent, rows = self.known[key]
        return {Place(*row) for row in rows}, spent

    async def close(self) -> None:
        """Write the answers and end the judge."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(json.dumps(self.known))
        if self._judge:
            await self._judge.close()


class Bench:
    """One repository with our tools, the judges and the arbiter."""

    def __init__(self, name: str, root: Path, judges: dict[str, Kept]) -> None:
        self.name, self.root, self.judges = name, root, judges
        workspace = Workspace(root)
        self.files = list(workspace.python_files())
        self.arbiter = Arbiter(root, self.files)
        settings = Settings(tool_seconds=TOOL_SECONDS)
        self.server = Server(workspace, settings)
        self.context = Context(workspace, settings, self.server)
        self.by_meaning: dict[Meaning, list[Declared]] = {}
        for each in self.arbiter.declarations():
            meaning = Meaning(each.place.file, each.qualified)
            self.by_meaning.setdefault(meaning, []).append(each)

    def sample(self, most: int, rng: random.Random) -> list[Declared]:
        """Symbols of all kinds; one in six from tests, whose functions nobody calls."""
        first = [group[0] for _, group in sorted(self.by_meaning.items(), key=lambda i: repr(i))]
        known = [d for d in first if not d.name.startswith("__") and d.name != "_"]
        rng.shuffle(known)
        chosen: list[Declared] = []
        for kind, share in SHARES.items():
            wanted = -(-most * share // sum(SHARES.values()))
            of = [d for d in known if d.kind == kind]
            tests = [d for d in of if "test" in d.place.file]
            chosen += [d for d in of if d not in tests][: wanted - wanted // 6]
            chosen += tests[: wanted // 6]
        based = [d for d in known if d.kind == "method" and d not in chosen]
        chosen += [d for d in based if self.arbiter.overriding(d)][: most // 10]
        rest = [d for d in known if d not in chosen]
        return [*chosen, *rest[: max(0, most - len(chosen))]]

    async def references(self, symbol: Declared) -> Case:
        """Ask all three who uses a symbol, overrides included."""
        case = Case(self.name, "references", symbol, symbol.place)
        asked = {"file_path": symbol.place.file, "symbol": symbol.qualified, "limit": 100_000}
        result, ms = await self._ours("find_references", asked)
        if not result.success:
            case.error = result.parse_error
            asked |= {"line": symbol.place.line, "column": symbol.place.column}
            asked["symbol"] = symbol.name
            result, ms = await self._ours("find_references", asked)
            case.error += "" if result.success else f" / {result.parse_error}"
        case.note, case.milliseconds["ours"] = result.note, ms
        case.answers["ours"] = {Place(r.file, r.line, r.column) for r in result.references}
        own = self.by_meaning[Meaning(symbol.place.file, symbol.qualified)]
        over = self.arbiter.overriding(symbol) if symbol.kind in ("method", "attribute") else []
        over = [each for o in over for each in self.by_meaning[Meaning(o.place.file, o.qualified)]]
        meant = {Meaning(d.place.file, d.qualified) for d in [*own, *over]}
        hidden = {p for d in [*own, *over] for p in self._heads(d)} | self._parameters(meant)
        for name, judge in self.judges.items():
            found: set[Place] = set()
            for place in dict.fromkeys(d.place for d in [*own, *over]):
                places, ms = await judge.ask("references", place)
                found |= places
                case.milliseconds[name] = case.milliseconds.get(name, 0) + ms
            case.answers[name] = {p for p in found if not p.file.startswith("<")} - hidden
        case.answers["ours"] -= hidden
        self._judge(case, lambda meaning: meaning in meant)
        if over:
            others = await self._uses(own), await self._uses(over)
            for use in result.references:
                self._mark(case, use, *others)
        return case

    async def _uses(self, declared: list[Declared]) -> set[Place]:
        """What basedpyright gives as references of some declarations."""
        judge = self.judges["basedpyright"]
        return {p for d in declared for p in (await judge.ask("references", d.place))[0]}

    def _mark(self, case: Case, use: Any, direct: set[Place], through: set[Place]) -> None:
        """Note whether the mark `is_override` is right, where the trees or the judge tell."""
        place = Place(use.file, use.line, use.column)
        symbol = Meaning(case.symbol.place.file, case.symbol.qualified)
        meaning = self.arbiter.meaning(place)
        if meaning is not None:
            case.marks.append(use.is_override == (meaning != symbol))
        elif (place in direct) != (place in through):
            case.marks.append(use.is_override == (place in through))

    def _heads(self, declared: Declared) -> set[Place]:
        """The place of a declaration and those in its decorators, which are part of it."""
        module, at = self.arbiter.modules[declared.place.file], declared.place
        node = module.at[at.line, at.column][0]
        lines = [d.lineno for d in getattr(node, "decorator_list", [])]
        above = {(at.line, at.column), *(k for k in module.at if k[0] in lines)}
        name = declared.name
        return {
            Place(at.file, *k) for k in above if k[0] == at.line or self._word(at.file, k, name)
        }

    def _parameters(self, meant: set[Meaning]) -> set[Place]:
        """Parameters that a function of that name is put in place of: they declare it, too."""
        return {
            place
            for file in {meaning.file for meaning in meant}
            for at, (node, scope) in self.arbiter.modules[file].at.items()
            if isinstance(node, ast.arg) and Meaning(file, f"{scope.qualified}.{node.arg}") in meant
            for place in [Place(file, *at)]
        }

    def _word(self, file: str, at: tuple[int, int], name: str) -> bool:
        """Whether a name stands at a place, as a whole word."""
        text = self.arbiter.modules[file].lines[at[0] - 1][at[1] - 1 :]
        after = text[len(name) : len(name) + 1]
        return text.startswith(name) and not (after.isalnum() or after == "_")

    async def definition(self, symbol: Declared, rng: random.Random) -> Case | None:
        """Ask all three where a use of that name, drawn at random, is declared."""
        own = {d.place for group in self.by_meaning.values() for d in group}
        uses = [
            place
            for module in self.arbiter.modules.values()
            for at in module.at
            if self._word(module.file, at, symbol.name)
            and (place := Place(module.file, *at)) not in own
        ]
        if not uses:
            return None
        use = rng.choice(sorted(uses))
        case = Case(self.name, "definition", symbol, use)
        asked = {"file_path": use.file, "line": use.line, "column": use.column}
        result, case.milliseconds["ours"] = await self._ours("goto_definition", asked)
        case.error = result.parse_error or ""
        places = {(x.file, x.line, x.column) for x in result.locations}
        case.answers["ours"] = {self._short(*each) for each in places}
        for name, judge in self.judges.items():
            case.answers[name], case.milliseconds[name] = await judge.ask("definitions", use)
        meaning = self.arbiter.meaning(use)
        self._judge(case, lambda found: found == meaning, meaning)
        return case

    def _short(self, file: str, line: int, column: int) -> Place:
        return Place(outside(Path(file)), 0, 0) if file[0] == "/" else Place(file, line, column)

    async def _ours(self, tool: str, arguments: dict[str, Any]) -> tuple[Any, float]:
        result, record = await call(load_tools()[tool], self.context, arguments)
        return result, record.ms

    def _judge(
        self, case: Case, means: Callable[[Meaning], bool], asked: Meaning | None = None
    ) -> None:
        """Give each place its verdict."""
        everywhere = set().union(*case.answers.values())
        declared = {d.place for d in self.by_meaning.get(asked, [])} if asked else set()
        if asked and not asked.qualified:
            declared = {Place(asked.file, 1, 1)}
        for place in everywhere:
            votes = sum(place in found for found in case.answers.values())
            if case.asked == "references":
                meaning = self.arbiter.meaning(place)
                known = None if meaning is None else means(meaning)
            else:
                known = (place in declared) if declared else None
            if known is None:
                known = True if votes > 1 else None
            case.verdicts[place] = {True: "right", False: "wrong", None: "open"}[known]
            case.kinds[place] = self.arbiter.kind(place)
            module = self.arbiter.modules.get(place.file)
            case.texts[place] = module.lines[place.line - 1].strip() if module else ""


async def run(name: str, root: Path, options: argparse.Namespace, cache: Path) -> list[Case]:
    """All cases of one repository."""
    judges = {each: Kept(each, cache / f"{name}.{each}.json") for each in ("basedpyright", "jedi")}
    bench = Bench(name, root, judges)
    probe = max(d.name for d in bench.arbiter.declarations() if d.kind == "class")
    judges["basedpyright"].starts(lambda: Pyright.start(root, options.judges, probe))
    judges["jedi"].starts(lambda: Jedi.start(root, options.judges))
    rng = random.Random(f"{name}:{options.seed}")
    cases = []
    try:
        for symbol in bench.sample(options.symbols, rng):
            cases.append(await bench.references(symbol))
            if case := await bench.definition(symbol, rng):
                cases.append(case)
            if options.seconds and time.monotonic() > options.until:
                print(f"{name}: stopped after {len(cases)} cases", file=sys.stderr)
                break
    finally:
        await bench.server.close()
        for judge in judges.values():
            await judge.close()
    return cases


def _widen(project: Path) -> None:
    """Let the judge see the whole repository: some tell pyright to leave out their tests."""
    if project.is_file():
        project.write_text(
            re.sub(r"\[tool\.(?:based)?pyright", "[tool.set-aside", project.read_text())
        )


def _versions(python: str) -> dict[str, str]:
    """The judges' versions in their own environment."""
    code = "from importlib.metadata import version as v; print(v('basedpyright'), v('jedi'))"
    out = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout
    return dict(zip(("basedpyright", "jedi"), out.split(), strict=True))


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description="Our navigation against two others.")
    parser.add_argument("names", nargs="*", default=list(REPOSITORIES))
    parser.add_argument("--symbols", type=int, default=110)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0, help="stop asking after this long")
    parser.add_argument("--judges", default=sys.executable, help="a Python with the extra `bench`")
    parser.add_argument("--report", type=Path, default=None)
    options = parser.parse_args()
    options.until = time.monotonic() + options.seconds
    recipe, cases, sizes = load_recipe(), [], {}
    with tempfile.TemporaryDirectory(prefix="punie-oracle-") as folder:
        for name in options.names:
            source = recipe[name]
            root = Path(folder).resolve() / name
            unpack(fetch(source.package, source.version, source.sha256, cache_dir()), root,
                   source.drop)  # fmt: skip
            _widen(root / "pyproject.toml")
            kept = cache_dir().with_name("oracle") / source.version
            cases += asyncio.run(run(name, root, options, kept))
            sizes[f"{name} {source.version}"] = len(list(Workspace(root).python_files()))
    names = {"ty": version("ty"), **_versions(options.judges)}
    text = report(cases, sizes, names)
    if options.report:
        options.report.write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
