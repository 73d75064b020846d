"""The text of a Python file as navigation needs it: its names, strings and import statements.

A lexer of one regular expression: `tokenize` takes 20 times as long and stops at broken code.
It knows nothing of scopes or types; it only says where a name stands and what stands around it.
"""

from __future__ import annotations

import ast
import codecs
import inspect
import keyword
import re
import sys
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import NamedTuple, TypeGuard

from punie.navigation import headless

_LEXEME = re.compile(
    r"""
    \#[^\r\n]*
  | (?<!\\)(?: \"{3}(?:\\.|[^\\])*?\"{3} | '{3}(?:\\.|[^\\])*?'{3}
      | "(?:\\.|[^"\\\r\n])*+" | '(?:\\.|[^'\\\r\n])*+' )
    """,
    re.VERBOSE | re.DOTALL,
)
"""A comment, or a string without its prefix.

These patterns read files that others wrote: none may look far ahead from many places. A quote
behind a backslash starts nothing, an import's brackets have few lines and none of `(:;`.
"""
_PREFIX = re.compile(r"(?<!\w)[rbuft]{1,2}$", re.IGNORECASE)
_NAME = re.compile(r"(?<!\w)[^\W\d]\w*")
_IMPORT = re.compile(
    r"""(?:^|;|:)[ \t]*(?:
        from\b[.\w \t]+?\bimport\b[ \t]*
            (?: \((?:\#[^\n]*+|\n|[^()\#:;\n]++){0,2000}+\) | (?:[^\n\\\#;]|\\\r?\n)*+ )
      | import[ \t]+(?:[^\n\\\#;]|\\\r?\n)*+ )""",
    re.VERBOSE | re.MULTILINE,
)
_EXPORTED = re.compile(
    r"__all__(?:[ \t]*:[^=:\n]{1,200}+)?\s*(?:\+?=\s*[\[(]|\.(?:append|extend)\()[^\])]*[\])]"
)
_LINE_END = re.compile(r"\r\n|\r|\n")
_SETS = (ast.Assign, ast.AnnAssign, ast.AugAssign)
_FIELD = re.compile(r"\{[^{}]*\}")


@dataclass(frozen=True)
class Name:
    """A name in the text, with the place where it starts."""

    text: str
    line: int
    """1-based."""
    column: int
    """1-based, in characters."""
    offset: int
    """0-based, in characters from the start of the text."""


class _Lexeme(NamedTuple):
    """A comment or string; code is what is between them."""

    start: int
    """Offset, of a string that of its prefix."""
    quote: int
    """Offset of its first quote; of a comment that of its end."""
    end: int
    formatted: bool
    """Whether it is a string with fields that hold code."""


@dataclass(frozen=True)
class Mention:
    """A string that holds a word, with the place of the word."""

    line: int
    column: int
    exported: bool
    """Whether the string stands in `__all__`."""
    exact: bool
    """Whether the word is all that the string holds."""


