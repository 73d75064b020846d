"""Earlier versions of files: the step that a past commit would have made, taken back."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from random import Random

_FLIPS = (
    (" <= ", " < ", "fix", "off-by-one error in {where}"),
    (" >= ", " > ", "fix", "boundary check in {where}"),
    (" is None", " == None", "style", "None comparison in {where}"),
    (" is not None", " != None", "style", "identity check in {where}"),
)
_ADDITIONS = ("details on {word}", "paragraph about {word}", "note on {word}", "hint on {word}",
              "remarks on {word}", "explanation of {word}", "section about {word}")  # fmt: skip


@dataclass(frozen=True)
class Step:
    """What a commit did to one file."""

    before: str
    """Text of the file before the commit."""
    kind: str
    """`fix`, `style`, `docs`, `feat` or `test`."""
    topic: str
    """What was done, as a noun phrase: `boundary check in parse_row`."""


def take_back(path: str, text: str, rng: Random) -> Step | None:
    """A step that leads to `text`, drawn by `rng`; None when the file offers none."""
    if not path.endswith(".py"):
        return _paragraph(path, text, rng)
    tree = ast.parse(text)
    ways = [_docstring, _last_definition, _flip, _flip, _comment]
    rng.shuffle(ways)
    for way in ways:
        step = way(path, text, tree, rng)
        if step is not None and step.before.strip() and _parses(step.before):
            return step
    return None


def _paragraph(path: str, text: str, rng: Random) -> Step | None:
    parts = text.split("\n\n")
    spots = [index for index in range(1, len(parts)) if 60 < len(parts[index]) < 1500]
    if not spots:
        return None
    spot = rng.choice(spots)
    before = "\n\n".join(parts[:spot] + parts[spot + 1 :])
    if not before.endswith("\n"):
        before += "\n"
    words = re.findall(r"`+(\w[\w.]{3,24})`+", parts[spot])
    words = words or re.findall(r"\b[a-z]{5,14}\b", parts[spot])
    topic = rng.choice(_ADDITIONS).format(word=max(words, key=len, default="usage"))
    return Step(before, "docs", f"{topic} in {PurePosixPath(path).name}")


def _docstring(path: str, text: str, tree: ast.Module, rng: Random) -> Step | None:
    spots = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and len(node.body) > 1:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                spots.append((node.name, first.lineno, first.end_lineno or first.lineno))
    if not spots:
        return None
    name, start, end = rng.choice(spots)
    return Step(_cut(text, start, end), "docs", f"docstring of {name}")


def _last_definition(path: str, text: str, tree: ast.Module, rng: Random) -> Step | None:
    if len(tree.body) < 3:
        return None
    last = tree.body[-1]
    if not isinstance(last, ast.FunctionDef | ast.ClassDef) or "\n" not in text.strip():
        return None
    start = min([last.lineno, *(node.lineno for node in last.decorator_list)])
    if (last.end_lineno or start) - start > 60:
        return None
    kept = "\n".join(text.split("\n")[: start - 1]).rstrip() + "\n"
    if PurePosixPath(path).name.startswith("test_"):
        return Step(kept, "test", f"tests for {last.name.removeprefix('test_').replace('_', ' ')}")
    return Step(kept, "feat", f"{last.name} to {PurePosixPath(path).stem}")


def _flip(path: str, text: str, tree: ast.Module, rng: Random) -> Step | None:
    lines = text.split("\n")
    spots = []
    for number, line in enumerate(lines, 1):
        for new, old, kind, topic in _FLIPS:
            if line.count(new) == 1 and not re.search(r"[\"'#`]", line):
                spots.append((number, line.replace(new, old), kind, topic))
    if not spots:
        return None
    number, line, kind, topic = rng.choice(spots)
    lines[number - 1] = line
    where = _around(tree, number) or PurePosixPath(path).stem
    return Step("\n".join(lines), kind, topic.format(where=where))


def _comment(path: str, text: str, tree: ast.Module, rng: Random) -> Step | None:
    lines = text.split("\n")
    spots = [
        number
        for number, line in enumerate(lines, 1)
        if re.match(r"\s+# \w", line) and _around(tree, number)
    ]
    if not spots:
        return None
    number = rng.choice(spots)
    return Step(_cut(text, number, number), "docs", f"comment in {_around(tree, number)}")


def _around(tree: ast.Module, number: int) -> str:
    """The name of the innermost function or class around a line, or an empty string."""
    found = ""
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            continue
        if node.lineno <= number <= (node.end_lineno or node.lineno):
            found = node.name
    return found


def _cut(text: str, start: int, end: int) -> str:
    lines = text.split("\n")
    return "\n".join(lines[: start - 1] + lines[end:])


def _parses(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError):
        return False
    return True
