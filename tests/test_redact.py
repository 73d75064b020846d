"""Secrets are taken out before anything is stored, and ordinary code is left alone."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from punie.redact import MARK, PATTERNS, redact, redact_all

PAGE = (Path(__file__).parents[1] / "docs" / "traces.md").read_text("utf-8")


@pytest.mark.parametrize("number", range(len(PATTERNS)))
def test_every_pattern_finds_its_example_wherever_it_stands(number: int) -> None:
    pattern = PATTERNS[number]
    for before, after in (("", ""), ("see ", " there"), ("(", ")"), ("a\n", "\nb")):
        found = redact(before + pattern.example + after)
        assert f"{MARK}{pattern.kind}]" in found, found
        secret = pattern.example.split()[-1].strip('"')
        assert secret not in found
        assert found.startswith(before)
        assert found.endswith(after)


def test_the_page_lists_every_kind() -> None:
    rows = re.findall(r"^\| ([^|]+) \| ", PAGE.partition("## Secrets")[2], re.MULTILINE)
    assert [row for row in rows if row not in ("kind", "model server's key")] == list(
        dict.fromkeys(pattern.kind for pattern in PATTERNS)
    )


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("https://ada:pw@example.org/x", "https://ada:[redacted: password in a URL]@example.org/x"),
        ("password: str = 'hunter'", "password: str = [redacted: value of a secret's name]"),
        ('{"api_key": "abc"}', '{"api_key": [redacted: value of a secret\'s name]}'),
        ("{'DB_PASSWORD': 'abc'}", "{'DB_PASSWORD': [redacted: value of a secret's name]}"),
        ('"{\\"token\\": \\"abc\\"}"', '"{\\"token\\": [redacted: value of a secret\'s name]}"'),
        ("x?token=a1b2c3&page=2", "x?token=[redacted: value of a secret's name]&page=2"),
        ("tool --api-key=abc run", "tool --api-key=[redacted: value of an option] run"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE", "[redacted: private key]"),
    ],
)
def test_what_stands_around_a_secret_stays(text: str, left: str) -> None:
    assert redact(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "token = get_token()",
        "def login(user: str, password: str) -> Token: ...",
        "password = input('Password: ')",
        "who calls reset_password?",
        "tokens = line.split()",
        "f1e2d3c4b5a697887766554433221100ffeeddcc Fix the token parser",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "git@example.org:shop/orders.git",
        "https://example.org:8080/path@2",
        "for f in git_status().files: print(f.status, f.file)",
        "find_references(symbol='secret_key')",
        "basic_authentication and bearer_of_news",
        "--password-file keys.txt",
    ],
)
def test_ordinary_code_stays(text: str) -> None:
    assert redact(text) == text


def test_the_key_of_the_model_server_is_never_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUNIE_API_KEY", "plainwordsonly")
    assert redact("it is plainwordsonly") == "it is [redacted: model server's key]"


def test_json_is_redacted_in_all_its_texts() -> None:
    value = {
        "query": "what is ghp_" + "a1B2" * 9,
        "steps": [{"args": {"password": "swordfish", "count": 3}, "prompt_tokens": 61}],
        "ok": True,
        "error": None,
    }
    assert redact_all(value) == {
        "query": "what is [redacted: GitHub token]",
        "steps": [
            {
                "args": {"password": "[redacted: value of a secret's name]", "count": 3},
                "prompt_tokens": 61,
            }
        ],
        "ok": True,
        "error": None,
    }


def test_redacting_twice_changes_nothing() -> None:
    once = redact("\n".join(pattern.example for pattern in PATTERNS))
    assert redact(once) == once


@pytest.mark.parametrize("piece", ["a_", "-----BEGIN PRIVATE KEY-----", "token=", "aaaa", "x://a:"])
def test_a_long_text_is_redacted_in_bounded_time(piece: str) -> None:
    text = piece * (200_000 // len(piece))
    start = time.process_time()
    redact(text)
    assert time.process_time() - start < 5
