"""What a server and its children use, sampled from /proc: memory, descriptors, processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

PAGE = os.sysconf("SC_PAGE_SIZE")
WARM = 0.25
"""Share of a run that warms up and does not count."""
MOST_GROWTH = 1.10
"""Ratio from which on memory is said to grow, between the first and the last third that count."""
LASTING = 10.0
"""Seconds after which a child is more than a call's: what comes and goes would only be noise."""
SLACK = 8.0
"""MiB that a small process may take more, whatever the ratio."""


@dataclass(frozen=True)
class Use:
    """What a process and all that descends from it use."""

    own_mb: float
    """MiB of memory of the server itself."""
    all_mb: float
    """MiB of it and of the children that last."""
    descriptors: int
    """Open files of the server itself."""
    processes: int
    """It and the children that last."""


@dataclass
class Watched:
    """A server that is looked at again and again."""

    name: str
    pid: int
    seen: list[Use] = field(default_factory=list)

    def look(self) -> None:
        """Take a sample; nothing when the process has gone."""
        tree = [self.pid, *filter(lasts, descendants(self.pid))]
        with contextlib.suppress(OSError):
            sizes = {pid: memory(pid) for pid in tree}
            descriptors = len(os.listdir(f"/proc/{self.pid}/fd"))  # noqa: PTH208 (names only)
            self.seen.append(Use(sizes[self.pid], sum(sizes.values()), descriptors, len(tree)))

    def thirds(self) -> tuple[Use, Use]:
        """Medians of the first and of the last third of what counts."""
        counted = self.seen[int(len(self.seen) * WARM) :]
        third = max(1, len(counted) // 3)
        return middle(counted[:third]), middle(counted[-third:])

    def grown(self) -> list[str]:
        """What grew, in words; empty when all is flat."""
        if len(self.seen) < 8:
            return [f"{self.name}: only {len(self.seen)} samples, run it longer"]
        first, last = self.thirds()
        found = []
        for what in ("own_mb", "all_mb"):
            before, after = getattr(first, what), getattr(last, what)
            if after > before * MOST_GROWTH and after > before + SLACK:
                found.append(f"{self.name}: {what} {before:.0f} -> {after:.0f}")
        for what in ("descriptors", "processes"):
            before, after = getattr(first, what), getattr(last, what)
            if after > before + 2:
                found.append(f"{self.name}: {what} {before} -> {after}")
        return found

    def row(self) -> str:
        """A line of the table that `heading` heads."""
        if not self.seen:
            return f"{self.name:<12} {0:>7}"
        first, last = self.thirds()
        most = max(use.all_mb for use in self.seen)
        return (
            f"{self.name:<12} {len(self.seen):>7}  {first.own_mb:>6.0f} -> {last.own_mb:<6.0f}"
            f"  {first.all_mb:>6.0f} -> {last.all_mb:<6.0f} {most:>6.0f}"
            f"  {first.descriptors:>4} -> {last.descriptors:<4}"
            f"  {first.processes:>3} -> {last.processes:<3}"
        )


HEADING = (
    f"{'':<12} {'samples':>7}  {'own MiB':^16}  {'with children':^16} {'most':>6}"
    f"  {'descriptors':^12}  {'processes':^10}"
)


def middle(uses: Iterable[Use]) -> Use:
    """The median of each figure."""
    rows = list(uses)
    return Use(
        median(use.own_mb for use in rows),
        median(use.all_mb for use in rows),
        round(median(use.descriptors for use in rows)),
        round(median(use.processes for use in rows)),
    )


def memory(pid: int) -> float:
    """Resident memory of a process in MiB; 0 when it has gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / 2**20
    except OSError:
        return 0.0


def lasts(pid: int) -> bool:
    """Whether a process has run for longer than a call takes."""
    start = started(pid)
    if not start:
        return False
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    return uptime - int(start) / os.sysconf("SC_CLK_TCK") > LASTING


def descendants(pid: int) -> list[int]:
    """Children, their children and so on."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 (names only)
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError):
                status = Path(f"/proc/{name}/stat").read_text()
                parents[int(name)] = int(status.rpartition(")")[2].split()[1])
    found: list[int] = []
    level = [pid]
    while level:
        level = [child for child, parent in parents.items() if parent in level]
        found += level
    return found


@asynccontextmanager
async def watching(servers: list[Watched], seconds: float) -> AsyncIterator[None]:
    """Look at the servers every so many seconds."""

    async def look() -> None:
        while True:
            start = time.monotonic()
            for server in servers:
                server.look()
            await asyncio.sleep(max(0.1, seconds - (time.monotonic() - start)))

    task = asyncio.create_task(look())
    try:
        yield
    finally:
        task.cancel()


async def gone(known: Mapping[int, str], seconds: float = 20.0) -> list[int]:
    """Those of the processes, with their start, that still run after a while."""
    deadline = time.monotonic() + seconds
    while left := [pid for pid, start in known.items() if start and started(pid) == start]:
        if time.monotonic() > deadline:
            return left
        await asyncio.sleep(0.2)
    return []


def started(pid: int) -> str:
    """When a process started, since its number may be another's later; empty when it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def quantile(values: Iterable[float], share: float) -> float:
    """The value below which a share of all lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def environment(folder: Path, **more: str) -> Mapping[str, str]:
    """Ours, with the user's data in a folder of its own."""
    return dict(os.environ) | {"PUNIE_DATA": str(folder / "data")} | more
