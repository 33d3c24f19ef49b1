"""Ask a server without pause on many connections, and check every answer."""

import asyncio
import time
from array import array
from collections import Counter
from collections.abc import Sequence
from random import Random

from bench.servers import HOST
from bench.soak.mix import Ask
from service.load.connection import BusyConnection


class Tally:
    """Count what all connections see."""

    def __init__(self, *, seconds: float) -> None:
        """Begin now."""
        self.started_s = time.perf_counter()
        self.ends_s = self.started_s + seconds
        self.answered = 0
        self.wrong: Counter[str] = Counter()
        self.small_ms = (array("f"), array("f"), array("f"))
        """Latencies of small requests in the first, second and last third of the time."""
        self.large_ms = (array("f"), array("f"), array("f"))

    def note(self, ask: Ask, *, sent_s: float, now_s: float) -> None:
        """Count an answer that is right."""
        self.answered += 1
        third = min(2, int(3 * (now_s - self.started_s) / (self.ends_s - self.started_s)))
        (self.large_ms if ask.is_large else self.small_ms)[third].append((now_s - sent_s) * 1e3)


class Client(BusyConnection):
    """Ask this and that, and check what comes."""

    def __init__(self, asks: Sequence[Ask], weights: Sequence[int], tally: Tally, *, seed: int) -> None:
        """Take what to ask, in a random order, and where to count."""
        super().__init__(deadline_s=tally.ends_s)
        self._order = Random(seed).choices(asks, weights, k=997)  # a load, not a secret
        self._tally = tally
        self._asked = seed
        self._ask = self._order[0]
        self._body: list[bytes] = []

    def on_body(self, body: bytes) -> None:
        """Keep a part of an answer."""
        self._body.append(body)

    def next_request(self) -> bytes:
        """Return what comes next in the order."""
        self._asked += 1
        self._ask = self._order[self._asked % len(self._order)]
        self._body.clear()
        return self._ask.request

    def note_answer(self, status: int, *, sent_s: float, now_s: float) -> None:
        """Check the answer."""
        if status != self._ask.status:
            self._tally.wrong[f"{self._ask.name}: status {status}"] += 1
        elif b"".join(self._body) != self._ask.answer:
            self._tally.wrong[f"{self._ask.name}: another answer"] += 1
        else:
            self._tally.note(self._ask, sent_s=sent_s, now_s=now_s)

    def note_loss(self) -> None:
        """Count it as wrong."""
        self._tally.wrong[f"{self._ask.name}: the connection ended"] += 1


async def put_load(
    port: int, asks: Sequence[Ask], weights: Sequence[int], *, connections: int, tally: Tally
) -> None:
    """Keep connections busy until the tally's time is over."""
    loop = asyncio.get_running_loop()
    opened = []
    for seed in range(connections):
        _, client = await loop.create_connection(
            lambda seed=seed: Client(asks, weights, tally, seed=seed),  # type: ignore[misc]  # a bound default
            HOST,
            port,
        )
        opened.append(client)
    left_s = tally.ends_s - time.perf_counter()
    await asyncio.wait([client.ended for client in opened], timeout=left_s + 60)
    for client in opened:
        if not client.ended.done():
            tally.wrong["no answer within 60 s"] += 1
