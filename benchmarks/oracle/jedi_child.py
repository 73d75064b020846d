"""Answers questions about names with jedi, one JSON line each; started by `judges.py`.

    python benchmarks/oracle/jedi_child.py REPOSITORY

A line is `["definitions" | "references", file, line, column]` (1-based); the answer is a list of
`[path, line, column]`, or a string that says what failed inside jedi.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import jedi
from jedi.inference import references

# Its defaults stop after 30 files, which is meant for editors and would be no judgement here.
references._PARSED_FILE_LIMIT = references._OPENED_FILE_LIMIT = 100_000


def answer(project: Any, root: Path, what: str, file: str, line: int, column: int) -> Any:
    """The places, or what failed."""
    try:
        script = jedi.Script(path=root / file, project=project)
        if what == "references":
            found = script.get_references(line, column - 1)
        else:
            found = script.goto(line, column - 1, follow_imports=True)
    except Exception as error:  # jedi fails in many ways on odd code; the judge says so
        return f"{type(error).__name__}: {error}"
    places = {(str(n.module_path), n.line, n.column + 1) for n in found if n.module_path and n.line}
    return sorted(places)


def main() -> None:
    """Answer until the input ends."""
    root = Path(sys.argv[1])
    project = jedi.Project(root, smart_sys_path=True)
    for line in sys.stdin:
        print(json.dumps(answer(project, root, *json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
