"""Let threads that need the interpreter's lock all the time take turns, one of them at work.

Two such threads are no faster than one, but whoever else wants the lock, the event loop first of all, then
waits about twice as long for it: Python gives it to any of those who wait.
"""

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

RECORDS_A_TURN: Final = 1024
"""After so many, which take some milliseconds, whoever reads or describes records lets others have a turn."""

_at_work: Final = threading.local()

T = TypeVar("T")


class Turns:
    """Hold who is at work and who waits, first come, first served."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._lock = threading.Lock()
        self._is_taken = False
        self._waiting: deque[threading.Lock] = deque()

    @contextmanager
    def taking(self) -> Iterator[None]:
        """Wait for a turn, and keep it for the block, but for the turns of others in each `pass_on`."""
        self._take()
        try:
            _at_work.turns = self
            yield
        finally:
            try:
                _at_work.turns = None
            finally:
                self._give()

    def pass_on(self) -> None:
        """Let the others that wait have their turns before this thread's next one."""
        if self._waiting:
            call = _make_call()
            with self._lock:
                self._waiting.append(call)
                self._waiting.popleft().release()
            call.acquire()

    def _take(self) -> None:
        call = _make_call()
        with self._lock:
            if not self._is_taken:
                self._is_taken = True
                return
            self._waiting.append(call)
        call.acquire()

    def _give(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._is_taken = False


def pass_on() -> None:
    """Let the others that wait have their turns first, where this thread has one at all."""
    turns: Turns | None = getattr(_at_work, "turns", None)
    if turns is not None:
        turns.pass_on()


def in_turns(items: Iterable[T]) -> Iterator[T]:
    """Yield the items, and pass on after every so many."""
    for place, item in enumerate(items, start=1):
        yield item
        if place % RECORDS_A_TURN == 0:
            pass_on()


def _make_call() -> threading.Lock:
    """Return what a thread waits for: a lock that whoever calls it lets go of."""
    call = threading.Lock()
    call.acquire()
    return call
