"""What a program's string literals may be: words of the conversation, or known ones."""

from __future__ import annotations

import ast
import asyncio
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from punie.engine.copying import Copying, literals
from punie.engine.llama import LlamaEngine
from punie.models import base_file
from punie.prompt import COMPACT, Message

ASKED: list[Message] = [
    {"role": "system", "content": "Answer from secret.py"},
    {"role": "user", "content": 'who calls `get_user` in src/app/models.py, Zoë\'s "old name"?'},
]
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(st.lists(texts, max_size=4), st.sampled_from(["", '# it\'s a "note"\n']))
def test_literals_are_those_of_pythons_own_parser(values: list[str], comment: str) -> None:
    written = [json.dumps(v, ensure_ascii=False) if "\x7f" > v > " " else repr(v) for v in values]
    try:
        expected = [ast.literal_eval(w) for w in written]
    except (ValueError, SyntaxError):
        return
    if any("\\x" in w or "\\u" in w or "\\U" in w for w in written):
        return  # escapes that no training program holds
    code = comment + "print(" + ", ".join(written) + ", f\"{x} of 'y'\")"
    found = [literal[:3] for literal in literals(code.encode())]
    assert found == [(value.encode(), True, False) for value in expected]


def test_an_unfinished_literal_is_open() -> None:
    assert literals(b'f("a\\"b", r\'c\\d') == [
        (b'a"b', True, False, 2),
        (b"c\\d", False, False, 10),
    ]
    assert literals(b'f("""a"b""", "') == [
        (b'a"b', True, False, 2),
        (b"", False, False, 13),
    ]
    assert literals(b'f("a\\') == [(b"a", False, True, 2)]


@pytest.mark.parametrize(
    ("code", "allowed"),
    [
        ('find_references("get_user")', True),
        ('find_references("get_us', True),
        ('find_references("get_users")', False),  # no such word
        ('find_references("get_us")', False),  # half a word
        ('find_references("user', False),  # begins inside a word
        ('hover(symbol="get_user", file_path="src/app/models.py")', True),
        ('read_file("models.py")', True),
        ('read_file("src/app/model', True),
        ('read_file("src/app/models.pyi', False),
        ('read_file("secret.py")', False),  # Punie's own text is not the conversation
        ('print([t for t in r.tests if t.outcome == "failed"])', True),
        ('if t.outcome == "fai', True),
        ('if t.outcome == "fail"', False),
        ('c.author == "Zoë"', True),
        ('c.author == "Zo"', False),
        ('"old name"', True),
        ("'Zoë\\'s \\", True),
        ("'get_user\\", False),
        ('print(f"{x} whatever")', True),
        ('print("")', False),
    ],
)
def test_words_of_the_conversation_and_known_ones(code: str, allowed: bool) -> None:
    assert Copying(ASKED, ["failed"]).allows(code.encode()) is allowed


@pytest.mark.parametrize(
    ("question", "name", "allowed"),
    [
        ("get_user — who calls it?", "get_user", True),
        ("who calls “get_user”…", "get_user", True),
        ("get_user…?", "get_user", True),
        ("get_user是谁写的", "get_user", True),
        ("函数", "函数", True),
        ("Zoë", "Zo", False),
        ("größe_b", "größe", False),
        ("größe", "größe", True),
    ],
)
def test_words_end_at_punctuation_of_any_alphabet(question: str, name: str, allowed: bool) -> None:
    asked: list[Message] = [{"role": "user", "content": question}]
    assert Copying(asked, []).allows(f'hover("{name}")'.encode()) is allowed


def test_a_diagnostic_is_part_of_the_conversation() -> None:
    told: list[Message] = [
        *ASKED,
        {"role": "assistant", "content": "", "code": 'hover("get_usr")'},
        {"role": "tool", "content": "no symbol 'get_usr'; did you mean 'get_user_by'?"},
    ]
    assert Copying(told, []).allows(b'hover("get_user_by")')
    assert not Copying(told, []).allows(b'hover("get_user_by_name")')


@pytest.mark.model
@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_a_model_cannot_write_another_literal(temperature: float) -> None:
    """The untuned base names animals; held to the conversation's words, it does not."""
    dialect = replace(COMPACT, code_open="```python")
    ask = "Show a Python list of five animals."
    messages: list[Message] = [{"role": "user", "content": ask}]

    def program(known: list[str] | None) -> bytes:
        engine = LlamaEngine(base_file(), dialect, context=512, literals=known)
        generate = engine.generate(messages, max_tokens=60, temperature=temperature, seed=3)
        reply = asyncio.run(generate).text
        asyncio.run(engine.close())
        return reply.partition("```python")[2].encode()

    copying = Copying(messages, ["failed"])
    assert not copying.allows(program(None))
    guided = program(["failed"])
    assert literals(guided)
    assert copying.allows(guided)
