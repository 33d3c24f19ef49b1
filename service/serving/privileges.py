"""Stop being root before the first request: SageMaker starts containers so (C5), serving does not need it."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

UNPRIVILEGED: Final = 65534
"""User and group `nobody` of Debian and of most other systems."""

_logger = logging.getLogger(__name__)


def drop_privileges(needed: Sequence[Path]) -> None:
    """Become `nobody` when started as root, unless something that is still needed could then not be read.

    Args:
        needed: What will be read later: code that is imported late, and the model where workers load it.
    """
    if os.geteuid() != 0:
        return
    try:
        unreadable = _find_unreadable(needed)
        if unreadable is not None:
            _logger.info("Privileges kept: uid=%d could not read %s", UNPRIVILEGED, unreadable)
            return
        os.setgroups([])
        os.setgid(UNPRIVILEGED)
        os.setuid(UNPRIVILEGED)
    except PermissionError:
        _logger.info("Privileges kept: this root may not change its user")
        return
    _logger.info("Privileges dropped uid=%d gid=%d", UNPRIVILEGED, UNPRIVILEGED)


def _find_unreadable(paths: Sequence[Path]) -> Path | None:
    """Return the first path that `nobody` cannot read."""
    with _acting_as_nobody():
        return next((path for path in paths if not os.access(path, os.R_OK, effective_ids=True)), None)


@contextmanager
def _acting_as_nobody() -> Iterator[None]:
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(UNPRIVILEGED)
    os.seteuid(UNPRIVILEGED)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)
