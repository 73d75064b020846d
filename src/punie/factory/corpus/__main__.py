"""`python -m punie.factory.corpus build`: the workspaces by themselves."""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from punie.factory.corpus import RECIPE, build, load_recipe
from punie.factory.corpus.sdist import CorpusError


def main(argv: list[str] | None = None) -> int:
    """`python -m punie.factory.corpus build [NAMES…] --out DIR [--recipe FILE]`; 0 if all stand."""
    parser = argparse.ArgumentParser(prog="python -m punie.factory.corpus", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("build", help="build workspaces, all of the recipe by default")
    verb.add_argument("names", nargs="*")
    verb.add_argument("--out", type=Path, required=True, help="folder that receives them")
    verb.add_argument("--recipe", type=Path, default=RECIPE)
    options = parser.parse_args(argv)
    try:
        sources = load_recipe(options.recipe)
    except CorpusError as error:
        print(error, file=sys.stderr)
        return 2
    options.out.mkdir(parents=True, exist_ok=True)
    failed = 0

    def one(name: str) -> tuple[str, float, str]:
        start = time.perf_counter()
        try:
            build(name, options.out, sources)
        except CorpusError as error:
            return name, time.perf_counter() - start, str(error)
        return name, time.perf_counter() - start, ""

    with ThreadPoolExecutor(4) as pool:
        for name, seconds, reason in pool.map(one, options.names or sources):
            failed += bool(reason)
            print(f"{name}: {reason or 'built'} ({seconds:.1f} s)", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
