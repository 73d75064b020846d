"""A tool is one declaration; its stub, schemas and binding follow from it and tell the truth."""

from __future__ import annotations

import ast
import asyncio
import inspect
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field

from punie import demo
from punie.errors import UsageError
from punie.navigation.lsp import Server
from punie.tool import (
    Doc,
    Effect,
    Item,
    Parameter,
    Result,
    Tool,
    cap,
    load_tools,
    models,
    stubs,
    tool,
    tools_hash,
)
from punie.workspace import program
from punie.wrap import Context, call
from repos import context

TOOLS = load_tools()
FAULTY = 'import os\n\n\ndef one() -> int:\n    return "1"\n'
"""Has a type error and a lint violation."""
CALLS: dict[str, dict[str, Any]] = {
    "hover": {"symbol": "apply_discount"},
    "goto_definition": {"symbol": "apply_discount"},
    "find_references": {"symbol": "apply_discount"},
    "document_symbols": {"file_path": "shop/orders.py"},
    "workspace_symbols": {"query": "Order"},
    "typecheck": {"path": "shop"},
    "ruff_check": {"path": "shop"},
    "pytest_run": {},
    "git_status": {},
    "git_diff": {},
    "git_log": {"count": 3},
    "git_blame": {"path": "shop/orders.py", "end_line": 3},
    "git_show": {"commit": "HEAD"},
    "git_branch": {},
    "read_file": {"path": "README.md", "start_line": 1},
    "write_file": {"path": "shop/faulty.py", "content": FAULTY},
    "search_text": {"pattern": "def .*discount"},
    "list_files": {"pattern": "*.py"},
    "run_command": {"command": "echo out; echo err >&2; exit 3"},
}
"""One call of each tool on the demo repository that fills every list of its result."""


# --- what a declaration must be


class Crumb(Item):
    """A part."""

    size: int = 0
    """How big."""


class Bread(Result):
    """A whole."""

    crumbs: list[Crumb] = Field(default_factory=list)
    """All parts."""


class Stone(Result):
    """A result with a field that nothing explains, and one that must be given."""

    weight: int = 0

    colour: str
    """Which colour."""


async def bake(
    here: Context,
    name: Annotated[str, Doc("Which bread.")],
    minutes: Annotated[int | None, Doc("How long.")] = None,
    dark: Annotated[bool, Doc("Whether dark.")] = False,
) -> Bread:
    """Bake a bread.

    It takes a while.
    """
    return Bread()


BAKE = tool(effect=Effect.READ)(bake)


def refusal(function: Any) -> str:
    with pytest.raises(TypeError) as refused:
        tool(effect=Effect.READ)(function)
    return str(refused.value)


def test_a_declaration_gives_name_parameters_result_and_text() -> None:
    assert (BAKE.name, BAKE.effect, BAKE.result) == ("bake", "read", Bread)
    assert BAKE.parameters == (
        Parameter("name", str, inspect.Parameter.empty, "Which bread."),
        Parameter("minutes", int | None, None, "How long."),
        Parameter("dark", bool, False, "Whether dark."),
    )
    assert [p.required for p in BAKE.parameters] == [True, False, False]
    assert BAKE.summary == "Bake a bread."
    assert BAKE.signature == (
        "bake(name: str, minutes: int | None = None, dark: bool = False) -> Bread"
    )
    assert models(Bread) == [Crumb, Bread]


def test_everything_that_is_wrong_with_a_declaration_is_said_at_once() -> None:
    async def throw(here, path: str, far: Annotated[int, "no Doc"] = 1, *, high=2) -> Stone:  # type: ignore[no-untyped-def]
        return Stone(colour="grey")

    assert refusal(throw) == (
        "tool throw: has no docstring; parameter 'path' needs a type and a Doc; "
        "parameter 'far' needs a type and a Doc; parameter 'high' needs a type and a Doc; "
        "Stone.weight is undocumented; Stone.colour has no default"
    )


def test_a_tool_must_return_a_result() -> None:
    async def nothing(here: Context) -> None:
        """Do nothing."""

    async def untyped(here):  # type: ignore[no-untyped-def]
        """Do something."""

    async def part(here: Context) -> Crumb:
        """Return what is no result."""
        return Crumb()

    for function in (nothing, untyped, part):
        assert refusal(function).endswith("does not return a Result")


# --- arguments


def test_arguments_come_by_position_in_the_order_of_the_declaration_or_by_keyword() -> None:
    assert BAKE.bind(("rye", 40), {"dark": True}) == {"name": "rye", "minutes": 40, "dark": True}
    assert BAKE.bind((), {"name": "rye", "minutes": None}) == {"name": "rye", "minutes": None}


