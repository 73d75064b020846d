"""Types and lint of small real repositories, against the programs' other formats."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

import repos
from punie.tool import Tool
from punie.tools.quality import RuffResult, TypeCheckResult, ruff_check, typecheck
from punie.workspace import program
from workbench import add_venv, ask, output, write


@pytest.fixture
def untidy(tmp_path: Path) -> Path:
    write(
        tmp_path,
        {
            "app.py": """
            import os
            import sys
            smile: int = "😀"; other: int = "b"
            def double(n: int) -> str:
                return n * 2
            double("x"); print(f"")
            def find(n: int | None = None) -> bool:
                return n == None
            """,
            "broken.py": "def f(:\n    pass\n",
            "pkg/__init__.py": "",
            "pkg/deep/part.py": "import nowhere\nx: str = 1\nx.upper().nope\n",
        },
    )
    (tmp_path / "pkg/odd name#1%20é.py").write_text("y: int = ''\nimport json\n", "utf-8")
    (tmp_path / "notes.txt").write_text("hello\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "pyproject.toml").write_text(
        '[tool.ty.rules]\nimport-not-found = "warn"\n'
        '[tool.ruff]\nfix = true\n[tool.ruff.lint]\nselect = ["F", "E"]\n'
    )
    return tmp_path


def concise_types(root: Path, *path: str) -> set[tuple[str, ...]]:
    text = output(root, program("ty"), "check", "--output-format", "concise", *path)
    return set(re.findall(r"(?m)^(.+?):(\d+):(\d+): (\w+)\[([\w-]+)\] (.+)$", text))


def concise_lint(root: Path, *path: str) -> list[tuple[str, ...]]:
    command = [program("ruff"), "check", "--no-cache", "--no-fix", "--output-format", "concise"]
    text = output(root, *command, *path)
    found = re.findall(r"(?m)^(.+?):(\d+):(\d+): ([\w-]+):? (\[\*\] )?(.+)$", text)
    return sorted(found)


@pytest.mark.parametrize("path", [".", "pkg", "app.py", "pkg/odd name#1%20é.py"])
def test_types_are_those_of_the_concise_format(untidy: Path, path: str) -> None:
    result: TypeCheckResult = ask(typecheck, untidy, path=path)
    expected = concise_types(untidy, path)
    got = {
        (d.file, str(d.line), str(d.column), d.severity, d.code, d.message) for d in result.errors
    }
    assert result.success
    assert not result.truncated
    assert got == expected
    assert expected
    kinds = [e[3] for e in expected]
    assert result.error_count == kinds.count("error") > 0
    assert result.warning_count == kinds.count("warning")
    assert result.errors == sorted(result.errors, key=lambda d: (d.file, d.line, d.column))


def test_configuration_makes_warnings_and_they_are_counted_apart(untidy: Path) -> None:
    result = ask(typecheck, untidy, path="pkg/deep")
    warnings = [d for d in result.errors if d.severity == "warning"]
    assert [str(w) for w in warnings] == [
        f"pkg/deep/part.py:1:8 warning[{warnings[0].code}] Cannot resolve imported module `nowhere`"
    ]
    assert result.warning_count == 1


def test_a_column_counts_characters_not_bytes_or_utf16_units(untidy: Path) -> None:
    result = ask(typecheck, untidy, path="app.py")
    line = (untidy / "app.py").read_text("utf-8").splitlines()[3]
    second = [d for d in result.errors if d.line == 4][1]
    assert line[second.column - 1 :].startswith('"b"') or "other" in line[second.column - 1 :]
    assert second.column in (line.index('"b"') + 1, line.index("other") + 1)


@pytest.mark.parametrize("tool", [typecheck, ruff_check])
def test_a_syntax_error_is_a_result(untidy: Path, tool: Tool) -> None:
    result = ask(tool, untidy, path="broken.py")
    found = result.errors if isinstance(result, TypeCheckResult) else result.violations
    assert result.success
    assert (found[0].file, found[0].line, found[0].code) == ("broken.py", 1, "invalid-syntax")


def test_a_syntax_error_is_a_result_in_preview_mode_too(untidy: Path) -> None:
    """There ruff gives it no code: all of the folder's violations were lost with it."""
    (untidy / "ruff.toml").write_text("preview = true\n")
    found = [v.code for v in ask(ruff_check, untidy).violations]
    assert "invalid-syntax" in found
    assert "F401" in found


