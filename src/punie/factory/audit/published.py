"""The pages of an audit for the repository: what anyone may read without having the data.

A folder for each recipe: `audit.md` with its pictures, and `generated.md`, what generation told.
The pages say which rows they are of by their hash, and hold no path of the machine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from punie.errors import UsageError
from punie.factory.audit import drawn, registers
from punie.factory.audit.pictures import bins, ranked
from punie.factory.audit.subject import Subject

PLACE = re.compile(r"(?<![\w.:/])/(?:home|root|Users|tmp|var|private|work|mnt|opt)/[^\s'\"`)|]*")
"""A path of the machine."""
GONE = "(a path of the machine)"


def write(report: str, subject: Subject, name: str, data: Path, reports: Path) -> Path:
    """Write the pages of the recipe `name`, whose data is in `data`, into `reports/name`; returns
    that folder. Raises `UsageError` when they cannot be written."""
    folder, drawings = reports / name, pictures(subject)
    shown = "".join(f"![{file.removesuffix('.svg')}]({file})\n" for file in drawings)
    head, _, rest = report.partition("\n")
    of = f"Of the recipe `{name}`; the rows have the SHA-256 `{subject.data.sha256}`. What their"
    texts = dict(drawings)
    texts["audit.md"] = f"{head}\n\n{of} generation told is in [generated.md](generated.md).\n\n"
    texts["audit.md"] += f"{shown}{rest}"
    try:
        told = data / "report.md"
        texts["generated.md"] = (
            told.read_text("utf-8") if told.is_file() else "No report was kept.\n"
        )
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*.svg"):
            old.unlink()
        for file, text in texts.items():
            (folder / file).write_text(PLACE.sub(GONE, text), "utf-8")
    except OSError as error:
        raise UsageError(f"the pages cannot be written to {str(folder)!r}: {error}") from None
    return folder


def pictures(subject: Subject) -> Mapping[str, str]:
    """File → picture of each distribution, in the order of the page."""
    examples = subject.data.examples
    total = len(examples)
    tools = ranked(tool for e in examples for tool in e.tools)
    lengths = bins([float(n.tokens) for n in subject.lengths], 50)
    words = bins([float(len(e.asked.split())) for e in examples], 3)
    found = {
        "kinds.svg": drawn.bars("Kinds of example", ranked(e.kind for e in examples), total),
        "tools.svg": drawn.bars("Examples that call a tool", tools, total),
        "registers.svg": drawn.bars(
            "Registers of questions", registers.counted(e.asked for e in examples), total
        ),
        "words.svg": drawn.bars("Words of a question", words, total),
    }
    if lengths:
        found["tokens.svg"] = drawn.bars("Tokens of an example", lengths, total)
    return found
