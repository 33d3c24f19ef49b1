"""Import modules without looking for garbage meanwhile, and without keeping others waiting."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

SWITCH_INTERVAL_S: Final = 0.0003
"""After which whoever imports beside others gives them the interpreter's lock; they need it for moments."""


@contextmanager
def importing() -> Iterator[None]:
    """Look for no garbage in this block, and never again in what there is at its end.

    What modules are made of stays. Objects are still freed with their last reference; what refers to itself
    is looked for after the block, and so it is in other threads.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


@contextmanager
def beside_others() -> Iterator[None]:
    """Give other threads the interpreter's lock soon in this block: they need it often, and for moments."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(min(SWITCH_INTERVAL_S, interval))
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
