"""Remove the containers of an owner when nobody holds the other end of stdin any more.

python -m service.local.reaper OWNER
"""

import contextlib
import signal
import sys
import time
from typing import Any, Final

from docker.client import DockerClient
from docker.errors import APIError, DockerException, NotFound

LABEL: Final = "io.segserve.local"
"""Label of every container that is started; its value tells whose it is."""

_QUIET_ROUNDS: Final = 3
_ROUND_S: Final = 1.0


def remove_containers(client: Any, owner: str) -> int:
    """Remove all containers of an owner, running or not; return how many there were."""
    found = client.containers.list(all=True, filters={"label": f"{LABEL}={owner}"}, ignore_removed=True)
    for container in found:
        with contextlib.suppress(NotFound, APIError):
            container.remove(force=True, v=True)
    return len(found)


def main(owner: str) -> None:
    """Wait for the end of stdin, then remove; again, for what the engine was about to start."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    quiet = 0
    with contextlib.suppress(DockerException), contextlib.closing(DockerClient.from_env()) as client:
        while quiet < _QUIET_ROUNDS:
            quiet = quiet + 1 if remove_containers(client, owner) == 0 else 0
            time.sleep(_ROUND_S)


if __name__ == "__main__":
    main(sys.argv[1])
