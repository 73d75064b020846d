"""No tool floods a model: lists, texts and what is printed are bounded, and counts stay whole."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from punie.navigation.lsp import Server
from punie.sandbox import Outcome, Sandbox
from punie.settings import Settings
from punie.tool import DEFAULT_LIMIT, Item, Result, load_tools
from repos import context, git, repository, write

MANY = 230
"""Of everything, which is more than any list may hold."""
LONG = "漢字\n" * 40_000
BYTES = 64_000
TOOLS = load_tools()

VALUES = "".join(f'value_{n}: int = target("")\n' for n in range(MANY))
OVERLOADS = "".join(f"@overload\ndef over(x: Literal[{n}]) -> int: ...\n" for n in range(MANY))
FLOOD = f'''\
from typing import Literal, overload
def target() -> int:
    """{"A long story. " * 10_000}"""
    return 1
{OVERLOADS}
def over(x: int) -> int:
    return x
{VALUES}'''
LINT = "".join(f"import os as os_{n}\n" for n in range(MANY))
WRITTEN = LINT + VALUES.replace("value_", "other_") + f'"""{LONG}"""\n'
TESTS = f"import pytest\n\n\n@pytest.mark.parametrize('n', range({MANY}))\ndef test_n(n): pass\n"
CASES: dict[str, tuple[dict[str, Any], dict[str, int]]] = {
    "hover": ({"symbol": "target"}, {}),
    "goto_definition": ({"symbol": "over"}, {}),
    "find_references": ({"symbol": "target"}, {"reference_count": MANY}),
    "document_symbols": ({"file_path": "flood.py"}, {"symbol_count": 2 * MANY + 2}),
    "workspace_symbols": ({"query": "value_"}, {"symbol_count": MANY}),
    "typecheck": ({"path": "flood.py"}, {"error_count": MANY}),
    "ruff_check": ({"path": "lint.py"}, {"violation_count": MANY, "fixable_count": MANY}),
    "pytest_run": ({"path": "test_flood.py"}, {"passed": MANY}),
    "git_status": ({}, {"file_count": MANY}),
    "git_diff": ({}, {"file_count": MANY, "additions": MANY, "deletions": MANY}),
    "git_log": ({"count": 0}, {"commit_count": MANY + 2}),
    "git_blame": ({"path": "blame.txt"}, {}),
    "git_show": ({"commit": "flood"}, {"additions": 2 * MANY}),
    "git_branch": ({}, {}),
    "read_file": ({"path": "long.txt"}, {"line_count": 40_000}),
    "write_file": ({"path": "new.py", "content": WRITTEN}, {}),
    "run_command": ({"command": "yes 漢字 | head -n 200000; echo done >&2"}, {}),
    "search_text": ({"pattern": "value_"}, {"match_count": MANY}),
    "list_files": ({"pattern": "f*.txt"}, {"file_count": MANY}),
}
"""A call of each tool that would flood, and the counts that it must tell all the same."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with `MANY` of everything."""
    root = repository(tmp_path_factory.mktemp("bounds") / "flood")
    name = b"Ada <ada@example.org> 1714550400 +0200"
    commits = [
        b"commit refs/heads/main\ncommitter %s\ndata 1\n%d\n" % (name, n % 10) for n in range(MANY)
    ]
    git(root, "fast-import", "--quiet", stdin=b"\n".join(commits))
    git(root, "reset", "--quiet", "--hard")
    write(root, {"flood.py": FLOOD, "lint.py": LINT, "test_flood.py": TESTS, "long.txt": LONG})
    write(root, {".git/info/exclude": "new.py\n"})
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "Code")
    write(root, {f"files/f{n}.txt": f"{n}\n" for n in range(MANY)})
    write(root, {"blame.txt": "line\n" * MANY})
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "Flood")
    git(root, "tag", "flood")
    refs = "".join(f"create refs/heads/branch-{n} HEAD\n" for n in range(MANY))
    git(root, "update-ref", "--stdin", stdin=refs.encode())
    write(root, {f"files/f{n}.txt": "changed\n" for n in range(MANY)})
    return root


