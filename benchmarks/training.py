"""Training throughput beside a bare torch loop of the same model, rows and steps, in one run.

    .venv/bin/python benchmarks/training.py [--steps 12] [--batch-tokens 1024] [--dtype auto]

The bare loop is what one would write first: transformers' LlamaForCausalLM in the same number
format, a LoRA pair beside every linear layer, rows padded to the longest of a micro-batch, the
same loss, clipping and AdamW, torch's own threads. Both take the same rows in the same steps, in
turn; the first step of each warms up and is left out. The rows are the development suite's
questions with their reference programs; `padding` is the share of the bare loop's tokens that are
none of a row. Needs the extras `train` and `dev`.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from punie.factory.huggingface import config
from punie.factory.suite import load_suite
from punie.factory.train import Trainer
from punie.factory.training.base import LINEARS, weights
from punie.factory.training.options import TrainOptions
from punie.factory.training.rows import Row, balanced
from punie.models.weights import open_gguf
from punie.prompt import SYSTEM_TUNED


class Lora(nn.Module):  # type: ignore[misc]
    """A frozen linear layer with a trained pair beside it."""

    def __init__(self, linear: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        self.linear, self.scale = linear.requires_grad_(False), alpha / rank
        self.a = nn.Parameter(torch.empty(rank, linear.in_features))
        self.b = nn.Parameter(torch.zeros(linear.out_features, rank))
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        """x·Wᵀ + scale·x·Aᵀ·Bᵀ."""
        kind = x.dtype
        product: Tensor = self.linear(x)
        return product + self.scale * (x @ self.a.to(kind).t()) @ self.b.to(kind).t()


class Bare:
    """The bare loop over a trainer's rows and steps."""

    def __init__(self, trainer: Trainer) -> None:
        options = trainer.options
        reader = open_gguf(options.base_file)
        self.model = LlamaForCausalLM(LlamaConfig(**config(reader, tied=True))).float()
        state = {name: torch.tensor(values) for name, values in weights(reader).items()}
        self.model.load_state_dict(state, strict=False)
        self.model.to(trainer.dtype).requires_grad_(False)
        ends = {name.rpartition(".")[2] for name in LINEARS.values()}
        for block in self.model.model.layers:
            for parent in (block.self_attn, block.mlp):
                for name, layer in list(parent.named_children()):
                    if name in ends:
                        setattr(parent, name, Lora(layer, options.rank, options.alpha))
        self.trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.trained, lr=options.learning_rate, weight_decay=0.0, fused=True
        )
        self.options = options
        self.padded = self.tokens = 0

    def step(self, rows: list[Row]) -> float:
        """One optimizer step over the rows; gives the mean loss per target token."""
        lengths = [len(row.ids) for row in rows]
        parts = max(1, math.ceil(sum(lengths) / self.options.micro_tokens))
        targets = sum(sum(row.trained[1:]) for row in rows)
        self.optimizer.zero_grad()
        total = 0.0
        for members in balanced(range(len(rows)), lengths, parts):
            chosen = [rows[number] for number in members]
            width = max(len(row.ids) for row in chosen)
            ids, marks = torch.zeros(len(chosen), width, dtype=torch.long), []
            mask = torch.zeros(len(chosen), width, dtype=torch.long)
            for place, row in enumerate(chosen):
                ids[place, : len(row.ids)] = torch.tensor(row.ids)
                mask[place, : len(row.ids)] = 1
                marks.append(list(row.trained[1:]) + [False] * (width - len(row.ids)))
            self.padded += ids.numel() - int(mask.sum())
            self.tokens += ids.numel()
            logits = self.model(ids, attention_mask=mask).logits[:, :-1]
            wanted = torch.tensor(marks)
            loss = F.cross_entropy(logits[wanted].float(), ids[:, 1:][wanted], reduction="sum")
            (loss / targets).backward()
            total += loss.item() / targets
        nn.utils.clip_grad_norm_(self.trained, self.options.clip)
        self.optimizer.step()
        return total


def write_rows(path: Path) -> Path:
    """The development suite's questions with their first reference programs, as training rows."""
    lines = []
    for case in load_suite("development").cases:
        if case.references:
            messages = [
                {"role": "system", "content": SYSTEM_TUNED},
                {"role": "user", "content": case.query},
                {"role": "assistant", "content": "", "code": case.references[0]},
            ]
            lines.append(json.dumps({"id": case.id, "messages": messages}) + "\n")
    path.write_text("".join(lines), "utf-8")
    return path


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--batch-tokens", type=int, default=1024)
    parser.add_argument("--dtype", default="auto", choices=["auto", "float32", "bfloat16"])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="punie-bench-") as folder:
        options = TrainOptions(
            data=write_rows(Path(folder) / "rows.jsonl"),
            out=Path(folder) / "out",
            batch_tokens=given.batch_tokens,
            micro_tokens=given.batch_tokens // 2,
            dtype=given.dtype,
            learning_rate=5e-4,
        )
        trainer = Trainer(options)
        torch.set_num_threads(trainer.threads)
        bare = Bare(trainer)
        ours, theirs, losses = [], [], []
        for number, members in enumerate(trainer.steps[: given.steps + 1]):
            rows = [trainer.data.rows[member] for member in members]
            tokens = sum(len(row.ids) for row in rows)
            began = time.perf_counter()
            record = trainer._step(trainer.share())
            between = time.perf_counter()
            loss = bare.step(rows)
            ended = time.perf_counter()
            if number:
                ours.append(tokens / (between - began))
                theirs.append(tokens / (ended - between))
                losses.append((record["loss"], loss))
    kind = str(trainer.dtype).removeprefix("torch.")
    print(
        f"{len(ours)} steps of about {given.batch_tokens} tokens, {kind}, {trainer.threads} cores"
    )
    print(f"punie      median {median(ours):.0f} tokens a second")
    print(f"bare torch median {median(theirs):.0f} tokens a second")
    ratio = median(mine / other for mine, other in zip(ours, theirs, strict=True))
    print(f"ratio      {ratio:.2f} (median of the steps' ratios)")
    print(f"padding    {bare.padded / bare.tokens:.0%} of the bare loop's tokens")
    first, last = losses[0], losses[-1]
    print(f"losses     {first[0]:.3f} and {first[1]:.3f} at first, {last[0]:.3f} and {last[1]:.3f}")


if __name__ == "__main__":
    main()
