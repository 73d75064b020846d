"""A merge that stops: main and a branch change the same lines of a document and of a test."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

from punie.factory.corpus.commit import Commit
from punie.factory.corpus.gitrun import git
from punie.factory.corpus.layout import Layout
from punie.factory.corpus.sdist import CorpusError

_LINES = (
    (re.compile(r"^[A-Z][^`|*:]{40,}[.,]$", re.MULTILINE), (" Since 2.0.", " See the changelog.")),
    (re.compile(r"^def test_\w+\(.*\).*:$", re.MULTILINE), ("  # slow", "  # flaky on Windows")),
)
"""What is changed in a document and in a test, and what each side adds to it."""


def sides(plan: Layout, final: dict[str, bytes], rng: Random) -> list[Commit]:
    """The commits of main and of the branch, both for the last commit of main. CorpusError where no
    file has a line to quarrel about."""
    both: tuple[dict[str, bytes], dict[str, bytes]] = ({}, {})
    for (line, added), files in zip(_LINES, (plan.prose, plan.tests), strict=True):
        texts = {file: final[file].decode("utf-8") for file in files if "/" in file}
        fitting = sorted(file for file, text in texts.items() if line.search(text))
        if fitting:
            file = rng.choice(fitting)
            match = rng.choice(list(line.finditer(texts[file])))
            for side, words in zip(both, added, strict=True):
                text = texts[file]
                side[file] = f"{text[: match.end()]}{words}{text[match.end() :]}".encode()
    if not both[0]:
        raise CorpusError(
            "state = 'conflicted' needs a document in a folder with a sentence of 40 characters, or"
            " a test function, and there is neither"
        )
    names = " and ".join(Path(file).stem for file in both[0])
    return [
        Commit("docs", names, side, message=f"{verb} {names}")
        for side, verb in zip(both, ("Clarify", "Comment on"), strict=True)
    ]


def stop(root: Path, branch: str) -> list[str]:
    """Merge the branch, which stops; returns the files with conflicts. CorpusError if it goes
    through."""
    try:
        git(root, "merge", "-q", "--no-edit", branch)
    except CorpusError:
        files = git(root, "diff", "--name-only", "-z", "--diff-filter=U").split("\0")[:-1]
        if files:
            return files
        raise
    raise CorpusError(f"the merge of {branch} in {root} was to stop, and went through")
