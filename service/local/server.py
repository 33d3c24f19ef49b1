"""Run the local SageMaker until it is told to end; then nothing that it has started remains."""

import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

import uvicorn

from service.errors import ConfigurationError
from service.local.app import create_app
from service.local.caller import DEFAULT_REGION
from service.local.control_plane import ControlPlane
from service.local.instances import Runtime
from service.local.processes import ProcessRuntime
from service.local.state import Running, State
from service.logs import log_config

DEFAULT_PORT: Final = 9300
_LOOPBACK: Final = "127.0.0.1"
_DRAIN_S: Final = 10


class RuntimeName(StrEnum):
    """Name a way to start instances."""

    DOCKER = "docker"
    PROCESS = "process"


def serve(state: State, *, port: int, runtime: RuntimeName, on_ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        ConfigurationError: The state or the port is taken, or no Docker engine answers.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    logging.getLogger("httpx").setLevel(logging.WARNING)  # each invocation and ping
    region = find_region(os.environ)
    # Owned to the very end of the process: who waits for the lock waits for all of it.
    state.lock()
    with _bind(port) as listener:
        state.clear_work()
        plane = ControlPlane(state, _start_runtime(runtime, state), region=region)
        app = create_app(plane.handlers(), plane.runtime_api, default_region=region, status=plane.status)
        url = f"http://{_LOOPBACK}:{listener.getsockname()[1]}"

        def ready() -> None:
            started = datetime.now(UTC).isoformat(timespec="seconds")
            state.announce(Running(os.getpid(), url, runtime.value, started))
            on_ready(url)

        config = uvicorn.Config(
            app,
            ws="none",
            lifespan="off",
            log_config=log_config("info"),
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_DRAIN_S,
        )
        # uvicorn raises the signal again that has ended it.
        with contextlib.suppress(KeyboardInterrupt):
            try:
                _Server(config, plane, on_ready=ready).run(sockets=[listener])
            finally:
                state.withdraw()


def find_region(environment: Mapping[str, str]) -> str:
    """Return the region of requests that do not say."""
    return environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or DEFAULT_REGION


class _Server(uvicorn.Server):
    """Begin and end what belongs to the service with it."""

    def __init__(self, config: uvicorn.Config, plane: ControlPlane, *, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._plane = plane
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._plane.resume()
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        await self._plane.close()


def _start_runtime(name: RuntimeName, state: State) -> Runtime:
    if name is RuntimeName.PROCESS:
        return ProcessRuntime()
    from service.local.containers import DockerRuntime  # noqa: PLC0415  # needed with Docker only

    return DockerRuntime(state.owner())


def _bind(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((_LOOPBACK, port))
    except (OSError, OverflowError) as exc:
        listener.close()
        reason = (getattr(exc, "strerror", None) or str(exc)).lower()
        raise ConfigurationError(
            f"cannot listen on {_LOOPBACK} port {port} ({reason}): choose another with --port"
        ) from exc
    return listener
