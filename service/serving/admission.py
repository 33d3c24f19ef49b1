"""Answer large payloads in threads, and refuse at once those that could not be answered in time.

Small payloads are answered where they arrive and never wait. Large ones wait for a thread: this counts what
they hold and how long those before them will take, and says at once when it is in vain to wait.
"""

import math
import os
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Final, TypeVar

from service.errors import OverloadedError

THREADS: Final = 2
"""Of large payloads at once. More gain nothing: what Python reads takes turns (`turns`), and two that the
kernel answers keep two cores busy. With one, a small payload would wait behind a large one."""

MAX_RETRY_AFTER_S: Final = 60

_FIRST_S_PER_BYTE: Final = 50e-9
"""Of a kind of payload that has not been answered yet: what Python reads takes about so long."""
_RISE, _FALL = 0.25, 0.05
"""Weights of the newest answer in the mean of its kind: a refusal, which may come with the first byte, says
little of the next one."""
_LEAST_BYTES: Final = 2**20
"""A smaller payload counts as one of this size: its time tells of the machine, not of its bytes. One of
100 kB that had to wait for a busy processor would otherwise have large ones refused."""
_SHARE: Final = 0.75
"""Of the time limit that waiting and answering may take by the estimate, which is one."""

_NICENESS: Final = 5
"""Beside a thread of the usual kind such a one gets a quarter of a processor."""

_LOCK_TURN_S: Final = 0.0002
"""Python's own 5 ms pass before each part of a payload is taken off the wire while others are being answered:
`python -m bench.soak --only overload` then had its slowest refusal after 58 s, and with this after 0.2 s."""

T = TypeVar("T")


class Arrival:
    """Hold how much of one payload has arrived."""

    def __init__(self, hold: Callable[["Arrival", int], None]) -> None:
        """Begin with nothing."""
        self._hold = hold
        self.size = 0

    def grow(self, size: int) -> None:
        """Count a chunk.

        Raises:
            OverloadedError: There is no room for it beside what others hold.
        """
        self._hold(self, size)
        self.size += size


