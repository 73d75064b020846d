"""One client of `other_client.py`: answers each line of its input with the number of results.

    python other_client_child.py punie|multilspy REPOSITORY

A line is `{"what": "references" | "outline", "file": …, "line": …, "column": …}`, 1-based.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any


async def punie(root: Path) -> None:
    """Answer with our tools."""
    from punie.lsp import Server
    from punie.settings import Settings
    from punie.tools.navigation import document_symbols, find_references
    from punie.workspace import Workspace
    from punie.wrap import Context, call

    server = Server(Workspace(root), Settings())
    context = Context(Workspace(root), Settings(), server)
    for line in sys.stdin:
        question = json.loads(line)
        what = question.pop("what")
        tool = find_references if what == "references" else document_symbols
        question = {"file_path": question.pop("file")} | question
        result, _ = await call(tool, context, tool.bind((), question))
        if not result.success:
            raise SystemExit(result.parse_error)
        counts = dict(result)
        print(counts.get("reference_count", counts.get("symbol_count")), flush=True)
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
            found: list[Any]
            if question["what"] == "references":
                place = question["line"] - 1, question["column"] - 1
                found = await server.request_references(question["file"], *place)
            else:
                found, _ = await server.request_document_symbols(question["file"])
            print(len(found), flush=True)


if __name__ == "__main__":
    asyncio.run({"punie": punie, "multilspy": multilspy}[sys.argv[1]](Path(sys.argv[2])))