@pytest.mark.parametrize("tool", [typecheck, ruff_check])
def test_a_limit_cuts_the_list_and_not_the_counts(untidy: Path, tool: Tool) -> None:
    whole, part = ask(tool, untidy), ask(tool, untidy, limit=2)
    name = "errors" if tool is typecheck else "violations"
    assert getattr(part, name) == getattr(whole, name)[:2]
    assert (part.truncated, whole.truncated) == (True, False)
    lists = {"errors": [], "violations": [], "truncated": False}
    assert part.model_copy(update=lists) == whole.model_copy(update=lists)


@pytest.mark.parametrize("path", [".", "app.py", "pkg"])
def test_violations_are_those_of_the_concise_format(untidy: Path, path: str) -> None:
    result: RuffResult = ask(ruff_check, untidy, path=path)
    expected = concise_lint(untidy, path)
    got = [
        (v.file, str(v.line), str(v.column), v.code, "[*] " if v.fixable else "", v.message)
        for v in result.violations
    ]
    assert sorted(got) == expected
    assert result.violation_count == len(expected) > 0
    assert result.fixable_count == sum(bool(e[4]) for e in expected) > 0


def test_a_fix_that_is_unsafe_does_not_count_as_fixable(untidy: Path) -> None:
    result = ask(ruff_check, untidy, path="app.py")
    fixable = {v.code: v.fixable for v in result.violations}
    assert fixable["E711"] is False
    assert fixable["F401"] is True


def test_a_clean_file_is_a_success_without_findings(tmp_path: Path) -> None:
    write(tmp_path, {"fine.py": "x: int = 1\n"})
    types, lint = ask(typecheck, tmp_path, path="fine.py"), ask(ruff_check, tmp_path)
    assert (types.success, types.error_count, types.errors) == (True, 0, [])
    assert (lint.success, lint.violation_count, lint.violations) == (True, 0, [])


@pytest.mark.parametrize("tool", [typecheck, ruff_check])
@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("pkg/ap.py", "no file or folder 'pkg/ap.py' in the workspace; did you mean 'app.py'"),
        ("notes.txt", "'notes.txt' is no Python file"),
        ("empty", "no Python files to check under 'empty'"),
        ("../x.py", "path '../x.py' leads outside the workspace"),
    ],
)
def test_a_path_that_cannot_be_checked_is_said_so(
    untidy: Path, tool: Tool, path: str, reason: str
) -> None:
    result = ask(tool, untidy, path=path)
    assert not result.success
    assert result.parse_error.startswith(reason)


@pytest.mark.parametrize("tool", [typecheck, ruff_check])
def test_a_deleted_file_is_called_deleted(tmp_path: Path, tool: Tool) -> None:
    repos.repository(tmp_path, {"gone.py": "x = 1\n", "stays.py": "x = 1\n"})
    (tmp_path / "gone.py").unlink()
    result = ask(tool, tmp_path, path="gone.py")
    assert result.parse_error == "'gone.py' is deleted: it is in the last commit but not on disk"


@pytest.mark.parametrize(("tool", "file"), [(typecheck, "ty.toml"), (ruff_check, "ruff.toml")])
def test_a_configuration_that_cannot_be_read_fails_in_the_programs_words(
    tmp_path: Path, tool: Tool, file: str
) -> None:
    write(tmp_path, {"fine.py": "x = 1\n"})
    (tmp_path / file).write_text("x x\n")
    result = ask(tool, tmp_path)
    assert not result.success
    assert "TOML parse error at line 1, column 3" in result.parse_error


