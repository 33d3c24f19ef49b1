"""Keep a server busy with everything that it may be asked, for long, and look at it meanwhile."""

import asyncio
import contextlib
import http.client
import json
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from bench.servers import HOST, Server
from bench.soak.clients import Tally, put_load
from bench.soak.mix import make_mix
from bench.soak.watch import Look, Slope, slope, watch

CONNECTIONS: Final = 16
_LOOKS: Final = 300
"""At the most; each costs the kernel a walk through all pages."""
_WARM: Final = 0.2
"""Share of the time before memory is looked at: caches fill, and the first large payloads come."""
_RELOAD_EVERY_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Steady:
    """Hold what a stretch of load did to a server."""

    tally: Tally
    seconds: float
    looks: Sequence[Look]
    """After the warm-up."""
    reloads: int
    """Times that a model was loaded and unloaded meanwhile."""

    @property
    def memory(self) -> Slope:
        """Return how the memory grows, in MiB an hour."""
        return slope([look.at_s for look in self.looks], [look.pss_mb for look in self.looks])

    @property
    def grown_mb(self) -> float:
        """Return by how much the second half's memory is above the first half's."""
        middle = len(self.looks) // 2
        first, second = self.looks[:middle], self.looks[middle:]
        return sum(look.pss_mb for look in second) / len(second) - sum(look.pss_mb for look in first) / len(
            first
        )

    @property
    def cores(self) -> float:
        """Return how many cores the server kept busy."""
        first, last = self.looks[0], self.looks[-1]
        return (last.cpu_s - first.cpu_s) / (last.at_s - first.at_s)

    def p99_ms(self, third: int, *, is_large: bool) -> float:
        """Return what 99 % of the requests of a third of the time stayed within."""
        found = sorted((self.tally.large_ms if is_large else self.tally.small_ms)[third])
        return found[len(found) * 99 // 100]

    def summary(self) -> dict[str, Any]:
        """Return the figures."""
        return {
            "seconds": round(self.seconds, 1),
            "answered": self.tally.answered,
            "wrong": dict(self.tally.wrong),
            "reloads": self.reloads,
            "cores": round(self.cores, 2),
            "pss_mb": [round(self.looks[0].pss_mb, 1), round(self.looks[-1].pss_mb, 1)],
            "pss_mb_per_h": [round(self.memory.per_h, 2), round(self.memory.error_per_h, 2)],
            "files": [self.looks[0].files, self.looks[-1].files],
            "threads": [self.looks[0].threads, self.looks[-1].threads],
            "small_p99_ms": [round(self.p99_ms(third, is_large=False), 2) for third in range(3)],
            "large_p99_ms": [round(self.p99_ms(third, is_large=True), 2) for third in range(3)],
        }


async def soak(server: Server, paths: Sequence[str], *, seconds: float, large_kib: int) -> Steady:
    """Put load on paths of a server; where they are of many models, others come and go beside them."""
    asks, weights = make_mix(server.port, paths=paths, large_kib=large_kib)
    tally = Tally(seconds=seconds)
    looks: list[Look] = []
    watching = asyncio.create_task(watch(server, looks, every_s=max(0.2, seconds / _LOOKS)))
    reloads = array("L", [0])
    reloading = asyncio.create_task(_reload(server.port, tally, reloads)) if len(paths) > 1 else None
    await put_load(server.port, asks, weights, connections=CONNECTIONS, tally=tally)
    for task in (watching, reloading):
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    warm_s = looks[0].at_s + _WARM * seconds
    kept = [look for look in looks if warm_s <= look.at_s <= looks[0].at_s + seconds]
    return Steady(tally, seconds, kept, reloads[0])


async def _reload(port: int, tally: Tally, reloads: "array[int]") -> None:
    """Load and unload one more model over and over."""
    while True:
        await asyncio.to_thread(_load_and_unload, port, tally)
        reloads[0] += 1
        await asyncio.sleep(_RELOAD_EVERY_S)


def _load_and_unload(port: int, tally: Tally) -> None:
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    try:
        connection.request("GET", "/models/m0")
        url = json.loads(connection.getresponse().read())["modelUrl"]
        steps = (
            ("POST", "/models", json.dumps({"model_name": "guest", "url": url}), 200),
            ("POST", "/models/guest/invoke", "[[25, 1250.0]]", 200),
            ("DELETE", "/models/guest", "", 200),
            ("POST", "/models/guest/invoke", "[[25, 1250.0]]", 404),
        )
        for method, path, body, status in steps:
            connection.request(method, path, body)
            response = connection.getresponse()
            response.read()
            if response.status != status:
                tally.wrong[f"{method} {path}: status {response.status} instead of {status}"] += 1
    except (OSError, http.client.HTTPException) as exc:
        tally.wrong[f"load and unload: {type(exc).__name__}"] += 1
    finally:
        connection.close()
