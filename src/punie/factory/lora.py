"""A Llama network whose linear layers learn by LoRA, made for speed on CPU.

Frozen weight and update are merged once per optimizer step (W + scale·B·A), so the forward pass
costs what the plain model costs; the backward pass takes the gradients of A and B straight from
the layer's input and output gradient and never forms the gradient of W. q, k, v and gate, up
share one product each. Rows of a batch lie end to end without padding; attention runs per row.
Logits exist only at answer positions.

Measured on 2 cores with AVX-512 bf16: see LOG.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from punie.errors import UsageError
from punie.factory.base import LINEARS
from punie.models.adapter import Adapter
from punie.models.weights import Array, Shape, permute, rotary_heads, unpermute

GROUPS = (("attn_q", "attn_k", "attn_v"), ("attn_output",), ("ffn_gate", "ffn_up"), ("ffn_down",))
"""Linear layers of a block by shared input: each group is one product."""


@dataclass(frozen=True)
class Batch:
    """Rows laid end to end. `answers` are the positions whose next token is trained, `targets`
    those tokens; `lengths` sums to len(ids)."""

    ids: Tensor
    lengths: list[int]
    answers: Tensor
    targets: Tensor


def pack(rows: Sequence[tuple[Sequence[int], Sequence[bool]]]) -> Batch:
    """Lay rows of (token ids, trained marks) end to end."""
    ids: list[int] = []
    answers: list[int] = []
    targets: list[int] = []
    for tokens, trained in rows:
        for place in range(1, len(tokens)):
            if trained[place]:
                answers.append(len(ids) + place - 1)
                targets.append(tokens[place])
        ids += tokens
    lengths = [len(tokens) for tokens, _ in rows]
    return Batch(torch.tensor(ids), lengths, torch.tensor(answers), torch.tensor(targets))


class _MergedLinear(torch.autograd.Function):
    """x·Wᵀ with merged W; gradients for x, A (stacked) and each B."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, merged: Tensor, scale: float, a: Tensor, *bs: Tensor
    ) -> Tensor:
        ctx.save_for_backward(x, merged, a, *bs)
        ctx.scale = scale
        return x @ merged.t()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, merged, a, *bs = ctx.saved_tensors
        (grad,) = grads
        rank = a.shape[0] // len(bs)
        inner = x @ a.to(x.dtype).t()
        back = torch.empty_like(inner)
        b_grads: list[Tensor] = []
        start = 0
        for number, b in enumerate(bs):
            part = grad[:, start : start + b.shape[0]]
            columns = slice(number * rank, (number + 1) * rank)
            back[:, columns] = part @ b.to(x.dtype)
            b_grads.append((part.t() @ inner[:, columns]).float().mul_(ctx.scale))
            start += b.shape[0]
        a_grad = (back.t() @ x).float().mul_(ctx.scale)
        return (grad @ merged, None, None, a_grad, *b_grads)


class _SwiGlu(torch.autograd.Function):
    """silu(gate)·up of a (T, 2·ffn) product; keeps its input only."""

    @staticmethod
    def forward(ctx: Any, both: Tensor) -> Tensor:
        ctx.save_for_backward(both)
        gate, up = both.chunk(2, dim=-1)
        return F.silu(gate) * up

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (both,), (grad,) = ctx.saved_tensors, grads
        gate, up = both.chunk(2, dim=-1)
        sigmoid = torch.sigmoid(gate)
        active = gate * sigmoid
        out = torch.empty_like(both)
        left, right = out.chunk(2, dim=-1)
        torch.mul(grad, active, out=right)
        slope = sigmoid.add_(active * (1 - sigmoid))
        torch.mul(slope.mul_(up), grad, out=left)
        return out


