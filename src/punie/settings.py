"""One typed `Settings`: flag > environment > punie.toml / pyproject > user's file > default."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any, ClassVar, Literal

import platformdirs
from pydantic import Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    PyprojectTomlConfigSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from punie.approvals import Policy
from punie.errors import UsageError

OWNER_ONLY = frozenset(
    {"model", "read_only", "yes", "trust", "approve", "language_server", "python", "traces"}
    | {"telemetry"}
)
"""Settings that a repository's own files cannot make: they would let a cloned repository
run code, send questions elsewhere or approve its own effects."""


def data_folder() -> Path:
    """The user's own folder for traces, undo and trust; `PUNIE_DATA` overrides it."""
    given = os.environ.get("PUNIE_DATA")
    return Path(given) if given else platformdirs.user_data_path("punie")


class Settings(BaseSettings):
    """Everything that can be set. Environment names are `PUNIE_` plus the field's name."""

    model_config = SettingsConfigDict(
        env_prefix="PUNIE_",
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        pyproject_toml_table_header=("tool", "punie"),
    )
    files: ClassVar[tuple[Path | None, Path]] = (None, Path(os.devnull))
    """Workspace root and the user's settings file; set by `load`."""

    model: str = "default"
    """Model: `default` (the release in use), `release:NAME`, a path to a GGUF file,
    `http://host:port/v1#name`, or `scripted:FILE`."""
    profile: Literal["", "tuned", "general"] = ""
    """`tuned` for models trained on the tools, else `general`; empty = what the model says."""
    dialect: Literal["", "compact", "qwen3_coder"] = ""
    """How programs are marked in replies; empty = what the model says."""
    read_only: bool = False
    """Refuse everything but `read` tools."""
    yes: bool = False
    """Approve every effect without asking, and trust the workspace's tests."""
    trust: bool = False
    """Trust the workspace: `test` tools run its code without asking."""
    approve: Policy = Policy()
    """Rules for effects that are allowed or refused without asking (`allow`, `refuse`)."""
    language_server: str = ""
    """Command of the language server (standard input and output); empty = `ty server`."""
    python: str = ""
    """Python interpreter for the workspace's tests; empty = `.venv` of the workspace, else ours."""
    traces: bool = True
    """Store questions, programs and answers in the user's own data folder."""
    telemetry: bool = False
    """Export spans of answers by OpenTelemetry: names, times and counts only."""
    program_seconds: float = Field(default=10.0, gt=0)
    """Seconds a program may compute (time inside tools does not count)."""
    memory_mb: int = Field(default=256, ge=16)
    """Memory of the sandbox in MiB."""
    tool_calls: int = Field(default=100, ge=1)
    """Tool calls a program may make."""
    output_kb: int = Field(default=64, ge=1)
    """Output in kB of a program, and of a tool's long texts."""
    tool_seconds: float = Field(default=60.0, gt=0)
    """Seconds a tool may take."""
    test_seconds: float = Field(default=120.0, gt=0)
    """Seconds a `test` or `run` tool may take."""
    repairs: int = Field(default=2, ge=0, le=2)
    """How often a failed program goes back to the model."""
    max_tokens: int = Field(default=320, ge=16)
    """Tokens a reply may have."""
    context: int = Field(default=4096, ge=512)
    """Tokens of context that a local model is loaded with."""

    @field_validator("language_server")
    @classmethod
    def _splits(cls, value: str) -> str:
        shlex.split(value)
        return value

    @property
    def server_command(self) -> list[str] | None:
        """The language server's command line, or None for the default."""
        return shlex.split(self.language_server) or None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, environment, the workspace's files (without `OWNER_ONLY`), the user's file."""
        root, user = cls.files
        nothing = Path(os.devnull)

        def of(name: str) -> Path:  # to read a pipe may never end
            return root / name if root and (root / name).is_file() else nothing

        return (
            init_settings,
            env_settings,
            _Repository(settings_cls, of("punie.toml")),
            _RepositoryProject(settings_cls, of("pyproject.toml")),
            TomlConfigSettingsSource(settings_cls, user),
        )


class _Repository(TomlConfigSettingsSource):
    """`punie.toml` of the workspace, without the owner's settings."""

    def __call__(self) -> dict[str, Any]:
        return {k: v for k, v in super().__call__().items() if k not in OWNER_ONLY}


class _RepositoryProject(PyprojectTomlConfigSettingsSource):
    """`[tool.punie]` of the workspace's pyproject.toml, without the owner's settings."""

    def __call__(self) -> dict[str, Any]:
        return {k: v for k, v in super().__call__().items() if k not in OWNER_ONLY}


def load(root: Path | None = None, **flags: Any) -> Settings:
    """Read the settings for the workspace at `root`; `flags` that are None count as not given.

    Raises `UsageError` that lists every wrong setting.
    """

    class Bound(Settings):
        files = (root, platformdirs.user_config_path("punie") / "punie.toml")

    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return Bound(**given)
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        known = ", ".join(Settings.model_fields)
        text = "\n".join(["settings cannot be used:", *lines, f"known settings: {known}"])
        raise UsageError(text) from None
    except (ValueError, AttributeError, TypeError, OSError) as error:  # a file of another shape
        raise UsageError(f"a settings file cannot be read: {error}") from None
