"""The owner's rules for effects: which are allowed, which refused, without asking.

They stand in the user's own settings file (a repository cannot make them), for the command line
and the servers alike:

```toml
[approve]
allow = [{effect = "test"}, {path = "docs/*"}, {command = "git fetch*"}]
refuse = [{tool = "run_command", command = "*sudo*"}]
```

A rule holds when all that it names matches; what no rule decides is asked. `refuse` comes first.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

_SHELL = re.compile(r"[;&|<>$`\\\n\r(){}#]")
"""What lets a command line do more than its first words say."""


class Rule(BaseModel):
    """What a rule is about; it names at least one thing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    effect: Literal["test", "write", "run", ""] = ""
    tool: str = ""
    path: str = ""
    """Pattern of the path in the workspace, with links followed; `*` also meets `/`."""
    command: str = ""
    """Pattern of the whole command line."""

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not (self.effect or self.tool or self.path or self.command):
            raise ValueError("a rule needs effect, tool, path or command")
        return self

    def __str__(self) -> str:
        """The rule as settings have it."""
        pairs = self.model_dump(exclude_defaults=True).items()
        return ", ".join(f"{name} = {value!r}" for name, value in pairs)

    def matches(self, effect: str, tool: str, path: str | None, command: str | None) -> bool:
        """Whether all that it names is so."""
        return (
            self.effect in ("", effect)
            and self.tool in ("", tool)
            and _like(self.path, path)
            and _like(self.command, command)
        )


class Policy(BaseModel):
    """The rules, as `[approve]` in the settings has them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    allow: tuple[Rule, ...] = ()
    refuse: tuple[Rule, ...] = ()

    def decide(
        self, effect: str, tool: str, path: str | None, command: str | None
    ) -> tuple[Literal["allow", "refuse"], Rule] | None:
        """What the first matching rule says; None where the user is to be asked.

        A pattern of a command allows none that a shell would read as more than words: `git fetch*`
        does not allow `git fetch; rm x`.
        """
        for rule in self.refuse:
            if rule.matches(effect, tool, path, command):
                return "refuse", rule
        for rule in self.allow:
            simple = command is None or not rule.command or not shell_adds(command)
            if simple and rule.matches(effect, tool, path, command):
                return "allow", rule
        return None


def shell_adds(command: str) -> bool:
    """Whether a shell would read more than words in a command line."""
    return bool(_SHELL.search(command))


def _like(pattern: str, value: str | None) -> bool:
    return not pattern or (value is not None and fnmatchcase(value, pattern))
