"""The shape of the house, read off the syntax trees: imports, docstrings, sizes, no patching."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src"
MODULES = {
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((SOURCE / "punie").rglob("*.py"))
}
TESTS = sorted((ROOT / "tests").rglob("*.py"))
HEAVY = {
    "torch", "transformers", "peft", "mcp", "acp", "llama_cpp", "mlx", "mlx_lm", "numpy",
    "pydantic_ai",
}  # fmt: skip

LAYERS = (
    ("errors", "approvals", "navigation", "git"),
    ("settings",),
    (
        "text",
        "ends",
        "diff",
        "strays",
        "redact",
        "navigation.answers",
        "page",
        "unpacking",
        "scratch",
        "navigation.installed",
    ),
    ("threads", "navigation.headless"),
    ("lines",),
    (
        "workspace",
        "navigation.jsonrpc",
        "tool",
        "navigation.pysource",
        "prompt",
        "undo",
        "navigation.declaration",
    ),
    (
        "grep",
        "mentioned",
        "git.porcelain",
        "navigation.sweep",
        "git.gitconfig",
        "database",
        "remembered",
    ),
    ("navigation.lsp", "wrap", "git.repository", "instrument", "engine"),
    (
        "navigation.addressing",
        "navigation.stubs",
        "navigation.unread",
        "listing",
        "navigation.outline",
        "navigation.places",
    ),
    (
        "navigation.references",
        "navigation.overlooked",
        "navigation.keywords",
        "navigation.silence",
        "navigation.disguised",
        "navigation.classbody",
    ),
    ("reporter", "terminal", "testrun"),
    ("tools", "sandbox", "engine.llama", "engine.mlx", "engine.http", "engine.scripted"),
    ("agent",),
    ("models", "telemetry"),
    ("trace",),
    ("assembly", "demo", "monitor", "monitor_page", "report", "conversation"),
    ("api", "chat"),
    ("factory", "serve"),
    ("cli", "commands", "contract", "__main__"),
)
"""From the ground up: what stands in a row imports only from its own row and those below."""


def imported(tree: ast.AST, module: str, *, package: bool = False) -> set[str]:
    """Full names of the modules that a module imports from punie, wherever in it."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")[: None if package and node.level == 1 else -node.level]
                base = ".".join([*parts, *filter(None, [node.module])])
            inner = {f"{base}.{alias.name}" for alias in node.names}
            found |= (inner & MODULES.keys()) or {base}
    return {name for name in found if name.split(".")[0] == "punie"}


def layer(module: str) -> int:
    """Row of the longest matching name."""
    name = module.removeprefix("punie").removeprefix(".")
    rows = {each: number for number, row in enumerate(LAYERS) for each in row}
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        if (found := rows.get(".".join(parts[:length]))) is not None:
            return found
    return 0 if name == "" else -1


def public(module: str, target: str) -> bool:
    """Whether it is the package's own front door, which imports its names when they are used."""
    return (module, target) == ("punie", "punie.api")


def edges() -> Iterator[tuple[str, str]]:
    for module, path in MODULES.items():
        tree = ast.parse(path.read_text("utf-8"))
        for target in sorted(imported(tree, module, package=path.name == "__init__.py")):
            yield module, target


def test_every_module_has_its_place() -> None:
    assert [module for module in MODULES if layer(module) < 0] == []


def test_imports_point_one_way() -> None:
    pairs = list(edges())
    assert ("punie.agent", "punie.sandbox") in pairs
    assert ("punie.tools.navigation", "punie.navigation.addressing") in pairs
    assert [(a, b) for a, b in pairs if layer(a) < layer(b) and not public(a, b)] == []


def test_nothing_imports_the_factory_the_servers_or_the_command_line() -> None:
    outer = ("punie.factory", "punie.serve", "punie.cli", "punie.commands")
    free = (*outer, "punie.contract", "punie.__main__")
    wrong = [(a, b) for a, b in edges() if b.startswith(outer) and not a.startswith(free)]
    assert wrong == []


def test_an_import_is_found_wherever_it_stands() -> None:
    tree = ast.parse(
        "def f():\n    from punie import cli\n    from .factory import train\nimport os"
    )
    assert imported(tree, "punie.agent") == {"punie.cli", "punie.factory.train"}
    assert layer("punie.tools.git") < layer("punie.agent") < layer("punie.factory.train")
    assert layer("punie.nowhere") == -1


@pytest.mark.parametrize("module", MODULES)
def test_every_module_says_what_it_is_in_at_most_400_lines(module: str) -> None:
    text = MODULES[module].read_text("utf-8")
    assert (ast.get_docstring(ast.parse(text)) or "").rstrip().endswith((".", "!", "```", ":"))
    assert len(text.splitlines()) <= 400


def patches(tree: ast.AST) -> list[str]:
    """Whatever in a test replaces parts of the program from outside."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
            found += [name for name in names if "mock" in name.split(".")]
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            last = called.rpartition(".")[2]
            if called == "monkeypatch.setattr" or last in ("patch", "MagicMock", "AsyncMock"):
                found.append(called)
        elif isinstance(node, ast.arg) and node.arg == "mocker":
            found.append(node.arg)
    return found


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_no_test_patches_the_program(path: Path) -> None:
    assert patches(ast.parse(path.read_text("utf-8"))) == []


@pytest.mark.parametrize(
    "code",
    [
        "from unittest.mock import Mock",
        "import unittest.mock",
        "mock.patch('a.b')",
        "patch('a.b')",
        "x = MagicMock()",
        "def test_it(mocker): ...",
        "monkeypatch.setattr(a, 'b', 1)",
    ],
)
def test_a_patch_would_be_found(code: str) -> None:
    assert patches(ast.parse(code))


def loaded(module: str) -> set[str]:
    """Top-level modules that Python has after importing one, and had not before."""
    script = f"import sys\nbefore = set(sys.modules)\nimport {module}\n"
    script += "print(*(set(sys.modules) - before), sep='\\n')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    return {name.split(".")[0] for name in done.stdout.decode().split()}


def test_importing_punie_imports_nothing_else() -> None:
    assert loaded("punie") == {"punie"}


@pytest.mark.parametrize("module", ["agent", "trace", "engine.http", "engine.scripted", "models"])
def test_the_way_to_an_answer_is_light(module: str) -> None:
    found = loaded(f"punie.{module}")
    assert "punie" in found
    assert found & HEAVY == set()


def test_importing_prints_and_makes_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import punie.cli, punie.agent, punie.trace"],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "PUNIE_DATA": str(tmp_path / "data")},
        capture_output=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == (b"", b"")
    assert list(tmp_path.iterdir()) == []
