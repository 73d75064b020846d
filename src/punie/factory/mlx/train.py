"""Stage `train` on the MLX path: LoRA on the last layers or all of them, experts included.

mlx-lm makes the model and the LoRA pairs and its formats are kept; the loop is our own, since
mlx-lm's trains the last reply of a row only, keeps the last adapter rather than the best and
cannot go on after an interruption. The outputs folder holds `adapters.safetensors` and
`adapter_config.json` (mlx-lm's), `adapter.json` (the card), `log.jsonl`, and `meta.json`, written
last. With `mlx.launch` each process takes its share of every batch.
"""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx import nn, optimizers
from mlx.utils import tree_flatten, tree_map, tree_unflatten

from punie.engine.folder import FolderTokenizer
from punie.factory.mlx import model as models
from punie.factory.mlx.batches import batch_of, order
from punie.factory.mlx.options import MlxTrainOptions
from punie.factory.training.records import cut_log, require, same_run, write_json
from punie.factory.training.rows import Row, Rows, fixed_literals, read_rows
from punie.models import sha256_of
from punie.prompt import DIALECTS

Progress = Callable[[int, int, str], None]
"""Called with (steps done, steps planned, text)."""
FREE = {"out", "name", "tools_hash", "save_every", "report_every"}
"""Options that may change between an interruption and its resumption."""
CHECKPOINT = "checkpoint.safetensors"


def run(options: MlxTrainOptions, progress: Progress) -> Path:
    """Train, or go on training, and return the outputs folder. Raises UsageError for data that
    cannot be used or a folder that belongs to other options, ModelUnavailable without a base."""
    base = models.folder_of(options.base)
    mark = fingerprint(options, base)
    if (options.out / "meta.json").exists():
        require(options.out, mark)
        return options.out
    options.out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(options, base)
    trainer.restore(mark)
    trainer.train(progress, mark)
    if trainer.rank == 0:
        finish(trainer, mark)
    return options.out


def fingerprint(options: MlxTrainOptions, base: Path) -> dict[str, Any]:
    """What makes two runs the same run. The base is known by its configuration and the sizes of
    its files: hashing 17 GB at each start would take longer than a validation."""
    files = {"data": options.data, "validation": options.validation}
    shown = json.loads(options.model_dump_json(exclude=FREE | set(files) | {"base"}))
    sizes = {path.name: path.stat().st_size for path in sorted(base.glob("*.safetensors"))}
    inputs = {name: sha256_of(path) for name, path in files.items() if path}
    inputs["base"] = f"{sha256_of(base / 'config.json')} {json.dumps(sizes)}"
    return {"options": shown, "inputs": inputs}


def summed_loss(model: Any, ids: mx.array, trained: mx.array) -> mx.array:
    """Sum of the cross-entropies of the trained tokens; `ids` and `trained` are (rows, length)."""
    logits = model(ids[:, :-1]).astype(mx.float32)
    losses = nn.losses.cross_entropy(logits, ids[:, 1:])
    return (losses * trained[:, 1:]).sum()


