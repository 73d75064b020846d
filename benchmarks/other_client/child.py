"""One client of `other_client.py`: answers each line of its input with what it finds.

    python benchmarks/other_client/child.py punie|multilspy REPOSITORY

A line is `{"what": "references" | "outline", "file": …, "line": …, "column": …}`, 1-based. The
answer is a list of `[file, line, column]`, or of `[name, line, kind]`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any


async def punie(root: Path) -> None:
    """Answer with our tools."""
    from punie.navigation.lsp import Server
    from punie.settings import Settings
    from punie.tools.navigation import (
        DocumentSymbol,
        DocumentSymbolsResult,
        FindReferencesResult,
        document_symbols,
        find_references,
    )
    from punie.workspace import Workspace
    from punie.wrap import Context, call

    def flat(symbols: list[DocumentSymbol]) -> list[DocumentSymbol]:
        return [each for symbol in symbols for each in (symbol, *flat(symbol.children))]

    server = Server(Workspace(root), Settings())
    context = Context(Workspace(root), Settings(), server)
    for line in sys.stdin:
        question = json.loads(line)
        what = question.pop("what")
        tool = find_references if what == "references" else document_symbols
        question = {"file_path": question.pop("file")} | question
        question |= {"limit": 100_000} if tool is find_references else {}
        result, _ = await call(tool, context, tool.bind((), question))
        if not result.success:
            raise SystemExit(result.parse_error)
        if isinstance(result, FindReferencesResult):
            found = [[r.file, r.line, r.column] for r in result.references]
        else:
            assert isinstance(result, DocumentSymbolsResult)
            found = [[s.name, s.line, s.kind] for s in flat(result.symbols)]
        print(json.dumps(found), flush=True)
    await server.close()


async def multilspy(root: Path) -> None:
    """Answer with the other client."""
    from multilspy import LanguageServer
    from multilspy.multilspy_config import MultilspyConfig
    from multilspy.multilspy_logger import MultilspyLogger

    config = MultilspyConfig.from_dict({"code_language": "python"})
    server = LanguageServer.create(config, MultilspyLogger(), str(root))
    async with server.start_server():
        for line in sys.stdin:
            question = json.loads(line)
            if question["what"] == "references":
                place = question["line"] - 1, question["column"] - 1
                answer = await server.request_references(question["file"], *place)
                found = [[a["relativePath"], *start(a["range"])] for a in answer]
            else:
                answer, _ = await server.request_document_symbols(question["file"])
                places = [a.get("selectionRange") or a["location"]["range"] for a in answer]
                found = [
                    [a["name"], start(p)[0], a["kind"]] for a, p in zip(answer, places, strict=True)
                ]
            print(json.dumps(found), flush=True)


def start(span: dict[str, Any]) -> tuple[int, int]:
    """Line and column, 1-based, where a range begins."""
    return span["start"]["line"] + 1, span["start"]["character"] + 1


if __name__ == "__main__":
    asyncio.run({"punie": punie, "multilspy": multilspy}[sys.argv[1]](Path(sys.argv[2])))