def test_a_script_without_suffix_is_checked_by_its_first_line(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("#!/usr/bin/env python3\nimport os\n")
    assert "F401" in [v.code for v in ask(ruff_check, tmp_path, path="run").violations]


def test_types_come_from_the_environment_of_the_workspace(tmp_path: Path) -> None:
    write(tmp_path, {"app.py": "from only_here import one\nx: str = one()\n"})
    assert "only_here" in ask(typecheck, tmp_path).errors[0].message
    add_venv(tmp_path)
    assert [d.line for d in ask(typecheck, tmp_path).errors] == [2]


def test_types_come_from_the_environment_of_the_setting(tmp_path: Path) -> None:
    root, other = tmp_path / "root", tmp_path / "other"
    write(root, {"app.py": "from only_here import one\nx: str = one()\n"})
    add_venv(other)
    python = str(other / ".venv/bin/python")
    assert [d.line for d in ask(typecheck, root, {"python": python}).errors] == [2]


@pytest.fixture
def configured(tmp_path: Path) -> Path:
    """A project whose configuration leaves things out in every way that people use."""
    return write(
        tmp_path,
        {
            "pyproject.toml": """
            [tool.ruff]
            extend-exclude = ["gen"]
            [tool.ruff.lint]
            select = ["F"]
            per-file-ignores = {"tests/*" = ["F401"]}
            [tool.ty.src]
            exclude = ["gen"]
            [[tool.ty.overrides]]
            include = ["tests"]
            rules = {invalid-assignment = "ignore"}
            """,
            ".gitignore": "made.py\n",
            "app.py": 'import os\nx: int = ""\n',
            "made.py": 'import os\nx: int = ""\n',
            "gen/out.py": 'import os\nx: int = ""\n',
            "tests/test_app.py": 'import os\nx: int = ""\n',
            "part/ruff.toml": '[lint]\nselect = ["E711"]\n',
            "part/odd.py": "import os\nprint(os.name == None)\n",
            "noted.py": 'import os  # noqa: F401\nx: int = ""  # ty: ignore[invalid-assignment]\n',
        },
    )


def test_the_configuration_of_the_workspace_counts(configured: Path) -> None:
    repos.git(configured, "init", "--quiet")
    lint, types = ask(ruff_check, configured), ask(typecheck, configured)
    assert [(v.file, v.code) for v in lint.violations] == [
        ("app.py", "F401"),
        ("part/odd.py", "E711"),
    ]
    assert [(d.file, d.code) for d in types.errors] == [("app.py", "invalid-assignment")]


def test_what_is_excluded_is_checked_when_it_is_named(configured: Path) -> None:
    for path in ("gen", "gen/out.py", "made.py"):
        assert [v.code for v in ask(ruff_check, configured, path=path).violations] == ["F401"]
        assert [d.line for d in ask(typecheck, configured, path=path).errors] == [2]


def test_nothing_checked_is_no_clean_bill(configured: Path) -> None:
    text = (configured / "pyproject.toml").read_text()
    (configured / "pyproject.toml").write_text(
        text.replace("[tool.ruff]", "[tool.ruff]\nforce-exclude = true")
    )
    reason = "ruff checked nothing: its configuration or .gitignore excludes "
    for path in ("gen", "gen/out.py"):
        assert ask(ruff_check, configured, path=path).parse_error == f"{reason}{path!r}"


def test_named_pipes_and_links_to_devices_hold_nothing_up(configured: Path) -> None:
    (configured / "a,b[c]").mkdir()
    os.mkfifo(configured / "a,b[c]/pipe.py")
    os.mkfifo(configured / "pipe.py")
    (configured / "link.py").symlink_to("pipe.py")
    assert [v.file for v in ask(ruff_check, configured).violations] == [
        "app.py",
        "made.py",
        "part/odd.py",
    ]
    assert {d.file for d in ask(typecheck, configured).errors} == {"app.py", "made.py"}
    for tool in (ruff_check, typecheck):
        result = ask(tool, configured, path="pipe.py")
        assert result.parse_error == "'pipe.py' is no Python file"


def test_variables_of_the_user_do_not_move_the_report(tmp_path: Path) -> None:
    write(tmp_path, {"app.py": "import os\n"})
    variables = {"RUFF_OUTPUT_FILE": "out.txt", "RUFF_OUTPUT_FORMAT": "full", "FORCE_COLOR": "1"}
    variables |= {"TY_OUTPUT_FORMAT": "concise", "CLICOLOR_FORCE": "1"}
    os.environ.update(variables)
    try:
        assert ask(ruff_check, tmp_path).violation_count == 1
        assert ask(typecheck, tmp_path).error_count == 0
    finally:
        for name in variables:
            del os.environ[name]


def test_a_cell_of_a_notebook_is_named_since_lines_count_from_there(tmp_path: Path) -> None:
    cells: list[dict[str, object]] = [
        {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": s}
        for s in ("x = 1\n", "import os\n")
    ]
    book = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "book.ipynb").write_text(json.dumps(book))
    for path in (".", "book.ipynb"):
        assert [str(v) for v in ask(ruff_check, tmp_path, path=path).violations] == [
            "book.ipynb:1:8 F401 `os` imported but unused (cell 2) (fixable)"
        ]
    assert ask(typecheck, tmp_path, path="book.ipynb").success


def test_many_findings_are_counted_in_full(tmp_path: Path) -> None:
    write(tmp_path, {"app.py": "import os\n" * 3000 + "x: int = ''\n" * 1000})
    (tmp_path / "ruff.toml").write_text('[lint]\nselect = ["F401", "F811"]\n')
    lint, types = ask(ruff_check, tmp_path), ask(typecheck, tmp_path)
    assert lint.violation_count >= lint.fixable_count >= 3000
    assert types.error_count == 1000
    assert (len(lint.violations), len(types.errors)) == (200, 200)
    assert lint.truncated
    assert types.truncated


ODD = {
    "utf16.py": b"\xff\xfe",
    "nul.py": b"\0" * 10,
    "latin.py": b"import os\nx = '\xe9'\n",
    "declared.py": b"# -*- coding: latin-1 -*-\nimport os\nx = '\xe9'\n",
}
"""Files that ruff and ty cannot read or parse; the last one is Python all the same."""


@pytest.mark.parametrize("tool", [typecheck, ruff_check])
@pytest.mark.parametrize("rules", ['select = ["F"]', 'ignore = ["E902"]', ""])
def test_odd_bytes_in_a_file_are_a_finding_or_a_failure_and_never_clean(
    tmp_path: Path, tool: Tool, rules: str
) -> None:
    """A configuration without E902 made ruff pass over what it could not read, which was clean."""
    repos.write(
        tmp_path, {**ODD, "mark.py": b"\xef\xbb\xbfx = 1\n", "ruff.toml": f"[lint]\n{rules}\n"}
    )
    (tmp_path / "gone.py").symlink_to("nowhere.py")

    def files(result: Any) -> set[str]:
        found = result.errors if isinstance(result, TypeCheckResult) else result.violations
        return {f.file for f in found}

    whole = ask(tool, tmp_path)
    assert whole.success
    assert files(whole) >= ODD.keys()
    assert "mark.py" not in files(whole)
    for name in ODD:
        alone = ask(tool, tmp_path, path=name)
        assert files(alone) == ({name} if alone.success else set())
        assert alone.success or repr(name) in alone.parse_error


def test_a_file_that_ruff_cannot_read_is_a_failure_that_says_why(tmp_path: Path) -> None:
    repos.write(tmp_path, {"latin.py": ODD["declared.py"]})
    result = ask(ruff_check, tmp_path, path="latin.py")
    assert not result.success
    assert result.parse_error == "ruff cannot read 'latin.py': stream did not contain valid UTF-8"


def test_types_in_a_notebook_name_the_cell_as_ty_does(tmp_path: Path) -> None:
    """The line counted through all cells, so that it was that of no cell."""
    sources = ["import os\nx = 1", "", None, "%%bash\nls", "%%time\ny: int = ''", "z: str = 1\n"]
    code: dict[str, Any] = {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {},
        "outputs": [],
    }
    text = {"cell_type": "markdown", "metadata": {}, "source": "a\nb"}
    cells = [text if s is None else code | {"source": s} for s in sources]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "n.ipynb").write_text(json.dumps(notebook))
    result = ask(typecheck, tmp_path, path="n.ipynb")
    told = {
        f"cell {e.message.rpartition(' (cell ')[2][:-1]}:{e.line}:{e.column}" for e in result.errors
    }
    said = output(tmp_path, program("ty"), "check", "--output-format=concise")
    assert told == set(re.findall(r"^n.ipynb:(cell \d+:\d+:\d+)", said, re.M)) != set()
