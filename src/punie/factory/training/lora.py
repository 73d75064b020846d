"""A Llama network whose linear layers learn, by LoRA or in full, made for speed on CPU.

Frozen weight and update are merged once per optimizer step (W + scale·B·A), so the forward pass
costs what the plain model costs; the backward pass takes the gradients of A and B straight from
the layer's input and output gradient and never forms the gradient of W. q, k, v and gate, up
share one product each. Rows of a batch lie end to end without padding, their common beginning
only once; attention runs per row. Logits exist only at answer positions. In a full fine-tuning
each linear layer's own weights take the place of A and B.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
    WholeLinear,
    attend,
    layout_of,
)
from punie.models.adapter import Adapter
from punie.models.weights import Array, Shape, permute, rotary_heads, unpermute

GROUPS = (("attn_q", "attn_k", "attn_v"), ("attn_output",), ("ffn_gate", "ffn_up"), ("ffn_down",))
"""Linear layers of a block by shared input: each group is one product."""
CPU = torch.device("cpu")


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

    def to(self, device: torch.device) -> Batch:
        """The batch on another device."""
        moved = (part.to(device) for part in (self.ids, self.answers, self.targets))
        ids, answers, targets = moved
        return Batch(ids, self.shared, self.lengths, answers, targets)


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


@dataclass
class Group:
    """Linear layers of a block that share their input, stacked."""

    layers: dict[str, int]
    """GGUF name of each → its rows."""
    frozen: Tensor
    """The base's weights (out, in), in float32."""
    merged: Tensor
    """The weights that the forward pass uses, in the working number format."""
    parts: list[Tensor]
    """What is trained of it: A and a B for each layer, the weights themselves, or nothing."""


