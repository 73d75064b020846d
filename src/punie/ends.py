"""Line ends of a text, and those that a rewritten text takes over from the one before it."""

from __future__ import annotations

import re
from collections import Counter
from difflib import SequenceMatcher

_END = re.compile(r"\r\n|\r|\n")


def split_lines(text: str) -> list[str]:
    """Lines with their ends; a line ends at LF, CRLF or CR only, as in Python's grammar."""
    return re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", text)


def with_ends_of(old: str, new: str) -> tuple[str, str]:
    """The new text with the line ends of the old one, and what is to be said of them.

    Where the old one mixes kinds and the new one has line feeds only, each line that stayed keeps
    its own end, and others get the end that the old text has most. A new text with other ends
    than line feeds says itself which it wants, and is left as it is.
    """
    kinds = Counter(_END.findall(old))
    if len(kinds) == 1:
        return _END.sub(next(iter(kinds)), new), ""
    if not kinds or set(_END.findall(new)) != {"\n"}:
        return new, ""
    most = kinds.most_common(1)[0][0]
    before, after = split_lines(old), split_lines(new)
    bare = [[line.rstrip("\r\n") for line in lines] for lines in (before, after)]
    ends = [most if line.endswith("\n") else "" for line in after]
    for block in SequenceMatcher(None, bare[0], bare[1]).get_matching_blocks():
        for n in range(block.size):
            had = before[block.a + n][len(bare[0][block.a + n]) :]
            ends[block.b + n] = ends[block.b + n] and (had or most)
    text = "".join(line + end for line, end in zip(bare[1], ends, strict=True))
    return text, (f"the file mixes line ends: lines that stayed keep theirs, others have {most!r}")
