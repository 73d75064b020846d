"""Unified diffs of whole texts, in bounded time."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

CONTEXT = 3
"""Unchanged lines around a change."""
MOST_PAIRS = 1_000_000
"""Pairs of lines that are compared; a larger change is shown as one block, which is as true."""


def unified_diff(shown: str, old: str | None, new: str) -> str:
    """The unified diff from one text of a file to another; `old` None = a new file."""
    before, after = _lines(old or ""), _lines(new)
    name = "/dev/null" if old is None else f"a/{shown}"
    header = [f"--- {_one_line(name)}\n", f"+++ {_one_line(f'b/{shown}')}\n"]
    body: list[str] = []
    for group in _Matcher(before, after).get_grouped_opcodes(CONTEXT):
        (_, start, _, first, _), (_, _, end, _, last) = group[0], group[-1]
        body.append(f"@@ -{_range(start, end)} +{_range(first, last)} @@\n")
        for kind, i, j, k, m in group:
            if kind == "equal":
                body += [f" {line}" for line in before[i:j]]
            else:
                body += [f"-{line}" for line in before[i:j]]
                body += [f"+{line}" for line in after[k:m]]
    return "".join([*header, *body]) if body or old is None else ""


class _Matcher(difflib.SequenceMatcher[str]):
    """Compares what lies between the common beginning and the common end, if that is not much."""

    def __init__(self, old: Sequence[str], new: Sequence[str]) -> None:
        short = min(len(old), len(new))
        self.head = next((n for n in range(short) if old[n] != new[n]), short)
        short -= self.head
        self.tail = next((n for n in range(short) if old[-1 - n] != new[-1 - n]), short)
        self.ends = len(old) - self.tail, len(new) - self.tail
        inner = old[self.head : self.ends[0]], new[self.head : self.ends[1]]
        self.pairs = len(inner[0]) * len(inner[1])
        super().__init__(None, *inner)

    def get_opcodes(self) -> list[tuple[str, int, int, int, int]]:  # type: ignore[override]
        """Opcodes of the whole texts."""
        head, (old_end, new_end) = self.head, self.ends
        if self.pairs > MOST_PAIRS:
            found = [("replace", head, old_end, head, new_end)]
        else:
            inner = super().get_opcodes()
            found = [(k, i + head, j + head, m + head, n + head) for k, i, j, m, n in inner]
        before = [("equal", 0, head, 0, head)] if head else []
        tail = self.tail
        after = [("equal", old_end, old_end + tail, new_end, new_end + tail)] if tail else []
        return [*before, *found, *after]


def _range(start: int, end: int) -> str:
    """Lines from `start` (counted from 0) to before `end`, as the header of a hunk has them."""
    length = end - start
    first = start + 1 if length else start
    return str(first) if length == 1 else f"{first},{length}"


def _one_line(name: str) -> str:
    """A name whose line ends cannot pass for lines of the diff."""
    return name.replace("\r", "\\r").replace("\n", "\\n")


def _lines(text: str) -> list[str]:
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n\\ No newline at end of file\n"
    return lines