def test_every_wrong_argument_is_named_with_the_usage() -> None:
    with pytest.raises(UsageError) as wrong:
        BAKE.bind(("rye", "long", 1, 2), {"name": "x", "heat": 3})
    assert str(wrong.value) == (
        "bake: 'heat' is no parameter; 4 positional arguments for 3 parameters; "
        "'name' is given twice; minutes='long': Input should be a valid integer; "
        f"dark=1: Input should be a valid boolean. Usage: {BAKE.signature}"
    )
    with pytest.raises(UsageError, match=r"^bake: 'name' is missing\. Usage: bake"):
        BAKE.bind((), {})


@pytest.mark.parametrize("value", ["3", 3.0, True, [3]])
def test_a_number_is_not_taken_from_something_like_it(value: object) -> None:
    with pytest.raises(UsageError, match="minutes="):
        BAKE.bind(("rye",), {"minutes": value})


def test_texts_are_read_by_the_declared_type_and_strings_stay_as_they_are() -> None:
    assert BAKE.parse(["name=3", "minutes=40", "dark=true"]) == {
        "name": "3",
        "minutes": 40,
        "dark": True,
    }
    assert BAKE.parse(["name=a=b c\n"]) == {"name": "a=b c\n"}
    assert BAKE.parse(["name="]) == {"name": ""}


def test_every_text_that_cannot_be_read_is_named_with_the_usage() -> None:
    with pytest.raises(UsageError) as wrong:
        BAKE.parse(["rye", "name=a", "name=b", "minutes=long", "dark=maybe"])
    text = str(wrong.value)
    assert text.startswith("bake: 'rye' is not key=value; 'name' is given twice; minutes=long: ")
    assert "dark=maybe: " in text
    assert text.endswith(f"Usage: {BAKE.signature}")
    with pytest.raises(UsageError, match="'heat' is no parameter"):
        BAKE.parse(["name=a", "heat=3"])


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused(limit: int) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        cap([1, 2, 3], limit)


def test_a_cut_list_is_said_to_be_cut() -> None:
    assert cap([1, 2, 3], 3) == ([1, 2, 3], False)
    assert cap([1, 2, 3], 2) == ([1, 2], True)


# --- the stub and the hash


def stub_classes(text: str) -> dict[str, dict[str, str]]:
    """Fields and their types, as text, of every class in a stub."""
    return {
        node.name: {
            line.target.id: ast.unparse(line.annotation)
            for line in node.body
            if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
        }
        for node in ast.parse(text).body
        if isinstance(node, ast.ClassDef)
    }


STUBS = stubs(TOOLS.values())
CLASSES = stub_classes(STUBS)


@pytest.mark.parametrize("docs", [True, False])
def test_the_stub_is_python_that_the_type_checker_takes(tmp_path: Path, docs: bool) -> None:
    (tmp_path / "tools.pyi").write_text(stubs(TOOLS.values(), docs=docs), "utf-8")
    done = subprocess.run(
        [program("ty"), "check", "."], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "All checks passed!\n")


def test_the_stub_holds_every_tool_parameter_and_field_with_its_text() -> None:
    functions = {n.name: n for n in ast.parse(STUBS).body if isinstance(n, ast.FunctionDef)}
    assert list(functions) == list(TOOLS)
    assert len(TOOLS) >= 14
    for name, each in TOOLS.items():
        node = functions[name]
        assert [a.arg for a in node.args.args] == [p.name for p in each.parameters]
        assert len(node.args.defaults) == sum(not p.required for p in each.parameters)
        assert ast.get_docstring(node) == each.summary
        for model in models(each.result):
            assert list(CLASSES[model.__name__]) == list(model.model_fields)
            for field in model.model_fields.values():
                assert f'"""{field.description}"""' in STUBS


def test_two_result_types_of_one_name_are_refused() -> None:
    other = type("Bread", (Result,), {"__doc__": "Another bread."})
    with pytest.raises(TypeError, match="two result types are called 'Bread'"):
        stubs([BAKE, replace(BAKE, name="toast", result=other)])


def test_the_hash_is_that_of_the_set_and_not_of_its_order() -> None:
    assert tools_hash(TOOLS.values()) == tools_hash(reversed(list(TOOLS.values())))
    assert tools_hash(TOOLS.values()) != tools_hash(list(TOOLS.values())[1:])


LOG = TOOLS["git_log"]
COUNT = LOG.parameters[1]


