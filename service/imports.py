"""Import modules without looking for garbage meanwhile, which would take up to a fifth of the time."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


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
