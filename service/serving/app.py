"""Put the application together: the fast lane ahead, FastAPI for the rest."""

from typing import Any, Final

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

import service
from service.artifact import Artifact
from service.serving.card import model_card
from service.serving.console import add_console
from service.serving.fastlane import FastLane
from service.serving.invocation import error_body
from service.serving.loading import load_artifact, served_model
from service.serving.openapi import CONTRACT_PATHS, DESCRIPTION
from service.settings import Settings, Switch, read_settings

_CODES: Final = {404: "NotFound", 405: "MethodNotAllowed"}


class SegmentationApp(FastAPI):
    """Serve one model: contract routes in the fast lane, people's routes through the framework."""

    def __init__(self, artifact: Artifact | None, settings: Settings) -> None:
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
        )
        served = served_model(artifact, settings) if artifact else None
        self.lane = FastLane(served, settings)
        self._fast_routes = self.lane.routes
        if has_console:
            self._add_docs()
            self._add_model_card(artifact)
            add_console(self, artifact=artifact, settings=settings)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Dispatch the contract's routes ahead of the middleware stack."""
        endpoint = self._fast_routes.get(scope.get("path"))
        if endpoint is None or scope["type"] != "http":
            await super().__call__(scope, receive, send)
        else:
            await endpoint(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """Describe the API, the fast lane's routes included."""
        if not self.openapi_schema:
            schema = super().openapi()
            schema["paths"] = {**CONTRACT_PATHS, **schema["paths"]}
            self.openapi_schema = schema
        return self.openapi_schema

    def _add_docs(self) -> None:
        """Serve Swagger UI from the installed files: nothing is asked of third parties (C40)."""
        self.mount("/docs/static", StaticFiles(packages=[("fastapi_offline", "static")]), name="docs-static")

        @self.get("/docs", include_in_schema=False)
        async def docs() -> Response:
            return get_swagger_ui_html(
                openapi_url="openapi.json",
                title="segserve API",
                swagger_js_url="docs/static/swagger-ui-bundle.js",
                swagger_css_url="docs/static/swagger-ui.css",
                swagger_favicon_url="data:,",
            )

    def _add_model_card(self, artifact: Artifact | None) -> None:
        card = model_card(artifact) if artifact else None

        @self.get("/model", summary="Describe the model that is served")
        async def model() -> Response:
            if card is None:
                raise HTTPException(503, "no model is loaded")
            return Response(orjson.dumps(card, option=orjson.OPT_INDENT_2), media_type="application/json")


def create_app(artifact: Artifact | None, settings: Settings) -> SegmentationApp:
    """Return the application around an artifact."""
    return SegmentationApp(artifact, settings)


def create_app_from_environment() -> SegmentationApp:
    """Return the application that the environment asks for: what each server process calls."""
    settings = read_settings()
    return create_app(load_artifact(settings), settings)


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
