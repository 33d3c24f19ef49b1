"""Put the application together: the fast lane ahead, FastAPI for the rest."""

import multiprocessing
import os
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

import service
from service import contract
from service.artifact import Artifact
from service.serving.access import DOCS_HEADERS, Access
from service.serving.card import model_card
from service.serving.console import add_console, why_no_model
from service.serving.fastlane import Endpoint, FastLane
from service.serving.invocation import error_body
from service.serving.loading import check_default_accept, load_artifact, served_model
from service.serving.multi_model import MultiModel
from service.serving.openapi import CONTRACT_PATHS, DESCRIPTION, GUARDED, MODELS_PATHS, RUNTIME_PATHS
from service.serving.runtime_api import RuntimeApi
from service.serving.signals.access_log import AccessLog
from service.serving.signals.board import Board
from service.serving.signals.journal import Journal
from service.serving.signals.meter import Meter
from service.serving.signals.routes import SignalRoutes, count_requests
from service.serving.signals.source import ModelFacts, Source
from service.serving.signals.tracing import Tracing
from service.settings import Settings, Switch, read_settings

_CODES: Final = {404: "NotFound", 405: "MethodNotAllowed"}


class SegmentationApp(FastAPI):
    """Serve one model: contract routes in the fast lane, people's routes through the framework."""

    def __init__(self, artifact: Artifact | None, settings: Settings, *, board: Board) -> None:
        """Build the routes; without an artifact the app answers 503 (C17)."""
        has_console = settings.console is Switch.ON
        super().__init__(
            title="segserve",
            version=service.__version__,
            description=DESCRIPTION,
            openapi_url="/openapi.json" if has_console else None,
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
            exception_handlers={HTTPException: _refuse, Exception: _fail},
            lifespan=_shutting_down,
        )
        check_default_accept(settings)
        self._access = Access(settings)
        self.tracing = Tracing.from_environment()
        served = served_model(artifact, settings) if artifact else None
        facts = ModelFacts.of(artifact) if artifact else None
        self.meter = Meter(board, edges=facts.baseline.edges if facts and facts.baseline else None)
        access_log = AccessLog(settings, version=facts.version if facts else "none")
        trace_id = self.tracing.trace_id if self.tracing else None
        journal = Journal(self.meter, access_log, trace_id=trace_id)
        self.lane = FastLane(served, settings, meter=self.meter, journal=journal)
        signals = SignalRoutes(Source(board, facts), before=journal.flush, has_live=has_console)
        self.ticker = signals.ticker
        self._fast_routes = {**self.lane.routes, **signals.routes}
        self._models = MultiModel(self.lane, settings) if settings.multi_model else None
        self._runtime = (
            RuntimeApi(self.lane, settings, served=served, models=self._models)
            if settings.runtime_api is Switch.ON
            else None
        )
        if has_console:
            self._add_docs()
            self._add_model_card(artifact, settings)
            add_console(self, artifact=artifact, settings=settings)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Dispatch the contract's routes ahead of the middleware stack."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
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

    async def _answer_others(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer what lies below /models and /endpoints, and leave the rest to the framework."""
        top = "/" + scope["path"].partition("/")[2].partition("/")[0]
        if top == contract.MODELS_PATH and self._models is not None:
            await self._models(scope, receive, send)
        elif top == contract.ENDPOINTS_PATH and self._runtime is not None:
            if not await self._runtime(scope, receive, send):
                await super().__call__(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """Describe the API, the fast lane's routes included."""
        if not self.openapi_schema:
            schema = super().openapi()
            more = {
                **(RUNTIME_PATHS if self._runtime else {}),
                **(MODELS_PATHS if self._models else {}),
            }
            schema["paths"] = {**CONTRACT_PATHS, **more, **schema["paths"]}
            self.openapi_schema = schema
        return self.openapi_schema

    def _add_docs(self) -> None:
        """Serve Swagger UI from the installed files: nothing is asked of third parties (C40)."""
        self.mount("/docs/static", StaticFiles(packages=[("fastapi_offline", "static")]), name="docs-static")

        @self.get("/docs", include_in_schema=False)
        async def docs() -> Response:
            page = get_swagger_ui_html(
                openapi_url="openapi.json",
                title="segserve API",
                swagger_js_url="docs/static/swagger-ui-bundle.js",
                swagger_css_url="docs/static/swagger-ui.css",
                swagger_favicon_url="data:,",
            )
            page.headers.update(DOCS_HEADERS)
            return page

    def _add_model_card(self, artifact: Artifact | None, settings: Settings) -> None:
        card = model_card(artifact) if artifact else None

        @self.get("/model", summary="Describe the model that is served", responses=GUARDED)
        async def model() -> Response:
            if card is None:
                raise HTTPException(503, why_no_model(settings))
            return Response(orjson.dumps(card, option=orjson.OPT_INDENT_2), media_type="application/json")


def create_app(
    artifact: Artifact | None, settings: Settings, *, board: Board | None = None
) -> SegmentationApp:
    """Return the application around an artifact; it counts on a board of its own where none is shared."""
    return SegmentationApp(artifact, settings, board=board or Board())


@dataclass(frozen=True, slots=True)
class AppFactory:
    """Make the application that the environment asks for, in each server process."""

    board: Board
    """Shared by all of them."""

    def __call__(self) -> SegmentationApp:
        """Return the application; this process ends when the one that started it does."""
        threading.Thread(target=_end_with_parent, daemon=True).start()
        settings = read_settings()
        artifact = None if settings.multi_model else load_artifact(settings)
        return create_app(artifact, settings, board=self.board)


def _end_with_parent() -> None:
    """Drain and exit when the supervisor is gone, however it went: orphans would hold the port for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


@asynccontextmanager
async def _shutting_down(app: FastAPI) -> AsyncIterator[None]:
    yield
    if isinstance(app, SegmentationApp) and app.tracing:
        await app.tracing.shut_down()


async def _refuse(request: Request, exc: Exception) -> Response:
    """Answer in the one form that every error has."""
    status = exc.status_code if isinstance(exc, HTTPException) else 500
    message = str(exc.detail) if isinstance(exc, HTTPException) and status not in _CODES else ""
    if status == 404:
        message = "there is no such route; see /docs, or POST records to /invocations"
    elif status == 405:
        message = f"this route does not take {request.method[:20]}"
    headers = exc.headers if isinstance(exc, HTTPException) else None
    body = error_body(_CODES.get(status, "Error"), message)
    return Response(body, status_code=status, media_type="application/json", headers=headers)


async def _fail(_request: Request, _exc: Exception) -> Response:
    """Answer without the trace, which the server logs."""
    body = error_body("InternalError", "the request failed; the server's log says why")
    return Response(body, status_code=500, media_type="application/json")
