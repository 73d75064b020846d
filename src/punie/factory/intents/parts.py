"""The parts that workflows are composed from, as `composed/*.toml` give them.

Each file has `[sources.NAME]` and `[asks.NAME]`, for files also `[things.NAME]` (what is counted in
each file) with `[sinks.NAME]` over them and `[members.NAME]` (is a file in a second source, too?);
`[leads]` are sentences before a chatty question, `odd` lists pairs that nobody asks.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from punie.factory.intents.wordings import SLOT
from punie.tool import load_tools

VOICES = ("clear", "terse", "chatty", "abroad")
"""Registers that every question is written in: whole sentences, telegrams, talk with a purpose,
and English as a second language."""
TYPES = ("file", "line", "symbol", "commit", "test")
"""Types of item that sources give and questions take."""


@dataclass(frozen=True)
class Source:
    """Where the items come from."""

    name: str
    gives: str
    """Type of its items, one of `TYPES`."""
    items: tuple[str, ...]
    """Noun phrases in the plural."""
    short: tuple[str, ...]
    """The same for telegrams."""
    slots: Mapping[str, str] = field(default_factory=dict)
    chatty: tuple[str, ...] = ()
    """What leads to a question about these."""
    item: str = ""
    """Of files: the path of one, over the loop `over` under the conditions `where`."""
    over: str = ""
    where: tuple[str, ...] = ()
    python: bool = False
    """Whether all its files are Python files."""
    history: bool = False
    """Whether its files may be gone."""
    has: tuple[str, ...] = ()
    """What a file of it does ("use {symbol}"), as the end of "which of these …?"."""
    lacks: tuple[str, ...] = ()
    """What a file that is not of it does not."""
    var: str = ""
    """Of others: name of the loop's variable, over the expression `list`."""
    list: str = ""
    condition: str = ""
    """What must hold of an item of the list."""
    at: str = ""
    """Of symbols: the expression of the file that declares `s`."""

    @property
    def tools(self) -> set[str]:
        """Tools that it calls."""
        return called(f"{self.over} {self.list}")

    @property
    def paths(self) -> str:
        """Its files as a set comprehension's inside, with its own conditions."""
        return " ".join([f"{self.item} for {self.over}", *conditions(self.where)])


@dataclass(frozen=True)
class Ask:
    """What is asked about the items."""

    name: str
    takes: str
    program: str
    voices: Mapping[str, tuple[str, ...]]
    """Voice → its questions, with `<items>` (`<short>` in telegrams) for a source's words."""
    slots: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Further places in the questions → what may stand there."""
    family: str = "an ask"
    """The table of its file that it comes from."""
    python: bool = False
    """Whether it can only be asked of Python files."""
    reads: bool = False
    """Whether the files must be there."""

    @property
    def tools(self) -> set[str]:
        """Tools that it calls."""
        return called(self.program)


@dataclass(frozen=True)
class Parts:
    """All parts."""

    sources: tuple[Source, ...] = ()
    asks: tuple[Ask, ...] = ()
    leads: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Type → what may lead to a question about its items."""
    odd: tuple[tuple[str, str], ...] = ()
    """Shell patterns of a source and a question that do not go together."""


def called(code: str) -> set[str]:
    """Names of the tools that code calls."""
    return set(re.findall(r"\b(\w+)\(", code)) & set(load_tools())


def conditions(where: tuple[str, ...]) -> Iterator[str]:
    """The end of a comprehension with these conditions."""
    if where:
        yield f"if {' and '.join(where)}"


def read_parts(folder: Path, problems: list[str]) -> Parts:
    """The parts of all files of `folder`; what is wrong with them is added to `problems`."""
    sources: list[Source] = []
    asks: list[Ask] = []
    leads: dict[str, tuple[str, ...]] = {}
    odd: list[tuple[str, str]] = []
    for file in sorted(folder.glob("*.toml")):
        try:
            data = tomllib.loads(file.read_text("utf-8"))
            found = [_source(name, table) for name, table in data.get("sources", {}).items()]
            sources += found
            asks += _asks(data, found)
            leads |= {source.gives: tuple(data["leads"]["chatty"]) for source in found}
            odd += [(pair["source"], pair["ask"]) for pair in data.get("odd", [])]
        except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
            problems.append(f"composed/{file.name}: {type(error).__name__}: {error}")
    each: list[Source | Ask] = [*sources, *asks]
    problems += [f"composed: {fault}" for part in each for fault in _faults(part)]
    return Parts(tuple(sources), tuple(asks), leads, tuple(odd))


