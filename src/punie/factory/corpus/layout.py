"""What a repository looks like: where its package, tests and prose are; made runnable as it is.

`normalize` writes the usual `.gitignore`, and small configurations of pytest and ruff instead of
the project's own (of ty, none): pytest then runs at the root with nothing else installed, and ruff
reports the codes that `snippets` names, whatever its defaults are (0.17 left most of E7 out).
"""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from random import Random

GITIGNORE = """\
__pycache__/
*.py[cod]
*.egg-info/
.eggs/
build/
dist/
.venv/
venv/
.pytest_cache/
.mypy_cache/
.ruff_cache/
.coverage
htmlcov/
.tox/
.DS_Store
"""

LINT_FAMILIES = ("B", "C4", "I", "PIE", "RET", "UP", "W")
"""Families of ruff rules, of which a repository turns up to two on beside the basic ones."""

PROSE = {".md", ".rst", ".txt"}


@dataclass(frozen=True)
class Layout:
    """The parts of a repository, as paths relative to its root in POSIX form."""

    package: str
    """Folder (or single module) of the importable package."""
    src: bool
    """Whether the package lies under `src/`."""
    modules: tuple[str, ...]
    """Python modules of the package, tests in it left out."""
    tests: tuple[str, ...]
    """Test modules (`test_*.py`)."""
    test_folder: str
    """Folder for tests that need nothing but the standard library and pytest."""
    prose: tuple[str, ...]
    """Text files: readme, changelog, docs; none that tests or the package may read."""


def survey(root: Path, package: str) -> Layout:
    """Read the parts of the repository in `root`; `package` is the project's name on the index."""
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    python = [file for file in files if file.endswith(".py") and _parses(root / file)]
    tests = [file for file in python if re.search(r"(^|/)test_[^/]*\.py$", file)]
    top = _package_folder(root, package)
    modules = [
        file
        for file in python
        if (file == top or file.startswith(f"{top}/"))
        and not re.search(r"(^|/)(tests?|testing|_vendor)/|conftest\.py$", file)
    ]
    fixture = re.compile(rf"(^|/)(tests?|testing)/|^{re.escape(top)}/")
    prose = [file for file in files if Path(file).suffix in PROSE and not fixture.search(file)]
    prose = [file for file in prose if _is_text(root / file)]
    return Layout(
        package=top,
        src=top.startswith("src/"),
        modules=tuple(modules),
        tests=tuple(tests),
        test_folder=_test_folder(root, tests),
        prose=tuple(prose),
    )


def normalize(root: Path, plan: Layout, rng: Random, lint: bool = True) -> None:
    """Write `.gitignore` and the tools' configuration; turn CRLF of Python and prose to LF.

    Without `lint`, ruff is told to look for outright errors only, so that most repositories have
    none.
    """
    (root / ".gitignore").write_text(GITIGNORE, "utf-8")
    for file in (*plan.modules, *plan.tests, *plan.prose):
        data = (root / file).read_bytes()
        if b"\r" in data:
            (root / file).write_bytes(data.replace(b"\r\n", b"\n"))
    for name in ("pytest.ini", ".pytest.ini", "pytest.toml", "ruff.toml", ".ruff.toml", "ty.toml"):
        (root / name).unlink(missing_ok=True)
    for name in ("tox.ini", "setup.cfg", "pyproject.toml"):
        if (root / name).exists():
            text = _without_tools((root / name).read_text("utf-8"))
            (root / name).write_text(text, "utf-8")
    project = root / "pyproject.toml"
    old = project.read_text("utf-8").rstrip("\n") + "\n\n" if project.exists() else ""
    select = ["E4", "E7", "E9", "F", *sorted(rng.sample(LINT_FAMILIES, rng.randint(0, 2)))]
    lines = [
        "[tool.pytest.ini_options]",
        f"testpaths = {_toml_list(_test_paths(plan))}",
        f'pythonpath = ["{"src" if plan.src else "."}"]',
        "",
        "[tool.ruff.lint]",
        f"select = {_toml_list(select if lint else ['E9', 'F63', 'F7', 'F82'])}",
    ]
    project.write_text(old + "\n".join(lines) + "\n", "utf-8")
    if (root / "conftest.py").exists() and not _stands_alone(root / "conftest.py"):
        (root / "conftest.py").unlink()


def _package_folder(root: Path, package: str) -> str:
    """`src/attr`, `flask`, `parse.py` …: by the project's name, else the largest package."""
    plain = package.replace("-", "_").lower()
    for base in ("src/", ""):
        for name in (plain, plain.removeprefix("python_")):
            if (root / base / name / "__init__.py").exists():
                return f"{base}{name}"
            if (root / base / f"{name}.py").exists():
                return f"{base}{name}.py"
    inits = [path.parent for base in ("src", ".") for path in (root / base).glob("*/__init__.py")]
    packages = [path for path in inits if path.name not in ("tests", "test", "docs")]
    best = max(packages, key=lambda path: (len(list(path.rglob("*.py"))), path.name), default=root)
    return best.relative_to(root).as_posix()


def _test_folder(root: Path, tests: list[str]) -> str:
    """The project's own test folder if nothing that pytest loads there needs other packages."""
    tops = sorted({file.split("/")[0] for file in tests if "/" in file})
    for name in ("tests", "test", "testing"):
        if name in tops:
            loaded = [root / name / "conftest.py", root / name / "__init__.py"]
            if all(_stands_alone(path) for path in loaded if path.exists()):
                return name
            return "unit_tests" if name == "tests" else "tests"
    return "tests"


def _test_paths(plan: Layout) -> list[str]:
    inner = [file for file in plan.tests if file.startswith(f"{plan.package}/")]
    tops = {file.split("/")[0] for file in plan.tests if "/" in file and file not in inner}
    tops -= {"docs", "examples", "src", "benchmarks", "downstream"}
    if inner:
        tops.add(inner[0].rsplit("/", 1)[0])
    return sorted(tops | {plan.test_folder})


def _stands_alone(path: Path) -> bool:
    """Whether a module imports nothing but the standard library and pytest."""
    if not _parses(path):
        return False
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = ["." if node.level else node.module or "."]
        if any(name.split(".")[0] not in sys.stdlib_module_names | {"pytest"} for name in names):
            return False
    return True


def _without_tools(text: str) -> str:
    """An ini or TOML text without its sections for pytest, ruff and ty."""
    parts = re.split(r"(?m)^(?=\[)", text)
    head = re.compile(r"\[\[?(tool\.(pytest|ruff|ty)\b[^]]*|tool:pytest|pytest)\]")
    return "".join(part for part in parts if not head.match(part))


def _parses(path: Path) -> bool:
    try:
        ast.parse(path.read_text("utf-8"))
    except (SyntaxError, ValueError, OSError):
        return False
    return True


def _is_text(path: Path) -> bool:
    try:
        return len(path.read_text("utf-8")) > 200
    except ValueError:
        return False


def _toml_list(values: list[str]) -> str:
    return "[" + ", ".join(f'"{value}"' for value in values) + "]"