class Trainer:
    """One training run: data, network, optimizer, and where it stands."""

    def __init__(self, options: MlxTrainOptions, base: Path) -> None:
        self.options, self.base = options, base
        self.world = mx.distributed.init()
        self.rank = int(self.world.rank())
        tokenizer, dialect = FolderTokenizer(base), DIALECTS[options.dialect]
        self.data = read_rows(options.data, tokenizer, dialect, options.longest)
        self.held_out: Rows | None = None
        if options.validation:
            self.held_out = read_rows(options.validation, tokenizer, dialect, options.longest)
        mx.random.seed(options.seed)
        self.model, _ = models.load(base)
        self.config = _lora_config(options, len(self.model.layers))
        models.adapt(self.model, self.config)
        if options.recompute:
            models.require("mlx_lm.tuner.trainer").grad_checkpoint(self.model.layers[0])
        self.counts = models.counts(self.model)
        self.optimizer = optimizers.AdamW(
            learning_rate=options.learning_rate, weight_decay=options.weight_decay
        )
        self.optimizer.init(self.model.trainable_parameters())
        self.gradient = nn.value_and_grad(self.model, summed_loss)
        self.steps = order(len(self.data.rows), options.batch, options.iterations, options.seed)
        self.step = self.tokens = self.targets = 0
        self.seconds = 0.0
        self.best: tuple[float, int, dict[str, mx.array]] | None = None
        self.validation_loss = math.nan

    def train(self, progress: Progress, mark: dict[str, Any]) -> None:
        """Run the remaining steps, with validation, log and checkpoints."""
        options, before, began = self.options, self.seconds, time.monotonic()
        first = self.tokens
        self.model.train()
        log = options.out / "log.jsonl"
        cut_log(log, self.step)
        while self.step < options.iterations:
            record = self._step()
            self.seconds = before + time.monotonic() - began
            last = self.step == options.iterations
            if self.held_out and (last or self.step % options.validate_every == 0):
                record["validation_loss"] = self.validate()
            speed = (self.tokens - first) / max(time.monotonic() - began, 1e-9)
            record |= {"tok_s": round(speed, 1), "elapsed": round(self.seconds, 3)}
            if self.rank == 0:
                with log.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(record) + "\n")
                if last or self.step == 1 or self.step % options.report_every == 0:
                    progress(self.step, options.iterations, self._line(record))
                if last or self.step % options.save_every == 0:
                    self.save(mark)

    def _step(self) -> dict[str, Any]:
        """One optimizer step. Gradients are those of the mean loss per trained token of the whole
        batch, whatever process computed which rows."""
        options = self.options
        rate = self._rate()
        members = [self.data.rows[n] for n in self.steps[self.step]]
        loss, gradients, targets = mx.array(0.0), None, 0
        if mine := members[self.rank :: int(self.world.size())]:
            ids, trained = batch_of(mine)
            loss, gradients = self.gradient(self.model, ids, trained)
            targets = int(trained[:, 1:].sum().item())
        if self.world.size() > 1:
            zeros = tree_map(mx.zeros_like, self.model.trainable_parameters())
            gradients = tree_map(mx.distributed.all_sum, gradients or zeros)
            loss = mx.distributed.all_sum(loss)
            targets = int(mx.distributed.all_sum(mx.array(targets)).item())
        gradients = tree_map(lambda g: g / targets, gradients)
        gradients, norm = optimizers.clip_grad_norm(gradients, options.clip or math.inf)
        mean, size = (loss / targets).item(), norm.item()
        if not math.isfinite(mean) or not math.isfinite(size):
            raise FloatingPointError(f"loss {mean}, gradient norm {size} at step {self.step}")
        self.optimizer.learning_rate = rate
        self.optimizer.update(self.model, gradients)
        mx.eval(self.model.trainable_parameters(), self.optimizer.state)
        self.step += 1
        self.tokens += sum(len(row.ids) for row in members)
        self.targets += targets
        done = {"step": self.step, "loss": round(mean, 5), "lr": rate, "norm": size}
        return done | {"tokens": self.tokens, "targets": self.targets}

    def _rate(self) -> float:
        """The learning rate of the next step."""
        options, share = self.options, self.step / self.options.iterations
        risen = (self.step + 1) / max(options.warmup * options.iterations, 1.0)
        fallen = 0.5 * (1 + math.cos(math.pi * share)) if options.decay == "cosine" else 1.0
        return options.learning_rate * min(1.0, risen) * fallen

    def validate(self) -> float:
        """Mean loss per trained token on the held-out rows; remembers the best weights."""
        assert self.held_out is not None
        self.validation_loss = self.mean_loss(self.held_out.rows)
        if self.best is None or self.validation_loss < self.best[0]:
            copies = {name: mx.array(a) for name, a in models.trainable(self.model).items()}
            mx.eval(copies)
            self.best = (self.validation_loss, self.step, copies)
        return round(self.validation_loss, 5)

    def mean_loss(self, rows: list[Row]) -> float:
        """Mean loss per trained token of the network as it stands, dropout off."""
        self.model.eval()
        total, targets = 0.0, 0
        for row in rows[self.rank :: int(self.world.size())]:
            ids, trained = batch_of([row])
            total += summed_loss(self.model, ids, trained).item()
            targets += int(trained[:, 1:].sum().item())
        self.model.train()
        sums = mx.distributed.all_sum(mx.array([total, float(targets)]))
        return float((sums[0] / sums[1]).item())

    def save(self, mark: dict[str, Any]) -> None:
        """Everything that `restore` needs to go on as if nothing had happened, in one file."""
        arrays = {f"model.{k}": v for k, v in models.trainable(self.model).items()}
        arrays |= {f"optimizer.{k}": v for k, v in tree_flatten(self.optimizer.state)}
        arrays |= {f"random.{n}": v for n, v in enumerate(mx.random.state)}
        if self.best:
            arrays |= {f"best.{k}": v for k, v in self.best[2].items()}
        names = ("step", "tokens", "targets", "seconds")
        state = {"mark": mark} | {name: getattr(self, name) for name in names}
        state["best"] = self.best[:2] if self.best else None
        models.save_arrays(
            self.options.out / CHECKPOINT, arrays, {"state": json.dumps(state), "format": "mlx"}
        )

    def restore(self, mark: dict[str, Any]) -> None:
        """Take up the run where its last checkpoint stands, if there is one."""
        path = self.options.out / CHECKPOINT
        if not path.exists():
            return
        arrays, metadata = mx.load(str(path), return_metadata=True)
        state = json.loads(metadata["state"])
        same_run(self.options.out, state["mark"], mark)
        parts: dict[str, dict[str, mx.array]] = {}
        for name, array in arrays.items():
            part, _, rest = name.partition(".")
            parts.setdefault(part, {})[rest] = array
        self.model.load_weights(list(parts["model"].items()), strict=False)
        self.optimizer.state = tree_unflatten(list(parts["optimizer"].items()))
        for number, value in parts["random"].items():
            mx.random.state[int(number)] = value
        for name in ("step", "tokens", "targets", "seconds"):
            setattr(self, name, state[name])
        if state["best"]:
            self.best = (state["best"][0], state["best"][1], parts["best"])

    def _line(self, record: dict[str, Any]) -> str:
        """One line for people: position, losses, rate, time gone and time left."""
        left = self.seconds / self.step * (self.options.iterations - self.step)
        return (
            f"step {self.step}/{self.options.iterations}  loss {record['loss']:.4f}"
            f"  validation {self.validation_loss:.4f}  {record['tok_s']:.0f} tok/s"
            f"  {self.seconds / 60:.1f} min, {left / 60:.1f} left"
        )