def _source(name: str, table: dict[str, Any]) -> Source:
    renamed = {"condition" if key == "if" else key: value for key, value in table.items()}
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in renamed.items()
    }
    return Source(name, **values)


def _asks(data: dict[str, Any], sources: list[Source]) -> Iterator[Ask]:
    """The questions of a file: its own, things by sinks, and members by second sources."""
    for name, table in data.get("asks", {}).items():
        reads = bool({"read_file", "search_text"} & called(table["program"]))
        yield Ask(
            name,
            table["takes"],
            table["program"].strip("\n"),
            _voices(table),
            table.get("slots", {}),
            reads=reads,
        )
    for thing, what in data.get("things", {}).items():
        for sink, table in data.get("sinks", {}).items():
            if table.get("wants", "each") not in what:
                continue
            yield Ask(
                f"{thing}.{sink}",
                what["takes"],
                _counting(table["program"].strip("\n"), what),
                _voices(table),
                words={"things": tuple(what["things"])},
                family="a sink",
                python=what.get("python", False),
                reads=True,
            )
    for name, table in data.get("members", {}).items():
        for second in sources:
            words = second.has if table["needs"] == "has" else second.lacks
            if not words:
                continue
            yield Ask(
                f"{second.name}.{name}",
                second.gives,
                table["program"].strip("\n").replace("<second>", f"{{{second.paths}}}"),
                _voices(table),
                second.slots,
                words={table["needs"]: words},
                family="a member",
            )


def _voices(table: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    return {voice: tuple(table[voice]) for voice in VOICES}


def _counting(program: str, what: dict[str, Any]) -> str:
    """A sink's program with the code of what is counted."""
    condition = what.get("if", "")
    inside = f"{what['each']} if {condition}" if condition else what["each"]
    count = what.get("count") or f"len([{what['each'].split()[0]} for {inside}])"
    some = f"any({condition} for {what['each']})" if condition else count
    values = {"each": what["each"], "count": count, "some": what.get("count") or some}
    text = conditional(program, "for <each>:", condition)
    for key, value in {**values, "show": what["show"], "code": what.get("code", "")}.items():
        text = text.replace(f"<{key}>", value)
    return text


def conditional(program: str, loop: str, condition: str) -> str:
    """The program with a condition on what its loops of the beginning `loop` do; "" = none."""
    lines: list[str] = []
    inside = -1
    for line in program.splitlines():
        indent = len(line) - len(line.lstrip())
        if indent <= inside:
            inside = -1
        lines.append(" " * 4 * (inside >= 0) + line)
        if condition and line.strip().startswith(loop):
            lines.append(f"{' ' * (indent + 4)}if {condition}:")
            inside = indent
    return "\n".join(lines)


def _faults(part: Source | Ask) -> Iterator[str]:
    """What is wrong with the words and types of a part."""
    if isinstance(part, Source):
        texts = [*part.items, *part.short, *part.has, *part.lacks]
        yield from _unslotted(part.name, texts, part.slots)
        if part.gives not in TYPES:
            yield f"{part.name} gives {part.gives!r}, which is none of {', '.join(TYPES)}"
        if not part.tools:
            yield f"{part.name} calls no tool"
        return
    if part.takes not in TYPES:
        yield f"{part.name} takes {part.takes!r}, which is none of {', '.join(TYPES)}"
    for voice, questions in part.voices.items():
        place = "<short>" if voice == "terse" else "<items>"
        for text in questions:
            if text.count(place) != 1 or any(text.count(f"<{key}>") != 1 for key in part.words):
                yield f"{part.name}: {voice} {text!r} needs {place} and its other places once"
            if not part.words:
                yield from _unslotted(part.name, [text], part.slots)


def _unslotted(name: str, texts: list[str], slots: Mapping[str, str]) -> Iterator[str]:
    """Texts that do not name each slot once."""
    for text in texts:
        if sorted(SLOT.findall(text)) != sorted(slots):
            yield f"{name}: {text!r} must name each of {sorted(slots)} once"
