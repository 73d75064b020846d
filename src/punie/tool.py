"""A tool is one typed, documented function; everything else about it is derived here.

From the declaration come the stub that programs are checked against, the JSON schemas, the
sandbox binding, the effect that decides about approval, the docs table and the hash.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import pkgutil
import types
import typing
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from punie.errors import UsageError

T = TypeVar("T")
DEFAULT_LIMIT = 200
"""Items that a result's lists hold unless `limit` says otherwise."""


class Effect(StrEnum):
    """What a tool may do; decides about approval."""

    READ = "read"
    """Reads files; always allowed."""
    TEST = "test"
    """Runs the repository's own code; allowed in a workspace that the user trusts."""
    WRITE = "write"
    """Changes files; asks."""
    RUN = "run"
    """Runs any command; asks."""


class Doc(str):
    """Text of a parameter, as metadata of its annotation: `Annotated[str, Doc("…")]`."""

    __slots__ = ()


PathArg = Annotated[str, Doc("File or folder, relative to the workspace.")]
FileArg = Annotated[str | None, Doc("File, relative to the workspace.")]
LineArg = Annotated[int | None, Doc("Line, 1-based.")]
ColumnArg = Annotated[int | None, Doc("Column, 1-based, in characters.")]
SymbolArg = Annotated[str | None, Doc("Name of a symbol; `Class.method` names a method.")]
LimitArg = Annotated[int, Doc("Most items the result's lists may hold.")]


class Item(BaseModel):
    """A part of a result. Every field has a default and a text that documents it."""

    model_config = ConfigDict(use_attribute_docstrings=True, extra="forbid")

    def __str__(self) -> str:
        """One line: the values that are there, in the order of the fields."""
        values = (getattr(self, name) for name in type(self).model_fields)
        return "  ".join(str(v) for v in values if isinstance(v, str | int | float) and v != "")


class Result(Item):
    """What a tool returns. A failed call has `success` false and empty values."""

    success: bool = True
    """False when the call failed."""
    parse_error: str | None = None
    """Why the call failed, or None."""
    truncated: bool = False
    """True when a list or text was cut; counts stay those of the whole."""

    def __str__(self) -> str:
        """What printing the result shows: the reason of a failure, else counts and items."""
        if not self.success:
            return f"failed: {self.parse_error}"
        lines: list[str] = []
        for name in type(self).model_fields:
            value = getattr(self, name)
            if name in Result.model_fields or value is None or value == "":
                continue
            if isinstance(value, list):
                lines.extend(str(item) for item in value)
            else:
                lines.append(f"{name}: {value}")
        return "\n".join([*lines, *self._ending()])

    def _ending(self) -> list[str]:
        """What a printed success ends with: whether it was cut, then its note, if there is one."""
        return [*(["(cut)"] if self.truncated else []), *filter(None, [self.parse_error])]


def cap(items: Sequence[T], limit: int) -> tuple[list[T], bool]:
    """The first `limit` items and whether any were cut. `limit` below 1 is a `UsageError`."""
    if limit < 1:
        raise UsageError(f"limit {limit!r} cannot be used: give a number of at least 1")
    return list(items[:limit]), len(items) > limit


@dataclass(frozen=True)
class Parameter:
    """One parameter of a tool, read off its function."""

    name: str
    annotation: Any
    default: Any
    doc: str

    @property
    def required(self) -> bool:
        """Whether a call must give it."""
        return self.default is inspect.Parameter.empty


