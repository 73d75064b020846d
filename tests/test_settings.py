"""Where settings come from, which wins, and which a repository's own files cannot make."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from punie.settings import OWNER_ONLY, Settings
from repos import write

LOAD = """
import json, sys
from pathlib import Path
from punie.errors import UsageError
from punie.settings import load
root, flags = json.loads(sys.argv[1])
try:
    print(load(Path(root) if root else None, **flags).model_dump_json())
except UsageError as error:
    sys.exit(str(error))
"""


def start(
    home: Path, root: Path | None = None, env: dict[str, str] | None = None, **flags: Any
) -> subprocess.CompletedProcess[str]:
    """Load the settings in a process of its own, in `home`, where its user lives."""
    home.mkdir(parents=True, exist_ok=True)
    variables = {name: v for name, v in os.environ.items() if not name.startswith("PUNIE_")}
    variables |= {"HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config")} | (env or {})
    given = json.dumps([str(root) if root else None, flags])
    return subprocess.run(
        [sys.executable, "-c", LOAD, given],
        cwd=home,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )


def load(home: Path, root: Path | None = None, **options: Any) -> dict[str, Any]:
    done = start(home, root, **options)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def refused(home: Path, root: Path | None = None, **options: Any) -> str:
    done = start(home, root, **options)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    return done.stderr


SOURCES: list[tuple[str, dict[str, Any]]] = [
    ("default", {}),
    ("user", {"user": "tool_calls = 2"}),
    ("pyproject", {"pyproject": "[tool.punie]\ntool_calls = 3"}),
    ("punie.toml", {"punie": "tool_calls = 4"}),
    ("environment", {"env": {"PUNIE_TOOL_CALLS": "5"}}),
    ("flag", {"flags": {"tool_calls": 6}}),
]
"""Weakest first; each sets the calls that a program may make."""
CALLS = [100, 2, 3, 4, 5, 6]


def place(home: Path, root: Path, files: dict[str, str]) -> None:
    """The user's file and those of a repository."""
    names = {
        "user": home / ".config/punie/punie.toml",
        "pyproject": root / "pyproject.toml",
        "punie": root / "punie.toml",
    }
    for name, text in files.items():
        write(names[name].parent, {names[name].name: text})


@pytest.mark.parametrize("strongest", range(len(SOURCES)), ids=[name for name, _ in SOURCES])
def test_the_strongest_source_wins(tmp_path: Path, strongest: int) -> None:
    home, root = tmp_path / "home", tmp_path / "root"
    root.mkdir()
    given: dict[str, Any] = {}
    for _, source in SOURCES[: strongest + 1]:
        given |= source
    env, flags = given.pop("env", None), given.pop("flags", {})
    place(home, root, given)
    assert load(home, root, env=env, **flags)["tool_calls"] == CALLS[strongest]


def test_sources_add_up(tmp_path: Path) -> None:
    home, root = tmp_path / "home", tmp_path / "root"
    place(home, root, {"user": "repairs = 1", "pyproject": "[tool.punie]\nmemory_mb = 64"})
    place(home, root, {"punie": "output_kb = 5"})
    found = load(home, root, env={"PUNIE_READ_ONLY": "true"}, max_tokens=99)
    picked = ("repairs", "memory_mb", "output_kb", "read_only", "max_tokens", "tool_calls")
    assert [found[name] for name in picked] == [1, 64, 5, True, 99, 100]


def test_a_flag_that_is_none_was_not_given(tmp_path: Path) -> None:
    assert load(tmp_path, env={"PUNIE_MODEL": "a.gguf"}, model=None)["model"] == "a.gguf"


def test_without_a_repository_no_file_of_the_current_folder_counts(tmp_path: Path) -> None:
    write(tmp_path, {"punie.toml": "tool_calls = 4", "pyproject.toml": "[tool.punie]\nrepairs = 0"})
    found = load(tmp_path)
    assert (found["tool_calls"], found["repairs"]) == (100, 2)


# --- a repository cannot approve itself

OWNED: dict[str, tuple[str, Any]] = {
    "model": ('"http://evil.example/v1#x"', "default"),
    "read_only": ("true", False),
    "yes": ("true", False),
    "trust": ("true", False),
    "approve": (
        '{allow = [{effect = "run", tool = "", path = "", command = ""}], refuse = []}',
        {"allow": [], "refuse": []},
    ),
    "language_server": ('"touch /tmp/evil"', ""),
    "python": ('"./evil"', ""),
    "traces": ("false", True),
    "telemetry": ("true", False),
}
"""What a repository might try to set, and what stays."""


def test_the_settings_of_the_owner_are_the_ones_tried_here() -> None:
    assert set(OWNED) == OWNER_ONLY
    assert set(Settings.model_fields) > OWNER_ONLY


@pytest.mark.parametrize("name", OWNED)
@pytest.mark.parametrize("file", ["punie", "pyproject"])
def test_a_repository_cannot_make_the_owner_s_settings(
    tmp_path: Path, file: str, name: str
) -> None:
    home, root = tmp_path / "home", tmp_path / "root"
    value, stays = OWNED[name]
    table = "[tool.punie]\n" if file == "pyproject" else ""
    place(home, root, {file: f"{table}{name} = {value}\ntool_calls = 7\n"})
    found = load(home, root)
    assert found[name] == stays
    assert found["tool_calls"] == 7


@pytest.mark.parametrize("name", OWNED)
def test_the_owner_s_own_file_makes_them(tmp_path: Path, name: str) -> None:
    value, stays = OWNED[name]
    place(tmp_path, tmp_path / "root", {"user": f"{name} = {value}"})
    assert load(tmp_path, tmp_path / "root")[name] == tomllib.loads(f"x = {value}")["x"] != stays


# --- mistakes


def test_every_wrong_setting_is_listed_with_those_there_are(tmp_path: Path) -> None:
    write(tmp_path, {"punie.toml": "tool_cals = 5\nmemory_mb = 1\n"})
    said = refused(tmp_path / "home", tmp_path, env={"PUNIE_REPAIRS": "9"}, program_seconds=0)
    assert said.startswith("settings cannot be used:\n")
    for line in (
        "  tool_cals: Extra inputs are not permitted",
        "  memory_mb: Input should be greater than or equal to 16",
        "  repairs: Input should be less than or equal to 2",
        "  program_seconds: Input should be greater than 0",
        "known settings: model, profile, dialect, ",
    ):
        assert f"\n{line}" in said


@pytest.mark.parametrize("name", ["punie.toml", "pyproject.toml"])
def test_a_file_that_is_no_toml_is_an_error(tmp_path: Path, name: str) -> None:
    write(tmp_path, {name: "tool_calls = = 5"})
    assert "settings file cannot be read: " in refused(tmp_path / "home", tmp_path)


@pytest.mark.parametrize("name", ["punie.toml", "pyproject.toml"])
def test_a_file_that_is_no_text_is_an_error(tmp_path: Path, name: str) -> None:
    write(tmp_path, {name: b"caf\xe9 = 1"})
    assert "settings file cannot be read: " in refused(tmp_path / "home", tmp_path)


def test_the_language_server_s_command_is_split_as_a_shell_would() -> None:
    here = Settings(**{"language_server": "my 'language server' --stdio"})  # type: ignore[arg-type]
    assert here.server_command == ["my", "language server", "--stdio"]
    assert Settings(**{}).server_command is None


@pytest.mark.parametrize("name", ["punie.toml", "pyproject.toml"])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path, name: str) -> None:
    root = tmp_path / "repo"
    root.mkdir()
    os.mkfifo(root / name)
    assert load(tmp_path / "home", root)["output_kb"] == 64
