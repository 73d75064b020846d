"""Stage `train`: LoRA on every linear layer of a dequantized GGUF, on CPU.

The outputs folder holds `adapter.gguf` (what is shipped), `adapter-f32.gguf` (exact, to start
from again), `adapter.json` (its card), `log.jsonl`, and `meta.json`, which is written last: a
folder with it is complete, one without is resumed from `checkpoint.pt`. No random number is
drawn but for the order of rows and the first A, both from `seed`; so a resumed run gives the
weights of an unbroken one (unless `max_minutes` lets the clock into the schedule).
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from punie.factory.training.base import TrainingTokenizer, weights
from punie.factory.training.lora import LoraLlama, pack
from punie.factory.training.markers import marker_rows
from punie.factory.training.options import TrainOptions
from punie.factory.training.outputs import ADAPTED, Checkpoint, fingerprint, finish
from punie.factory.training.rows import (
    Row,
    Rows,
    balanced,
    chunks,
    read_rows,
    steps_of,
)
from punie.models.adapter import read_adapter
from punie.models.weights import open_gguf, shape_of
from punie.prompt import DIALECTS

Progress = Callable[[int, int, str], None]
"""Called after each step with (steps done, steps planned, text)."""


def to_stderr(done: int, total: int, text: str) -> None:
    """One line, rewritten in place on a terminal, else once in 20 steps."""
    if sys.stderr.isatty():
        print(f"\r{text:<110}", end="\n" if done == total else "", file=sys.stderr, flush=True)
    elif done % 20 == 0 or done <= 2 or done == total:
        print(text, file=sys.stderr, flush=True)


def run(options: TrainOptions, progress: Progress = to_stderr) -> Path:
    """Train, or go on training, and return the outputs folder. Raises UsageError for data that
    cannot be used or a folder that belongs to other options."""
    mark = fingerprint(options)
    if (options.out / "meta.json").exists():
        Checkpoint.require(options.out, mark)
        return options.out
    options.out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(options)
    checkpoint = Checkpoint(options.out, mark)
    trainer.restore(checkpoint)
    print(trainer.plan(), file=sys.stderr, flush=True)
    trainer.train(checkpoint, progress)
    checkpoint.save(trainer.state())
    for sign in finish(options, mark, trainer):
        print(f"warning: {sign}", file=sys.stderr, flush=True)
    checkpoint.path.unlink(missing_ok=True)
    return options.out


class Trainer:
    """One training run: data, network, optimizer, and where it stands."""

    def __init__(self, options: TrainOptions) -> None:
        self.options = options
        torch.set_flush_denormal(True)
        reader = open_gguf(options.base_file)
        tokenizer, dialect = TrainingTokenizer(reader), DIALECTS[options.dialect]
        self.data = read_rows(options.data, tokenizer, dialect, options.longest)
        self.held_out: Rows | None = None
        if options.validation:
            self.held_out = read_rows(options.validation, tokenizer, dialect, options.longest)
        self.dtype = faster_dtype() if options.dtype == "auto" else getattr(torch, options.dtype)
        state = {name: torch.tensor(values) for name, values in weights(reader).items()}
        self.network = LoraLlama(
            shape_of(reader),
            state,
            rank=options.rank,
            alpha=options.alpha,
            seed=options.seed,
            dtype=self.dtype,
            rows=marker_rows(self.data, tokenizer, state["model.embed_tokens.weight"]),
        )
        if options.init_adapter:
            self.network.load(read_adapter(options.init_adapter))
        self.parameters = self.network.parameters
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=options.learning_rate, weight_decay=options.weight_decay, fused=True
        )
        lengths = self.data.lengths
        steps = steps_of(lengths, options.batch_tokens, options.epochs, options.seed)
        self.steps = steps[options.seen_steps :] + steps[: options.seen_steps]
        self.step = self.tokens = self.targets = 0
        self.seconds = 0.0
        self.best: tuple[float, int, list[Tensor]] | None = None
        self.validation_loss = math.nan
        self.stale = 0
        self.threads = options.threads or os.cpu_count() or 1
        # One micro-batch per thread, each thread without helpers: unlike parallel products this
        # does not stall when other programs take a core, and its sums have a fixed order.
        self.pool = ThreadPoolExecutor(
            self.threads, initializer=torch.set_num_threads, initargs=(1,)
        )

    def train(self, checkpoint: Checkpoint, progress: Progress) -> None:
        """Run the remaining steps, with validation, log and checkpoints."""
        began, before, saved = time.monotonic(), self.seconds, time.monotonic()
        first_tokens = self.tokens
        with (self.options.out / "log.jsonl").open("a", encoding="utf-8") as log:
            while (share := self.share()) < 1.0 and not self.lost_patience:
                record = self._step(share)
                self.seconds = before + time.monotonic() - began
                speed = (self.tokens - first_tokens) / (time.monotonic() - began)
                due = self.step % self.options.validate_every == 0 or self.share() >= 1.0
                if self.held_out and due:
                    record["validation_loss"] = self.validate()
                record |= {"tok_s": round(speed, 1), "elapsed": round(self.seconds, 3)}
                log.write(json.dumps(record) + "\n")
                log.flush()
                progress(self.step, len(self.steps), self._line(record))
                if time.monotonic() - saved >= 60 * self.options.checkpoint_minutes:
                    checkpoint.save(self.state())
                    saved = time.monotonic()

    def plan(self) -> str:
        """What is trained on what, in words."""
        options, lengths = self.options, self.data.lengths
        values = sum(parameter.numel() for parameter in self.parameters)
        return (
            f"{len(lengths)} rows of {sum(lengths)} tokens, {len(self.steps)} steps in "
            f"{options.epochs} epochs; {values} values of rank {options.rank} beside "
            f"{', '.join(ADAPTED)} of all {self.network.shape.layers} blocks"
        )

    @property
    def lost_patience(self) -> bool:
        """Whether the validation loss has not fallen for as long as the options allow."""
        return 0 < self.options.patience <= self.stale

    def share(self) -> float:
        """How much of the run is over, 0 to 1, by steps or by the clock, whichever is ahead: the
        schedule follows it, so that warm-up and decay both lie inside a budget of minutes."""
        done = self.step / len(self.steps)
        budget = 60 * (self.options.max_minutes or math.inf)
        return min(max(done, self.seconds / budget), 1.0)

    def _step(self, share: float) -> dict[str, Any]:
        """One optimizer step: gradients of all micro-batches, clipping, AdamW, merging."""
        options = self.options
        risen = (share + 1 / len(self.steps)) / max(options.warmup, 1e-9)
        rate = options.learning_rate * min(1.0, risen)
        rate *= 0.5 * (1 + math.cos(math.pi * share))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss, tokens, targets = self._gradients(self.steps[self.step])
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, options.clip)
        if not math.isfinite(loss) or not math.isfinite(float(norm)):
            raise FloatingPointError(f"loss {loss}, gradient norm {norm} at step {self.step}")
        self.optimizer.step()
        self.network.merge()
        self.step += 1
        self.tokens += tokens
        self.targets += targets
        done = {"step": self.step, "loss": round(loss, 5), "lr": rate, "norm": float(norm)}
        return done | {"tokens": self.tokens, "targets": self.targets}

    def _gradients(self, numbers: list[int]) -> tuple[float, int, int]:
        """Fill `.grad` with the gradient of the mean loss per target token over the rows
        `numbers`; gives (that mean, tokens, target tokens)."""
        lengths = self.data.lengths
        total = sum(lengths[n] for n in numbers)
        rounds = max(1, math.ceil(total / (self.options.micro_tokens * self.threads)))
        batches = [
            pack([(row.ids, row.trained) for row in map(self.data.rows.__getitem__, members)])
            for members in balanced(numbers, lengths, rounds * self.threads)
        ]
        targets = sum(len(batch.targets) for batch in batches)

        def work(number: int) -> tuple[float, tuple[Tensor, ...]]:
            loss = self.network.loss(batches[number])
            return loss.item(), torch.autograd.grad(loss / targets, self.parameters)

        mean = 0.0
        for place, (loss, grads) in enumerate(self.pool.map(work, range(len(batches)))):
            mean += loss / targets
            for parameter, grad in zip(self.parameters, grads, strict=True):
                if place == 0 or parameter.grad is None:
                    parameter.grad = grad
                else:
                    parameter.grad += grad
        return mean, total, targets

    def validate(self) -> float:
        """Mean loss per target token on the held-out rows; remembers the best weights."""
        assert self.held_out is not None
        self.validation_loss = self.mean_loss(self.held_out)
        self.stale += 1
        if self.best is None or self.validation_loss < self.best[0]:
            self.stale = 0
            copies = [parameter.detach().clone() for parameter in self.parameters]
            self.best = (self.validation_loss, self.step, copies)
        return round(self.validation_loss, 5)

    def mean_loss(self, rows: Rows) -> float:
        """Mean loss per target token of the network as it stands."""
        groups = list(chunks(rows.rows, self.options.micro_tokens))

        def work(members: list[Row]) -> tuple[float, int]:
            with torch.no_grad():
                batch = pack([(row.ids, row.trained) for row in members])
                return self.network.loss(batch).item(), len(batch.targets)

        losses, targets = zip(*self.pool.map(work, groups), strict=True)
        return float(sum(losses) / sum(targets))

    def state(self) -> dict[str, Any]:
        """Everything that `restore` needs to go on as if nothing had happened."""
        return {
            "parameters": list(self.parameters),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "tokens": self.tokens,
            "targets": self.targets,
            "seconds": self.seconds,
            "best": self.best,
            "validation_loss": self.validation_loss,
            "stale": self.stale,
        }

    def restore(self, checkpoint: Checkpoint) -> None:
        """Take up the run where its last checkpoint stands, if there is one."""
        state = checkpoint.load()
        checkpoint.cut_log(state["step"] if state else 0)
        if state is None:
            return
        with torch.no_grad():
            for parameter, saved in zip(self.parameters, state["parameters"], strict=True):
                parameter.copy_(saved)
        self.optimizer.load_state_dict(state["optimizer"])
        for name in ("step", "tokens", "targets", "seconds", "best", "validation_loss", "stale"):
            setattr(self, name, state.get(name, 0))  # none counted in vain before it was counted
        self.network.merge()

    def _line(self, record: dict[str, Any]) -> str:
        """One line for people: position, losses, rate, time gone and time left."""
        share = max(self.share(), 1e-9)
        left = self.seconds * (1 - share) / share / 60
        return (
            f"step {self.step}/{len(self.steps)}  loss {record['loss']:.4f}"
            f"  validation {self.validation_loss:.4f}  {record['tok_s']:.0f} tok/s"
            f"  {self.seconds / 60:.1f} min, {left:.1f} left"
        )


def faster_dtype() -> torch.dtype:
    """bfloat16 where this machine multiplies it faster than float32, measured in 0.1 s."""
    times: dict[torch.dtype, float] = {}
    for dtype in (torch.float32, torch.bfloat16):
        left, right = torch.ones(1024, 576, dtype=dtype), torch.ones(576, 1536, dtype=dtype)
        left @ right
        tries: list[float] = []
        for _ in range(5):
            began = time.perf_counter()
            left @ right
            tries.append(time.perf_counter() - began)
        times[dtype] = min(tries)
    return min(times, key=times.__getitem__)
