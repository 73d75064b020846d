"""Punie: a coding agent for Python repositories that runs on the developer's own machine."""

TYPE_CHECKING = False  # true for type checkers; `typing` itself would be an import
if TYPE_CHECKING:
    from punie.api import Answer as Answer
    from punie.api import Punie as Punie

__version__ = "0.1.0"
__all__ = ["Answer", "Punie", "__version__"]


def __getattr__(name: str) -> object:
    """The public names, imported when they are first used: `import punie` loads nothing."""
    if name not in ("Answer", "Punie"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from punie import api

    found: object = getattr(api, name)
    return found