class Source:
    """One file's text; what is not UTF-8 becomes U+FFFD.

    Lines end as the language server says: not at form feeds or U+2028.
    """

    def __init__(self, data: bytes) -> None:
        self.marked = data.startswith(codecs.BOM_UTF8)
        """Whether a byte order mark stands in front; it is no part of the text."""
        self.text = text = data.decode("utf-8-sig", "replace")
        self.lines = _LINE_END.split(text)
        """Without line ends; a text that ends with one has an empty last line."""
        self._binds: dict[str, bool] = {}
        self._reason = ""

    @cached_property
    def _starts(self) -> list[int]:
        if "\r" not in self.text:
            return [0, *accumulate(len(line) + 1 for line in self.lines)]
        return [0, *(m.end() for m in _LINE_END.finditer(self.text))]

    @cached_property
    def _imports(self) -> list[tuple[int, int]]:
        return [m.span() for m in _IMPORT.finditer(self.text)]

    @property
    def line_count(self) -> int:
        """Lines as an editor counts them."""
        return len(self.lines) - (1 if len(self.lines) > 1 and not self.lines[-1] else 0)

    def line(self, number: int) -> str:
        """Text of a line, stripped; empty when there is no such line."""
        return self.lines[number - 1].strip() if 0 < number <= len(self.lines) else ""

    def offset(self, line: int, column: int) -> int:
        """Characters before a place."""
        return self._starts[line - 1] + column - 1

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column of an offset."""
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    @cached_property
    def _lexemes(self) -> list[_Lexeme]:
        """All comments and strings: slow to find, so found once."""
        text, found = self.text, []
        for match in _LEXEME.finditer(text):
            start, end = match.span()
            if text[start] == "#":
                found.append(_Lexeme(start, end, end, False))
                continue
            prefix = _PREFIX.search(text[max(0, start - 3) : start])
            first = start - len(prefix[0]) if prefix else start
            found.append(_Lexeme(first, start, end, "f" in text[first:start].lower()))
        return found

    def _lexeme_at(self, offset: int) -> _Lexeme | None:
        """The comment or string that an offset is in."""
        index = bisect_right(self._lexemes, (offset, len(self.text) + 1)) - 1
        return self._lexemes[index] if index >= 0 and offset < self._lexemes[index].end else None

    def names(self, wanted: str | None = None) -> Iterator[Name]:
        """Names in the code, not in comments or strings but in the fields of f-strings."""
        return self._names(wanted, 0, len(self.text))

    def _names(self, wanted: str | None, at: int, stop: int) -> Iterator[Name]:
        """As `names`, those between two offsets, and all of an f-string that one of them is in."""
        while span := self._next(wanted, at, stop):
            start, at = span
            text = self.text[start:at]
            if lexeme := self._lexeme_at(start):
                at = lexeme.end
                if lexeme.formatted:
                    yield from self._fields(lexeme, wanted)
            elif not keyword.iskeyword(text) if wanted is None else self._whole(start, at):
                yield Name(text, *self.place(start), start)

    def _next(self, wanted: str | None, at: int, stop: int) -> tuple[int, int] | None:
        """Where the next word, or the next text that may be the wanted one, begins and ends."""
        if wanted is None:
            match = _NAME.search(self.text, at, stop)
            return match.span() if match else None
        start = self.text.find(wanted, at, stop)
        return (start, start + len(wanted)) if start >= 0 else None

    def standing(self, word: str) -> Iterator[int]:
        """Offsets of a word, wherever it stands."""
        at = 0
        while (start := self.text.find(word, at)) >= 0:
            at = start + len(word)
            if self._whole(start, at):
                yield start

    def _whole(self, start: int, end: int) -> bool:
        """Whether a word that stands at a span is no part of a longer one."""
        before = self.text[start - 1] if start else ""
        after = self.text[end : end + 1]
        return not (before == "_" or after == "_" or before.isalnum() or after.isalnum())

    def _fields(self, lexeme: _Lexeme, wanted: str | None) -> Iterator[Name]:
        """Names in the fields of an f-string."""
        for part in _FIELD.finditer(self.text, lexeme.start, lexeme.end):
            for word in re.finditer(r"(?<![\w'\"])[^\W\d]\w*(?!['\"])", part[0]):
                at = part.start() + word.start()
                if word[0] == wanted or (wanted is None and not keyword.iskeyword(word[0])):
                    yield Name(word[0], *self.place(at), at)

    def on_line(self, line: int) -> list[Name]:
        """The names that start on a line."""
        if not 0 < line <= len(self._starts):
            return []
        stop = self._starts[line] if line < len(self._starts) else len(self.text)
        found = self._names(None, self._starts[line - 1], stop)
        return [name for name in found if name.line == line]

    def word_at(self, line: int, column: int) -> Name | None:
        """The word that a place is in or right after, wherever it stands; no keywords."""
        for match in re.finditer(r"[^\W\d]\w*", self.lines[line - 1]):
            if match.start() < column <= match.end() + 1 and not keyword.iskeyword(match[0]):
                start = match.start() + 1
                return Name(match[0], line, start, self.offset(line, start))
        return None

    def import_at(self, offset: int) -> str | None:
        """The import statement that an offset is in, from that offset on; else None."""
        index = bisect_right(self._imports, (offset, len(self.text))) - 1
        if index >= 0 and self._imports[index][0] <= offset < self._imports[index][1]:
            return self.text[offset : self._imports[index][1]]
        return None

    def alias_at(self, offset: int) -> Name | None:
        """`y` of `x as y` in an import statement, where `offset` is that of `x`."""
        statement = self.import_at(offset)
        match = re.match(r"\w+\s+as\s+(\w+)", statement) if statement else None
        if match is None:
            return None
        at = offset + match.start(1)
        return Name(match[1], *self.place(at), at)

    def is_alias(self, offset: int) -> bool:
        """Whether `offset` is that of `y` in `import x as y`."""
        before = self.text[max(0, offset - 20) : offset]
        return self.import_at(offset) is not None and bool(re.search(r"\sas\s+$", before))

    def binds(self, name: str) -> bool:
        """Whether an assignment, loop or `as` may give the name to a variable somewhere."""
        if name not in self._binds:
            found = re.finditer(rf"{re.escape(name)}(?!\w)", self.text)
            self._binds[name] = any(self._bound(*m.span()) for m in found)
        return self._binds[name]

    def _bound(self, start: int, end: int) -> bool:
        before, after = self.text[max(0, start - 8) : start], self.text[end : end + 200]
        if re.search(r"[\w.]$", before):
            return False
        return bool(
            re.match(r"[ \t]*(?::[^=\n]+)?:?=(?!=)", after)
            or re.search(r"\b(?:for|as)[ \t(]+$", before)
        )

    def mentions(self, word: str) -> list[Mention]:
        """Strings that hold a word, each with the word's first place.

        Docstrings, and other strings in three quotes that stand alone, are left out.
        """
        found, end = [], 0
        for start in self.standing(word):
            lexeme = self._lexeme_at(start)
            if lexeme is None or start < lexeme.quote or start < end:
                continue
            end = lexeme.end
            string = self.text[lexeme.quote : end]
            if string.endswith(('"""', "'''")) and self._alone(lexeme.start, end):
                continue
            inside = any(a <= lexeme.start < b for a, b in self._exported)
            found.append(Mention(*self.place(start), inside, string.strip("\"'") == word))
        return found

    @cached_property
    def _exported(self) -> list[tuple[int, int]]:
        last = max(map(self.text.rfind, "])")) + 1  # behind it a search would go on to the end
        return [m.span() for m in _EXPORTED.finditer(self.text, 0, last)]

    def _alone(self, start: int, end: int) -> bool:
        """Whether nothing else stands on the lines of a span."""
        first, last = self.place(start), self.place(end)
        before = self.lines[first[0] - 1][: first[1] - 1]
        after = self.lines[last[0] - 1][last[1] - 1 :]
        return not before.strip() and not after.strip()

    @cached_property
    def _tree(self) -> ast.Module | None:
        try:
            return ast.parse(self.text)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # nested too deep
            line = f" (line {error.lineno})" if isinstance(error, SyntaxError) else ""
            version = ".".join(map(str, sys.version_info[:2]))
            self._reason = f"Punie's Python {version} cannot parse the file{line}"
            return None

    @property
    def unparsed(self) -> str:
        """Why nothing is known of the syntax, which may be broken or newer; else empty."""
        return self._reason if self._tree is None else ""

    def set_on_self(self, first: int, last: int) -> set[str]:
        """Names of attributes that are plainly set on `self` within some lines."""
        text = "\n".join(self.lines[first - 1 : last])
        return set(re.findall(r"\bself\.(\w+)[ \t]*(?::[^=\n]+)?=(?!=)", text))

    def assigned(self, name: str) -> list[tuple[int, int]]:
        """Places where a class gets an attribute: in its body, or by a method on its first
        parameter, `self.name = …`.

        Of broken code, plain assignments to `self` only.
        """
        if not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", self.text):
            return []
        if self._tree is None:
            pattern = rf"\bself\.({re.escape(name)})\b[ \t]*(?::[^=\n]+)?=(?!=)"
            return [self.place(m.start(1)) for m in re.finditer(pattern, self.text)]
        found = set()
        for node in ast.walk(self._tree):
            if isinstance(node, ast.ClassDef):
                parts = [p for each in node.body if isinstance(each, _SETS) for p in ast.walk(each)]
                found |= {self._end(p) for p in parts if _stored(p, name)}
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for first in [*node.args.posonlyargs, *node.args.args][:1]:
                    members = (p for p in ast.walk(node) if isinstance(p, ast.Attribute))
                    found |= {self._end(p) for p in members if _stored(p, name, first.arg)}
        return sorted((line, column - len(name)) for line, column in found)

    def _end(self, node: ast.expr) -> tuple[int, int]:
        """Line and column behind a node, which itself counts UTF-8 bytes."""
        line = node.end_lineno or 1
        before = self.lines[line - 1].encode()[: node.end_col_offset]
        return line, len(before.decode("utf-8", "replace")) + 1

    def docstring(self, line: int) -> str:
        """Docstring of the class or function whose name stands on a line; of the module on 0."""
        if self._tree is None:
            at = self._body(line)
            return "" if at is None else headless.string(self.text, at, self._behind)
        node = self._node(line) if line else self._tree
        return inspect.cleandoc(ast.get_docstring(node) or "") if node else ""

    def _body(self, line: int) -> int | None:
        """Offset of the body of the `def` or `class` on a line of text; of 0 that of the text."""
        if not 0 < line <= len(self.lines):
            return None if line else 0
        return headless.body(self.text, self.offset(line, 1), self._behind)

    def _behind(self, at: int) -> int | None:
        """The end of the comment or string that an offset is in."""
        return lexeme.end if (lexeme := self._lexeme_at(at)) else None

    def signature(self, line: int) -> str:
        """`def name(…) -> type` of the function whose name stands on a line; else empty."""
        if self._tree is None and 0 < line <= len(self.lines):
            text = self.text[self.offset(line, 1) : (self._body(line) or 1) - 1]
            return "" if text.lstrip().startswith("class") else " ".join(text.split())
        node = self._node(line)
        if node is None or isinstance(node, ast.ClassDef):
            return ""
        kind = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
        returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
        return f"{kind} {node.name}({ast.unparse(node.args)}){returns}"

    def function_with(self, line: int, column: int) -> str:
        """What is called to set the parameter at a place: its function, or the class of an
        `__init__`; empty where no parameter is.
        """
        owners: dict[ast.AST, str] = {}
        for node in ast.walk(self._tree) if self._tree else ():
            if isinstance(node, ast.ClassDef):
                owners |= dict.fromkeys(node.body, node.name)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for each in [*node.args.args, *node.args.kwonlyargs]:
                    before = self.lines[each.lineno - 1].encode()[: each.col_offset]
                    if (each.lineno, len(before.decode("utf-8", "replace")) + 1) == (line, column):
                        made = node.name in ("__init__", "__new__") and node in owners
                        return owners[node] if made else node.name
        return ""

    def _node(self, line: int) -> ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef | None:
        for node in ast.walk(self._tree) if self._tree else ():
            if (
                isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
                and node.lineno == line
            ):
                return node
        return None


def _stored(node: ast.AST, name: str, of: str = "") -> TypeGuard[ast.expr]:
    """Whether a node sets the variable `name`, or the attribute `name` of a variable."""
    if isinstance(node, ast.Attribute):
        own = isinstance(node.value, ast.Name) and node.value.id == of
        return own and node.attr == name and isinstance(node.ctx, ast.Store)
    return isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store)


@lru_cache(maxsize=256)
def source(data: bytes) -> Source:
    """As `Source`, kept for files that are asked about again."""
    return Source(data)
