"""Read what a process takes of the machine, where /proc tells it."""

import os
from pathlib import Path
from typing import Final

import msgspec

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")
_CPU_FIELDS: Final = slice(11, 13)
_RSS_FIELD: Final = 21
_THREADS_FIELD: Final = 17
"""utime and stime, num_threads, rss, counted after the command's name. Source: proc_pid_stat(5)."""


class Process(msgspec.Struct, frozen=True):
    """Hold what a running process takes."""

    resident_bytes: int
    cpu_s: float
    threads: int


def read_process(pid: int) -> Process | None:
    """Return what a process takes; None when it has ended, or the system does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    if fields[0] in "ZX":  # dead, but not yet reaped
        return None
    return Process(
        resident_bytes=int(fields[_RSS_FIELD]) * _PAGE_BYTES,
        cpu_s=sum(map(int, fields[_CPU_FIELDS])) / _TICKS_A_SECOND,
        threads=int(fields[_THREADS_FIELD]),
    )
