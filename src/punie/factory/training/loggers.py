"""Losses to the trackers that people watch trainings with, by the package accelerate."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from punie.errors import ModelUnavailable, UsageError


class Loggers:
    """The trackers of one training; without names it does nothing."""

    def __init__(self, names: tuple[str, ...], folder: Path, configuration: dict[str, Any]) -> None:
        """Start the trackers `names`; those that write files write below `folder`.

        Raises UsageError for a name that accelerate does not know, ModelUnavailable when its
        package is not installed.
        """
        self.started: list[Any] = []
        if not names:
            return
        try:
            from accelerate.tracking import LOGGER_TYPE_TO_CLASS
        except ImportError as error:
            raise ModelUnavailable(
                f"loggers need accelerate ({error}): pip install -e '.[train]'"
            ) from None
        if unknown := [name for name in names if name not in LOGGER_TYPE_TO_CLASS]:
            there = ", ".join(sorted(LOGGER_TYPE_TO_CLASS))
            raise UsageError(f"loggers: {', '.join(unknown)} is not known; there are: {there}")
        for name in names:
            self.started.append(_start(name, LOGGER_TYPE_TO_CLASS[name], folder, configuration))

    def log(self, record: dict[str, Any]) -> None:
        """The numbers of a step's record."""
        values = {key: value for key, value in record.items() if isinstance(value, int | float)}
        step = int(values.pop("step"))
        for tracker in self.started:
            tracker.log(values, step=step)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Write what is not yet written, and end."""
        for tracker in self.started:
            tracker.finish()


def _start(name: str, kind: Any, folder: Path, configuration: dict[str, Any]) -> Any:
    try:
        with_folder = kind.requires_logging_directory
        tracker = kind("punie", str(folder)) if with_folder else kind("punie")
        tracker.start()
        plain = {k: v if isinstance(v, int | float) else str(v) for k, v in configuration.items()}
        tracker.store_init_configuration(plain)
    except ImportError as error:
        raise ModelUnavailable(
            f"logger {name!r} needs its package ({error}): pip install {name}"
        ) from None
    return tracker
