"""Values for the slots of questions, drawn from the workspace itself.

A slot's kind names a method of `Slots`; values that belong together (a symbol and its file) come
from one draw. A draw that the workspace cannot serve raises `NoValue`.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from pathlib import PurePosixPath

from punie.factory.examples.inventory import Declaration, Inventory
from punie.factory.examples.plain_slots import FAILING, NoValue, PlainSlots, Value, plain


class Slots(PlainSlots):
    """Draws values for the slots of one question."""

    def __init__(self, inventory: Inventory, rng: random.Random) -> None:
        super().__init__(inventory, rng)
        self.drawn: Declaration | None = None
        self.read: str = ""
        self.lines: tuple[int, int] = (1, 1)

    def fill(self, slots: dict[str, str]) -> dict[str, Value]:
        """A value for each slot, by its kind; kinds later in the table may rest on earlier."""
        order = sorted(slots.items(), key=lambda item: item[1].startswith(_DEPENDENT))
        self.values = {}
        for name, kind in order:
            self.values[name] = getattr(self, kind)()
        return self.values

    # Files and folders.

    def file(self) -> str:
        """A tracked file."""
        return self._short(self._mostly_code([f for f in self.inventory.tracked if plain(f)]))

    def text_file(self) -> str:
        """A text file; remembered for words and lines."""
        self.read = self.pick([f for f in self.inventory.text_files if plain(f)])
        return self._short(self.read)

    def python_file(self) -> str:
        """A Python file that declares something."""
        files = [m.file for m in self.inventory.modules.values() if m.declarations]
        return self._short(self._mostly_code([f for f in files if plain(f)]))

    def other_python_file(self) -> str:
        """A second Python file."""
        return self._another(self.python_file)

    third_python_file = other_python_file

    def other_file(self) -> str:
        """A second tracked file."""
        return self._another(self.file)

    def other_test_path(self) -> str:
        """A second test file."""
        return self._another(self.test_path)

    def file_name(self) -> str:
        """The bare name of a tracked file."""
        files = self._mostly_code([f for f in self.inventory.tracked if plain(f)])
        return PurePosixPath(files).name

    def blamed_file(self) -> str:
        """A tracked text file below 200 lines; remembered for its lines."""
        texts = self.inventory.text_files
        short = [f for f in self.inventory.tracked if f in texts and texts[f].count("\n") < 200]
        self.read = self._mostly_code([f for f in short if plain(f)])
        return self._short(self.read)

    def python_folder(self) -> str:
        """A folder that holds Python files; ones with findings more often."""
        found = [
            f["file"] for kind in ("lint", "types") for f in self.inventory.state.get(kind, [])
        ]
        files = found if found and self.rng.random() < 0.6 else list(self.inventory.modules)
        parents = {str(p) for f in files for p in PurePosixPath(f).parents} - {"."}
        return self.pick(sorted(parents)) + self.rng.choice(["", "", "/"])

    def small_python_file(self) -> str:
        """A Python file with one to eight top-level functions or classes."""
        files = []
        for module in self.inventory.modules.values():
            top = [d for d in module.declarations if not d.container and d.kind != "variable"]
            if 1 <= len(top) <= 8 and any(d.kind == "function" for d in top):
                files.append(module.file)
        return self._short(self._mostly_code(files))

    def python_path(self) -> str:
        """A Python file or a folder that holds some; ones with findings more often."""
        found = [
            f["file"] for kind in ("lint", "types") for f in self.inventory.state.get(kind, [])
        ]
        found = [f for f in found if (self.inventory.root / f).exists()]
        if found and self.rng.random() < 0.4:
            return self.rng.choice(found)
        files = list(self.inventory.modules)
        folders = {str(PurePosixPath(f).parent) for f in files} - {"."}
        if self.rng.random() < 0.35 and folders:
            return self.pick(sorted(folders))
        return self._short(self._mostly_code(files))

    def test_path(self) -> str:
        """A test file that runs by itself."""
        files = sorted({f["file"] for f in self.inventory.state.get("tests", [])})
        files = [f for f in files if (self.inventory.root / f).exists()]
        self.read = self.pick(files)
        return self._short(self.read)

    def test_place(self) -> str:
        """Such a file, or now and then its folder."""
        path = self.test_path()
        folder = str(PurePosixPath(self.read).parent)
        return folder if folder != "." and self.rng.random() < 0.15 else path

    def test_of_path(self) -> str:
        """A test of the test file drawn before."""
        tests = self.inventory.state.get("tests", [])
        return self.pick([t["symbol"] for t in tests if t["file"] == self.read])

    def failing_test_path(self) -> str:
        """A test file in which a test fails; now and then any."""
        files = sorted({t["file"] for t in self._why()})
        self.read = self.pick([f for f in files if (self.inventory.root / f).exists()])
        return self._short(self.read)

    def failing_test_of_path(self) -> str:
        """A test that fails in the test file drawn before; where none does, any of it."""
        tests = [t for t in self.inventory.state.get("tests", []) if t["file"] == self.read]
        failing = [t for t in tests if t["code"] in FAILING]
        return self.pick([t["symbol"].rpartition("::")[2] for t in failing or tests])

    def changed_file(self) -> str:
        """A file of `git status`."""
        return self.pick([f for _, f in self.inventory.changes])

    def diff_file(self) -> str:
        """A file with unstaged changes."""
        return self.pick(self.inventory.unstaged)

    def staged_file(self) -> str:
        """A file with staged changes."""
        return self.pick(self.inventory.staged)

    # Of those, the ones that git tracks, and small ones.

    def tracked_file(self) -> str:
        """A tracked text file that is there; remembered for its words."""
        texts = self.inventory.text_files
        self.read = self._mostly_code(
            [f for f in self.inventory.tracked if plain(f) and f in texts]
        )
        return self._short(self.read)

    def tracked_python_file(self) -> str:
        """A tracked Python file; ones with findings more often."""
        state = self.inventory.state
        found = [f["file"] for kind in ("lint", "types") for f in state.get(kind, [])]
        modules = [f for f in self.inventory.tracked if f in self.inventory.modules]
        found = sorted(set(found) & set(modules))
        return self.pick(found) if found and self.rng.random() < 0.6 else self._mostly_code(modules)

    def tracked_test_path(self) -> str:
        """A tracked test file that runs by itself."""
        self.test_path()
        if self.read not in self.inventory.tracked:
            raise NoValue
        return self._short(self.read)

    def small_class_file(self) -> str:
        """A Python file with one to eight classes."""
        files = []
        for module in self.inventory.modules.values():
            classes = [d for d in module.declarations if d.kind == "class" and not d.container]
            if 1 <= len(classes) <= 8:
                files.append(module.file)
        return self._short(self._mostly_code(files))

    def small_python_folder(self) -> str:
        """A folder with at most twelve Python files below it."""
        counts: Counter[str] = Counter()
        for file in self.inventory.modules:
            counts.update({str(p) for p in PurePosixPath(file).parents} - {"."})
        return self.pick(sorted(folder for folder, number in counts.items() if number <= 12))

    def class_query(self) -> str:
        """The name of a class, or a telling part of one."""
        name = self._declaration("class", unique=False)
        parts: list[str] = [p for p in re.findall(r"[A-Z][a-z]{3,}", name) if p != name]
        return self.rng.choice([name, *parts, *parts])

    def word_of_test(self) -> str:
        """A word of a test file that runs by itself."""
        self.test_path()
        return str(self.pick(re.findall(r"[A-Za-z_]{5,}", self.inventory.text_files[self.read])))

    # Symbols.

    def _short(self, path: str) -> str:
        """The path, or now and then just its end where that is enough to find it."""
        draw = self.rng.random()
        if draw > 0.2:
            return path
        end = "/".join(PurePosixPath(path).parts[-1 if draw < 0.12 else -2 :])
        alike = [f for f in self.inventory.files if f"/{f}".endswith(f"/{end}")]
        return end if len(alike) == 1 else path

    def _mostly_code(self, files: list[str]) -> str:
        """One of the files: those of tests and docs less often than their number."""
        code = [f for f in files if not re.search(r"(^|/)(tests?|docs?|examples?|unit_tests)/", f)]
        return self.pick(code if code and self.rng.random() < 0.6 else files)

    def _declaration(self, *kinds: str, unique: bool = True, documented: bool = False) -> str:
        names = self.inventory.names
        fitting = [
            d
            for d in self.inventory.declarations
            if d.kind in kinds
            and not (d.name.startswith("__") and d.name.endswith("__"))
            and (not unique or names[d.name] == 1)
            and (not documented or d.docstring)
        ]
        apart = [d for d in fitting if not d.name.lower().startswith("test")]
        self.drawn = self.pick(apart if apart and self.rng.random() < 0.9 else fitting)
        return self.drawn.name

    def symbol(self) -> str:
        """A function, class, method or variable whose name is declared once."""
        kind = self.rng.choices(["function", "class", "method", "variable"], [45, 25, 22, 8])[0]
        return self._declaration(kind)

    def top_symbol(self) -> str:
        """A function or class at module level."""
        name = self._declaration("function", "class")
        if self.drawn and self.drawn.container:
            raise NoValue
        return name

    def other_symbol(self) -> str:
        """A second symbol, another one than the first."""
        first = self.drawn
        name = self._declaration("function", "class")
        if first and name == first.name:
            raise NoValue
        return name

    def function(self) -> str:
        """A function."""
        return self._declaration("function", "method")

    def function_with_parameter(self) -> str:
        """A function that takes something."""
        name = self._declaration("function", "method")
        if self.drawn is None or not self.drawn.parameters:
            raise NoValue
        return name

    def parameter_of_function(self) -> str:
        """A parameter of the function drawn before."""
        assert self.drawn is not None
        return self.pick(list(self.drawn.parameters))

    def documented(self) -> str:
        """A function or class with a docstring."""
        return self._declaration("function", "class", "method", documented=True)

    def class_with_init(self) -> str:
        """A class with an `__init__` of its own."""
        name = self.class_()
        if f"{name}.__init__" not in self.inventory.qualified_names:
            raise NoValue
        return name

    def class_(self) -> str:
        """A class."""
        name = self._declaration("class")
        if self.drawn and self.drawn.container:
            raise NoValue
        return name

    def method(self) -> str:
        """A method as `Class.method`, declared once."""
        self._declaration("method", unique=False)
        return self._short_method()

    def overridden_method(self) -> str:
        """A method as `Class.method` that a class below declares anew."""
        plain = [d for d in self.inventory.overridden if not d.name.startswith("__")]
        self.drawn = self.pick(plain)
        return self._short_method()

    def _short_method(self) -> str:
        assert self.drawn is not None
        if self.inventory.qualified_names[self.drawn.qualified] != 1:
            raise NoValue
        return ".".join(self.drawn.qualified.split(".")[-2:])

    def method_name(self) -> str:
        """The bare name of a method, however often it is declared."""
        return self._declaration("method", unique=False)

    def query(self) -> str:
        """A name, or a telling part of one."""
        name = self._declaration("function", "class", "method", unique=False)
        parts = [p for p in re.findall(r"[A-Z]?[a-z]{3,}|[A-Z]{3,}", name) if len(p) >= 4]
        return self.rng.choice([name, *parts, *parts]) if parts else name

    def symbol_in_tests(self) -> str:
        """A symbol that a quick test file uses."""
        tests = {f["file"] for f in self.inventory.state.get("tests", [])}
        uses = {
            u for t in tests if t in self.inventory.modules for u in self.inventory.modules[t].uses
        }
        names = [d for d in self.inventory.declarations if d.name in uses and d.kind == "function"]
        self.drawn = self.pick([d for d in names if self.inventory.names[d.name] == 1])
        return self.drawn.name

    # What belongs to the drawn symbol or file.

    def file_of_symbol(self) -> str:
        """The file that declares the drawn symbol."""
        assert self.drawn is not None
        return self.drawn.file

    def line_of_symbol(self) -> int:
        """The line of its name."""
        assert self.drawn is not None
        return self.drawn.line

    def file_using_symbol(self) -> str:
        """Another file that uses the drawn symbol."""
        assert self.drawn is not None
        name, home = self.drawn.name, self.drawn.file
        modules = self.inventory.modules.values()
        return self.pick([m.file for m in modules if m.file != home and name in m.uses])

    def file_of_position(self) -> str:
        """A file, with the position of a declared name in it."""
        self._declaration("function", "class", "method", unique=False)
        assert self.drawn is not None
        return self.drawn.file

    def column_of_position(self) -> int:
        """The column of its name."""
        assert self.drawn is not None
        return self.drawn.column

    line_of_position = line_of_symbol
    file_of_class = file_of_symbol

    def start_line(self) -> int:
        """A line of the text file drawn before."""
        most = self.inventory.text_files[self.read].count("\n") + 1
        start = self.rng.randint(1, max(1, most - 2))
        self.lines = (start, min(most, start + self.rng.randint(1, 30)))
        return start

    def end_line(self) -> int:
        """A line after the start line."""
        return self.lines[1]

    def word_of_file(self) -> str:
        """A word of the text file drawn before, or now and then one that is not in it."""
        words = re.findall(r"[A-Za-z_]{4,}", self.inventory.text_files[self.read])
        if self.rng.random() < 0.15:
            return self.pick(["TODO", "deprecated", "FIXME", "password", "asyncio", "lambda"])
        word: str = self.pick(words)
        return word


_DEPENDENT = (
    "file_of_symbol",
    "line_of",
    "file_using",
    "column_of",
    "start_line",
    "end_line",
    "word_of",
    "other_",
    "third_",
    "file_of_class",
    "test_of_path",
    "failing_test_of",
    "parameter_of",
)
"""Beginnings of the kinds that rest on an earlier draw."""