class _Embed(torch.autograd.Function):
    """Rows of `table` for `ids`; the gradient goes to `rows`, the trained ones among them."""

    @staticmethod
    def forward(ctx: Any, ids: Tensor, table: Tensor, trained: Tensor, rows: Tensor) -> Tensor:
        ctx.save_for_backward(ids, trained)
        return F.embedding(ids, table)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        ids, trained = ctx.saved_tensors
        hits = (trained[:, None] == ids[None, :]).to(grads[0].dtype)
        return None, None, None, (hits @ grads[0]).float()


class _AnswerLoss(torch.autograd.Function):
    """Summed cross-entropy of (n, hidden) states against the output layer, whose `trained` rows
    learn too. Gradients are made in the forward pass, 256 states at a time, so that no
    (n, vocab) matrix is ever kept."""

    @staticmethod
    def forward(
        ctx: Any, states: Tensor, output: Tensor, targets: Tensor, trained: Tensor, rows: Tensor
    ) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        parts: list[Tensor] = []
        rows_grad = torch.zeros_like(rows)
        for chunk, wanted in zip(states.split(256), targets.split(256), strict=True):
            logits = (chunk @ output.t()).float()
            log_sum = logits.logsumexp(dim=-1, keepdim=True)
            total += (log_sum.squeeze(1) - logits.gather(1, wanted[:, None]).squeeze(1)).sum()
            if ctx.needs_input_grad[0]:
                chances = logits.sub_(log_sum).exp_()
                chances[torch.arange(len(wanted)), wanted] -= 1
                rows_grad += chances[:, trained].t() @ chunk.float()
                parts.append(chances.to(states.dtype) @ output)
        if parts:
            ctx.save_for_backward(torch.cat(parts), rows_grad)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        states_grad, rows_grad = ctx.saved_tensors
        scale = grads[0].to(states_grad.dtype)
        return states_grad * scale, None, None, None, rows_grad * grads[0].float()


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

    @torch.no_grad()
    def merge(self) -> None:
        """Write W + scale·B·A into the weights that the forward pass uses. Call it after every
        change of the parameters."""
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
        for number, (stacked, bs) in enumerate(self._groups()):
            block, group = divmod(number, len(GROUPS))
            parts = zip(GROUPS[group], stacked.detach().chunk(len(bs)), bs, strict=True)
            for part, a, b in parts:
                name = f"blk.{block}.{part}.weight"
                rows = b.detach().numpy()
                if heads := rotary_heads(name, self.shape):
                    rows = permute(rows, heads)
                pairs[name] = (a.numpy(), rows)
        rows = zip(self.trained.tolist(), self.parameters[-1].detach().numpy(), strict=True)
        return Adapter(self.rank, self.scale * self.rank, pairs, dict(rows))

    @torch.no_grad()
    def load(self, adapter: Adapter) -> None:
        """Take over the matrices of `adapter`. Raises UsageError when its rank differs."""
        if (adapter.rank, adapter.alpha) != (self.rank, self.scale * self.rank):
            raise UsageError(
                f"the adapter has rank {adapter.rank}, alpha {adapter.alpha}; the options say"
                f" rank {self.rank}, alpha {self.scale * self.rank}"
            )
        for number, (stacked, bs) in enumerate(self._groups()):
            block, group = divmod(number, len(GROUPS))
            parts = zip(GROUPS[group], stacked.chunk(len(bs)), bs, strict=True)
            for part, a, b in parts:
                name = f"blk.{block}.{part}.weight"
                new_a, rows = adapter.pairs[name]
                if heads := rotary_heads(name, self.shape):
                    rows = unpermute(rows, heads)
                a.copy_(torch.tensor(new_a))
                b.copy_(torch.tensor(rows))
        for place, number in enumerate(self.trained.tolist()):
            if number in adapter.rows:
                self.parameters[-1][place] = torch.tensor(adapter.rows[number])
        self.merge()

    def loss(self, batch: Batch) -> Tensor:
        """Summed loss over the batch's answer positions (float64; divide by their number)."""
        states = self.states(batch)[batch.answers]
        states = F.rms_norm(states, (self.shape.hidden,), self.final_norm, self.shape.norm_eps)
        total: Tensor = _AnswerLoss.apply(  # type: ignore[no-untyped-call]
            states, self.embedding, batch.targets, self.trained, self.parameters[-1]
        )
        return total

    def states(self, batch: Batch) -> Tensor:
        """Hidden states after the last block, before the final norm; shape (T, hidden)."""
        shape = self.shape
        layout = _layout(batch.lengths, shape, self.dtype)
        hidden: Tensor = _Embed.apply(  # type: ignore[no-untyped-call]
            batch.ids, self.embedding, self.trained, self.parameters[-1]
        )
        groups = self._groups()
        for block, (before, after) in enumerate(self.norms):
            at = 4 * block

            def linear(x: Tensor, place: int) -> Tensor:
                a, bs = groups[place]
                result: Tensor = _MergedLinear.apply(x, self.merged[place], self.scale, a, *bs)  # type: ignore[no-untyped-call]
                return result

            x = F.rms_norm(hidden, (shape.hidden,), before, shape.norm_eps)
            x = _attend(linear(x, at), layout, shape)
            hidden = hidden + linear(x, at + 1)
            x = F.rms_norm(hidden, (shape.hidden,), after, shape.norm_eps)
            x = _SwiGlu.apply(linear(x, at + 2))  # type: ignore[no-untyped-call]
            hidden = hidden + linear(x, at + 3)
        return hidden


