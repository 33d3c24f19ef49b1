"""Keep a server busy with large payloads and time what must stay quick meanwhile."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from tests.conformance.wire import JSON, Address, Answer, ask_on, connect, invoke

LARGE: Final = 25 * 2**20
"""C27: the larger of the documented limits, in bytes."""
CLIENTS: Final = 4
"""C14: four for each worker, and there is one."""


@dataclass(frozen=True, slots=True)
class Latencies:
    """Hold what was measured while every worker was busy; all in seconds."""

    pings_s: list[float]
    connects_s: list[float]
    ping_statuses: frozenset[int]
    invocations: int
    refusals: frozenset[bytes]
    """What was answered to large payloads instead of their segments."""
    slowest_invocation_s: float

    def ping_quantile_s(self, share: float) -> float:
        ordered = sorted(self.pings_s)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def json_body(size_bytes: int) -> bytes:
    """Return JSON records of exactly this size."""
    record = b"[25,1250.0],"
    count = (size_bytes - 2) // len(record)
    body = b"[" + record * count
    return body[:-1].ljust(size_bytes - 1) + b"]"


def csv_body(size_bytes: int) -> bytes:
    """Return whole CSV lines of at most this size."""
    record = b"25,1250.0\n"
    return record * (size_bytes // len(record))


def measure_under_load(address: Address, direct: Address, *, least_pings: int = 1000) -> Latencies:
    """Ping and connect over and over while CLIENTS clients send the largest payloads.

    Args:
        address: Where the server answers.
        direct: The same without any proxy of the engine between, for the time that a connection takes.
        least_pings: How many pings there must be, so that a p99.9 means something.
    """
    body = json_body(LARGE)
    enough = threading.Event()
    barrier = threading.Barrier(CLIENTS + 1)

    def send() -> list[tuple[Answer, float]]:
        barrier.wait()
        sent: list[tuple[Answer, float]] = []
        while not sent or not enough.is_set():
            since = time.monotonic()
            answer = invoke(address, body, JSON)
            sent.append((answer, time.monotonic() - since))
        return sent

    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(send) for _ in range(CLIENTS)]
        barrier.wait()
        pings_s, connects_s, statuses = _time_pings(address, direct, least_pings=least_pings)
        enough.set()
        sent = [pair for client in clients for pair in client.result()]
    return Latencies(
        pings_s=pings_s,
        connects_s=connects_s,
        ping_statuses=frozenset(statuses),
        invocations=len(sent),
        refusals=frozenset(answer.body for answer, _ in sent if answer.status != HTTPStatus.OK),
        slowest_invocation_s=max(took_s for _, took_s in sent),
    )


def _time_pings(
    address: Address, direct: Address, *, least_pings: int
) -> tuple[list[float], list[float], set[int]]:
    pings_s: list[float] = []
    connects_s: list[float] = []
    statuses: set[int] = set()
    with connect(address) as connection:
        while len(pings_s) < least_pings:
            since = time.monotonic()
            statuses.add(ask_on(connection, "GET", "/ping").status)
            pings_s.append(time.monotonic() - since)
            if len(pings_s) % 20 == 0:
                since = time.monotonic()
                socket.create_connection(direct, timeout=10).close()
                connects_s.append(time.monotonic() - since)
    return pings_s, connects_s, statuses