class Admission:
    """Run what large payloads need, and count what they hold; safe in any thread."""

    def __init__(self, *, max_bytes: int | None, threads: int = THREADS, is_yielding: bool = False) -> None:
        """Take the limits.

        Args:
            max_bytes: The most bytes to hold, None for no limit.
            threads: How many payloads are answered at once.
            is_yielding: Whether the threads leave the processor to the event loop where both want it. Only
                for those that mostly work without the interpreter's lock, or the loop would wait for it.
        """
        self._max_bytes = max_bytes
        self._n_threads = threads
        self._threads = ThreadPoolExecutor(
            threads, thread_name_prefix="invocation", initializer=yield_to_others if is_yielding else None
        )
        self._helper = ThreadPoolExecutor(1, thread_name_prefix="helper")
        self._lock = threading.Lock()
        self._held_bytes = 0
        self._queue: dict[int, float] = {}
        """Seconds that each payload with the threads takes by the estimate."""
        self._tickets = 0
        self._s_per_byte: dict[Hashable, float] = {}

    @property
    def held_bytes(self) -> int:
        """Return the size of all payloads that are arriving, wait or are being answered."""
        return self._held_bytes

    def check_room(self, size: int) -> None:
        """Raise unless a payload of an announced size has room now; nothing is kept for it.

        Raises:
            OverloadedError: Others hold too much.
        """
        with self._lock:
            self._check_room(size, own=0)

    def check_time(self, size: int, *, kind: Hashable, limit_s: float | None) -> None:
        """Raise if a payload of an announced size, here now, could not be answered in time; nothing is kept.

        Raises:
            OverloadedError: As `submit` does.
        """
        with self._lock:
            self._check_time(self._takes_s(size, kind), limit_s)

    @contextmanager
    def arriving(self) -> Iterator[Arrival]:
        """Count a payload while it arrives."""
        arrival = Arrival(self._hold)
        try:
            yield arrival
        finally:
            with self._lock:
                self._held_bytes -= arrival.size

    def submit(
        self, task: Callable[[], T], *, size: int, kind: Hashable, limit_s: float | None
    ) -> "Future[T]":
        """Run a task in a thread, after those before it.

        Args:
            task: Answers a payload.
            size: Of the payload, in bytes.
            kind: Payloads of one kind take about equally long a byte.
            limit_s: How long it may take; None for any time, and then it is never refused.

        Raises:
            OverloadedError: Those before it would leave it too little time.
        """
        ticket = self._admit(size, kind=kind, limit_s=limit_s)
        running = self._threads.submit(self._run, task, size=size, kind=kind)
        # Also when nobody waits for it any more: a thread that has begun goes on to its end.
        running.add_done_callback(lambda _: self._leave(ticket, size))
        return running

    def run(self, task: Callable[[], T]) -> "Future[T]":
        """Run a task that is no answer and takes milliseconds, beside the answers."""
        return self._helper.submit(task)

    def _run(self, task: Callable[[], T], *, size: int, kind: Hashable) -> T:
        started_s = time.perf_counter()
        result = task()
        found = (time.perf_counter() - started_s) / max(_LEAST_BYTES, size)
        with self._lock:
            first = found if size >= _LEAST_BYTES else _FIRST_S_PER_BYTE
            before = self._s_per_byte.get(kind, first)
            self._s_per_byte[kind] = before + (_RISE if found > before else _FALL) * (found - before)
        return result

    def _admit(self, size: int, *, kind: Hashable, limit_s: float | None) -> int:
        with self._lock:
            takes_s = self._takes_s(size, kind)
            self._check_time(takes_s, limit_s)
            self._tickets += 1
            self._queue[self._tickets] = takes_s
            self._held_bytes += size
            return self._tickets

    def _leave(self, ticket: int, size: int) -> None:
        with self._lock:
            del self._queue[ticket]
            self._held_bytes -= size

    def _takes_s(self, size: int, kind: Hashable) -> float:
        """Return how long answering a payload takes, by the estimate."""
        known = self._s_per_byte.get(kind)
        return size * _FIRST_S_PER_BYTE if known is None else max(_LEAST_BYTES, size) * known

    def _check_time(self, takes_s: float, limit_s: float | None) -> None:
        waits_s = self._waits_s()
        # One that need not wait is always tried: what it takes corrects the estimate.
        if limit_s is not None and waits_s > 0 and waits_s + takes_s > _SHARE * limit_s:
            raise self._overloaded(
                f"those before take about {math.ceil(waits_s)} s, and the limit is {limit_s:g} s"
            )

    def _waits_s(self) -> float:
        """Return how long a payload that comes now would wait for a thread, by the estimate."""
        if len(self._queue) < self._n_threads:
            return 0.0
        return sum(self._queue.values()) / self._n_threads

    def _hold(self, arrival: Arrival, size: int) -> None:
        with self._lock:
            self._check_room(size, own=arrival.size)
            self._held_bytes += size

    def _check_room(self, size: int, *, own: int) -> None:
        others = self._held_bytes - own
        # One alone always has room: how large a payload may be at all is another limit.
        if self._max_bytes is not None and others > 0 and others + own + size > self._max_bytes:
            raise self._overloaded(
                f"others hold {math.ceil(others / 2**20)} of the {self._max_bytes // 2**20} MiB "
                "that SERVICE_MAX_WAITING_MB allows"
            )

    def _overloaded(self, reason: str) -> OverloadedError:
        after_s = min(MAX_RETRY_AFTER_S, max(1, math.ceil(self._waits_s())))
        return OverloadedError(
            f"too many large payloads wait: {reason}; try again in {after_s} s", retry_after_s=after_s
        )


def share_the_lock() -> None:
    """Let threads that answer hand the interpreter's lock to the event loop soon after it asks for it."""
    sys.setswitchinterval(_LOCK_TURN_S)


def yield_to_others() -> None:
    """Give this thread a lower priority than the process has, where threads have one of their own."""
    if sys.platform == "linux":
        with suppress(OSError):
            thread = threading.get_native_id()
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, 0) + _NICENESS)
