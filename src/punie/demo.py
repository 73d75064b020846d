"""A small repository to try Punie on: real history, staged and unstaged edits, and mistakes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from punie.errors import PunieError, UsageError

QUESTIONS = (
    "what did I change?",
    "who calls apply_discount?",
    "where is Order defined?",
    "give me an outline of shop/orders.py",
    "type errors in shop",
    "lint problems in shop/report.py",
    "which tests fail?",
    "authors of the last 3 commits",
    "what is the difference between git fetch and git pull?",
)
"""What `punie demo` asks."""

_ORDERS = '''"""Orders and their totals."""

from dataclasses import dataclass, field

from shop.pricing import apply_discount


@dataclass
class Line:
    """One line of an order: a book and how many."""

    title: str
    price: float
    quantity: int = 1


@dataclass
class Order:
    """What one customer orders."""

    customer: str
    lines: list[Line] = field(default_factory=list)

    def add(self, title: str, price: float, quantity: int = 1) -> None:
        """Add a line."""
        self.lines.append(Line(title, price, quantity))

    def total(self, percent: float = 0) -> float:
        """The sum of all lines, less a discount in percent."""
        amount = sum(line.price * line.quantity for line in self.lines)
        return apply_discount(amount, percent)
'''
_PRICING = '''"""Prices."""


def apply_discount(amount: float, percent: float) -> float:
    """The amount less a discount in percent."""
    return round(amount * (1 - percent / 100), 2)


def with_tax(amount: float, rate: float = 0.07) -> float:
    """The amount with tax."""
    return round(amount * (1 + rate), 2)
'''
_REPORT = '''"""Reports for the shop's owner."""

from shop.orders import Order


def best_customer(orders: list[Order]) -> str:
    """Name of the customer who spent most."""
    best = max(orders, key=lambda order: order.total())
    return best.customer


def revenue(orders: list[Order]) -> float:
    """Sum of all orders."""
    return sum(order.total() for order in orders)
'''
_TESTS = '''"""Tests of orders."""

from shop.orders import Order
from shop.pricing import apply_discount, with_tax


def test_total():
    order = Order("Ada")
    order.add("Dune", 10.0, 2)
    assert order.total() == 20.0


def test_discount():
    assert apply_discount(200, 10) == 180
'''
_CONFIG = """[project]
name = "shop"
version = "0.3.0"
requires-python = ">=3.11"

[tool.pytest.ini_options]
pythonpath = ["."]
"""

Files = dict[str, str]
COMMITS: tuple[tuple[str, str, str, Files], ...] = (
    (
        "Ada Lovelace <ada@example.org>",
        "2026-03-02T09:15:00+01:00",
        "Start the shop with prices",
        {
            "pyproject.toml": _CONFIG,
            ".gitignore": "__pycache__/\n.venv/\n",
            "shop/__init__.py": '"""A book shop."""\n',
            "shop/pricing.py": _PRICING,
        },
    ),
    (
        "Grace Hopper <grace@example.org>",
        "2026-03-04T16:40:00+01:00",
        "Add orders",
        {"shop/orders.py": _ORDERS},
    ),
    (
        "Ada Lovelace <ada@example.org>",
        "2026-03-05T11:05:00+01:00",
        "Test totals and discounts",
        {"tests/test_orders.py": _TESTS},
    ),
    (
        "Linus Ek <linus@example.org>",
        "2026-03-09T08:30:00+01:00",
        "Report revenue and the best customer",
        {"shop/report.py": _REPORT, "README.md": "# Shop\n\nOrders, prices and reports.\n"},
    ),
)
"""Author, date, message and files of each commit."""

STAGED: Files = {
    "shop/pricing.py": _PRICING
    + '\n\ndef in_cents(amount: float) -> int:\n    """The amount in cents."""\n'
    + "    return str(round(amount * 100))\n"
}
UNSTAGED: Files = {
    "shop/report.py": _REPORT.replace("from shop.orders", "import json\n\nfrom shop.orders"),
    "tests/test_orders.py": _TESTS + "\n\ndef test_tax():\n    assert with_tax(100) == 119\n",
}
UNTRACKED: Files = {"shop/gifts.py": '"""Gift cards."""\n\nVALUES = (10, 25, 50)\n'}


def create(folder: Path) -> Path:
    """Make the demo repository in `folder`, which must be missing or empty; returns it.

    Raises `UsageError` when there is something in the folder.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{str(folder)!r} is not empty: give a new folder for the demo")
    folder.mkdir(parents=True, exist_ok=True)
    _git(folder, "init", "--quiet", "--initial-branch=main")
    for author, date, message, files in COMMITS:
        _write(folder, files)
        name, _, email = author.rstrip(">").partition(" <")
        people = {"GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": email, "GIT_AUTHOR_DATE": date}
        people |= {k.replace("AUTHOR", "COMMITTER"): v for k, v in people.items()}
        _git(folder, "add", "--all")
        _git(folder, "commit", "--quiet", "--message", message, **people)
    _write(folder, STAGED)
    _git(folder, "add", "--all")
    _write(folder, UNSTAGED | UNTRACKED)
    return folder


def _write(folder: Path, files: Files) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


def _git(folder: Path, *args: str, **env: str) -> None:
    # A hook's GIT_DIR would lead into another repository: nothing of git's environment stays.
    plain = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    plain |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    try:
        subprocess.run(["git", *args], cwd=folder, env=plain | env, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise PunieError(f"the demo needs git, which failed: {error}") from None
