"""A package with what real code has: overrides, re-exports, wide lines, ignored folders."""

from __future__ import annotations

FILES: dict[str, str | bytes] = {
    ".gitignore": "made/\n",
    "shapes/__init__.py": (
        "from .base import Shape as Shape, Square\n"
        "from .base import *\n"
        "from . import round as disc\n"
    ),
    "shapes/base.py": '''"""Shapes of all kinds."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import overload

__all__ = ["Corner", "Shape"]


class Shape:
    shape_kind = "any"

    def __init__(self, name: str) -> None:
        self.name = name
        self.left, (self.right, *self.rest) = 1, (2, 3)

    def area(self) -> int:
        return 0

    @property
    def label(self) -> str:
        return self.name

    @label.setter
    def label(self, value: str) -> None:
        self.name = value

    @overload
    def scale(self, by: int) -> int: ...
    @overload
    def scale(self, by: str) -> str: ...
    def scale(self, by):
        def inner(x):
            return x

        return inner(by)

    def twice(self) -> int:
        area = self.area
        return area() + area()


class Square(Shape):
    def area(self) -> int:
        return super().area() + 1

    @property
    def label(self) -> str:
        return super().label

    class Meta:
        class Deep:
            def go(self) -> None: ...


class Tiny(Square):
    label = "tiny"


@dataclass
class Corner:
    x: int
    y: int = 0


def traced(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args)

    return wrapper


@traced
@traced
def decorated(x: int) -> int:
    """Twice wrapped."""
    return x


def first():
    def same() -> int:
        return 1

    return same()


def third():
    class Inner(Shape):
        shape_kind = "inner"

    return Inner("x").shape_kind


def second():
    def same() -> int:
        return 2

    return same()
''',
    "shapes/round.py": '''"""Round ones."""
import shapes.base


class Circle(shapes.base.Shape):
    def area(self) -> int:
        return 3
''',
    "use.py": """from shapes import Corner, Shape, Square, disc
import shapes.base as ground
from shapes.base import Tiny, decorated


def use(shape: Shape, square: Square, tiny: Tiny, circle: disc.Circle, other):
    shape.area(); square.area(); tiny.area(); circle.area(); other.area()
    shape.label = "x"; square.label; tiny.label
    shape.left; shape.rest; square.scale(1)
    corner = Corner(x=1, y=2); corner.x
    return decorated(ground.Corner(x=3).x)
""",
    "wide.py": (
        'é = "👩‍👩‍👧 漢字\\t"; value = 1\n'
        'def f(a, b="😀😀"):\n\treturn "\t😀" + a + value; value\n'
        "class 漢字:\n    def 方法(self): return value\n"
        'print("👩‍👩‍👧", value, 漢字().方法(), f"😀{value}😀{value!r:>{value}}")\n'
    ),
    "dist/packed.py": (
        "from shapes.base import Square, decorated\ndecorated(2)\nSquare('x').area()\n"
    ),
    "made/code.py": "import shapes.base\nshapes.base.decorated(3)\n",
    "other.py": (
        "import sys\n\nassert sys.platform == 'win32'\n\n\n"
        "class Pane:\n    def hide(self): ...\n\n\ndef use(pane: Pane):\n    pane.hide()\n"
    ),
    "lost.py": "from nowhere import decorated\ndecorated(4)\n",
    "latin.py": b"# \xe9\nfrom shapes.base import decorated\ndecorated(5)\n",
}


def line(file: str, text: str) -> int:
    content = FILES[file]
    assert isinstance(content, str)
    return next(n for n, each in enumerate(content.split("\n"), 1) if text in each)
