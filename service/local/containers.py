"""Start images with Docker, as SageMaker does."""

import asyncio
import contextlib
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from docker.client import DockerClient
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from service.contract import DEFAULT_PORT, PREFIX
from service.errors import ConfigurationError
from service.local import reaper
from service.local.faults import LaunchError
from service.local.instances import Instance, Launch, Role
from service.local.reaper import LABEL

_TIMEOUT_S: Final = 120
"""Of a request to the engine, but for those that wait for a container to end."""

_STARTS_AT_ONCE: Final = 4
"""A start that waits for its turn can be cancelled; one that a thread has taken up cannot."""


class ContainerInstance:
    """Be a container; it is removed when it is stopped."""

    def __init__(self, container: Any, *, url: str, log_path: Path) -> None:
        """Watch over a container that has been started."""
        self._container = container
        self._log_path = log_path
        self._code: int | None = None
        self.url = url
        self.in_flight = 0

    async def exit_code(self) -> int | None:
        """Return the exit code, None while it runs."""
        if self._code is None:
            state = await asyncio.to_thread(self._state)
            if not state.get("Running", False):
                self._code = int(state.get("ExitCode", 1))
                await asyncio.to_thread(self._keep_log)
        return self._code

    async def stop(self, *, grace_s: float) -> int:
        """End the container, keep its log, remove it."""
        return await asyncio.to_thread(self._stop, int(grace_s))

    def _state(self) -> dict[str, Any]:
        try:
            self._container.reload()
        except NotFound:
            return {}
        except (DockerException, OSError):  # the engine is busy or away: not a sign that the container ended
            return {"Running": True}
        state: dict[str, Any] = self._container.attrs["State"]
        return state

    def _stop(self, grace_s: int) -> int:
        with contextlib.suppress(NotFound, APIError):
            self._container.stop(timeout=grace_s)
        if self._code is None:
            self._code = int(self._state().get("ExitCode", 1))
            self._keep_log()
        with contextlib.suppress(NotFound, APIError):
            self._container.remove(force=True, v=True)
        return self._code

    def _keep_log(self) -> None:
        with contextlib.suppress(NotFound, APIError), self._log_path.open("wb") as log:
            for chunk in self._container.logs(stream=True, follow=False):
                log.write(chunk)


class DockerRuntime:
    """Start containers, each labelled as one of this service."""

    def __init__(self, owner: str) -> None:
        """Connect to the engine and take away what an earlier run of the same owner has left.

        Raises:
            ConfigurationError: No engine answers.
        """
        self._owner = owner
        self._turn = asyncio.Semaphore(_STARTS_AT_ONCE)
        try:
            self._client = DockerClient.from_env(timeout=_TIMEOUT_S)
            self._client.ping()
        except DockerException as exc:
            raise ConfigurationError(
                "no Docker engine answers: start it, or choose --runtime process, which runs the installed "
                "package instead of an image"
            ) from exc
        reaper.remove_containers(self._client, owner)
        self._reaper = _start_reaper(owner)

    async def start(self, launch: Launch) -> Instance:
        """Start a container, from an image that the engine has or can pull."""
        async with self._turn:
            starting = asyncio.ensure_future(asyncio.to_thread(self._run, launch))
            try:
                container = await asyncio.shield(starting)
            except asyncio.CancelledError:  # the thread cannot be stopped: take away what it makes
                with contextlib.suppress(LaunchError, DockerException):
                    (await starting).remove(force=True, v=True)
                raise
        url = "" if launch.role is Role.TRAIN else await asyncio.to_thread(_find_url, container)
        return ContainerInstance(container, url=url, log_path=launch.log_path)

    async def close(self) -> None:
        """Remove what is left, and let the reaper go."""
        await asyncio.to_thread(reaper.remove_containers, self._client, self._owner)
        self._client.close()
        if self._reaper.stdin is not None:
            self._reaper.stdin.close()
        await asyncio.to_thread(self._reaper.wait)

    def _run(self, launch: Launch) -> Any:
        launch.log_path.parent.mkdir(parents=True, exist_ok=True)
        if launch.role is Role.SERVE:
            volumes = {str(launch.tree / "model"): {"bind": f"{PREFIX}/model", "mode": "ro"}}
            ports = {f"{DEFAULT_PORT}/tcp": ("127.0.0.1", None)}
            network: dict[str, Any] = {"ports": ports}
        else:
            volumes = {str(launch.tree): {"bind": PREFIX, "mode": "rw"}}
            network = {"network_mode": "none"} if launch.is_isolated else {}
        try:
            self._find_image(launch.image)
            return self._client.containers.run(
                launch.image,
                launch.role.value,
                name=f"segserve-local-{self._owner}-{launch.name}",
                detach=True,
                environment=dict(launch.environment),
                labels={LABEL: self._owner},
                volumes=volumes,
                **network,
            )
        except (DockerException, OSError) as exc:
            reason = getattr(exc, "explanation", None) or exc
            raise LaunchError(f"The image {launch.image} cannot be started: {reason}") from exc

    def _find_image(self, name: str) -> None:
        try:
            self._client.images.get(name)
        except ImageNotFound:
            try:
                self._client.images.pull(name)
            except DockerException as exc:
                raise LaunchError(
                    f"Requested image {name} not found: the Docker engine neither has it nor can pull it"
                ) from exc


def _find_url(container: Any) -> str:
    """Return where the engine has published the port; a container that has ended has none."""
    container.reload()
    bindings = container.attrs["NetworkSettings"]["Ports"].get(f"{DEFAULT_PORT}/tcp") or []
    return f"http://127.0.0.1:{bindings[0]['HostPort']}" if bindings else "http://127.0.0.1:9"


def _start_reaper(owner: str) -> "subprocess.Popen[bytes]":
    """Start the process that removes the containers should this one be killed."""
    return subprocess.Popen(  # noqa: S603  # our own module
        [sys.executable, "-P", "-m", "service.local.reaper", owner],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def remove_left_behind(owner: str) -> int:
    """Remove the containers of a service that was killed; return how many there were, 0 without an engine."""
    with contextlib.suppress(DockerException), contextlib.closing(DockerClient.from_env()) as client:
        return reaper.remove_containers(client, owner)
    return 0
