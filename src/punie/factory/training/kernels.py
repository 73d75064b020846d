"""The operations of the training network whose gradients are written by hand, for speed on CPU.

Each is checked against plain autograd by a test.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from punie.models.weights import Shape


class MergedLinear(torch.autograd.Function):  # type: ignore[misc]
    """x·Wᵀ with merged W; gradients for x, A (stacked) and each B."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, merged: Tensor, scale: float, a: Tensor, *bs: Tensor
    ) -> Tensor:
        """(T, in) → (T, out)."""
        ctx.save_for_backward(x, merged, a, *bs)
        ctx.scale = scale
        return x @ merged.t()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of x, A and the Bs; W is frozen."""
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


class WholeLinear(torch.autograd.Function):  # type: ignore[misc]
    """x·Wᵀ with W in the working number format; the gradient goes to x and to W in float32."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, working: Tensor, weight: Tensor) -> Tensor:
        """(T, in) → (T, out)."""
        ctx.save_for_backward(x, working)
        return x @ working.t()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of x and of the weight."""
        (x, working), (grad,) = ctx.saved_tensors, grads
        return grad @ working, None, (grad.t() @ x).float()


class SwiGlu(torch.autograd.Function):  # type: ignore[misc]
    """silu(gate)·up of a (T, 2·ffn) product; keeps its input only."""

    @staticmethod
    def forward(ctx: Any, both: Tensor) -> Tensor:
        """(T, 2·ffn), gate before up → (T, ffn)."""
        ctx.save_for_backward(both)
        gate, up = both.chunk(2, dim=-1)
        return F.silu(gate) * up

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        """Gradient of the input."""
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


class Embed(torch.autograd.Function):  # type: ignore[misc]
    """Rows of `table` for `ids`; the gradient goes to `rows`, the trained ones among them."""

    @staticmethod
    def forward(ctx: Any, ids: Tensor, table: Tensor, trained: Tensor, rows: Tensor) -> Tensor:
        """(T,) token ids → (T, hidden)."""
        ctx.save_for_backward(ids, trained)
        return F.embedding(ids, table)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Gradient of `rows`."""
        ids, trained = ctx.saved_tensors
        hits = (trained[:, None] == ids[None, :]).to(grads[0].dtype)
        return None, None, None, (hits @ grads[0]).float()


class AnswerLoss(torch.autograd.Function):  # type: ignore[misc]
    """Summed cross-entropy of (n, hidden) states against the output layer, whose `trained` rows
    learn too. Gradients are made in the forward pass, 256 states at a time, so that no
    (n, vocab) matrix is ever kept."""

    @staticmethod
    def forward(
        ctx: Any, states: Tensor, output: Tensor, targets: Tensor, trained: Tensor, rows: Tensor
    ) -> Tensor:
        """The loss, a float64 scalar."""
        total = torch.zeros((), dtype=torch.float64, device=states.device)
        parts: list[Tensor] = []
        rows_grad = torch.zeros_like(rows)
        for chunk, wanted in zip(states.split(256), targets.split(256), strict=True):
            logits = (chunk @ output.t()).float()
            log_sum = logits.logsumexp(dim=-1, keepdim=True)
            total += (log_sum.squeeze(1) - logits.gather(1, wanted[:, None]).squeeze(1)).sum()
            if ctx.needs_input_grad[0]:
                chances = logits.sub_(log_sum).exp_()
                chances[torch.arange(len(wanted), device=wanted.device), wanted] -= 1
                rows_grad += chances[:, trained].t() @ chunk.float()
                parts.append(chances.to(states.dtype) @ output)
        if parts:
            ctx.save_for_backward(torch.cat(parts), rows_grad)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the states and of `rows`."""
        states_grad, rows_grad = ctx.saved_tensors
        scale = grads[0].to(states_grad.dtype)
        return states_grad * scale, None, None, None, rows_grad * grads[0].float()


@dataclass(frozen=True)
class Layout:
    """What attention needs to know of a batch: cos and sin of every position's angles, each
    (T, 1, head_dim / 2), and for each row length the causal mask of one group of heads, over the
    shared head's columns and the row's own."""

    shared: int
    lengths: list[int]
    cos: Tensor
    sin: Tensor
    masks: dict[int, Tensor]


def layout_of(
    shared: int, lengths: list[int], shape: Shape, dtype: torch.dtype, device: torch.device
) -> Layout:
    """The layout of rows of these lengths, in tokens, behind one shared head."""
    positions = [torch.arange(shared), *(torch.arange(shared, shared + n) for n in lengths)]
    half = torch.arange(0, shape.head_dim, 2).float() / shape.head_dim
    angles = torch.outer(torch.cat(positions).float(), shape.rope_base**-half)[:, None, :]
    group = shape.heads // shape.kv_heads

    def mask(rows: int, before: int) -> Tensor:
        """(group·rows, before + rows), -inf where a key lies after its query."""
        hidden = torch.full((rows, before + rows), -torch.inf, dtype=dtype, device=device)
        return hidden.triu(before + 1).repeat(group, 1)

    masks = {n: mask(n, shared) for n in {*lengths}}
    if shared:
        masks[-shared] = mask(shared, 0)
    cos, sin = (turned.to(device, dtype) for turned in (angles.cos(), angles.sin()))
    return Layout(shared, lengths, cos, sin, masks)


def attend(qkv: Tensor, layout: Layout, shape: Shape) -> Tensor:
    """Causal attention of each row to the shared head and itself; (T, hidden + 2·kv width) →
    (T, hidden). Plain products: torch's fused CPU kernel needs 3.5 times as long for these short
    rows."""
    wide = shape.hidden + shape.kv_heads * shape.head_dim
    turned = qkv[:, :wide].unflatten(1, (-1, shape.head_dim))
    left, right = turned.chunk(2, dim=-1)
    cos, sin = layout.cos, layout.sin
    turned = torch.cat((left * cos - right * sin, right * cos + left * sin), dim=-1)
    q, k = turned.split((shape.heads, shape.kv_heads), dim=1)
    v = qkv[:, wide:].unflatten(1, (-1, shape.head_dim))

    def one(q_row: Tensor, k_row: Tensor, v_row: Tensor, mask: Tensor) -> Tensor:
        # Heads that share a key lie one below the other: (kv_heads, group·L, head_dim).
        queries = q_row.transpose(0, 1).reshape(shape.kv_heads, -1, shape.head_dim)
        mask = mask.expand(shape.kv_heads, -1, -1)
        scores = torch.baddbmm(mask, queries, k_row.permute(1, 2, 0), alpha=shape.head_dim**-0.5)
        mixed = scores.softmax(dim=-1) @ v_row.transpose(0, 1)
        return mixed.view(shape.heads, len(q_row), shape.head_dim).transpose(0, 1)

    (q_head, *qs), (k_head, *ks), (v_head, *vs) = (
        part.split([layout.shared, *layout.lengths]) for part in (q, k, v)
    )
    if not layout.shared:
        rows = [one(*row, layout.masks[len(row[0])]) for row in zip(qs, ks, vs, strict=True)]
        return torch.cat(rows).flatten(1)
    outs = [one(q_head, k_head, v_head, layout.masks[-layout.shared])]
    for q_row, k_row, v_row in zip(qs, ks, vs, strict=True):
        keys, values = torch.cat((k_head, k_row)), torch.cat((v_head, v_row))
        outs.append(one(q_row, keys, values, layout.masks[len(q_row)]))
    return torch.cat(outs).flatten(1)
