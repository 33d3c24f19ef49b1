"""Let a server hold as many connections as the system allows: many systems begin with 1024 or fewer."""

import contextlib
import resource
from typing import Final

_ENOUGH: Final = 65_536


def raise_file_limit() -> int:
    """Raise how many files this process, and those it starts, may have open; return the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _ENOUGH
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # macOS has a lower limit of its own
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