@dataclass(frozen=True)
class Tool:
    """A declared tool. `function` takes a `Context` first, then the parameters."""

    name: str
    effect: Effect
    function: Callable[..., Awaitable[Result]]
    parameters: tuple[Parameter, ...]
    result: type[Result]
    doc: str
    preview: Callable[..., object] | None
    """Makes what is shown for approval (a diff, a command) from the call's arguments: `str` of it.

    The tool finds it as `context.approved`, and so can do just what was approved."""

    @property
    def summary(self) -> str:
        """First line of the documentation."""
        return self.doc.splitlines()[0]

    def bind(self, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Arguments by name, checked against the declared types.

        Raises `UsageError` that names every wrong argument and the parameters there are.
        """
        names = [p.name for p in self.parameters]
        problems = [f"{n!r} is no parameter" for n in kwargs if n not in names]
        if len(args) > len(names):
            problems.append(f"{len(args)} positional arguments for {len(names)} parameters")
        given = dict(zip(names, args, strict=False))
        problems += [f"{n!r} is given twice" for n in kwargs if n in given]
        given |= {n: v for n, v in kwargs.items() if n in names}
        bound: dict[str, Any] = {}
        for parameter in self.parameters:
            if parameter.name in given:
                try:
                    bound[parameter.name] = _adapter(parameter.annotation).validate_python(
                        given[parameter.name], strict=True
                    )
                except ValidationError as error:
                    value = given[parameter.name]
                    reason = error.errors()[0]["msg"]
                    problems.append(f"{parameter.name}={short(value)}: {reason}")
            elif parameter.required:
                problems.append(f"{parameter.name!r} is missing")
        if problems:
            raise UsageError(f"{self.name}: {'; '.join(problems)}. Usage: {self.signature}")
        return bound

    def parse(self, pairs: Iterable[str]) -> dict[str, Any]:
        """Arguments from `key=value` texts, each read by its declared type.

        A string stays as it is. Raises `UsageError` as `bind` does.
        """
        annotations = {p.name: p.annotation for p in self.parameters}
        problems: list[str] = []
        values: dict[str, Any] = {}
        for pair in pairs:
            name, equals, text = pair.partition("=")
            if not equals:
                problems.append(f"{short(pair)} is not key=value")
            elif name in values:
                problems.append(f"{name!r} is given twice")
            elif name in annotations and str not in _members(annotations[name]):
                try:
                    values[name] = _adapter(annotations[name]).validate_strings(text)
                except ValidationError as error:
                    problems.append(f"{pair}: {error.errors()[0]['msg']}")
            else:
                values[name] = text
        if problems:
            raise UsageError(f"{self.name}: {'; '.join(problems)}. Usage: {self.signature}")
        return self.bind((), values)

    @property
    def signature(self) -> str:
        """The call as Python writes it, with types, defaults and result."""
        parts = []
        for p in self.parameters:
            default = "" if p.required else f" = {p.default!r}"
            parts.append(f"{p.name}: {_spell(p.annotation)}{default}")
        return f"{self.name}({', '.join(parts)}) -> {self.result.__name__}"

    @property
    def input_schema(self) -> dict[str, Any]:
        """JSON schema of the arguments."""
        properties = {}
        for p in self.parameters:
            schema = _adapter(p.annotation).json_schema() | {"description": p.doc}
            properties[p.name] = schema if p.required else schema | {"default": p.default}
        required = [p.name for p in self.parameters if p.required]
        return {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        }

    @property
    def output_schema(self) -> dict[str, Any]:
        """JSON schema of the result object."""
        return self.result.model_json_schema(mode="serialization")


def tool(
    *, effect: Effect, preview: Callable[..., object] | None = None
) -> Callable[[Callable[..., Awaitable[Result]]], Tool]:
    """Declare the function below as a tool; refuses it when untyped or undocumented."""

    def declare(function: Callable[..., Awaitable[Result]]) -> Tool:
        hints = typing.get_type_hints(function, include_extras=True)
        problems = [] if inspect.getdoc(function) else ["has no docstring"]
        result = hints.pop("return", None)
        if not (isinstance(result, type) and issubclass(result, Result)):
            problems.append("does not return a Result")
            result = Result
        parameters = []
        for name, p in list(inspect.signature(function).parameters.items())[1:]:
            plain, doc = _undoc(hints.get(name))
            if plain is None or not doc:
                problems.append(f"parameter {name!r} needs a type and a Doc")
            parameters.append(Parameter(name, plain, p.default, doc))
        for model in models(result):
            for field, info in model.model_fields.items():
                if not info.description:
                    problems.append(f"{model.__name__}.{field} is undocumented")
                if info.is_required():
                    problems.append(f"{model.__name__}.{field} has no default")
        if problems:
            raise TypeError(f"tool {function.__name__}: {'; '.join(problems)}")
        doc = inspect.getdoc(function) or ""
        return Tool(function.__name__, effect, function, tuple(parameters), result, doc, preview)

    return declare


def short(value: Any) -> str:
    """A value as messages quote it: its `repr`, cut at 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


def models(result: type[Item]) -> list[type[Item]]:
    """The models that a result is made of, parts before wholes, the result last."""
    found: list[type[Item]] = []

    def visit(annotation: Any) -> None:
        for part in _members(annotation):
            if isinstance(part, type) and issubclass(part, Item) and part not in seen:
                seen.add(part)
                for field in part.model_fields.values():
                    visit(field.annotation)
                found.append(part)

    seen: set[type[Item]] = set()
    visit(result)
    return found


PLUGINS = "punie.tools"
"""Entry point group of packages that bring tools: a module with tools, or one tool in it."""


def load_tools() -> dict[str, Tool]:
    """All tools by name: Punie's own, then those of installed packages (`PLUGINS`)."""
    return own_tools() | foreign_tools()[0]


@cache
def own_tools() -> dict[str, Tool]:
    """Every `Tool` in the modules of `punie.tools`."""
    package = importlib.import_module("punie.tools")
    found: dict[str, Tool] = {}
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda i: i.name):
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        for each in tools_in(module):
            if found.setdefault(each.name, each) is not each:
                raise TypeError(f"two tools are called {each.name!r}")
    return found


