"""The words of a question by what they look like: paths, names of code, numbers, the rest."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_PATH = re.compile(r"[\w.-]+/[\w./-]*|\w[\w.-]*\.(?:pyi?|md|rst|txt|toml|cfg|ini|json|ya?ml)\b")
_QUOTED = re.compile(r"`([^`\n]+)`|\"([^\"\n]+)\"|'([^'\n]+)'")
_NAME = re.compile(r"(?=\w*(?:_\w|\w_|[a-z0-9][A-Z]|\w\.[A-Za-z_]))[A-Za-z_][\w.]*\w|\b[A-Z]\w{2,}")
_NUMBER = re.compile(r"(?<![\w.])\d+(?![\w.]*\w)")


@dataclass
class Words:
    """What a question names, each kind in the order of the text, and the text without it."""

    path: list[str] = field(default_factory=list)
    name: list[str] = field(default_factory=list)
    number: list[str] = field(default_factory=list)
    rest: list[str] = field(default_factory=list)
    """The other words in lower case, with `<path>`, `<name>`, `<number>` in the places."""


def words(question: str) -> Words:
    """Take a question apart. A capital word that begins the question is no name."""
    found = Words()

    def keep(kind: str, value: str) -> str:
        getattr(found, kind).append(value)
        return f" <{kind}> "

    def quoted(match: re.Match[str]) -> str:
        value = next(filter(None, match.groups()))
        return keep("path" if _PATH.fullmatch(value) else "name", value.removesuffix("()"))

    text = _QUOTED.sub(quoted, question)
    text = _PATH.sub(lambda m: keep("path", m[0].rstrip(".")), text)
    start = len(text) - len(text.lstrip())
    text = _NAME.sub(
        lambda m: (
            m[0]
            if m.start() == start and m[0].isalpha() and m[0][1:].islower()
            else keep("name", m[0])
        ),
        text,
    )
    text = _NUMBER.sub(lambda m: keep("number", m[0]), text)
    found.rest = re.findall(r"<\w+>|[^\W_]+", text.lower())
    return found