@pytest.fixture(scope="module")
def outcomes(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """What a program that prints the whole result gave, for each tool."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PUNIE_DATA", str(tmp_path_factory.mktemp("data")))
        return asyncio.run(run_all(root))


async def run_all(root: Path) -> dict[str, Outcome]:
    here = context(root, yes=True)
    here.language_server = server = Server(here.workspace, here.settings)
    try:
        async with Sandbox(TOOLS.values(), Settings()) as sandbox:
            found = {}
            for name in TOOLS:
                listed = ", ".join(f"{k}={value!r}" for k, value in CASES[name][0].items())
                found[name] = await sandbox.run(f"print({name}({listed}))", here)
            return found
    finally:
        await server.close()


def parts(value: object) -> Iterator[object]:
    """A result, and all lists, items and texts in it."""
    yield value
    inner = vars(value).values() if isinstance(value, Item) else value
    if isinstance(value, Item | list):
        for each in inner:  # type: ignore[attr-defined]
            yield from parts(each)


def result_of(outcome: Outcome) -> Result:
    assert outcome.error is None
    (result,) = outcome.results
    assert result.success, result.parse_error
    return result


@pytest.mark.parametrize("name", TOOLS)
def test_a_flood_is_cut_and_said_to_be_cut(outcomes: dict[str, Outcome], name: str) -> None:
    result = result_of(outcomes[name])
    assert result.truncated
    lists = [part for part in parts(result) if isinstance(part, list)]
    assert max(map(len, lists), default=0) <= DEFAULT_LIMIT
    texts = [part for part in parts(result) if isinstance(part, str)]
    assert max(len(text.encode()) for text in texts) <= BYTES
    full = any(len(each) == DEFAULT_LIMIT for each in lists)
    assert full or "characters cut" in "".join(texts)


@pytest.mark.parametrize("name", TOOLS)
def test_the_counts_are_those_of_the_whole(outcomes: dict[str, Outcome], name: str) -> None:
    result = result_of(outcomes[name])
    counts = {field: getattr(result, field) for field in CASES[name][1]}
    assert counts == CASES[name][1]


@pytest.mark.parametrize("name", TOOLS)
def test_what_is_printed_of_a_flood_fits_the_output(
    outcomes: dict[str, Outcome], name: str
) -> None:
    outcome = outcomes[name]
    assert outcome.error is None
    assert 0 < len(outcome.stdout.encode()) <= BYTES


@pytest.mark.parametrize("name", [n for n, t in TOOLS.items() if "limit" in str(t.signature)])
def test_a_limit_changes_the_list_and_not_the_count(
    root: Path, outcomes: dict[str, Outcome], name: str
) -> None:
    async def ask(limit: int) -> Result:
        here = context(root)
        here.language_server = server = Server(here.workspace, here.settings)
        listed = ", ".join(f"{key}={value!r}" for key, value in CASES[name][0].items())
        try:
            async with Sandbox([TOOLS[name]], Settings()) as sandbox:
                return result_of(await sandbox.run(f"{name}({listed}, limit={limit})", here))
        finally:
            await server.close()

    for limit in (3, 10_000):
        result = asyncio.run(ask(limit))
        (items,) = [v for v in vars(result).values() if isinstance(v, list)]
        assert len(items) == min(limit, MANY)
        assert result.truncated == (limit < MANY)
        for field, count in CASES[name][1].items():
            assert getattr(result, field) == count


PREVIEWS = {
    "goto_definition": "locations",
    "find_references": "references",
    "document_symbols": "symbols",
    "workspace_symbols": "symbols",
}


@pytest.mark.parametrize("name", PREVIEWS)
def test_every_place_shows_its_line(outcomes: dict[str, Outcome], root: Path, name: str) -> None:
    lines = (root / "flood.py").read_text().splitlines()
    items = getattr(result_of(outcomes[name]), PREVIEWS[name])
    assert items
    for item in items:
        assert item.preview == lines[item.line - 1].strip()
