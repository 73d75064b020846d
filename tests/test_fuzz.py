"""Parsers of outside text: what once crashed them, whatever may come, and what must come back."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parsers import CASES, TARGETS
from punie.navigation.jsonrpc import receive
from punie.prompt import COMPACT, QWEN3_CODER, parse

PATIENT = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
PIECES = st.sampled_from(
    [
        *(
            b"\n",
            b"\0",
            b"\r\n",
            b" ",
            b"'",
            b'"""',
            b"\\",
            b"{",
            b"[",
            b"(",
            b"}",
            b"\xff",
            b"\x0c",
        ),
        *(b"Content-Length: ", b"5", b"\r\n\r\n", b'{"id":1}', b'"filename":', b'{"runs":[]}'),
        *(b"<tool_call>", b"<parameter=code>", b"```python\n", b"<jupyter_code>", b"9" * 5000),
        *(b"import a as b\n", b"def f(self):\n", b" self.x = 1\n", b"class A:\n", b'f"{a}"', b"#"),
        *(b"@@ -1,2 +3,4 @@\n", b"diff --git a/x b/x\n", b":1 2 3 4 M\0x", b"//\0", b"author A\n"),
    ]
)
ANYTHING = st.lists(PIECES | st.binary(max_size=8), max_size=30).map(b"".join)


def saved() -> list[Path]:
    return sorted(path for path in CASES.rglob("*") if path.is_file())


@pytest.mark.parametrize("path", saved(), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_once_crashed_a_parser_is_read_or_refused(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
@PATIENT
@given(data=ANYTHING)
def test_whatever_comes_is_read_or_refused(name: str, data: bytes) -> None:
    TARGETS[name](data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@PATIENT
@given(st.lists(st.dictionaries(st.text(), JSON, max_size=3), max_size=4), st.data())
def test_messages_come_back_however_the_pipe_cuts_them(
    messages: list[dict[str, object]], data: st.DataObject
) -> None:
    bodies = [json.dumps(message).encode() for message in messages]
    text = b"".join(b"Content-Length: %d\r\n\r\n%s" % (len(body), body) for body in bodies)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    parts = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    async def read() -> list[dict[str, object]]:
        stream = asyncio.StreamReader()

        async def feed() -> None:
            for part in parts:
                stream.feed_data(part)
                await asyncio.sleep(0)
            stream.feed_eof()

        feeding = asyncio.create_task(feed())
        found = [await receive(stream) for _ in messages]
        await feeding
        with pytest.raises(asyncio.IncompleteReadError):
            await receive(stream)
        return found

    assert asyncio.run(read()) == messages


def test_a_reply_nested_beyond_measure_is_no_program() -> None:
    reply = "<tool_call>" + "[" * 100_000
    assert parse(reply, QWEN3_CODER).code == ""
    assert parse(reply, COMPACT).code == ""
