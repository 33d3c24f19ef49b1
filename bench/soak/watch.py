"""Look at what a server's processes take, over and over, and tell whether it grows."""

import asyncio
import contextlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.servers import Server


@dataclass(frozen=True, slots=True)
class Look:
    """Hold what a process tree takes at a moment."""

    at_s: float
    pss_mb: float
    files: int
    threads: int
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Slope:
    """Hold a straight line's slope and the standard error of it."""

    per_h: float
    error_per_h: float


async def watch(server: Server, looks: list[Look], *, every_s: float) -> None:
    """Look until cancelled."""
    while True:
        with contextlib.suppress(OSError):  # a process of the tree ended in mid-look
            looks.append(look(server))
        await asyncio.sleep(every_s)


def look(server: Server) -> Look:
    """Return what the process tree takes now."""
    pids = list(server.family())
    return Look(
        at_s=time.monotonic(),
        pss_mb=server.pss_mb(),
        files=sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids),
        threads=sum(len(list(Path(f"/proc/{pid}/task").iterdir())) for pid in pids),
        cpu_s=server.cpu_s(),
    )


def slope(times_s: Sequence[float], values: Sequence[float]) -> Slope:
    """Fit a line by least squares; its error takes the residuals as independent."""
    n = len(times_s)
    mean_t, mean_v = sum(times_s) / n, sum(values) / n
    spread = sum((t - mean_t) ** 2 for t in times_s)
    rise = sum((t - mean_t) * (v - mean_v) for t, v in zip(times_s, values, strict=True)) / spread
    rest = sum((v - mean_v - rise * (t - mean_t)) ** 2 for t, v in zip(times_s, values, strict=True))
    return Slope(rise * 3600, 3600 * math.sqrt(rest / max(1, n - 2) / spread))