def _lora_config(options: MlxTrainOptions, layers: int) -> dict[str, Any]:
    """The adapter's configuration as mlx-lm writes and reads it."""
    parameters: dict[str, Any] = {
        "rank": options.rank,
        "scale": options.scale,
        "dropout": options.dropout,
    }
    if options.modules:
        parameters["keys"] = list(options.modules)
    count = layers if options.layers < 0 else min(options.layers, layers)
    return {"fine_tune_type": "lora", "num_layers": count, "lora_parameters": parameters}


def finish(trainer: Trainer, mark: dict[str, Any]) -> None:
    """Write the adapter, its card, and meta.json; the checkpoint goes."""
    options, out = trainer.options, trainer.options.out
    kept = trainer.best[1] if trainer.best else trainer.step
    arrays = trainer.best[2] if trainer.best else models.trainable(trainer.model)
    models.save_arrays(out / models.ADAPTER, arrays, {"format": "mlx"})
    base = {"model": options.base}
    write_json(out / models.CONFIG, trainer.config | base)
    rows = len(trainer.data.rows)
    summary = {
        "steps": trainer.step,
        "kept_step": kept,
        "validation_loss": {"best": trainer.best[0], "last": trainer.validation_loss}
        if trainer.best
        else {},
        "tokens": trainer.tokens,
        "target_tokens": trainer.targets,
        "epochs": round(trainer.step * options.batch / rows, 3),
        "seconds": round(trainer.seconds, 1),
        "tokens_per_second": round(trainer.tokens / max(trainer.seconds, 1e-9), 1),
        "rows": rows,
        "rows_too_long": trainer.data.too_long,
        "rows_without_answer": trainer.data.without_answer,
        "validation_rows": len(trainer.held_out.rows) if trainer.held_out else 0,
        "peak_memory_gb": round(mx.get_peak_memory() / 1e9, 2),
        "processes": int(trainer.world.size()),
        **trainer.counts,
    }
    card = {
        "name": options.name,
        "dialect": options.dialect,
        "base": options.base,
        "sha256": sha256_of(out / models.ADAPTER),
        "tools_hash": options.tools_hash,
        "literals": fixed_literals(options.data),
        "training": summary | {"data_sha256": mark["inputs"]["data"]},
    }
    write_json(out / "adapter.json", card)
    versions = {"python": platform.python_version()}
    versions |= {name: version(name) for name in ("mlx", "mlx-lm", "tokenizers")}
    given = json.loads(options.model_dump_json())
    write_json(
        out / "meta.json",
        {"stage": "train", "given": given, **mark, "versions": versions, "training": summary},
    )
    (out / CHECKPOINT).unlink(missing_ok=True)