class LoraLlama:
    """The network. `parameters` are trained, in float32: for each group of the last `layers`
    blocks one stacked A (members·rank, in) and one B (out, rank) a member, or with rank 0 the
    stacked weights (out, in) themselves; last the embedding rows of the tokens `trained`, which
    serve as input and as output weights."""

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
        layers: int = 0,
        device: torch.device = CPU,
    ) -> None:
        """`rank` 0 trains in full; `layers` 0 trains all blocks."""
        if "lm_head.weight" in weights:
            raise UsageError("only models whose output layer is the embedding can be trained")
        if layers > shape.layers:
            raise UsageError(f"layers = {layers}: the base has {shape.layers} blocks")
        self.shape, self.rank, self.dtype, self.device = shape, rank, dtype, device
        self.scale = alpha / rank if rank else 1.0
        first = shape.layers - (layers or shape.layers)
        self.embedding = weights["model.embed_tokens.weight"].to(device, dtype, copy=True)
        self.final_norm = weights["model.norm.weight"].to(device, dtype)
        self.norms: list[tuple[Tensor, Tensor]] = []
        self.parameters: list[Tensor] = []
        self.groups: list[Group] = []
        generator = torch.Generator().manual_seed(seed)
        for block in range(shape.layers):
            prefix = f"model.layers.{block}."
            before = weights[prefix + "input_layernorm.weight"].to(device, dtype)
            after = weights[prefix + "post_attention_layernorm.weight"].to(device, dtype)
            self.norms.append((before, after))
            for group in GROUPS:
                members = [weights[f"{prefix}{LINEARS[part]}.weight"].float() for part in group]
                parts: list[Tensor] = []
                if block >= first and rank:
                    width = members[0].shape[1]
                    bound = width**-0.5  # as peft: kaiming_uniform with a = sqrt(5)
                    a = torch.empty(rank * len(group), width)
                    parts = [a.uniform_(-bound, bound, generator=generator)]
                    parts += [torch.zeros(member.shape[0], rank) for member in members]
                elif block >= first:
                    parts = [torch.cat(members)]
                parts = [part.to(device, copy=True).requires_grad_() for part in parts]
                self.parameters += parts
                heights = {
                    f"blk.{block}.{part}.weight": member.shape[0]
                    for part, member in zip(group, members, strict=True)
                }
                frozen = torch.cat(members).to(device)
                self.groups.append(Group(heights, frozen, frozen.to(dtype, copy=True), parts))
        self.trained = torch.tensor(list(rows), device=device)
        self.rows = torch.stack(list(rows.values())).float().to(device).requires_grad_()
        self.parameters.append(self.rows)
        self.merge()

    @property
    def names(self) -> list[str]:
        """GGUF names of the linear layers that are trained."""
        return [name for group in self.groups if group.parts for name in group.layers]

    def _pairs(self) -> Iterator[tuple[str, Tensor, Tensor]]:
        """(GGUF name, A (rank, in), B (out, rank)) of every layer with a pair, as views."""
        for group in self.groups:
            if self.rank and group.parts:
                stacked, *bs = group.parts
                yield from zip(group.layers, stacked.chunk(len(bs)), bs, strict=True)

    def _whole(self) -> Iterator[tuple[str, Tensor, Tensor]]:
        """(GGUF name, weights now, weights before), each (out, in), of every layer that is trained
        in full, as views."""
        for group in self.groups:
            if not self.rank and group.parts:
                heights = list(group.layers.values())
                now, before = group.parts[0].split(heights), group.frozen.split(heights)
                yield from zip(group.layers, now, before, strict=True)

    def merge(self) -> None:
        """Write the trained weights (W + scale·B·A) into those that the forward pass uses. Call it
        after every change of the parameters."""
        with torch.no_grad():
            self._merge()

    def _merge(self) -> None:
        self.embedding[self.trained] = self.rows.to(self.dtype)
        for group in self.groups:
            if not self.rank and group.parts:
                group.merged.copy_(group.parts[0])
            elif group.parts:
                stacked, *bs = group.parts
                start = 0
                for b, part in zip(bs, stacked.chunk(len(bs)), strict=True):
                    rows = slice(start, start + b.shape[0])
                    update = torch.addmm(group.frozen[rows], b, part, alpha=self.scale)
                    group.merged[rows] = update
                    start += b.shape[0]

    def adapter(self) -> Adapter:
        """What was trained, for the GGUF base (q and k in llama.cpp's row order)."""
        pairs = {name: (_array(a), self._turned(name, b, permute)) for name, a, b in self._pairs()}
        whole = {
            name: self._turned(name, now - before, permute) for name, now, before in self._whole()
        }
        rows = dict(zip(self.trained.tolist(), _array(self.rows), strict=True))
        return Adapter(self.rank, self.scale * self.rank, pairs, rows, whole)

    def _turned(self, name: str, rows: Tensor, order: Callable[[Array, int], Array]) -> Array:
        """Rows of a layer in the order of llama.cpp (`permute`) or of transformers."""
        heads = rotary_heads(name, self.shape)
        return order(_array(rows), heads) if heads else _array(rows)

    def load(self, adapter: Adapter) -> None:
        """Take over what `adapter` changes. Raises UsageError when its rank or its layers are not
        those that are trained; a full fine-tuning may start from any."""
        if self.rank and (adapter.rank, adapter.alpha) != (self.rank, self.scale * self.rank):
            raise UsageError(
                f"the adapter has rank {adapter.rank}, alpha {adapter.alpha}; the options say"
                f" rank {self.rank}, alpha {self.scale * self.rank}"
            )
        if adapter.names != {*self.names}:
            raise UsageError(
                f"the adapter changes {len(adapter.names)} layers, {len(self.names)} are trained:"
                " `layers` must be what it was trained with"
            )
        with torch.no_grad():
            for name, a, b in self._pairs():
                new_a, rows = adapter.pairs[name]
                a.copy_(torch.tensor(new_a))
                b.copy_(self._back(name, rows))
            for name, now, before in self._whole():
                now.copy_(before + self._back(name, adapter.update(name)).to(self.device))
            for place, number in enumerate(self.trained.tolist()):
                if number in adapter.rows:
                    self.rows[place] = torch.tensor(adapter.rows[number])
            self._merge()

    def _back(self, name: str, rows: Array) -> Tensor:
        """Rows of a layer of an adapter in the order of transformers."""
        heads = rotary_heads(name, self.shape)
        return torch.tensor(unpermute(rows, heads) if heads else rows)

    def loss(self, batch: Batch) -> Tensor:
        """Summed loss over the batch's answer positions (float64; divide by their number)."""
        batch = batch.to(self.device)
        states = self.states(batch)[batch.answers]
        states = F.rms_norm(states, (self.shape.hidden,), self.final_norm, self.shape.norm_eps)
        total: Tensor = AnswerLoss.apply(
            states, self.embedding, batch.targets, self.trained, self.rows
        )
        return total

    def states(self, batch: Batch) -> Tensor:
        """Hidden states after the last block, before the final norm; shape (T, hidden)."""
        shape = self.shape
        layout = layout_of(batch.shared, batch.lengths, shape, self.dtype, self.device)
        hidden: Tensor = Embed.apply(batch.ids, self.embedding, self.trained, self.rows)
        for block, (before, after) in enumerate(self.norms):
            at = 4 * block

            x = F.rms_norm(hidden, (shape.hidden,), before, shape.norm_eps)
            x = attend(self._linear(x, at), layout, shape)
            hidden = hidden + self._linear(x, at + 1)
            x = F.rms_norm(hidden, (shape.hidden,), after, shape.norm_eps)
            x = SwiGlu.apply(self._linear(x, at + 2))
            hidden = hidden + self._linear(x, at + 3)
        return hidden

    def _linear(self, x: Tensor, place: int) -> Tensor:
        """The product of a group's layers, (T, in) → (T, out)."""
        group = self.groups[place]
        if not group.parts:
            return x @ group.merged.t()
        result: Tensor = (
            MergedLinear.apply(x, group.merged, self.scale, *group.parts)
            if self.rank
            else WholeLinear.apply(x, group.merged, *group.parts)
        )
        return result


def _array(values: Tensor) -> Array:
    """The values as an array in memory."""
    array: Array = values.detach().cpu().numpy()
    return array
