"""From a phrasing to a question as people type it: slots filled, decorated, now and then sloppy."""

from __future__ import annotations

import random
import re

from punie.factory.examples.plain_slots import Value
from punie.factory.intents import Asides, Intent

NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve".split()  # noqa: SIM905
IN_WORDS = 0.25
"""Share of counts up to twelve that are written as a word."""

NO_ASIDES = Asides()
ASIDE = 0.06
"""Share of questions that follow an aside; half as many are followed by one."""


def question(
    phrasing: str, values: dict[str, Value], rng: random.Random, asides: Asides = NO_ASIDES
) -> str:
    """The phrasing with its slots filled and a little noise outside of them."""
    text = _noise(phrasing, rng)
    for name, value in values.items():
        text = text.replace("{%s}" % name, _decorated(name, value, text, rng))
    return beside(text, rng, asides)


def beside(text: str, rng: random.Random, asides: Asides) -> str:
    """The question, now and then with a sentence before or after it that asks for nothing."""
    draw = rng.random()
    if draw < ASIDE and asides.before:
        return f"{rng.choice(asides.before)} {text}"
    if draw < 1.5 * ASIDE and asides.after:
        return f"{text} {rng.choice(asides.after)}"
    return text


def program(intent: Intent, values: dict[str, Value]) -> str:
    """The intent's program with its slots filled by literals."""
    text = intent.program.strip("\n")
    for name, value in values.items():
        text = text.replace("{%s}" % name, literal(value))
    return text


def literal(value: Value) -> str:
    """A value as the programs write it: double quotes, as formatters do."""
    if isinstance(value, int):
        return repr(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _decorated(name: str, value: Value, text: str, rng: random.Random) -> str:
    """The value as people write it: a number now and then in words; a name or path sometimes in
    backticks or quotes, unless the phrasing has some around it."""
    if isinstance(value, int):
        alone = re.search(r"(^|\s)\{%s\}(?=[\s,.:?!]|$)" % name, text)
        in_words = name == "count" and alone and value < len(NUMBERS) and rng.random() < IN_WORDS
        return NUMBERS[value] if in_words else str(value)
    quoted = re.search(r"[`'\"]\{%s\}" % name, text)
    draw = rng.random()
    if name in ("text", "command"):
        around = [sign for sign in ("'", '"', "`", "") if not sign or sign not in value]
        sign = rng.choice(around)
        return value if quoted else f"{sign}{value}{sign}"
    if quoted or draw < 0.74:
        return value
    if name in ("symbol", "function") and draw < 0.80 and value.islower():
        return f"{value}()"
    if draw < 0.90:
        return f"`{value}`"
    return f"'{value}'" if draw < 0.95 else f'"{value}"'


def _noise(phrasing: str, rng: random.Random) -> str:
    """Lower case, a missing end, a slip of the finger or a courtesy, now and then."""
    parts = re.split(r"(\{\w+\})", phrasing)
    draw = rng.random()
    if draw < 0.12:
        parts = [p if p.startswith("{") else p.lower() for p in parts]
    elif draw < 0.2:
        parts[-1] = parts[-1].rstrip("?.!")
    elif draw < 0.26:
        index = rng.randrange(len(parts))
        if not parts[index].startswith("{"):
            parts[index] = _slip(parts[index], rng)
    text = "".join(parts)
    if rng.random() < 0.04:
        before, after = rng.choice(
            [("", " please"), ("", " thx"), ("hey, ", ""), ("quick one: ", ""), ("", " pls")]
        )
        text = before + (text.rstrip("?.!") if after else text) + after
    return text


def _slip(text: str, rng: random.Random) -> str:
    """One letter dropped, doubled or swapped in a longer word."""
    words = list(re.finditer(r"[a-z]{5,}", text))
    if not words:
        return text
    word = rng.choice(words)
    at = rng.randrange(word.start() + 1, word.end() - 1)
    changed = rng.choice([text[at + 1] + text[at], text[at] * 2 + text[at + 1], text[at + 1]])
    return text[:at] + changed + text[at + 2 :]
