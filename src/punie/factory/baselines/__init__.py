"""What a model must beat, graded by the same judge on the same workspaces.

`untuned` is the base model with the tools' stubs in its prompt, `keywords` a router by words,
`nearest` the training example that is most like the question, its slots filled. All three are
for measuring: none of them ever answers a user.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from punie.engine.scripted import ScriptedEngine
from punie.errors import UsageError
from punie.factory.baselines.keywords import route
from punie.factory.baselines.nearest import Nearest
from punie.models import base_file
from punie.models.spec import Model, open_model
from punie.prompt import COMPACT, Message
from punie.settings import Settings
from punie.terminal import Progress

NAMES = ("untuned", "keywords", "nearest")


async def open_baseline(
    name: str, settings: Settings, progress: Progress, data: Path | None = None
) -> Model:
    """A baseline as a model. `data` is a file of training rows, which `nearest` needs. Raises
    UsageError when it is missing or the name is unknown."""
    if name == "untuned":
        base = settings.model_copy(update={"model": str(base_file()), "profile": "", "dialect": ""})
        return await open_model(base, progress)
    if name == "keywords":
        return _scripted(name, route)
    if name == "nearest":
        if data is None:
            raise UsageError("the baseline 'nearest' needs training rows: --rows out/…/train.jsonl")
        return _scripted(name, Nearest.read(data).reply)
    raise UsageError(f"no baseline {name!r}; there are: {', '.join(NAMES)}")


def _scripted(name: str, reply: Callable[[str], tuple[str, str]]) -> Model:
    def answer(messages: Sequence[Message]) -> str:
        asked = next(m["content"] for m in reversed(messages) if m["role"] == "user")
        code, words = reply(asked)
        return f"{COMPACT.code_open}{code}" if code else words

    return Model(ScriptedEngine(answer, name), COMPACT, "tuned", "")
