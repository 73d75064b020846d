"""A small package that tests of the language server's tools ask about, and places in it."""

from __future__ import annotations

from typing import Any

FILES: dict[str, str | bytes] = {
    "shop/__init__.py": (
        "from shop.models import User, find_user as lookup\n"
        "from .models import LIMIT\n"
        '__all__ = ["LIMIT", "User"]\n'
    ),
    "shop/models.py": '''"""What is sold to whom."""

from __future__ import annotations

import json
from functools import cached_property
from typing import overload

LIMIT: int = 10
first, second = 1, 2


class Record:
    """A row with snake_case *names*."""

    table: str = ""

    def save(self, force: bool = False) -> bool:
        """Save it.

        Args:
            force: even if a_b is unchanged.
        """
        return force

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self._size

    @size.setter
    def size(self, value: int) -> None:
        self._size = value


class User(Record):
    def __init__(self, name: str) -> None:
        self.name = name
        self._size = 0

    def save(self, force: bool = True) -> bool:
        return super().save(force)

    @cached_property
    def card(self) -> str:
        return json.dumps(self.name)


class Order(Record):
    pass


@overload
def parse(text: str) -> str: ...
@overload
def parse(text: bytes) -> bytes: ...
def parse(text):
    """Read a text."""
    return text


if LIMIT > 5:
    def choose() -> int:
        return 1
else:
    def choose() -> int:
        return 2


def find_user(name: str) -> User:
    """Find a user by name."""
    return User(name)


def unused() -> None:
    def inner() -> None: ...
''',
    "shop/views.py": """import shop.models as models
from shop import User, lookup
from shop.models import Order, Record, find_user, parse, choose


def show(record: Record, count: int) -> str:
    record.save()
    record.size = 3
    note: "User" = User("ann")
    note.save()
    getattr(record, "unused")
    return parse("x") * count + note.card + note.name


def total(count: int, order: Order) -> int:
    order.save()
    s = "😀漢字"; user = find_user(s)
    return models.LIMIT + user.size + choose() + count


def other(name: str) -> str:
\treturn lookup(name).name


HANDLERS = {"shop.models.unused": "calls find_user later"}
""",
    "shop/alike.py": "def parse(text: str) -> int:\n    return len(text)\n",
    "shop/stubbed.py": 'def stub(x):\n    """Documented."""\n    return x\n',
    "shop/stubbed.pyi": "def stub(x: int) -> int: ...\n",
    "odd name/ünï.py": "def straße() -> int:\n    return 1\n\nstraße()\n",
    "crlf.py": b"import shop\r\n\r\ndef windows():\r\n    return 1\r\n\r\nwindows()\r\n",
    "bom.py": b"\xef\xbb\xbfdef marked():\n    return marked()\n",
    "broken.py": "def whole():\n    return 1\n\nwhole()\n\ndef half(:\n",
    "latin.py": b"# \xe9\ndef accent():\n    return 1\n",
    "notes.txt": "find_user",
}


def line_of(file: str, text: str) -> int:
    content = FILES[file]
    assert isinstance(content, str)
    return next(i for i, line in enumerate(content.split("\n"), 1) if text in line)


def places(result: Any) -> list[str]:
    assert result.success, result.parse_error
    items = result.references if hasattr(result, "references") else result.locations
    return [f"{i.file}:{i.line}:{i.column}" for i in items]


def place(file: str, text: str, name: str) -> str:
    line = line_of(file, text)
    content = FILES[file]
    assert isinstance(content, str)
    return f"{file}:{line}:{content.split(chr(10))[line - 1].index(name) + 1}"
