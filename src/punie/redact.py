"""Takes secrets out of text before it is stored: `PATTERNS` is the list, docs/traces.md shows it.

A secret becomes `[redacted: its kind]`. This is a net, not a proof: a secret without a known form
and without a name before it ("the word is swordfish") is text like any other.
"""

from __future__ import annotations

import os
import re
from functools import partial
from typing import Any, NamedTuple

MARK = "[redacted: "
"""How every redaction starts."""
NAMES = (
    r"(?:pass(?:word|wd|phrase)?|pwd|secret|token|credentials?|api[_-]?key|access[_-]?key|"
    r"auth[_-]?key|private[_-]?key|signing[_-]?key|encryption[_-]?key|secret[_-]?key)"
)
"""Words that name a secret, alone or at the end of a longer name."""
_NAMED = rf"(?<![A-Za-z0-9])((?:[A-Za-z0-9]{{1,30}}[_-]){{0,6}}{NAMES}"
_PLAIN = r"[^\s\"'`,;(){}\[\]<>\\&]"


class Pattern(NamedTuple):
    """One form of secret."""

    kind: str
    """What it is called in the text that is left."""
    regex: re.Pattern[str]
    """What is replaced; a first group is what stands before the secret and stays."""
    example: str
    """A made-up one that the tests look for."""


def _pattern(kind: str, regex: str, example: str, flags: int = 0) -> Pattern:
    return Pattern(kind, re.compile(regex, flags), example)


PATTERNS = (
    _pattern(
        "private key",
        r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
        r"(?:(?!-----END).){0,20000}(?:-----END [A-Z0-9 ]{0,30}-----|\Z)?",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----",
        re.DOTALL,
    ),
    _pattern(
        "password in a URL",
        r"(\b[a-zA-Z][a-zA-Z0-9+.-]{1,20}://[^\s/:@\"']{0,100}:)[^\s/@\"']{1,300}(?=@)",
        "postgres://ada:love1815@db.example.org/engine",
    ),
    _pattern(
        "GitHub token",
        r"\b(?:gh[pousr]_[A-Za-z0-9]{16,255}|github_pat_[A-Za-z0-9_]{20,255})",
        "ghp_" + "a1B2" * 9,
    ),
    _pattern(
        "GitLab token", r"\bgl(?:pat|dt|rt|cbt|ptt|ft|agent)-[\w-]{16,}", "glpat-" + "x1" * 10
    ),
    _pattern("AWS key", r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b", "AKIA" + "ABCD1234" * 2),
    _pattern("Google key", r"\bAIza[\w-]{30,50}", "AIza" + "Sy-4x" * 7),
    _pattern("Slack token", r"\bxox[a-z]-[A-Za-z0-9-]{10,}", "xoxb-" + "12345678901-abcdef"),
    _pattern("Stripe key", r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{10,}", "sk_live_" + "4eC39HqLyj"),
    _pattern("model provider key", r"\bsk-[A-Za-z0-9_-]{20,}", "sk-proj-" + "abCD1234" * 4),
    _pattern("Hugging Face token", r"\bhf_[A-Za-z0-9]{20,}", "hf_" + "aBcD" * 8),
    _pattern("PyPI token", r"\bpypi-[A-Za-z0-9_-]{20,}", "pypi-AgEIcHlwaS5vcmc" + "C" * 20),
    _pattern("npm token", r"\bnpm_[A-Za-z0-9]{30,}", "npm_" + "a1B2" * 9),
    _pattern(
        "JSON web token",
        r"\beyJ[\w-]{8,}\.eyJ[\w-]{4,}\.[\w-]{4,}",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    ),
    _pattern(
        "authorization",
        r"((?i:\b(?:bearer|basic|digest)\s{1,5}))(?=[A-Za-z0-9._~+/=-]{0,100}[0-9=._~+/])"
        r"[A-Za-z0-9._~+/=-]{12,}",
        "Authorization: Bearer 4f9a0c2b7d61",
    ),
    _pattern(
        "value of a secret's name",
        _NAMED + r"[\"'`\\]{0,3}\s{0,5}(?::\s{0,5}[\w.]{1,20}\s{0,5})?(?:=|:|=>)\s{0,5})"
        r"(?:[rbfRBF]{0,2}(\\?[\"'])(?:(?!\2)[^\n]){1,2000}\2)",
        'DB_PASSWORD = "swordfish"',
        re.IGNORECASE,
    ),
    _pattern(
        "value of a secret's name",
        _NAMED + r"\s{0,5}[=:]\s{0,5})(?=" + _PLAIN + r"{0,100}[0-9!@#$%^*+/~-])"
        r"(?![\w.]{1,60}\()" + _PLAIN + r"{4,}",
        "token: 9f3b77c1",
        re.IGNORECASE,
    ),
    _pattern(
        "value of a secret's name",
        r"((?<![A-Za-z0-9_])(?:[A-Z0-9]{1,30}_){0,6}"
        r"(?:PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|API_?KEY|ACCESS_?KEY|SECRET_?KEY)=)"
        + _PLAIN
        + r"{1,}",
        "MAIL_PASSWORD=swordfish",
    ),
    _pattern(
        "value of an option",
        r"(?<![\w-])(--?[\w-]{0,30}"
        + NAMES
        + r"[= ]\s{0,3})(?!\[redacted)[^\s\"'`)}\]-][^\s\"'`)}\]]{0,300}",
        "--password swordfish",
        re.IGNORECASE,
    ),
)
"""What is looked for, in this order."""


def redact(text: str) -> str:
    """The text without the secrets that `PATTERNS` know, nor the key of the model server."""
    key = os.environ.get("PUNIE_API_KEY", "")
    if len(key) >= 8:
        text = text.replace(key, f"{MARK}model server's key]")
    for pattern in PATTERNS:
        text = pattern.regex.sub(partial(_left, pattern.kind), text)
    return text


def redact_all(value: Any) -> Any:
    """A JSON value whose texts are redacted, keys left as they are.

    The value of a key that names a secret (`{"password": "…"}`) goes whole.
    """
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        return [redact_all(each) for each in value]
    if isinstance(value, dict):
        return {
            name: f"{MARK}value of a secret's name]"
            if isinstance(each, str) and each and _SECRET_NAME.fullmatch(str(name))
            else redact_all(each)
            for name, each in value.items()
        }
    return value


_SECRET_NAME = re.compile(rf"(?:\w{{1,60}}[_-])?{NAMES}", re.IGNORECASE)


def _left(kind: str, found: re.Match[str]) -> str:
    kept = found[1] if found.re.groups and found[1] else ""
    if MARK in found[0][len(kept) :]:
        return found[0]  # an earlier pattern was here
    return f"{kept}{MARK}{kind}]"
