"""Put the application together: the contract's routes in plain ASGI, FastAPI behind them for people."""

import asyncio
import importlib
import logging
import multiprocessing
import os
import signal
import threading
from typing import Final

import msgspec

from service import contract
from service.artifact import Artifact
from service.imports import importing
from service.serving.access import Access
from service.serving.admission import share_the_lock
from service.serving.asgi import Endpoint, Receive, Scope, Send, send_answer
from service.serving.fastlane import FastLane
from service.serving.handover import SharedArtifact
from service.serving.invocation import NO_ROUTE, error_body
from service.serving.kernel import make_ledger
from service.serving.loading import check_default_accept, served_model
from service.serving.media import Media
from service.serving.multi_model import MultiModel
from service.serving.runtime_api import RuntimeApi
from service.serving.signals.access_log import AccessLog
from service.serving.signals.board import Board
from service.serving.signals.journal import Journal
from service.serving.signals.meter import Meter
from service.serving.signals.routes import SignalRoutes, count_requests
from service.serving.signals.source import ModelFacts, Source
from service.serving.signals.tracing import Tracing
from service.serving.trimming import share_one_heap
from service.serving.watch import Watch
from service.settings import Settings, Switch, read_settings

_PAGES: Final = frozenset({"/", "/model", "/docs", "/openapi.json", "/console"})
"""What the framework answers, by the first part of the path."""

_WARM_S: Final = 0.1
"""After the start. Numpy takes longer to import than all before it; the first ping need not wait for it."""

_logger = logging.getLogger(__name__)


class SegmentationApp:
    """Serve one model, or many: an ASGI application."""

    def __init__(self, artifact: Artifact | None, settings: Settings, *, board: Board) -> None:
        """Build the routes; without an artifact the app answers 503 (C17)."""
        has_console = settings.console is Switch.ON
        check_default_accept(settings)
        self._access = Access(settings)
        self.tracing = Tracing.from_environment()
        facts = ModelFacts.of(artifact) if artifact else None
        edges = facts.baseline.edges if facts and facts.baseline else None
        served = served_model(artifact, settings, edges=edges) if artifact else None
        self.meter = Meter(board, edges=edges)
        access_log = AccessLog(settings, version=facts.version if facts else "none")
        trace_id = self.tracing.trace_id if self.tracing else None
        ledger = make_ledger(settings.kernel)
        self._journal = journal = Journal(self.meter, access_log, trace_id=trace_id, ledger=ledger)
        self.lane = FastLane(served, settings, meter=self.meter, journal=journal)
        signals = SignalRoutes(Source(board, facts), before=journal.flush, has_live=has_console)
        self._ticker = signals.ticker
        self.watch = Watch(settings, let_go=self.lane.trimmer.note)
        self._fast_routes = {**self.lane.routes, **signals.routes}
        self._models = MultiModel(self.lane, settings) if settings.multi_model else None
        self._runtime = (
            RuntimeApi(self.lane, settings, served=served, models=self._models)
            if settings.runtime_api is Switch.ON
            else None
        )
        self._pages = _LatePages(artifact, settings) if has_console else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Dispatch a request, or follow the server's start and end."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        path = scope["path"]
        endpoint: Endpoint = self._fast_routes.get(path, self._answer_others)
        if path not in self.lane.routes:
            endpoint = self._access.guard(endpoint)
        if self.tracing:
            endpoint = self.tracing.trace(endpoint)
        if path == contract.INVOCATIONS_PATH:  # most take the protocol's short cut: the lane counts them
            await endpoint(scope, receive, send)
        else:
            await count_requests(endpoint, self.meter)(scope, receive, send)

    async def _answer_others(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what lies below /models and /endpoints, and leave the rest to the framework."""
        top = "/" + scope["path"].partition("/")[2].partition("/")[0]
        if top == contract.MODELS_PATH and self._models is not None:
            await self._models(scope, receive, send)
        elif self._pages is not None and top in _PAGES:
            await self._pages(scope, receive, send)
        elif (
            top != contract.ENDPOINTS_PATH
            or self._runtime is None
            or not await self._runtime(scope, receive, send)
        ):
            headers = ((b"content-type", Media.JSON.value.encode()),)
            await send_answer(send, 404, headers, error_body("NotFound", NO_ROUTE))

    async def _live(self, receive: Receive, send: Send) -> None:
        """Follow the server's start and end.

        Source: ASGI specification, "Lifespan Protocol".
        """
        await receive()
        share_the_lock()
        share_one_heap()
        if self._ticker:
            self._ticker.start()
        asyncio.get_running_loop().call_later(_WARM_S, threading.Thread(target=self.lane.warm).start)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._journal.flush()
        if self.tracing:
            await self.tracing.shut_down()
        await send({"type": "lifespan.shutdown.complete"})


class _LatePages:
    """Make the pages when the first of them is asked for."""

    def __init__(self, artifact: Artifact | None, settings: Settings) -> None:
        self._artifact = artifact
        self._settings = settings
        self._made: Endpoint | None = None
        self._lock = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._lock:
            if self._made is None:
                self._made = await asyncio.to_thread(self._make)
        await self._made(scope, receive, send)

    def _make(self) -> Endpoint:
        with importing():
            module = importlib.import_module("service.serving.pages")
        pages: Endpoint = module.Pages(self._artifact, self._settings)
        return pages


def create_app(
    artifact: Artifact | None, settings: Settings, *, board: Board | None = None
) -> SegmentationApp:
    """Return the application around an artifact; it counts on a board of its own where none is shared."""
    return SegmentationApp(artifact, settings, board=board or Board())


class AppFactory(msgspec.Struct, frozen=True):
    """Make the application that the environment asks for, in each server process."""

    board: Board
    """Shared by all of them."""
    artifact: SharedArtifact | None = None
    """What all of them serve, handed over and not read from its files again, which may have gone since."""

    def __call__(self) -> SegmentationApp:
        """Return the application; this process ends when the one that started it does."""
        threading.Thread(target=_end_with_parent, daemon=True).start()
        settings = read_settings()
        artifact = self.artifact.read() if self.artifact else None
        if artifact:
            _logger.info("Model loaded version=%s", artifact.manifest.model_version)
        return create_app(artifact, settings, board=self.board)


def _end_with_parent() -> None:
    """Drain and exit when the supervisor is gone, however it went: orphans would hold the port for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
