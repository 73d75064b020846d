"""A Llama network whose linear layers learn by LoRA, made for speed on CPU.

Frozen weight and update are merged once per optimizer step (W + scale·B·A), so the forward pass
costs what the plain model costs; the backward pass takes the gradients of A and B straight from
the layer's input and output gradient and never forms the gradient of W. q, k, v and gate, up
share one product each. Rows of a batch lie end to end without padding, their common beginning
only once; attention runs per row. Logits exist only at answer positions.

"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

import torch
import torch.nn.functional as F
from torch import Tensor

from punie.errors import UsageError
from punie.factory.training.base import LINEARS
from punie.factory.training.kernels import (
    AnswerLoss,
    Embed,
    MergedLinear,
    SwiGlu,
    attend,
    layout_of,
)
from punie.models.adapter import Adapter
from punie.models.weights import Array, Shape, permute, rotary_heads, unpermute

GROUPS = (("attn_q", "attn_k", "attn_v"), ("attn_output",), ("ffn_gate", "ffn_up"), ("ffn_down",))
"""Linear layers of a block by shared input: each group is one product."""


@dataclass(frozen=True)
class Batch:
    """Rows laid end to end behind the tokens that all of them begin with. `answers` are the
    positions whose next token is trained, `targets` those tokens; `shared` + `lengths` sum to
    len(ids)."""

    ids: Tensor
    shared: int
    lengths: list[int]
    answers: Tensor
    targets: Tensor


def pack(rows: Sequence[tuple[Sequence[int], Sequence[bool]]]) -> Batch:
    """Lay rows of (token ids, trained marks) end to end. What all of them begin with (the system
    turn) is worked on once."""
    shared = _shared(rows)
    ids = list(rows[0][0][:shared])
    answers: list[int] = []
    targets: list[int] = []
    for tokens, trained in rows:
        start = len(ids) - shared
        for place in range(1, len(tokens)):
            if trained[place]:
                answers.append(start + place - 1)
                targets.append(tokens[place])
        ids += tokens[shared:]
    lengths = [len(tokens) - shared for tokens, _ in rows]
    return Batch(torch.tensor(ids), shared, lengths, torch.tensor(answers), torch.tensor(targets))


def _shared(rows: Sequence[tuple[Sequence[int], Sequence[bool]]]) -> int:
    """Tokens that all rows begin with, short of the first that predicts a trained one."""
    if len(rows) < 2:
        return 0
    ends = zip(*(end([list(tokens) for tokens, _ in rows]) for end in (min, max)), strict=False)
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], ends))
    return max(0, min(same, *(list(trained).index(True) - 1 for _, trained in rows)))


class LoraLlama:
    """The network. `parameters` are trained, in float32, in the order of `names`: for each block
    and group one stacked A (members·rank, in) and one B (out, rank) a member; last the embedding
    rows of the tokens `trained`, which serve as input and as output weights."""

    def __init__(
        self,
        shape: Shape,
        weights: dict[str, Tensor],
        *,
        rank: int,
        alpha: float,
        seed: int,
        dtype: torch.dtype,
        rows: dict[int, Tensor],
    ) -> None:
        self.shape, self.rank, self.scale, self.dtype = shape, rank, alpha / rank, dtype
        if "lm_head.weight" in weights:
            raise UsageError("only models whose output layer is the embedding can be trained")
        self.embedding = weights["model.embed_tokens.weight"].to(dtype, copy=True)
        self.final_norm = weights["model.norm.weight"].to(dtype)
        self.norms: list[tuple[Tensor, Tensor]] = []
        self.frozen: list[Tensor] = []
        self.parameters: list[Tensor] = []
        self.names: list[str] = []
        generator = torch.Generator().manual_seed(seed)
        for block in range(shape.layers):
            prefix = f"model.layers.{block}."
            before = weights[prefix + "input_layernorm.weight"].to(dtype)
            after = weights[prefix + "post_attention_layernorm.weight"].to(dtype)
            self.norms.append((before, after))
            for group in GROUPS:
                members = [weights[f"{prefix}{LINEARS[part]}.weight"].float() for part in group]
                self.frozen.append(torch.cat(members))
                width = members[0].shape[1]
                bound = width**-0.5  # as peft: kaiming_uniform with a = sqrt(5)
                a = torch.empty(rank * len(group), width).uniform_(
                    -bound, bound, generator=generator
                )
                self._add(f"blk.{block}.{'+'.join(group)}.lora_a", a)
                for part, member in zip(group, members, strict=True):
                    self._add(f"blk.{block}.{part}.lora_b", torch.zeros(member.shape[0], rank))
        self.trained = torch.tensor(list(rows))
        self._add("token_embd.rows", torch.stack(list(rows.values())).float())
        self.merged = [torch.empty_like(w, dtype=dtype) for w in self.frozen]
        self.merge()

    def _add(self, name: str, values: Tensor) -> None:
        self.names.append(name)
        self.parameters.append(values.requires_grad_())

    def _groups(self) -> list[tuple[Tensor, list[Tensor]]]:
        """(A, [B …]) of every block and group, in order."""
        found: list[tuple[Tensor, list[Tensor]]] = []
        queue = iter(self.parameters)
        for _ in range(self.shape.layers):
            for group in GROUPS:
                found.append((next(queue), [next(queue) for _ in group]))
        return found

    def _pairs(self) -> Iterator[tuple[str, Tensor, Tensor]]:
        """(GGUF name, A (rank, in), B (out, rank)) of every adapted layer, as views."""
        for number, (stacked, bs) in enumerate(self._groups()):
            block, group = divmod(number, len(GROUPS))
            for part, a, b in zip(GROUPS[group], stacked.chunk(len(bs)), bs, strict=True):
                yield f"blk.{block}.{part}.weight", a, b

    def merge(self) -> None:
        """Write W + scale·B·A into the weights that the forward pass uses. Call it after every
        change of the parameters."""
        with torch.no_grad():
            self._merge()

    def _merge(self) -> None:
        self.embedding[self.trained] = self.parameters[-1].to(self.dtype)
        for frozen, merged, (a, bs) in zip(self.frozen, self.merged, self._groups(), strict=True):
            start = 0
            for b, part in zip(bs, a.chunk(len(bs)), strict=True):
                rows = slice(start, start + b.shape[0])
                merged[rows] = torch.addmm(frozen[rows], b, part, alpha=self.scale)
                start += b.shape[0]

    def adapter(self) -> Adapter:
        """The LoRA matrices as an adapter for the GGUF base (q and k in llama.cpp's row order)."""
        pairs: dict[str, tuple[Array, Array]] = {}
        for name, a, b in self._pairs():
            rows = b.detach().numpy()
            if heads := rotary_heads(name, self.shape):
                rows = permute(rows, heads)
            pairs[name] = (a.detach().numpy(), rows)
        trained = zip(self.trained.tolist(), self.parameters[-1].detach().numpy(), strict=True)
        return Adapter(self.rank, self.scale * self.rank, pairs, dict(trained))

    def load(self, adapter: Adapter) -> None:
        """Take over the matrices of `adapter`. Raises UsageError when its rank differs."""
        if (adapter.rank, adapter.alpha) != (self.rank, self.scale * self.rank):
            raise UsageError(
                f"the adapter has rank {adapter.rank}, alpha {adapter.alpha}; the options say"
                f" rank {self.rank}, alpha {self.scale * self.rank}"
            )
        with torch.no_grad():
            for name, a, b in self._pairs():
                new_a, rows = adapter.pairs[name]
                if heads := rotary_heads(name, self.shape):
                    rows = unpermute(rows, heads)
                a.copy_(torch.tensor(new_a))
                b.copy_(torch.tensor(rows))
            for place, number in enumerate(self.trained.tolist()):
                if number in adapter.rows:
                    self.parameters[-1][place] = torch.tensor(adapter.rows[number])
            self._merge()

    def loss(self, batch: Batch) -> Tensor:
        """Summed loss over the batch's answer positions (float64; divide by their number)."""
        states = self.states(batch)[batch.answers]
        states = F.rms_norm(states, (self.shape.hidden,), self.final_norm, self.shape.norm_eps)
        total: Tensor = AnswerLoss.apply(
            states, self.embedding, batch.targets, self.trained, self.parameters[-1]
        )
        return total

    def states(self, batch: Batch) -> Tensor:
        """Hidden states after the last block, before the final norm; shape (T, hidden)."""
        shape = self.shape
        layout = layout_of(batch.shared, batch.lengths, shape, self.dtype)
        hidden: Tensor = Embed.apply(batch.ids, self.embedding, self.trained, self.parameters[-1])
        groups = self._groups()
        for block, (before, after) in enumerate(self.norms):
            at = 4 * block

            def linear(x: Tensor, place: int) -> Tensor:
                a, bs = groups[place]
                result: Tensor = MergedLinear.apply(x, self.merged[place], self.scale, a, *bs)
                return result

            x = F.rms_norm(hidden, (shape.hidden,), before, shape.norm_eps)
            x = attend(linear(x, at), layout, shape)
            hidden = hidden + linear(x, at + 1)
            x = F.rms_norm(hidden, (shape.hidden,), after, shape.norm_eps)
            x = SwiGlu.apply(linear(x, at + 2))
            hidden = hidden + linear(x, at + 3)
        return hidden