@cache
def foreign_tools() -> tuple[dict[str, Tool], dict[str, str]]:
    """Tools of other packages by name, and why the tools of a package are left out.

    Packages in the current folder do not count: a repository shall not bring its own tools.
    """
    found: dict[str, Tool] = {}
    broken: dict[str, str] = {}
    for entry in sorted(metadata.entry_points(group=PLUGINS), key=lambda e: (e.name, e.value)):
        place = entry.dist and Path(str(entry.dist.locate_file(""))).resolve()
        if place == Path.cwd().resolve():
            continue
        try:
            new = {each.name: each for each in tools_in(entry.load())}
            if not new:
                raise TypeError(f"{entry.value!r} holds no function with @tool")
            if taken := sorted(new.keys() & (own_tools() | found).keys()):
                raise TypeError(f"a tool is called {taken[0]!r} already")
            stubs([*own_tools().values(), *found.values(), *new.values()])
        except Exception as error:  # a package's defect must not take the other tools with it
            broken[entry.name] = f"{type(error).__name__}: {error}"
        else:
            found |= new
    return found, broken


def tools_in(value: Any) -> list[Tool]:
    """The tools of a module in their order; of a tool, itself."""
    values = [value] if isinstance(value, Tool) else vars(value).values()
    return list({id(each): each for each in values if isinstance(each, Tool)}.values())


def stubs(tools: Iterable[Tool], *, docs: bool = True) -> str:
    """The `.pyi` text of the tools: result classes, then functions."""
    chosen = list(tools)
    classes: dict[str, type[Item]] = {}
    for each in chosen:
        for model in models(each.result):
            if classes.setdefault(model.__name__, model) is not model:
                raise TypeError(f"two result types are called {model.__name__!r}")
    blocks = []
    for name, model in classes.items():
        lines = [f"class {name}:"]
        for field, info in model.model_fields.items():
            lines.append(f"    {field}: {_spell(info.annotation)}")
            if docs:
                lines.append(f'    """{info.description}"""')
        blocks.append("\n".join(lines))
    for each in chosen:
        doc = f'\n    """{each.summary}"""\n    ...' if docs else " ..."
        blocks.append(f"def {each.signature}:{doc}")
    return "\n\n".join(blocks) + "\n"


def tools_hash(tools: Iterable[Tool]) -> str:
    """First 12 hex digits of the SHA-256 of the stubs and effects: names a tool set."""
    chosen = sorted(tools, key=lambda t: t.name)
    text = stubs(chosen) + "".join(f"{t.name}:{t.effect}\n" for t in chosen)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@cache
def _adapter(annotation: Any) -> TypeAdapter[Any]:
    return TypeAdapter(annotation)


def _undoc(annotation: Any) -> tuple[Any, str]:
    """The plain type and the `Doc` of an annotation."""
    if typing.get_origin(annotation) is Annotated:
        plain, *extra = typing.get_args(annotation)
        return plain, next((str(e) for e in extra if isinstance(e, Doc)), "")
    return annotation, ""


def _members(annotation: Any) -> list[Any]:
    """The types inside unions and lists, flattened."""
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType, list, dict):
        return [m for arg in typing.get_args(annotation) for m in _members(arg)]
    return [annotation]


def _spell(annotation: Any) -> str:
    """A type as the stub writes it."""
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(_spell(arg) for arg in typing.get_args(annotation))
    if origin is not None:
        return f"{origin.__name__}[{', '.join(_spell(a) for a in typing.get_args(annotation))}]"
    if annotation is type(None):
        return "None"
    return annotation.__name__ if isinstance(annotation, type) else repr(annotation)
