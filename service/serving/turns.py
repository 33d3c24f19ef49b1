"""Let threads that need the interpreter's lock all the time take turns, one of them at work.

Two such threads are no faster than one, but whoever else wants the lock, the event loop first of all, then
waits about twice as long for it: Python gives it to any of those who wait.
"""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

RECORDS_A_TURN: Final = 1024
"""After so many, which take some milliseconds, whoever reads or describes records lets others have a turn."""

_at_work: Final = threading.local()


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
        _at_work.turns = self
        try:
            yield
        finally:
            del _at_work.turns
            self._give()

    def _take(self) -> None:
        with self._lock:
            if not self._is_taken:
                self._is_taken = True
                return
            called = threading.Lock()
            called.acquire()
            self._waiting.append(called)
        called.acquire()

    def _give(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._is_taken = False

    def pass_on(self) -> None:
        """Let the others that wait have their turns before this thread's next one."""
        if self._waiting:
            self._give()
            self._take()


def pass_on() -> None:
    """Do so where this thread has a turn."""
    turns: Turns | None = getattr(_at_work, "turns", None)
    if turns is not None:
        turns.pass_on()
