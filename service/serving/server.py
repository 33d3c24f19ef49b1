"""Run the application on uvicorn: one process tree, no proxy before it, drained on SIGTERM."""

import contextlib
import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import uvicorn
from uvicorn.supervisors import Multiprocess

import service
from service.artifact import Artifact
from service.errors import ConfigurationError
from service.logs import log_config
from service.serving.app import AppFactory, create_app
from service.serving.loading import find_model, load_artifact
from service.serving.privileges import drop_privileges
from service.serving.protocol import ShortcutProtocol
from service.serving.signals import tracing
from service.serving.signals.board import Board
from service.serving.versions import find_store
from service.settings import ALL_INTERFACES, Settings, variables
from service.trust import Trust

KEEP_ALIVE_S: Final = 75
"""C142: longer than clients keep idle connections in their pools."""

_BACKLOG: Final = 2048
_READY_TIMEOUT_S: Final = 60

_logger = logging.getLogger(__name__)


def serve(settings: Settings, *, on_ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is in flight.

    Args:
        settings: What to serve, and how.
        on_ready: Called with the URL once the first request can be answered.

    Raises:
        ModelNotFoundError: There is no model to serve.
        ArtifactError: The model cannot be used.
        ConfigurationError: The port is taken, or not allowed.
    """
    if settings.emf_namespace and not settings.logs_json:
        raise ConfigurationError(
            f"SERVICE_EMF_NAMESPACE={settings.emf_namespace!r} needs SERVICE_LOG_FORMAT=json"
        )
    # As PID 1 a process ignores SIGTERM unless it says otherwise; uvicorn raises the signal again at its end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    settings = settings.model_copy(update={"registry": None}) if settings.workers == 1 else settings
    # Read once, by whoever may read the files: a worker is nobody.
    settings = settings.model_copy(update={"trusted_keys": Trust.of(settings).pem})
    artifact = None if settings.multi_model else load_artifact(settings)
    app = create_app(artifact, settings)
    listener = _bind(settings)
    if settings.multi_model:
        _logger.info("Privileges kept: models come later, and may be readable by root alone")
    else:
        drop_privileges([Path(service.__file__), Path(np.__file__), Path(os.__file__), find_model(settings)])
    url = f"http://{_reachable(settings)}:{listener.getsockname()[1]}"
    _logger.info("Listening address=%s port=%d", settings.address, listener.getsockname()[1])
    if settings.workers == 1:
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn has drained, then raised the signal again
            _Server(_config(app, settings), on_ready=lambda: on_ready(url)).run(sockets=[listener])
        return
    board = Board()
    with _registry(settings) as folder:
        # Each worker builds the application for itself, from the environment.
        pinned = {"registry": folder, "model": _pin(settings, artifact)}
        os.environ.update(_environment(settings.model_copy(update=pinned)))
        config = _config(AppFactory(board), settings, factory=True)
        _Workers(config, [listener], on_ready=lambda: on_ready(url)).run()


class _Server(uvicorn.Server):
    """Say when the first request can be answered."""

    def __init__(self, config: uvicorn.Config, *, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()


class _Workers(Multiprocess):
    """Say when every worker can answer."""

    def __init__(
        self, config: uvicorn.Config, sockets: list[socket.socket], *, on_ready: Callable[[], None]
    ) -> None:
        super().__init__(config, sockets)
        self._on_ready = on_ready

    def init_processes(self) -> None:
        super().init_processes()
        if all(process.wait_until_ready(_READY_TIMEOUT_S) for process in self.processes):
            self._on_ready()

    def terminate_all(self) -> None:
        # While this process holds the port open, the system goes on taking connections that nobody answers.
        for listener in self.sockets:
            listener.close()
        super().terminate_all()


@contextlib.contextmanager
def _registry(settings: Settings) -> Iterator[Path | None]:
    """Provide an empty folder in which the workers of a multi-model server agree on what is loaded."""
    if not settings.multi_model:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="segserve-", dir=settings.registry) as folder:
        yield Path(folder)


def _pin(settings: Settings, artifact: Artifact | None) -> str | None:
    """Return the model for each worker, also for one that starts when the store has a newer version."""
    return artifact.manifest.model_version if artifact and find_store(settings) else settings.model


def _config(app: Any, settings: Settings, *, factory: bool = False) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        factory=factory,
        workers=settings.workers,
        http=ShortcutProtocol,
        ws="none",
        lifespan="on" if tracing.is_wanted(os.environ) else "off",
        log_config=log_config(settings.log_level, is_json=settings.logs_json),
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=settings.graceful_timeout_s,
    )


def _bind(settings: Settings) -> socket.socket:
    """Take the port before the workers start, so that all share it; they listen on it."""
    host = settings.address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, settings.port))
    except OSError as exc:
        listener.close()
        reason = (exc.strerror or str(exc)).lower()
        raise ConfigurationError(
            f"cannot listen on {host} port {settings.port} ({reason}): choose another with --port"
        ) from exc
    listener.set_inheritable(True)
    return listener


def _reachable(settings: Settings) -> str:
    """Return how the address is written in a URL on this machine."""
    host = settings.host or ALL_INTERFACES
    return "localhost" if host in {ALL_INTERFACES, "::"} else f"[{host}]" if ":" in host else host


def _environment(settings: Settings) -> dict[str, str]:
    """Return the settings as environment variables."""
    values = settings.model_dump(mode="json", exclude_none=True)
    return {names[0]: str(values[field]) for field, names in variables().items() if field in values}
