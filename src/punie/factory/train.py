"""Stage `train`: LoRA on every linear layer of a dequantized GGUF, or its weights in full, on CPU.

The outputs folder holds `adapter.gguf` (what is shipped), `adapter-f32.gguf` (exact, to start
from again), `adapter.json` (its card), `log.jsonl`, and `meta.json`, which is written last: a
folder with it is complete, one without is resumed from `checkpoint.pt`. No random number is
drawn but for the order of rows and the first A, both from `seed`; so a resumed run gives the
weights of an unbroken one (unless `max_minutes` lets the clock into the schedule). Several
processes that were started together make one training (`training.processes`).
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

from punie.factory.training import scored
from punie.factory.training.base import TrainingTokenizer, weights
from punie.factory.training.loggers import Loggers
from punie.factory.training.lora import Batch, LoraLlama, pack
from punie.factory.training.markers import marker_rows
from punie.factory.training.options import TrainOptions
from punie.factory.training.outputs import ADAPTED, Checkpoint, fingerprint, finish
from punie.factory.training.processes import Processes
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


Judge = Callable[["Trainer"], float]
"""The share of a suite's questions that the network, as it stands, answers well."""


def run(options: TrainOptions, progress: Progress = to_stderr, judge: Judge | None = None) -> Path:
    """Train, or go on training, and return the outputs folder. `judge` scores candidates in place
    of `score_suite`. Raises UsageError for data that cannot be used or a folder that belongs to
    other options."""
    mark = fingerprint(options)
    processes = Processes(torch.device(options.device))
    try:
        if processes.agreed((options.out / "meta.json").exists()):
            if processes.first:
                Checkpoint.require(options.out, mark)
            return options.out
        if judge is None and options.score_suite:
            judge = scored.judge(options, mark)
        _train(Trainer(options, processes, judge), mark, progress)
    finally:
        processes.close()
    return options.out


def _train(trainer: Trainer, mark: dict[str, Any], progress: Progress) -> None:
    options, first = trainer.options, trainer.processes.first
    if first:
        options.out.mkdir(parents=True, exist_ok=True)
        print(trainer.plan(), file=sys.stderr, flush=True)
    checkpoint = Checkpoint(options.out, mark)
    trainer.restore(checkpoint)
    trainer.train(checkpoint, progress)
    if not first:
        return
    checkpoint.save(trainer.state())
    for sign in finish(options, mark, trainer):
        print(f"warning: {sign}", file=sys.stderr, flush=True)
    checkpoint.path.unlink(missing_ok=True)


