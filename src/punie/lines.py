"""Lines that a person types: edited and remembered by readline, read plainly from a pipe.

readline is chosen over a larger library: it comes with Python, loads in a millisecond, knows the
user's own key bindings, and leaves the terminal alone while an answer is printed.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from punie.redact import redact

KEPT = 1000
"""Lines that are remembered."""


class Lines:
    """Reads lines; `file` remembers them, without secrets, None = nothing does."""

    def __init__(self, file: Path | None = None, words: Sequence[str] = ()) -> None:
        """`words` are completed at the start of a line with Tab."""
        self.file, self.words = file, sorted(words)
        self.terminal = sys.stdin.isatty() and sys.stdout.isatty()
        if self.terminal:
            self._prepare()

    def read(self, prompt: str) -> str | None:
        """A line, None at the end of the input. One that ends in a backslash goes on in the next.

        Raises `KeyboardInterrupt` for Ctrl-C; what was typed is dropped.
        """
        found = []
        while (line := self._one(prompt)) is not None:
            found.append(line.removesuffix("\\"))
            if not line.endswith("\\"):
                break
            prompt = "." * (len(prompt) - 1) + " "
        if not found:
            return None
        text = "\n".join(found)
        if self.terminal and text.strip():
            self._remember(text)
        return text

    def _one(self, prompt: str) -> str | None:
        if not self.terminal:
            line = sys.stdin.readline()
            return line.rstrip("\n") if line else None
        try:
            return input(prompt)
        except EOFError:
            return None

    def _prepare(self) -> None:
        try:
            import readline
        except ImportError:  # a Python without it: lines are read without editing
            return
        readline.set_completer(self._complete)
        readline.set_completer_delims(" \n")
        edit = "libedit" in (readline.__doc__ or "")
        readline.parse_and_bind("bind ^I rl_complete" if edit else "tab: complete")
        if self.file:
            with contextlib.suppress(OSError):
                for line in self.file.read_text("utf-8", "replace").splitlines()[-KEPT:]:
                    readline.add_history(line)

    def _complete(self, text: str, state: int) -> str | None:
        fitting = [word for word in self.words if word.startswith(text)] if text else []
        return fitting[state] + " " if state < len(fitting) else None

    def _remember(self, text: str) -> None:
        if not self.file:
            return
        with contextlib.suppress(OSError):  # a full disk costs the memory of a line
            self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            with open(os.open(self.file, flags, 0o600), "a", encoding="utf-8") as file:
                file.write(" ".join(redact(text).split()) + "\n")
