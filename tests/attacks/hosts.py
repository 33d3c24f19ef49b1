"""Start what is attacked: a process, or the image as its users and SageMaker run it."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from tests.conftest import RunningServer, do_without, is_running, start_server
from tests.container.engine import Container, container, image_under_test

PROCESS: Final = "process"
CONTAINER: Final = "container"

AS_A_USER: Final = (
    *("--memory", "512m", "--cpus", "1", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"),
    *("--security-opt", "no-new-privileges"),
)
"""As hard as docs/ship.md says; its memory is small, so that what grows without end is killed."""
AS_SAGEMAKER: Final = ("--memory", "1g")
"""Root with the engine's usual capabilities, `serve` as the only argument, and all in the environment."""


class Host(Protocol):
    """A server under attack, wherever it runs."""

    @property
    def url(self) -> str: ...

    @property
    def pid(self) -> int: ...

    def output(self) -> str:
        """Return its log."""
        ...

    def is_running(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class ProcessHost:
    """Hold a server that is a process of this machine."""

    server: RunningServer

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def pid(self) -> int:
        return self.server.process.pid

    def output(self) -> str:
        return self.server.log.read_text()

    def is_running(self) -> bool:
        return self.server.process.poll() is None


@dataclass(frozen=True, slots=True)
class ContainerHost:
    """Hold a server in a container, whose first process is seen from here too."""

    container: Container
    url: str
    pid: int
    began: str
    """Its id and when it was started: another one would be another."""

    def output(self) -> str:
        return self.container.output()

    def is_running(self) -> bool:
        """Tell whether its first process is still the same one; the engine is asked at the end."""
        return is_running(self.pid)

    def is_unharmed(self) -> bool:
        """Tell whether it is the container that was started, and nothing in it was killed for its memory."""
        found = self.container.inspect()
        state = found["State"]
        return bool(state["Running"]) and not state["OOMKilled"] and _identity(found) == self.began


@contextmanager
def process_host(folder: Path, *arguments: str, **variables: str) -> Iterator[ProcessHost]:
    """Serve as a process; it must live, and show no trace, to the end."""
    host = ProcessHost(start_server(folder, *arguments, **variables))
    yield host
    assert host.server.stop() == 0
    assert "Traceback" not in host.output(), host.output().partition("Traceback")[2][:3000]


@contextmanager
def container_host(
    options: Sequence[str], *, mounts: Sequence[tuple[Path, str]], **variables: str
) -> Iterator[ContainerHost]:
    """Serve as a container; it must live, within its memory, and show no trace, to the end."""
    image = image_under_test()
    volumes = [word for path, inside in mounts for word in ("--volume", f"{path}:{inside}:ro")]
    environment = [word for name, value in variables.items() for word in ("--env", f"{name}={value}")]
    with container(image, "serve", options=(*options, *volumes, *environment)) as started:
        started.wait_until_ready()
        found = started.inspect()
        host = ContainerHost(started, started.inner_url(), int(found["State"]["Pid"]), _identity(found))
        if not os.access(f"/proc/{host.pid}/fd", os.R_OK):
            do_without("what the container holds is seen by root alone, with an engine on this machine")
        yield host
        assert host.is_unharmed(), started.inspect()["State"]
        assert started.stop() == 0
        assert "Traceback" not in host.output(), host.output().partition("Traceback")[2][:3000]


def _identity(found: dict[str, dict[str, str]]) -> str:
    return f"{found['Id']} {found['State']['StartedAt']} {found['RestartCount']}"
