"""Give memory back to the system once large payloads are gone.

glibc keeps what was freed, since the next payload will need it: 40 payloads that came slowly left 660 MiB
behind. An endpoint that sees a few large ones a day would hold their memory for ever. Nor does it give back
what is free at the end of a heap other than the first, up to twice the largest block ever freed, and each
thread has one: 24 MB stayed after payloads of 300,000 records that Python answered. So there is but one heap.
"""

import asyncio
import os
from collections.abc import Callable
from functools import cache
from typing import Final

TRIM_BYTES: Final = 8 * 2**20
"""Of payloads that were let go since the last time: less is not worth the while."""

HEAPS_VARIABLE: Final = "MALLOC_ARENA_MAX"
"""How many heaps a process that begins may have; glibc reads it."""
_M_ARENA_MAX: Final = -8
"""The same for this process. Source: glibc, malloc.h."""

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


def share_one_heap() -> None:
    """Have all threads of this process take memory from one heap; call it before there are any.

    Nothing happens where the environment says how many there may be, or where the C library is not glibc.
    """
    if HEAPS_VARIABLE not in os.environ and (set_option := _find_in_c("mallopt")):
        set_option(_M_ARENA_MAX, 1)


def give_back() -> None:
    """Give free memory back to the system where the C library can; without the interpreter's lock."""
    if trim := _find_in_c("malloc_trim"):
        trim(0)


@cache
def _find_in_c(name: str) -> Callable[..., int] | None:
    """Return a function of the C library, which need not be glibc."""
    try:
        import ctypes  # noqa: PLC0415  # 2 ms, and numpy needs it all the same

        found: Callable[..., int] = getattr(ctypes.CDLL(None), name)
    except (ImportError, OSError, AttributeError, TypeError):
        return None
    return found
