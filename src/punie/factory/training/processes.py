"""One training in several processes, on one machine or more: `torchrun`, or `accelerate launch`
for cards, starts them and says in the environment who is who.

Every process holds the whole network and works on its share of a step's micro-batches; gradients
are summed. What hangs on a clock or a file is decided by the first process and told to the others,
so that all take the same steps.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import TypeVar, cast

import torch
from torch import Tensor, distributed

from punie.errors import UsageError

WAIT = timedelta(hours=6)
"""How long a process waits for the others: the first one may be asking a candidate questions."""
PLACE = (("RANK", "0"), ("WORLD_SIZE", "1"))
"""Variables that say who this process is, with what holds where it was started alone."""
T = TypeVar("T")


class Processes:
    """The processes of this training; a single one where none were started together."""

    def __init__(self, device: torch.device) -> None:
        """Raises UsageError when the environment names processes that cannot be met."""
        try:
            self.rank, self.count = (int(os.environ.get(k, n)) for k, n in PLACE)
        except ValueError as error:
            raise UsageError(f"RANK and WORLD_SIZE must be numbers: {error}") from None
        self.here = int(os.environ.get("LOCAL_WORLD_SIZE", self.count))
        """Processes on this machine."""
        if self.count > 1 and device.type == "cuda" and device.index is None:
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
            torch.cuda.set_device(device)
        self.device = device
        """Where this one works: of several cards each process has one."""
        if self.count > 1 and not distributed.is_initialized():
            backend = "nccl" if device.type == "cuda" else "gloo"
            try:
                distributed.init_process_group(backend, timeout=WAIT)
            except (RuntimeError, ValueError) as error:
                raise UsageError(
                    f"{self.count} processes (WORLD_SIZE) cannot meet: {error}; start them with"
                    " torchrun or accelerate launch"
                ) from None

    @property
    def first(self) -> bool:
        """Whether this one writes and decides."""
        return self.rank == 0

    def share(self, things: Sequence[T]) -> Sequence[T]:
        """Those of `things` that this process works on."""
        return things[self.rank :: self.count]

    def agreed(self, value: T) -> T:
        """The first process's value."""
        if self.count == 1:
            return value
        told = [value]
        distributed.broadcast_object_list(told, src=0, device=self.device)
        return told[0]

    def total(self, tensors: Sequence[Tensor]) -> None:
        """Sum each of `tensors`, which all processes have in the same shapes, over the processes,
        in place."""
        if self.count == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        distributed.all_reduce(flat)
        place = 0
        for tensor in tensors:
            tensor.copy_(flat[place : place + tensor.numel()].view_as(tensor))
            place += tensor.numel()

    def totals(self, *values: float) -> list[float]:
        """The sum of each of `values` over the processes."""
        sums = torch.tensor(values, dtype=torch.float64, device=self.device)
        self.total([sums])
        return cast("list[float]", sums.tolist())

    def close(self) -> None:
        """Part from the others."""
        if self.count > 1 and distributed.is_initialized():
            distributed.destroy_process_group()