class Trainer:
    """One training run: data, network, optimizer, and where it stands."""

    def __init__(
        self,
        options: TrainOptions,
        processes: Processes | None = None,
        judge: Judge | None = None,
    ) -> None:
        self.options, self.judge = options, judge
        self.processes = processes or Processes(torch.device(options.device))
        self.device = self.processes.device
        torch.set_flush_denormal(True)
        reader = open_gguf(options.base_file)
        tokenizer, dialect = TrainingTokenizer(reader), DIALECTS[options.dialect]
        self.data = read_rows(options.data, tokenizer, dialect, options.longest)
        self.held_out: Rows | None = None
        if options.validation:
            self.held_out = read_rows(options.validation, tokenizer, dialect, options.longest)
        dtype = faster_dtype() if options.dtype == "auto" else getattr(torch, options.dtype)
        self.dtype = self.processes.agreed(dtype)  # a measurement may come out otherwise elsewhere
        state = {name: torch.tensor(values) for name, values in weights(reader).items()}
        self.network = LoraLlama(
            shape_of(reader),
            state,
            rank=options.rank if options.method == "lora" else 0,
            alpha=options.alpha,
            seed=options.seed,
            dtype=self.dtype,
            rows=marker_rows(self.data, tokenizer, state["model.embed_tokens.weight"]),
            layers=options.layers,
            device=self.device,
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
        """The validation loss, step and parameters of the least loss so far."""
        self.chosen: tuple[float, int, list[Tensor]] | None = None
        """The same of the best score so far."""
        self.validation_loss = math.nan
        self.stale = 0
        cores = max(1, (os.cpu_count() or 1) // self.processes.here)
        self.threads = options.threads or (cores if self.device.type == "cpu" else 1)
        # One micro-batch per thread, each thread without helpers: unlike parallel products this
        # does not stall when other programs take a core, and its sums have a fixed order.
        self.pool = ThreadPoolExecutor(
            self.threads, initializer=torch.set_num_threads, initargs=(1,)
        )

    def train(self, checkpoint: Checkpoint, progress: Progress) -> None:
        """Run the remaining steps, with validation, log and checkpoints."""
        began, before, saved = time.monotonic(), self.seconds, time.monotonic()
        first_tokens = self.tokens
        with Loggers(self._loggers(), self.options.out, self._configuration()) as loggers:
            while (share := self.processes.agreed(self.share())) < 1.0 and not self.lost_patience:
                record = self._step(share)
                self.seconds = before + time.monotonic() - began
                speed = (self.tokens - first_tokens) / (time.monotonic() - began)
                last = self.processes.agreed(self.share()) >= 1.0
                if self.held_out and (last or self.step % self.options.validate_every == 0):
                    record["validation_loss"] = self.validate()
                if self.judge and (last or self.step % self.options.score_every == 0):
                    asked = time.monotonic()
                    record["score"] = self.score()
                    began += time.monotonic() - asked  # the schedule's minutes are for training
                if not self.processes.first:
                    continue
                record |= {"tok_s": round(speed, 1), "elapsed": round(self.seconds, 3)}
                checkpoint.note(record)
                loggers.log(record)
                progress(self.step, len(self.steps), self._line(record))
                if time.monotonic() - saved >= 60 * self.options.checkpoint_minutes:
                    checkpoint.save(self.state())
                    saved = time.monotonic()

    def _loggers(self) -> tuple[str, ...]:
        return self.options.loggers if self.processes.first else ()

    def _configuration(self) -> dict[str, Any]:
        shown: dict[str, Any] = json.loads(self.options.model_dump_json(exclude_none=True))
        return shown

    def plan(self) -> str:
        """What is trained on what, in words."""
        options, lengths = self.options, self.data.lengths
        values = sum(parameter.numel() for parameter in self.parameters)
        blocks = f"the last {options.layers} of" if options.layers else "all"
        kind = f"of rank {options.rank} beside" if options.method == "lora" else "in full, of"
        together = self.processes.count
        return (
            f"{len(lengths)} rows of {sum(lengths)} tokens, {len(self.steps)} steps in "
            f"{options.epochs} epochs; {values} values {kind} "
            f"{', '.join(ADAPTED)} of {blocks} {self.network.shape.layers} blocks"
            + (f"; {together} processes" if together > 1 else "")
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
        `numbers`, on all processes; gives (that mean, tokens, target tokens)."""
        lengths = self.data.lengths
        total = sum(lengths[n] for n in numbers)
        workers = self.threads * self.processes.count
        rounds = max(1, math.ceil(total / (self.options.micro_tokens * workers)))
        batches = [
            pack([(row.ids, row.trained) for row in map(self.data.rows.__getitem__, members)])
            for members in balanced(numbers, lengths, rounds * workers)
        ]
        targets = sum(len(batch.targets) for batch in batches)

        def work(batch: Batch) -> tuple[float, tuple[Tensor, ...]]:
            loss = self.network.loss(batch)
            return loss.item(), torch.autograd.grad(loss / targets, self.parameters)

        mean = 0.0
        self.optimizer.zero_grad()
        for loss, grads in self.pool.map(work, self.processes.share(batches)):
            mean += loss / targets
            for parameter, grad in zip(self.parameters, grads, strict=True):
                parameter.grad = grad if parameter.grad is None else parameter.grad.add_(grad)
        if self.processes.count > 1:
            for parameter in self.parameters:  # one that had no batch to work on
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
            self.processes.total([parameter.grad for parameter in self.parameters])
            (mean,) = self.processes.totals(mean)
        return mean, total, targets

    def validate(self) -> float:
        """Mean loss per target token on the held-out rows; remembers the best weights."""
        assert self.held_out is not None
        self.validation_loss = self.mean_loss(self.held_out, together=True)
        self.stale += 1
        if self.best is None or self.validation_loss < self.best[0]:
            self.stale = 0
            self.best = (self.validation_loss, self.step, self._copies())
        return round(self.validation_loss, 5)

    def score(self) -> float:
        """What the judge gives the network as it stands; remembers the best weights."""
        assert self.judge is not None
        found = self.processes.agreed(self.judge(self) if self.processes.first else 0.0)
        if self.chosen is None or found > self.chosen[0]:
            self.chosen = (found, self.step, self._copies())
        return found

    def _copies(self) -> list[Tensor]:
        return [parameter.detach().clone() for parameter in self.parameters]

    def mean_loss(self, rows: Rows, *, together: bool = False) -> float:
        """Mean loss per target token of the network as it stands; `together` with the other
        processes, which then must ask for it, too."""
        groups = list(chunks(rows.rows, self.options.micro_tokens))
        if together:
            groups = list(self.processes.share(groups))

        def work(members: list[Row]) -> tuple[float, int]:
            with torch.no_grad():
                batch = pack([(row.ids, row.trained) for row in members])
                return self.network.loss(batch).item(), len(batch.targets)

        found = list(self.pool.map(work, groups))
        sums = [sum(loss for loss, _ in found), float(sum(count for _, count in found))]
        losses, targets = self.processes.totals(*sums) if together else sums
        return losses / targets

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
            "chosen": self.chosen,
            "validation_loss": self.validation_loss,
            "stale": self.stale,
        }

    def restore(self, checkpoint: Checkpoint) -> None:
        """Take up the run where its last checkpoint stands, if there is one."""
        state = checkpoint.load() if self.processes.first else None
        if self.processes.first:
            checkpoint.cut_log(state["step"] if state else 0)
        state = self.processes.agreed(state)
        if state is None:
            return
        with torch.no_grad():
            for parameter, saved in zip(self.parameters, state["parameters"], strict=True):
                parameter.copy_(saved)
        self.optimizer.load_state_dict(state["optimizer"])
        for name in ("step", "tokens", "targets", "seconds", "best", "validation_loss"):
            setattr(self, name, state[name])
        self.stale = state.get("stale", 0)  # both came later than the first checkpoints
        self.chosen = state.get("chosen")
        self.network.merge()

    def _line(self, record: dict[str, Any]) -> str:
        """One line for people: position, losses, rate, time gone and time left."""
        share = max(self.share(), 1e-9)
        left = self.seconds * (1 - share) / share / 60
        return (
            f"step {self.step}/{len(self.steps)}  loss {record['loss']:.4f}"
            f"  validation {self.validation_loss:.4f}{_score(record)}  {record['tok_s']:.0f} tok/s"
            f"  {self.seconds / 60:.1f} min, {left:.1f} left"
        )


def _score(record: dict[str, Any]) -> str:
    return f"  score {record['score']:.3f}" if "score" in record else ""


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
