"""Questions that ask for a figure alone: the program that answers them stops before the list."""

from __future__ import annotations

import ast
import dataclasses
import re

from punie.factory.intents import Intent

MORE = re.compile(
    r"\bevidence\b|\bline numbers\b|\bsingle lines\b|don'?t want only|\beach\b", re.IGNORECASE
)
"""Words that ask for what lies behind the figure, too."""
ALONE = re.compile(
    r"""\b(just|only)\ (the\ |a\ |an\ |one\ )?((bare|single|plain|simple|total)\ )?
        (numbers?|counts?|figures?|total|quantity|amount|integer|yes\ or\ no)\b(?!\ of\ the\ line)
    |\b(number|numbers|count|counts|figure|total|quantity|amount|digits|integer)\ (only|alone)\b
    |\b(one|single|bare|plain)\ (number|figure|count|integer)\b
    |\byes\ or\ not?\b|\byes/no\b
    |\b(no|without\ the)\ list\b(?!\ of\ the)|\b(don'?t|do\ not|no\ need\ to)\ list\b
    |\bneedn'?t\ be\ listed\b|\bwithout\ listing\b""",
    re.IGNORECASE | re.VERBOSE,
)
"""Words that ask for a number, or a yes or no, and nothing beside it."""
SLOT = re.compile(r"\{\w+\}")


def figure_alone(phrasing: str) -> bool:
    """Whether the phrasing asks for a figure, or a yes or no, without a list of what was found."""
    words = SLOT.sub("…", phrasing)
    return bool(ALONE.search(words)) and not MORE.search(words)


def fitted(intent: Intent, phrasing: str) -> Intent:
    """The intent with the program for this phrasing: `brief` where it asks for a figure alone."""
    if not figure_alone(phrasing):
        return intent
    return dataclasses.replace(intent, program=brief(intent.program))


def brief(program: str) -> str:
    """The program without the loop at its end that lists what it has told the number of; the
    program itself where it has no such end. Slots may be open."""
    body = ast.parse(program.strip("\n")).body
    told = any(isinstance(node, ast.Expr) and _prints(node) for node in body[:-1])
    if not told or not isinstance(body[-1], ast.For):
        return program
    return "\n".join(program.strip("\n").splitlines()[: body[-1].lineno - 1])


def _prints(node: ast.Expr) -> bool:
    call = node.value
    return isinstance(call, ast.Call) and ast.unparse(call.func) == "print"
