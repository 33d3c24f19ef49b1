"""Start the service in the background, find it and end it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Final

from service.errors import ServiceError
from service.local.state import Running, State

START_TIMEOUT_S: Final = 60
STOP_TIMEOUT_S: Final = 45
"""Longer than a container has to end, so that the service ends it itself."""

_POLL_S: Final = 0.05
_SHOWN: Final = 2000


def start(state: State, *, port: int, runtime: str) -> Running:
    """Start it and wait until it is ready.

    Raises:
        ServiceError: It has ended instead; the message is its own.
    """
    state.root.mkdir(parents=True, exist_ok=True)
    options = ["--port", str(port), "--runtime", runtime, "--state", str(state.root)]
    with state.server_log_path.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  # ourselves
            [sys.executable, "-P", "-m", "service", "local", "up", *options],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    end = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < end and process.poll() is None:
        running = state.running()
        if running is not None and running.pid == process.pid:
            process.returncode = 0  # it goes on without us
            return running
        time.sleep(_POLL_S)
    if process.poll() is None:
        process.kill()
        process.wait()
    said = state.server_log_path.read_text(errors="replace")[-_SHOWN:].strip()
    message = said.rpartition("Error: ")[2] or "it said nothing"
    raise ServiceError(message)


def stop(state: State, *, on_insist: Callable[[], None]) -> Running | None:
    """End the service that runs; return it, None when there was none.

    Args:
        state: Of the service.
        on_insist: Called when it has not ended in time and is killed; what it had started ends with it.

    Raises:
        ServiceError: It belongs to another user.
    """
    running = state.running()
    if running is None:
        state.withdraw()
        return None
    _signal(running, signal.SIGTERM)
    if not _wait_unlocked(state, timeout_s=STOP_TIMEOUT_S):
        on_insist()
        _signal(running, signal.SIGKILL)
        _wait_unlocked(state, timeout_s=STOP_TIMEOUT_S)
    state.withdraw()
    return running


def _signal(running: Running, number: int) -> None:
    try:
        with contextlib.suppress(ProcessLookupError):
            os.kill(running.pid, number)
    except PermissionError:
        raise ServiceError(
            f"segserve local runs as another user (process {running.pid}): it must end it"
        ) from None


def _wait_unlocked(state: State, *, timeout_s: float) -> bool:
    end = time.monotonic() + timeout_s
    while state.is_locked():
        if time.monotonic() > end:
            return False
        time.sleep(_POLL_S)
    return True
