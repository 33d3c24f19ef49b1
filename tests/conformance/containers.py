"""Run the image that SEGSERVE_IMAGE names with the docker command."""

import json
import os
import shutil
import subprocess
import uuid
from typing import Any, Final

from tests.conformance.targets import PORT, Launch, Running, parse_listening
from tests.conformance.wire import DEADLINE_S, Address

IMAGE: Final = "SEGSERVE_IMAGE"


def docker(
    *arguments: str, is_checked: bool = True, deadline_s: float = 2 * DEADLINE_S
) -> subprocess.CompletedProcess[str]:
    """Run docker; both streams are in stdout."""
    done = subprocess.run(
        ["docker", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=deadline_s,
    )
    assert not is_checked or done.returncode == 0, f"docker {' '.join(arguments)}:\n{done.stdout}"
    return done


def why_not() -> str | None:
    """Return why no container can be started, None where one can."""
    image = os.environ.get(IMAGE)
    if not image:
        return f"{IMAGE} is not set"
    if shutil.which("docker") is None:
        return "there is no docker command"
    done = docker("image", "inspect", image, is_checked=False)
    return None if done.returncode == 0 else f"{image} cannot be run: {done.stdout.strip()[-200:]}"


class ContainerRun:
    """A service that runs as a container."""

    def __init__(self, launch: Launch, image: str) -> None:
        self.name = f"segserve-conformance-{uuid.uuid4().hex[:12]}"
        self._port = int(launch.environment.get(PORT, "8080"))
        arguments = ["run", "--detach", "--name", self.name, *launch.flags]
        is_reachable = "none" not in launch.flags and launch.command[:1] != ("train",)
        if is_reachable:
            arguments += ["--publish", f"127.0.0.1::{self._port}"]
        for folder, mode in launch.mounts.items():
            (launch.prefix / folder).mkdir(exist_ok=True)
            arguments += ["--volume", f"{launch.prefix / folder}:/opt/ml/{folder}:{mode}"]
        for name, value in launch.environment.items():
            arguments += ["--env", f"{name}={value}"]
        docker(*arguments, image, *launch.command)
        self.address = self._published() if is_reachable else ("127.0.0.1", 0)

    def inspect(self) -> Any:
        return json.loads(docker("inspect", self.name).stdout)[0]

    def inside(self, *command: str) -> str:
        """Run a command in the container."""
        return docker("exec", self.name, *command).stdout

    def exit_code(self) -> int | None:
        state = self.inspect()["State"]
        return None if state["Running"] else int(state["ExitCode"])

    def wait(self, *, deadline_s: float = DEADLINE_S) -> int:
        return int(docker("wait", self.name, deadline_s=deadline_s).stdout)

    def terminate(self) -> None:
        docker("kill", "--signal", "TERM", self.name)

    def output(self) -> str:
        return docker("logs", self.name).stdout

    def peak_memory_bytes(self) -> int:
        """Of the process; that the container lives is the proof for its limit."""
        status = self.inside("cat", "/proc/1/status")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    def listening_ports(self) -> set[int]:
        return parse_listening(self.inside("cat", "/proc/net/tcp", "/proc/net/tcp6"), None)

    def other_address(self) -> Address:
        networks = self.inspect()["NetworkSettings"]["Networks"].values()
        return (next(network["IPAddress"] for network in networks), self._port)

    def process_count(self) -> int:
        return len(docker("top", self.name).stdout.splitlines()) - 1

    def remove(self) -> None:
        docker("rm", "--force", "--volumes", self.name)

    def _published(self) -> Address:
        shown = docker("port", self.name, f"{self._port}/tcp", is_checked=False).stdout.split()
        host, _, port = shown[0].rpartition(":") if shown else ("", "", "")
        return (host, int(port)) if port.isdigit() else ("127.0.0.1", 0)  # it has ended already


class ContainerTarget:
    """Starts containers of one image."""

    name = "container"

    def __init__(self, image: str) -> None:
        self.image = image

    def start(self, launch: Launch) -> Running:
        return self.run(launch)

    def run(self, launch: Launch) -> ContainerRun:
        return ContainerRun(launch, self.image)

    def inspect(self) -> Any:
        return json.loads(docker("image", "inspect", self.image).stdout)[0]
