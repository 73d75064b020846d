"""Invented authors and the ways in which they write commit messages."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

_NAMES = (
    ("Mira Okafor", "mira.okafor"), ("Zoë Brandt", "zoe"), ("Jan Kowalczyk", "jkowalczyk"),
    ("Søren Lindqvist", "soren.lindqvist"), ("Priya Raman", "priya"), ("Tomás Herrera", "tomas.h"),
    ("Alice Whitcombe", "alice.w"), ("Kenji Morishita", "kenji"), ("François Delorme", "fdelorme"),
    ("Dana Petrov", "dana.petrov"), ("Liam O'Dwyer", "liam"), ("Nadia El-Sayed", "nadia.elsayed"),
    ("Łukasz Baran", "lukasz"), ("Grace Mbeki", "gmbeki"), ("Hiroko Tanabe", "h.tanabe"),
    ("Samuel Achterberg", "sam"), ("李婷", "liting"), ("Ingrid Halvorsen", "ingrid"),
    ("Marco Bellini", "marco.bellini"), ("Ruth Abelson", "rabelson"), ("Ayşe Demirtaş", "ayse"),
    ("Noah Feldkamp", "noah.feldkamp"), ("Chloé Martineau", "chloe.m"), ("Ben Carver", "bcarver"),
    ("Oksana Hrytsenko", "oksana"), ("Victor Nwosu", "victor.nwosu"), ("Elif Kaya", "elif"),
    ("Peter van Rijn", "pvanrijn"), ("Anaïs Roche", "anais"), ("Diego Fuentes", "diego.f"),
)  # fmt: skip
_DOMAINS = ("example.org", "example.com", "example.net", "mail.example.org", "dev.example.com")
_ZONES = ("+0000", "+0100", "+0200", "-0500", "-0800", "+0530", "+0900", "-0300")

_VERBS = {
    "fix": ("Fix", "Correct", "Repair"),
    "style": ("Clean up", "Tidy", "Simplify"),
    "docs": ("Add", "Write", "Improve"),
    "feat": ("Add", "Introduce", "Provide"),
    "test": ("Add", "Write", "Extend"),
}
_BODIES = (
    "The old behaviour surprised people who upgraded from the previous release.",
    "Found while reading through the module; no caller depended on it.",
    "This keeps the public names as they are.\n\nSee the discussion in the last review.",
    "Reported twice in the tracker. A test follows in a separate commit.",
    "Nothing else changes.\n\n- checked on Linux and Windows\n- no new dependencies",
    "It was hard to see from the call site what this does.",
)


@dataclass(frozen=True)
class Author:
    """One invented person."""

    name: str
    email: str
    zone: str
    """Offset from UTC, as git writes it."""
    style: int
    """Habit of writing subjects: 0 to 4, see `subject`."""


def draw_authors(rng: Random) -> list[Author]:
    """Three to six authors, at least one of whom has a name that is not ASCII."""
    special = rng.choice([entry for entry in _NAMES if not entry[0].isascii()])
    others = [entry for entry in _NAMES if entry != special]
    chosen = [special, *rng.sample(others, rng.randint(2, 5))]
    rng.shuffle(chosen)
    return [
        Author(name, f"{mail}@{rng.choice(_DOMAINS)}", rng.choice(_ZONES), rng.randrange(5))
        for name, mail in chosen
    ]


def subject(author: Author, kind: str, topic: str, rng: Random) -> str:
    """The first line of a message, in the author's habit."""
    verb = rng.choice(_VERBS[kind])
    plain = f"{verb} {topic}"
    number = rng.randrange(20, 900)
    return (
        plain,
        f"{kind}: {verb.lower()} {topic}",
        f"{plain} (#{number})",
        f"{plain}.",
        f"{verb.lower()} {topic}",
    )[author.style]


def body(rng: Random) -> str:
    """The text under a subject, often empty."""
    return rng.choice(_BODIES) if rng.random() < 0.35 else ""
