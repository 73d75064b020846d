"""A program run a second time in CPython, where each call answers what its second way found.

The sandbox has its own interpreter and real tools; here is neither. What was only tested by a
second way, or not computed, has no value here: a program that needs it is not run to its end.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from punie.factory.examples.comparison import Facts, Like
from punie.tool import Item, Tool

SECONDS = 10.0
"""A program that takes longer says nothing."""
CHILD = r"""
import builtins, json, sys
class Lacking(BaseException): pass
class Got:
    def __init__(self, kind, values): self.__dict__.update(kind_=kind, values_=values)
    def __getattr__(self, name):
        if name not in self.values_: raise Lacking(f"{self.kind_}.{name}")
        return made(self.values_[name])
    def __setattr__(self, name, value): raise Lacking(f"{self.kind_} is changed")
    def shown(self, *_): raise Lacking(f"{self.kind_} as a whole")
    __str__ = __repr__ = __eq__ = __hash__ = __format__ = shown
def made(value):
    if isinstance(value, list): return [made(each) for each in value]
    if not isinstance(value, dict): return value
    if "lacking" in value: raise Lacking(value["lacking"])
    return Got(value["kind"], value["values"])
def stub(tool, names, defaults):
    def call(*args, **given):
        bound = {**defaults, **dict(zip(names, args)), **given}
        bound = {n: v for n, v in bound.items() if v is not None}
        key = json.dumps([tool, bound], sort_keys=True)
        if key not in told["calls"]: raise Lacking(f"{tool}: another call")
        return made(told["calls"][key])
    return call
told = json.load(sys.stdin)
allowed = {"re", "math", "json", "datetime", "collections", "typing"}
def brought(name, *rest):
    if name not in allowed: raise ImportError(name)
    return __import__(name, *rest)
open_to = {n: v for n, v in vars(builtins).items() if n not in {"open", "exec", "eval", "input"}}
space = {"__builtins__": {**open_to, "__import__": brought}, "__name__": "__main__"}
space.update({name: stub(name, *each) for name, each in told["tools"].items()})
out, sys.stdout = sys.stdout, __import__("io").StringIO()
lacks = fault = ""
try: exec(compile(told["program"], "<program>", "exec"), space)
except Lacking as error: lacks = str(error)
except BaseException as error: fault = repr(error)
json.dump({"text": sys.stdout.getvalue(), "lacks": lacks, "fault": fault}, out)
"""


@dataclass(frozen=True)
class Rerun:
    """What the second run of a program gave."""

    text: str = ""
    """What it printed, whole unless `lacks` says something."""
    lacks: str = ""
    """What it needed that no second way computes, as `Class.field` or in words; empty when all
    that it needed was there."""
    fault: str = ""
    """How the program failed; empty when it came to its end."""

    def differs(self, stdout: str) -> str:
        """How the answer differs from the first; empty when it does not or is not whole."""
        if self.lacks or (not self.fault and self.text == stdout):
            return ""
        return self.fault or f"second run: {self.text[:300]!r}"


def rerun(
    program: str,
    tools: Iterable[Tool],
    calls: Iterable[tuple[str, Mapping[str, Any], Facts]],
    seconds: float = SECONDS,
) -> Rerun:
    """Run a program in a child; `calls` are (tool, all its arguments, facts of the second way).
    One that does not end in `seconds` counts as not whole."""
    known = {tool.name: tool for tool in tools}
    told = {
        "program": program,
        "tools": {
            name: (
                [p.name for p in tool.parameters],
                {p.name: p.default for p in tool.parameters if not p.required},
            )
            for name, tool in known.items()
        },
        "calls": {
            _key(name, args): _told(facts, known[name].result) for name, args, facts in calls
        },
    }
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", CHILD],
            input=json.dumps(told),
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=True,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return Rerun(lacks="time")
    return Rerun(**json.loads(done.stdout))


def _key(tool: str, args: Mapping[str, Any]) -> str:
    return json.dumps([tool, {n: v for n, v in args.items() if v is not None}], sort_keys=True)


def _told(facts: Facts, kind: type[Item]) -> dict[str, Any]:
    """Facts with the names of their classes; what has no value is left out."""
    values = {n: _value(v, kind, n) for n, v in facts.items() if not isinstance(v, Like)}
    return {"kind": kind.__name__, "values": values}


def _value(value: Any, kind: type[Item], name: str) -> Any:
    if isinstance(value, Like):
        return {"lacking": f"{kind.__name__}.{name}"}
    if not isinstance(value, list):
        return value
    held = get_args(kind.model_fields[name].annotation)
    return [
        _told(each, held[0]) if isinstance(each, dict) else _value(each, kind, name)
        for each in value
    ]
