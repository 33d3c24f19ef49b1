"""Give memory back to the system once large payloads are gone.

glibc keeps what was freed, since the next payload will need it: 40 payloads that came slowly left 660 MiB
behind. An endpoint that sees a few large ones a day would hold their memory for
ever. What is free at the end of a thread's own heap stays all the same: up to twice the largest block that
was ever freed, in each of the threads that answer large payloads.
"""

import asyncio
from collections.abc import Callable
from functools import cache
from typing import Final

TRIM_BYTES: Final = 8 * 2**20
"""Of payloads that were let go since the last time: less is not worth the while."""

_DELAY_S: Final = 1.0
"""Without large payloads: those that follow one another use the same memory again."""


class Trimmer:
    """Count the payloads that were let go; use it in the event loop alone."""

    def __init__(self, *, is_idle: Callable[[], bool], run: Callable[[Callable[[], None]], object]) -> None:
        """Take what tells that no large payload is there, and what runs a task in a thread."""
        self._is_idle = is_idle
        self._run = run
        self._bytes = 0
        self._is_waiting = False

    def note(self, size: int) -> None:
        """Count a payload that has arrived or ceased to, or an answer that waited and does no more."""
        self._bytes += size
        if self._bytes >= TRIM_BYTES and not self._is_waiting:
            self._wait()

    def _wait(self) -> None:
        self._is_waiting = True
        asyncio.get_running_loop().call_later(_DELAY_S, self._trim, self._bytes)

    def _trim(self, before: int) -> None:
        if self._bytes != before or not self._is_idle():
            self._wait()
            return
        self._is_waiting = False
        self._bytes = 0
        self._run(give_back)


def give_back() -> None:
    """Give free memory back to the system where the C library can; without the interpreter's lock."""
    _malloc_trim()(0)


@cache
def _malloc_trim() -> Callable[[int], object]:
    try:
        import ctypes  # noqa: PLC0415  # only servers of large payloads need it

        trim: Callable[[int], object] = ctypes.CDLL(None).malloc_trim
    except (ImportError, OSError, AttributeError, TypeError):  # not glibc
        return lambda _: None
    return trim
