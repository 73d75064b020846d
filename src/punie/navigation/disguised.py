"""Uses that do not look like uses of Python names, of things that have ordinary uses as well.

One counted use, often a thing's own test, must not hide the entry point or the template that needs
the thing, too. Told are places that are hardly anything else: prose is not.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

from punie.navigation.declaration import Declaration, Spot
from punie.navigation.outline import Outline

CODE = frozenset({".ipynb", ".pyx", ".pxd", ".xsh", ".pth"})
"""Files in which a word is a name of Python, though no language server reads them."""
TEMPLATES = frozenset({".html", ".htm", ".jinja", ".jinja2", ".j2", ".mako", ".tmpl", ".tpl"})
SETTINGS = frozenset({".toml", ".cfg", ".ini", ".yaml", ".yml", ".json", ".conf", ".env", ".sh"})
"""Files that name things of Python by their module, as entry points do."""
LOCKS = re.compile(r"(?:^|[-.])lock(?:\.|$)|package\.json$")
"""Files that programs write, with names of packages only."""


def worth_reading(named: Iterable[tuple[bytes, os.stat_result]]) -> list[tuple[bytes, int]]:
    """Those of some files, with their sizes, in which a name may be used in disguise."""
    found = []
    for name, facts in named:
        base = os.fsdecode(name.rpartition(b"/")[2])
        suffix = PurePosixPath(base).suffix.lower()
        read = suffix in CODE | TEMPLATES | SETTINGS or not (suffix or base.startswith("."))
        if read and stat.S_ISREG(facts.st_mode) and not LOCKS.search(base.lower()):
            found.append((name, facts.st_size))
    return found


def used(root: Path, declarations: list[Declaration]) -> Callable[[str, str], bool]:
    """What tells of a file (relative) and a line of it that holds the name if it is a use."""
    thing = declarations[0]
    owners = {part for d in declarations for part in d.spot.path.with_suffix("").parts[-3:]}
    if thing.container is not None:
        owners = {thing.container.name}
    name = re.escape(thing.name)
    qualified = re.compile(rf"(\w+)[.:]{name}(?!\w)")
    inside = re.compile(rf"(?:\{{[{{%]|\$\{{|<%)(?:(?![%}}]\}}|%>).){{0,400}}?(?<!\w){name}(?!\w)")
    scripts: dict[str, bool] = {}

    def script(file: str) -> bool:
        if file not in scripts:
            first = b""
            with contextlib.suppress(OSError), (root / file).open("rb") as opened:
                first = opened.readline(200)
            scripts[file] = first.startswith(b"#!") and b"python" in first
        return scripts[file]

    def tell(file: str, line: str) -> bool:
        suffix = PurePosixPath(file).suffix.lower()
        if suffix in CODE:
            return True
        if suffix in TEMPLATES:
            return bool(inside.search(line))
        if not suffix and script(file):
            return not line.lstrip().startswith("#")
        return any(match[1] in owners for match in qualified.finditer(line))

    return tell


async def in_comments(outline: Outline, thing: Declaration) -> list[str]:
    """`file:line` wherever a comment gives a type with the name of the thing, or an example of a
    docstring runs it: such examples are tests."""
    name = rf"(?<!\w){re.escape(thing.name)}\b"
    example = rf"^[ \t]*(?:>>>|\.\.\.)[ \t][^\n#]*?{'[.]' * thing.member}{name}"
    written = [example] if thing.member else [example, rf"#[ \t]*type:[^#\n]*{name}"]
    comment = re.compile("|".join(written), re.MULTILINE)
    return [
        outline.show(Spot(path, *source.place(found.end() - len(thing.name))))
        for path in await outline.files_with(thing.name)
        for source in [outline.source(path)]
        for found in comment.finditer(source.text)
    ]
