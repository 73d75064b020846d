"""The examples that are audited, read without trust: what is no example is kept with its reason."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from punie.errors import UsageError
from punie.prompt import Message

SPLITS = ("train", "validation")


@dataclass(frozen=True)
class Example:
    """One row of a data file."""

    id: str
    kind: str
    intent: str
    group: str
    phrasing: str
    workspace: str
    split: str
    """What the row says; `file` is where it stands."""
    file: str
    messages: tuple[Message, ...]
    tools: tuple[str, ...]
    fields: tuple[str, ...]
    empty: bool = False
    """Whether its program printed nothing."""
    seed: int | None = None
    """What its values were drawn from."""
    trace: str = ""
    """The answer in use that it was taken from, where it was."""
    toolset: str = ""
    """Hash of the tools that its programs ran over."""
    calls: tuple[Mapping[str, Any], ...] = ()
    """What was recorded of each call: tool, args, ok."""
    has_result: bool = False
    """Whether what its program printed was recorded, or that it cannot be (None)."""

    @cached_property
    def asked(self) -> str:
        """The first question, or an empty text."""
        return next((m["content"] for m in self.messages if m["role"] == "user"), "")

    @cached_property
    def programs(self) -> tuple[str, ...]:
        """The programs that are trained, in order."""
        return tuple(m.get("code", "") for m in self.messages if "code" in m and not m.get("wrong"))

    @cached_property
    def answers(self) -> tuple[str, ...]:
        """The replies in words, in order."""
        said = [m for m in self.messages if m["role"] == "assistant" and "code" not in m]
        return tuple(m["content"] for m in said)

    @cached_property
    def label(self) -> str:
        """The first reply that is trained, apart from the layout of a program."""
        for message in self.messages:
            if message["role"] == "assistant" and not message.get("wrong"):
                tree = parsed(message.get("code", ""))
                if "code" not in message or tree is None:
                    return message.get("code", message["content"])
                return ast.unparse(tree)
        return ""


@dataclass
class Data:
    """A data folder."""

    examples: list[Example] = field(default_factory=list)
    report: dict[str, Any] = field(default_factory=dict)
    """What generation wrote into `meta.json`; empty when the folder is unfinished."""
    malformed: list[tuple[str, str]] = field(default_factory=list)
    """File and line of each row that is none, and why."""
    sha256: str = ""
    """Hash of the bytes that were read, of both splits."""

    @cached_property
    def by_split(self) -> dict[str, list[Example]]:
        """The examples of each file."""
        return {s: [e for e in self.examples if e.file == s] for s in SPLITS}


def read(folder: Path) -> Data:
    """Read `train.jsonl`, `validation.jsonl` and `meta.json`. Raises `UsageError` when there is
    nothing to audit; a row that is wrong is noted and left out."""
    data, whole = Data(), hashlib.sha256()
    for split in SPLITS:
        try:
            content = (folder / f"{split}.jsonl").read_bytes()
            whole.update(named(split, content))
            lines = content.decode("utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            if split == "train":
                raise UsageError(f"no training data in {str(folder)!r}: {error}") from None
            data.malformed.append((f"{split}.jsonl", "is missing or no text"))
            continue
        for number, line in enumerate(lines, 1):
            if line.strip():
                _take(data, split, number, line)
    data.sha256 = whole.hexdigest()
    try:
        report = json.loads((folder / "meta.json").read_text("utf-8"))
        data.report = report if isinstance(report, dict) else {}
    except (OSError, ValueError):
        data.report = {}
    return data


def named(split: str, content: bytes) -> bytes:
    """What of a split goes into the hash of all rows: no row can change its file unseen."""
    return f"{split} {len(content)}\n".encode() + content


def _take(data: Data, split: str, number: int, line: str) -> None:
    """Add a line as an example, or as a malformed one."""
    place = f"{split}.jsonl:{number}"
    try:
        record = json.loads(line)
        messages = tuple(_message(m) for m in record["messages"])
        texts = {k: str(record.get(k, "")) for k in ("kind", "intent", "group", "phrasing")}
        data.examples.append(
            Example(
                id=str(record["id"]),
                workspace=str(record.get("workspace", "")),
                split=str(record.get("split", split)),
                file=split,
                messages=messages,
                tools=tuple(record.get("tools", ())),
                fields=tuple(record.get("fields", ())),
                empty=bool(record.get("empty", False)),
                seed=seed if isinstance(seed := record.get("seed"), int) else None,
                trace=str(record.get("provenance", {}).get("trace", "")),
                toolset=str(record.get("toolset", "")),
                calls=tuple(dict(call) for call in record.get("calls", ())),
                has_result="result" in record,
                **texts,
            )
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        data.malformed.append((place, f"{type(error).__name__}: {error}"))


def _message(record: dict[str, Any]) -> Message:
    """A message whose role and texts are texts. Raises what `_take` answers."""
    message: Message = {"role": record["role"], "content": record["content"]}
    if "code" in record:
        message["code"] = record["code"]
    if record.get("wrong"):
        message["wrong"] = True
    if wrong := [k for k, v in message.items() if k != "wrong" and not isinstance(v, str)]:
        raise TypeError(f"{wrong} must be text")
    return message


def parsed(program: str) -> ast.Module | None:
    """The program's syntax tree, or None where it is no Python."""
    try:
        return ast.parse(program)
    except (SyntaxError, ValueError, RecursionError):
        return None


def names(tree: ast.AST) -> Iterable[str]:
    """All bare names that a program uses."""
    return (node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
