"""What kept answers are worth: the tools that ask about symbols, asked once, again, after an edit.

    .venv/bin/python benchmarks/kept.py [NAME] [--symbols 60]

The workspace is one of the corpus recipe. `first` is a warm server's first answer about a symbol,
`again` the same question with nothing changed, `edited` the same after another file was written,
`bare` the one server request that the tool rests on, sent when nothing is kept and no file is
looked at. Medians over the symbols, in milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from punie.factory.corpus import load_recipe
from punie.factory.corpus.sdist import cache_dir, fetch, unpack
from punie.navigation.lsp import Server
from punie.settings import Settings
from punie.tool import load_tools
from punie.workspace import Workspace
from punie.wrap import Context, call

TOOLS = {
    "hover": "textDocument/hover",
    "goto_definition": "textDocument/definition",
    "find_references": "textDocument/references",
}
KINDS = (5, 6, 12)
"""Classes, methods and functions."""


class Bench:
    """A workspace, a warm server and what each question took."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.server = Server(Workspace(root), Settings())
        self.context = Context(Workspace(root), Settings(), self.server)
        self.spent: dict[str, dict[str, list[float]]] = {tool: {} for tool in TOOLS}

    async def ask(self, tool: str, when: str, path: str, line: int, column: int) -> None:
        """Call a tool and note its time."""
        asked = {"file_path": path, "line": line, "column": column}
        result, record = await call(load_tools()[tool], self.context, asked)
        if result.success:
            self.spent[tool].setdefault(when, []).append(record.ms)

    async def bare(self, tool: str, path: str, line: int, column: int) -> None:
        """Send the tool's main request past everything that keeps answers."""
        params: dict[str, Any] = {
            "textDocument": {"uri": (self.root / path).as_uri()},
            "position": {"line": line - 1, "character": column - 1},
            "context": {"includeDeclaration": True},
        }
        connection = await self.server._ready(False)
        start = time.perf_counter()
        await connection.request(TOOLS[tool], params, timeout=None)
        self.spent[tool].setdefault("bare", []).append((time.perf_counter() - start) * 1000)

    async def symbols(self, most: int) -> list[tuple[str, int, int]]:
        """Places of names, evenly drawn from all classes, methods and functions."""
        places = []
        for path in sorted(self.root.rglob("*.py")):
            document = {"textDocument": {"uri": path.as_uri()}}
            waiting = await self.server.request("textDocument/documentSymbol", document) or []
            while waiting:
                symbol = waiting.pop()
                waiting += symbol.get("children") or []
                start = symbol["selectionRange"]["start"]
                if symbol["kind"] in KINDS:
                    name = path.relative_to(self.root).as_posix()
                    places.append((name, start["line"] + 1, start["character"] + 1))
        return places[:: max(1, len(places) // most)][:most]

    async def run(self, most: int) -> None:
        """Ask everything."""
        places = await self.symbols(most)
        for tool in TOOLS:
            for number, place in enumerate(places):
                (self.root / "edited.py").write_text(f"edited = {number}\n")
                await asyncio.sleep(0.06)  # a file just written is looked at again
                await self.server.request("workspace/symbol", {"query": "edited"})
                await self.ask(tool, "first", *place)
                await self.ask(tool, "again", *place)
                (self.root / "edited.py").write_text(f"edited = -{number}\n")
                await self.ask(tool, "edited", *place)
                await self.bare(tool, *place)
        await self.server.close()


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description="What kept answers are worth.")
    parser.add_argument("name", nargs="?", default="rich")
    parser.add_argument("--symbols", type=int, default=60)
    options = parser.parse_args()
    source = load_recipe()[options.name]
    with tempfile.TemporaryDirectory(prefix="punie-kept-") as folder:
        root = Path(folder).resolve() / options.name
        sdist = fetch(source.package, source.version, source.sha256, cache_dir())
        unpack(sdist, root, source.drop)
        bench = Bench(root)
        asyncio.run(bench.run(options.symbols))
    print("| tool | first | again | edited | bare request |\n|---|---|---|---|---|")
    for tool, spent in bench.spent.items():
        numbers = (f"{median(spent[when]):.1f}" for when in ("first", "again", "edited", "bare"))
        print(f"| {tool} | {' | '.join(numbers)} |")


if __name__ == "__main__":
    main()