@dataclass(frozen=True)
class _Layout:
    """What attention needs to know of a batch: cos and sin of every position's angles, each
    (T, 1, head_dim / 2), and for each row length the causal mask of one group of heads."""

    lengths: list[int]
    cos: Tensor
    sin: Tensor
    masks: dict[int, Tensor]


def _layout(lengths: list[int], shape: Shape, dtype: torch.dtype) -> _Layout:
    positions = torch.cat([torch.arange(n) for n in lengths])
    half = torch.arange(0, shape.head_dim, 2).float() / shape.head_dim
    angles = torch.outer(positions.float(), shape.rope_base**-half)[:, None, :]
    group = shape.heads // shape.kv_heads
    masks = {
        n: torch.full((n, n), -torch.inf, dtype=dtype).triu(1).repeat(group, 1) for n in {*lengths}
    }
    return _Layout(lengths, angles.cos().to(dtype), angles.sin().to(dtype), masks)


def _attend(qkv: Tensor, layout: _Layout, shape: Shape) -> Tensor:
    """Causal attention within each row; (T, hidden + 2·kv width) → (T, hidden). Plain products:
    torch's fused CPU kernel needs 3.5 times as long for these short rows."""
    wide = shape.hidden + shape.kv_heads * shape.head_dim
    turned = qkv[:, :wide].unflatten(1, (-1, shape.head_dim))
    left, right = turned.chunk(2, dim=-1)
    cos, sin = layout.cos, layout.sin
    turned = torch.cat((left * cos - right * sin, right * cos + left * sin), dim=-1)
    q, k = turned.split((shape.heads, shape.kv_heads), dim=1)
    v = qkv[:, wide:].unflatten(1, (-1, shape.head_dim))
    lengths, outs = layout.lengths, []
    for q_row, k_row, v_row in zip(*(part.split(lengths) for part in (q, k, v)), strict=True):
        size = len(q_row)
        # Heads that share a key lie one below the other: (kv_heads, group·L, head_dim).
        queries = q_row.transpose(0, 1).reshape(shape.kv_heads, -1, shape.head_dim)
        mask = layout.masks[size].expand(shape.kv_heads, -1, -1)
        scores = torch.baddbmm(mask, queries, k_row.permute(1, 2, 0), alpha=shape.head_dim**-0.5)
        mixed = scores.softmax(dim=-1) @ v_row.transpose(0, 1)
        outs.append(mixed.view(shape.heads, size, shape.head_dim).transpose(0, 1))
    return torch.cat(outs).flatten(1)
