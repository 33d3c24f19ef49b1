"""Run the application on uvicorn: one process tree, no proxy before it, drained on SIGTERM."""

import contextlib
import dataclasses
import logging
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NoReturn

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from service.errors import ConfigurationError
from service.logs import log_config
from service.serving.app import AppFactory, create_app
from service.serving.descriptors import raise_file_limit
from service.serving.handover import SharedArtifact
from service.serving.kernel import describe_kernel
from service.serving.loading import find_model, load_artifact
from service.serving.privileges import drop_privileges
from service.serving.protocol import ShortcutProtocol
from service.serving.signals.board import Board
from service.serving.trimming import HEAPS_VARIABLE
from service.serving.watch import IDLE_S
from service.settings import ALL_INTERFACES, Settings, variables
from service.termination import ignore_sigterm
from service.trust import Trust

_BACKLOG: Final = 2048
_READY_TIMEOUT_S: Final = 60
_HUNG_S: Final = 60
"""A worker that says nothing for so long is replaced."""

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
    signal.signal(signal.SIGTERM, _leave)
    # Read once, by whoever may read the files: a worker is nobody.
    settings = dataclasses.replace(settings, trusted_keys=Trust.of(settings).pem)
    artifact = None if settings.multi_model else load_artifact(settings)
    _logger.info("Compiled kernel %s", describe_kernel(settings.kernel))
    app = create_app(artifact, dataclasses.replace(settings, registry=None))
    listener = _bind(settings)
    raise_file_limit()
    if settings.multi_model:
        _logger.info("Privileges kept: models come later, and may be readable by root alone")
    else:
        drop_privileges([*_imported_late(), find_model(settings)])
    url = f"http://{_reachable(settings)}:{listener.getsockname()[1]}"
    _logger.info("Listening address=%s port=%d", settings.address, listener.getsockname()[1])
    if settings.workers == 1:
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn has drained, then raised the signal again
            _Server(_config(app, settings), on_ready=lambda: on_ready(url)).run(sockets=[listener])
        return
    board = Board()
    with _registry(settings) as folder:
        # Each worker builds the application for itself, from the environment.
        os.environ.update(_environment(dataclasses.replace(settings, registry=folder)))
        os.environ.setdefault(HEAPS_VARIABLE, "1")  # uvicorn begins a thread in each before any code of ours
        shared = SharedArtifact.of(artifact) if artifact else None
        config = _config(AppFactory(board, shared), settings, factory=True)
        _Workers(config, [listener], on_ready=lambda: on_ready(url)).run()
        ignore_sigterm()


def _leave(*_: object) -> NoReturn:
    """Exit with 0; one more SIGTERM would kill the interpreter while it ends, and leave another code."""
    ignore_sigterm()
    sys.exit(0)


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
    """Say when every worker can answer; replace those that die or hang, waiting for none meanwhile."""

    def __init__(
        self, config: uvicorn.Config, sockets: list[socket.socket], *, on_ready: Callable[[], None]
    ) -> None:
        super().__init__(config, sockets)
        self._on_ready = on_ready
        self._asked_s: dict[int | None, float] = {}
        """When each worker was asked whether it is alive, by its id, until it has answered."""

    def init_processes(self) -> None:
        super().init_processes()
        if all(process.wait_until_ready(_READY_TIMEOUT_S) for process in self.processes):
            self._on_ready()

    def keep_subprocess_alive(self) -> None:
        # uvicorn's own waits 5 s for each, and ends one that is amid a payload of 200 MB: its parser lets no
        # other thread answer for longer.
        for place, process in enumerate(self.processes):
            if self.should_exit.is_set() or (process.process.is_alive() and not self._hangs(process)):
                continue
            process.kill()
            process.join()
            self._asked_s.pop(process.pid, None)
            _logger.warning("Worker ended pid=%s code=%s", process.pid, process.exitcode)
            if process.exitcode == STARTUP_FAILURE:  # and so would the next one
                self.should_exit.set()
                return
            self.processes[place] = Process(self.config, self.sockets)
            self.processes[place].start()

    def _hangs(self, process: Process) -> bool:
        """Tell whether a worker has not answered for long."""
        since_s = self._asked_s.setdefault(process.pid, now_s := time.monotonic())
        try:
            if since_s == now_s:
                process.parent_conn.send(b"ping")
            elif process.parent_conn.poll():
                process.parent_conn.recv()
                del self._asked_s[process.pid]
        except (OSError, EOFError):
            return True
        return now_s - since_s > _HUNG_S

    def terminate_all(self) -> None:
        # While this process holds the port open, the system goes on taking connections that nobody answers.
        for listener in self.sockets:
            listener.close()
        super().terminate_all()


def _imported_late() -> list[Path]:
    """Return files of the packages that are imported after the first request, if they are there."""
    specs = (find_spec(name) for name in ("service", "numpy", "fastapi"))
    return [Path(os.__file__), *(Path(spec.origin) for spec in specs if spec and spec.origin)]


@contextlib.contextmanager
def _registry(settings: Settings) -> Iterator[Path | None]:
    """Provide an empty folder in which the workers of a multi-model server agree on what is loaded."""
    if not settings.multi_model:
        yield None
        return
    try:
        folder = tempfile.TemporaryDirectory(prefix="segserve-", dir=settings.registry)
    except OSError as exc:
        where = settings.registry or "the system's folders for temporary files"
        raise ConfigurationError(
            f"the workers of a multi-model server need a folder, and {where} cannot be written "
            f"({exc.strerror}): set SERVICE_REGISTRY to one that can"
        ) from exc
    with folder as path:
        yield Path(path)


def _config(app: Any, settings: Settings, *, factory: bool = False) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        factory=factory,
        workers=settings.workers,
        http=ShortcutProtocol,
        ws="none",
        lifespan="on",
        log_config=log_config(settings.log_level, is_json=settings.logs_json),
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=IDLE_S,
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
    values = {field: getattr(settings, field) for field in variables()}
    return {names[0]: str(values[field]) for field, names in variables().items() if values[field] is not None}
