"""Reports of ruff and ty: read as they are written, refused when they are none or broken off."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from punie.tools.quality import read_lint, read_types
from punie.workspace import Workspace, program
from workbench import write

HERE = Workspace(Path("/"))
PLACES = st.integers(1, 10**6)
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1)
RUFF_ENTRIES = st.fixed_dictionaries(
    {
        "filename": NAMES.map(lambda name: f"/{name}"),
        "location": st.fixed_dictionaries({"row": PLACES, "column": PLACES}),
        "code": st.none() | st.text(min_size=1, max_size=10),
        "name": st.just("invalid-syntax"),
        "message": st.text(max_size=50),
        "cell": st.none(),
        "fix": st.none()
        | st.fixed_dictionaries(
            {"applicability": st.sampled_from(["safe", "unsafe", "display"]), "edits": st.just([])}
        ),
        "url": st.none() | st.text(max_size=5),
    }
)


@given(st.lists(RUFF_ENTRIES, max_size=5))
def test_a_report_of_ruff_is_read_as_it_is_written(entries: list[dict[str, Any]]) -> None:
    found = read_lint(json.dumps(entries).encode(), HERE)
    assert [f"/{v.file.lstrip('/')}" for v in found] == [e["filename"] for e in entries]
    assert [(v.line, v.column) for v in found] == [
        (e["location"]["row"], e["location"]["column"]) for e in entries
    ]
    assert [(v.code, v.message) for v in found] == [
        (e["code"] or "invalid-syntax", e["message"]) for e in entries
    ]
    assert [v.fixable for v in found] == [
        e["fix"] is not None and e["fix"]["applicability"] == "safe" for e in entries
    ]


SARIF_ENTRIES = st.tuples(
    NAMES, PLACES, PLACES, st.sampled_from(["error", "warning", "note"]), st.text(), st.text()
)


@given(st.lists(SARIF_ENTRIES, max_size=5))
def test_a_report_of_ty_is_read_as_it_is_written(
    entries: list[tuple[str, int, int, str, str, str]],
) -> None:
    results = [
        {
            "level": level,
            "ruleId": code,
            "message": {"text": message},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": Path("/", name).as_uri()},
                        "region": {"startLine": line, "startColumn": column},
                    }
                }
            ],
        }
        for name, line, column, level, code, message in entries
    ]
    found = read_types(json.dumps({"runs": [{"results": results}]}).encode(), HERE)
    assert [
        (d.file.lstrip("/"), d.line, d.column, d.severity, d.code, d.message) for d in found
    ] == [e for e in entries if e[3] != "note"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["runs", "results", "level", "locations", "message", "fix", "location"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=20,
)


@pytest.mark.parametrize("read", [read_lint, read_types])
@given(report=JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=50))
def test_what_is_no_report_is_refused_and_nothing_else(
    read: Callable[[bytes, Workspace], list[Any]], report: bytes
) -> None:
    with contextlib.suppress(ValueError):
        assert read(report, HERE) == []


@pytest.mark.parametrize(
    ("read", "command"),
    [
        (read_lint, ["ruff", "check", "--no-cache", "--exit-zero", "--output-format=json"]),
        (read_types, ["ty", "check", "--output-format=sarif"]),
    ],
)
def test_a_report_that_breaks_off_is_never_taken_for_a_whole_one(
    tmp_path: Path, read: Callable[[bytes, Workspace], list[Any]], command: list[str]
) -> None:
    write(tmp_path, {"app.py": "import os\nx: int = ''\ndef f(:\n"})
    done = subprocess.run([program(command[0]), *command[1:]], cwd=tmp_path, capture_output=True)
    report = done.stdout.rstrip()
    assert read(report, Workspace(tmp_path))
    for end in range(0, len(report), 7):
        with pytest.raises(ValueError):
            read(report[:end], Workspace(tmp_path))
