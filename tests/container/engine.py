"""Run the image under test with the docker command, and take everything away again."""

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from tests.conftest import do_without, wait_until

BODY: Final = b"[[25, 1250.0], [45, 3000.5]]"
PORT: Final = 8080
_TIMEOUT_S: Final = 240
_LISTENING: Final = "0A"


def docker(*arguments: str, is_checked: bool = True) -> subprocess.CompletedProcess[str]:
    """Run docker; both streams are in stdout."""
    done = subprocess.run(
        ["docker", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=_TIMEOUT_S,
    )
    assert not is_checked or done.returncode == 0, f"docker {' '.join(arguments)}:\n{done.stdout}"
    return done


def image_under_test() -> str:
    """Return the image that SEGSERVE_IMAGE names."""
    named = os.environ.get("SEGSERVE_IMAGE")
    if not named:
        do_without("SEGSERVE_IMAGE is not set: see make image-test")
    if shutil.which("docker") is None:
        do_without("there is no docker command")
    done = docker("image", "inspect", named, is_checked=False)
    if done.returncode:
        do_without(f"{named} cannot be run: {done.stdout.strip()[-200:]}")
    return named


@dataclass(frozen=True, slots=True)
class Container:
    """A container that may run or have ended; it is there until the test ends."""

    name: str

    def inspect(self) -> Any:
        return json.loads(docker("inspect", self.name).stdout)[0]

    def output(self) -> str:
        return docker("logs", self.name).stdout

    def run_inside(self, *command: str, is_checked: bool = True) -> str:
        return docker("exec", self.name, *command, is_checked=is_checked).stdout

    def read(self, path: str) -> str:
        return self.run_inside("cat", path)

    def exit_code(self) -> int | None:
        """Return the exit code, None while it runs."""
        state = self.inspect()["State"]
        return None if state["Running"] else int(state["ExitCode"])

    def wait(self) -> int:
        """Return the exit code once it has ended."""
        return int(docker("wait", self.name).stdout)

    def stop(self, *, grace_s: int = 30) -> int:
        """Send SIGTERM as SageMaker does and return the exit code; 137 is one that had to be killed."""
        docker("stop", "--time", str(grace_s), self.name)
        code = self.exit_code()
        assert code is not None
        return code

    def url(self, port: int = PORT) -> str:
        """Return where a published port is, on this machine."""
        return f"http://{docker('port', self.name, f'{port}/tcp').stdout.split()[0]}"

    def inner_url(self, port: int = PORT) -> str:
        """Return where a port is on the engine's own network, which an engine of this machine shares with it.

        The proxy behind a published port reads megabytes ahead of the server, and goes on passing them on
        when the client has gone: the server cannot know.
        """
        networks = self.inspect()["NetworkSettings"]["Networks"].values()
        return next(f"http://{network['IPAddress']}:{port}" for network in networks)

    def wait_until_ready(self) -> None:
        """Wait for the line that says so; fail with the log when it ends before."""
        wait_until(
            lambda: "Ready on" in self.output() or self.exit_code() is not None,
            what="the container to be ready",
        )
        assert self.exit_code() is None, self.output()

    def answers(self, port: int = PORT) -> bool:
        """Tell whether /ping answers on a published port."""
        try:
            return httpx.get(f"{self.url(port)}/ping", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def listening_ports(self) -> set[int]:
        """Return every TCP port that something in the container listens on."""
        tables = self.run_inside("cat", "/proc/net/tcp", "/proc/net/tcp6", is_checked=False).splitlines()
        rows = [row.split() for row in tables if ":" in row]
        return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == _LISTENING}

    def changes(self) -> list[str]:
        """Return the paths that it has written to; the mounts, which docker makes, are not its work."""
        made = {"/"}
        for mount in self.inspect()["Mounts"]:
            target = Path(mount["Destination"])
            made |= {str(target), *map(str, target.parents)}
        lines = docker("diff", self.name).stdout.splitlines()
        return [path for path in (line.split(" ", 1)[1] for line in lines) if path not in made]


@contextmanager
def container(image: str, *command: str, options: tuple[str, ...] = ()) -> Iterator[Container]:
    """Start a container in the background; it is removed at the end, whatever happens."""
    name = f"segserve-test-{uuid.uuid4().hex[:12]}"
    try:
        docker("run", "--detach", "--name", name, *options, image, *command)
        yield Container(name)
    finally:
        docker("rm", "--force", "--volumes", name, is_checked=False)


def run_to_end(image: str, *command: str, options: tuple[str, ...] = ()) -> tuple[int, str]:
    """Run a container to its end and return its exit code and output."""
    with container(image, *command, options=options) as running:
        return running.wait(), running.output()
