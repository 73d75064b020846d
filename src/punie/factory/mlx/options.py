"""The options of the stages `train`, `fuse` and `quantize` on the MLX path."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Bits = Literal[4, 5, 6, 8]


class MlxTrainOptions(BaseModel):
    """What is trained, on what, and how. The defaults are those of mlx-lm and the reference."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    backend: Literal["mlx"] = "mlx"
    """The other backend is `torch`."""
    data: Path
    """Training rows: JSON Lines of `{"id", "messages"}`."""
    out: Path
    """Outputs folder; one that was interrupted is resumed."""
    base: str
    """Base model: a folder that mlx-lm loads, or the name of one on the Hugging Face hub, which
    mlx-lm then downloads."""
    validation: Path | None = None
    """Held-out rows of the same form; with them the best adapter is kept, else the last."""
    dialect: str = "qwen3_coder"
    """Dialect in which the rows are rendered."""
    tools_hash: str = ""
    """Hash of the tool set that the rows were generated with; recorded in the adapter's card."""
    name: str = "punie-mlx"
    """Name of the model that base and adapter make."""
    iterations: int = Field(default=800, ge=1)
    """Optimizer steps."""
    batch: int = Field(default=1, ge=1)
    """Rows of one step, over all processes."""
    learning_rate: float = Field(default=1e-4, gt=0)
    """Peak learning rate of AdamW."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Weight decay of AdamW."""
    warmup: float = Field(default=0.03, ge=0, lt=1)
    """Share of the steps in which the rate rises."""
    decay: Literal["cosine", "none"] = "cosine"
    """How the rate falls after the warm-up: to zero, or not at all."""
    clip: float | None = Field(default=1.0, gt=0)
    """Largest norm of the gradient; none = no limit."""
    layers: int = Field(default=-1)
    """Adapted layers, counted from the last; -1 = all."""
    rank: int = Field(default=8, ge=1)
    """Rank of every LoRA pair."""
    scale: float = Field(default=20.0, gt=0)
    """Factor of the update, as mlx-lm means it (others write it as alpha / rank)."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout before each LoRA pair."""
    modules: tuple[str, ...] = ()
    """Adapted modules of a layer, as `self_attn.q_proj`; none = all linear ones, experts too."""
    longest: int = Field(default=2048, ge=8)
    """Tokens a row may have; longer rows are left out and counted, never cut."""
    validate_every: int = Field(default=50, ge=1)
    """Steps between two validations."""
    report_every: int = Field(default=10, ge=1)
    """Steps between two lines of progress."""
    save_every: int = Field(default=50, ge=1)
    """Steps between two checkpoints."""
    recompute: bool = False
    """Compute activations twice instead of keeping them: less memory, a third more time."""
    seed: int = 42
    """Seed of the row order, the first A and dropout."""


class MlxFuseOptions(BaseModel):
    """What is fused, and into what."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    adapter: Path
    """Outputs folder of stage `train`."""
    out: Path
    """Outputs folder: an MLX folder with float weights."""
    base: str | None = None
    """Base model; none = the one that the adapter was trained on."""
    dtype: Literal["float16", "bfloat16"] = "float16"
    """Number format of the weights."""


class MlxQuantizeOptions(BaseModel):
    """What is quantized, and how far."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    fused: Path
    """Outputs folder of stage `fuse`."""
    out: Path
    """Outputs folder: a quantized MLX folder."""
    bits: Bits = 5
    """Bits of a weight, without scales and offsets."""
    group_size: Literal[32, 64, 128] = 64
    """Weights that share a scale and an offset."""
