"""Run containers with the docker command: every user of Docker has it, so no library is needed."""

import contextlib
import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from service.conformance.wire import Address
from service.errors import ConformanceError

COMMAND_S: Final = 120
LISTENING: Final = "0A"
_LOOPBACKS: Final = ("0100007F", "00000000000000000000000001000000")


def docker(*arguments: str, deadline_s: float = COMMAND_S, is_checked: bool = True) -> str:
    """Run docker and return what it prints on both streams.

    Raises:
        ConformanceError: There is no docker command, it fails, or it does not end in time.
    """
    program = shutil.which("docker")
    if program is None:
        raise ConformanceError(
            "there is no docker command: install Docker, or check a running server by its URL"
        )
    try:
        done = subprocess.run(  # noqa: S603  # arguments are never parsed by a shell
            [program, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            check=False,
            timeout=deadline_s,
        )
    except subprocess.TimeoutExpired as exc:
        raise ConformanceError(f"docker {arguments[0]} did not end within {deadline_s:g} s") from exc
    output = done.stdout.decode("utf-8", "replace")
    if is_checked and done.returncode != 0:
        raise ConformanceError(f"docker {' '.join(arguments[:2])} failed: {output.strip()[-300:]}")
    return output


def inspect_image(image: str) -> Any:
    """Return what the engine knows of an image; it must be there, or be pullable.

    Raises:
        ConformanceError: It is not.
    """
    docker("version", "--format", "{{.Server.Version}}")
    if not docker("image", "ls", "--quiet", image).strip():
        docker("pull", "--quiet", image, deadline_s=3600)
    return json.loads(docker("image", "inspect", image))[0]


class Container:
    """Hold a container; it is there until it is removed."""

    def __init__(self, name: str, address: Address | None) -> None:
        """Hold a container that was started, and where its port is on this machine."""
        self.name = name
        self._address = address

    @property
    def address(self) -> Address:
        """Return where the port is on this machine.

        Raises:
            ConformanceError: It is not published.
        """
        if self._address is None:
            raise ConformanceError("the port of the container is not published")
        return self._address

    def inspect(self) -> Any:
        """Return what the engine knows of it."""
        return json.loads(docker("inspect", self.name))[0]

    def exit_code(self) -> int | None:
        """Return the exit code, None while it runs."""
        state = self.inspect()["State"]
        return None if state["Running"] else int(state["ExitCode"])

    def own_ip(self) -> str:
        """Return its address in its own network, empty where there is none."""
        networks = self.inspect()["NetworkSettings"]["Networks"].values()
        return next((network["IPAddress"] for network in networks if network["IPAddress"]), "")

    def published(self, port: int) -> Address | None:
        """Return where a port of it is on this machine, None where that is nowhere."""
        shown = docker("port", self.name, f"{port}/tcp", is_checked=False).split()
        host, _, number = shown[0].rpartition(":") if shown else ("", "", "")
        if (
            not number.isdigit()
        ):  # of a container that has ended at once, the engine shows an address without it
            return None
        return Address(_engine_host() or host, int(number))

    def signal(self, name: str) -> None:
        """Send a signal to process 1."""
        docker("kill", "--signal", name, self.name)

    def wait(self, *, deadline_s: float) -> int | None:
        """Return the exit code once it ends, None where it does not in time."""
        try:
            return int(docker("wait", self.name, deadline_s=deadline_s).split()[-1])
        except ConformanceError:
            return self.exit_code()

    def logs(self) -> str:
        """Return all that it has printed."""
        return docker("logs", self.name)

    def changes(self) -> list[str]:
        """Return the paths that it has added or changed, outside of mounts."""
        return [line.split(" ", 1)[1] for line in docker("diff", self.name).splitlines() if " " in line]

    def listening(self) -> list[tuple[int, bool]] | None:
        """Return each listening TCP port and if only loopback reaches it; None where that is unseen."""
        tables = docker("exec", self.name, "cat", "/proc/net/tcp", "/proc/net/tcp6", is_checked=False)
        rows = [line.split() for line in tables.splitlines() if ":" in line]
        rows = [row for row in rows if len(row) > 9 and row[0].rstrip(":").isdigit()]  # as in proc(5)
        if not rows and "local_address" not in tables:
            return None
        # The engine's own name server listens on 127.0.0.11 in networks that users make.
        found = {
            (int(row[1].rpartition(":")[2], 16), row[1].rpartition(":")[0] in _LOOPBACKS)
            for row in rows
            if row[3] == LISTENING and not row[1].startswith("0B00007F")
        }
        return sorted(found)

    def remove(self) -> None:
        """Take it away, running or not."""
        docker("rm", "--force", "--volumes", self.name, is_checked=False)


@contextlib.contextmanager
def running(
    image: str,
    *command: str,
    environment: Mapping[str, str] | None = None,
    volumes: Sequence[str] = (),
    flags: Sequence[str] = (),
    port: int | None = None,
    other_ports: Sequence[int] = (),
) -> Iterator[Container]:
    """Start a container, and remove it when the block ends.

    Raises:
        ConformanceError: The engine cannot start it; that is its own error, or that of the entry point.
    """
    name = f"segserve-conform-{uuid.uuid4().hex[:12]}"
    arguments = ["run", "--detach", "--name", name, *flags]
    for number in (*([port] if port else []), *other_ports):
        arguments += ["--publish", f"{'' if _engine_host() else '127.0.0.1'}::{number}"]
    for volume in volumes:
        arguments += ["--volume", volume]
    for key, value in (environment or {}).items():
        arguments += ["--env", f"{key}={value}"]
    container = Container(name, None)
    try:
        docker(*arguments, image, *command)
        yield Container(name, container.published(port) if port else None)
    finally:
        container.remove()


def _engine_host() -> str:
    """Return the host of an engine on another machine, empty for one on this machine."""
    parts = urlsplit(os.environ.get("DOCKER_HOST", ""))
    return parts.hostname or "" if parts.scheme in {"tcp", "ssh"} else ""
