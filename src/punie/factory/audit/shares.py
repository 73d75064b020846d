"""Shares that a recipe promises, and whether every tool and every field is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from punie.factory.audit.data import Example
from punie.factory.audit.findings import Finding, Severity
from punie.factory.audit.norms import Span
from punie.factory.audit.subject import Subject
from punie.factory.suite import ECHOES
from punie.tool import Item, Result, Tool, models


def norms(subject: Subject) -> list[Finding]:
    """Shares outside of what the recipe promises."""
    wanted, examples = subject.norms, subject.data.examples
    found = [
        *_span("direct answers", wanted.direct, examples, lambda e: e.kind == "direct"),
        *_span("several turns", wanted.multi_turn, examples, _several_turns),
        *_span("validation split", wanted.validation, examples, lambda e: e.file != "train"),
        *_span(
            "several tools",
            (wanted.several_tools, 1.0),
            examples,
            lambda e: len(e.tools) > 1,
        ),
    ]
    for tool, least in sorted(wanted.tools.items()):
        found += _span(f"tool {tool}", (least, 1.0), examples, partial(_calls, tool))
    programs = [e for e in examples if e.programs]
    found += _span("preambles", wanted.preambles, programs, _preamble)
    together = {e.tools for e in examples if len(e.tools) > 1}
    if len(together) < wanted.combinations:
        text = f"{len(together)} sets of several tools, at least {wanted.combinations} promised"
        found.append(Finding("norm: combinations", "breach", text))
    return found + _unchecked(subject)


def _unchecked(subject: Subject) -> list[Finding]:
    """Too many examples with a call that no second way checked, by the report of the generation;
    an older report does not count them."""
    ways = subject.data.report.get("second ways")
    share = ways.get("share without", 0.0) if isinstance(ways, dict) else 0.0
    if share <= subject.norms.unchecked:
        return []
    text = f"{share:.1%} of examples have a call that no second way checked, at most "
    text += f"{subject.norms.unchecked:.1%} promised"
    return [Finding("norm: second ways", "breach", text)]


def _span(
    name: str, span: Span | None, examples: list[Example], holds: Callable[[Example], bool]
) -> list[Finding]:
    if span is None or not examples:
        return []
    having = [e for e in examples if holds(e)]
    share = len(having) / len(examples)
    if span[0] <= share <= span[1]:
        return []
    promised = f"at least {span[0]:.1%}" if span[1] == 1 else f"{span[0]:.1%} to {span[1]:.1%}"
    text = f"{len(having)} of {len(examples)} ({share:.1%}), {promised} promised"
    return [Finding(f"norm: {name}", "breach", text)]


def _calls(tool: str, example: Example) -> bool:
    return tool in example.tools


def _several_turns(example: Example) -> bool:
    return sum(m["role"] == "assistant" for m in example.messages) > 1


def _preamble(example: Example) -> bool:
    return any(m.get("code") and m["content"].strip() for m in example.messages)


def result_fields(subject: Subject) -> tuple[set[str], set[str]]:
    """The fields that examples must read, and those that only repeat an argument or tell of a
    failure, each as `Class.field`."""
    return _fields(subject.tools.values())


def _fields(tools: Iterable[Tool]) -> tuple[set[str], set[str]]:
    asked: set[str] = set()
    other: set[str] = set()
    for tool in tools:
        for model in models(tool.result):
            for name in model.model_fields:
                (other if _side(model, name) else asked).add(f"{model.__name__}.{name}")
    return asked, other


def _side(model: type[Item], name: str) -> bool:
    """Whether a field is beside the point of its result."""
    return issubclass(model, Result) and (name in ECHOES or name in Result.model_fields)


def coverage(subject: Subject) -> list[Finding]:
    """Tools that no trained example calls, fields that none reads, fields that are none."""
    train = subject.data.by_split["train"]
    called = {t for e in train for t in e.tools}
    read = {f for e in train for f in e.fields}
    asked, other = result_fields(subject)
    taught = [t for t in subject.tools.values() if t.name not in subject.norms.untaught]
    unread = _fields(taught)[0] - read - set(subject.norms.unread)
    found = []
    severity: Severity = "breach" if subject.norms.coverage else "remark"
    if silent := sorted({t.name for t in taught} - called):
        text = f"{len(silent)} tools are called by no trained example"
        found.append(Finding("tool never called", severity, text, sample=tuple(silent)))
    if unread:
        text = f"{len(unread)} of {len(asked)} fields are read by no trained example"
        found.append(Finding("field never read", severity, text, sample=tuple(sorted(unread))))
    if beside := sorted(other - read):
        text = f"{len(beside)} fields of failures and echoes are read by no trained example"
        found.append(Finding("side field never read", "remark", text, sample=(", ".join(beside),)))
    strange = [(e.id, f) for e in subject.data.examples for f in e.fields if f not in asked | other]
    if strange:
        ids = tuple(dict.fromkeys(i for i, _ in strange))
        text = f"{len(ids)} rows record fields that no result has"
        shown = tuple(sorted({f for _, f in strange}))
        found.append(Finding("unknown field", "breach", text, ids, shown))
    return found