@pytest.mark.parametrize(
    "changed",
    [
        replace(LOG, parameters=LOG.parameters[:1]),
        replace(LOG, parameters=LOG.parameters[::-1]),
        replace(LOG, parameters=(LOG.parameters[0], replace(COUNT, name="number"))),
        replace(LOG, parameters=(LOG.parameters[0], replace(COUNT, default=11))),
        replace(LOG, parameters=(LOG.parameters[0], replace(COUNT, annotation=int | None))),
        replace(LOG, effect=Effect.RUN),
        replace(LOG, result=Bread),
        replace(LOG, doc="Say something else."),
    ],
    ids=["fewer", "order", "name", "default", "type", "effect", "result", "text"],
)
def test_the_hash_changes_with_whatever_a_model_is_trained_on(changed: Tool) -> None:
    assert COUNT.name == "count"
    assert tools_hash([changed]) != tools_hash([LOG])


# --- real results are what the stub states


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """A real result of each tool on the demo repository."""
    root = demo.create(tmp_path_factory.mktemp("tool") / "shop")

    async def ask_all() -> dict[str, Result]:
        here = context(root)
        here.language_server = server = Server(here.workspace, here.settings)
        found = {}
        try:
            for name, arguments in CALLS.items():
                each = TOOLS[name]
                found[name], _ = await call(each, here, each.bind((), arguments))
        finally:
            await server.close()
        return found

    return asyncio.run(ask_all())


def faults(value: object, stated: str, place: str, seen: set[str]) -> list[str]:
    """Where a value is not of the stated type; `seen` collects the classes met on the way."""
    options = stated.split(" | ")
    if value is None:
        return [] if "None" in options else [f"{place}: None, not {stated}"]
    for option in options:
        if option in CLASSES and type(value).__name__ == option:
            seen.add(option)
            fields = CLASSES[option]
            if list(vars(value)) != list(fields):
                return [f"{place}: has {list(vars(value))}, not {list(fields)}"]
            return [
                fault
                for name, kind in fields.items()
                for fault in faults(getattr(value, name), kind, f"{place}.{name}", seen)
            ]
        if option.startswith("list[") and isinstance(value, list):
            inner = option.removeprefix("list[").removesuffix("]")
            return [f for n, v in enumerate(value) for f in faults(v, inner, f"{place}[{n}]", seen)]
        if type(value).__name__ == option and option in ("str", "int", "bool", "float"):
            return []
    return [f"{place}: {value!r} is no {stated}"]


def test_the_comparison_with_the_stub_finds_wrong_values() -> None:
    def wrong(value: object, stated: str) -> bool:
        return bool(faults(value, stated, "", set()))

    assert wrong(True, "int")
    assert wrong(None, "str")
    assert wrong([1, "a"], "list[int]")
    assert wrong(Crumb(), "GitCommit")
    assert not wrong([1, 2], "list[int]")
    assert not wrong(None, "str | None")


@pytest.mark.parametrize("name", TOOLS)
def test_a_real_result_has_the_fields_that_the_stub_states(
    results: dict[str, Result], name: str
) -> None:
    result = results[name]
    assert result.success, result.parse_error
    assert type(result) is TOOLS[name].result
    seen: set[str] = set()
    assert faults(result, TOOLS[name].result.__name__, name, seen) == []
    assert seen == {model.__name__ for model in models(TOOLS[name].result)}


@pytest.mark.parametrize("name", TOOLS)
def test_a_real_result_survives_json(results: dict[str, Result], name: str) -> None:
    text = results[name].model_dump_json()
    assert TOOLS[name].result.model_validate_json(text, strict=True) == results[name]


def spelled(schema: dict[str, Any]) -> str:
    """A JSON schema as the stub would write the type."""
    if "anyOf" in schema:
        return " | ".join(spelled(option) for option in schema["anyOf"])
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if schema["type"] == "array":
        return f"list[{spelled(schema['items'])}]"
    names = {"string": "str", "integer": "int", "boolean": "bool", "number": "float"}
    return names.get(schema["type"], "None")


@pytest.mark.parametrize("name", TOOLS)
def test_the_schemas_say_what_the_stub_says(name: str) -> None:
    each = TOOLS[name]
    schema = each.output_schema
    definitions = schema.get("$defs", {})
    top = definitions.get(each.result.__name__, schema)
    for model in models(each.result):
        described = top if model is each.result else definitions[model.__name__]
        assert described["additionalProperties"] is False
        types = {name: spelled(field) for name, field in described["properties"].items()}
        assert types == CLASSES[model.__name__]
    taken = each.input_schema
    assert taken["additionalProperties"] is False
    assert taken["required"] == [p.name for p in each.parameters if p.required]
    written = [
        f"{name}: {spelled(field)}" + (f" = {field['default']!r}" if "default" in field else "")
        for name, field in taken["properties"].items()
    ]
    assert each.signature == f"{name}({', '.join(written)}) -> {each.result.__name__}"
    assert all(field["description"] for field in taken["properties"].values())
