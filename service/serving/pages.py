"""Serve what people look at through FastAPI: the console, the model card, the API's description.

Imported when the first of these routes is asked for: an endpoint on which nobody looks has neither the
framework's half second at start nor its memory.
"""

from typing import Any, Final

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

import service
from service.artifact import Artifact
from service.serving.access import DOCS_HEADERS
from service.serving.card import model_card
from service.serving.console import add_console, why_no_model
from service.serving.invocation import NO_ROUTE, error_body
from service.serving.openapi import CONTRACT_PATHS, DESCRIPTION, GUARDED, RUNTIME_PATHS
from service.serving.openapi_models import MODELS_PATHS
from service.settings import Settings, Switch

_CODES: Final = {404: "NotFound", 405: "MethodNotAllowed"}


class Pages(FastAPI):
    """Hold the routes for people, and describe all routes."""

    def __init__(self, artifact: Artifact | None, settings: Settings) -> None:
        """Build the routes; without an artifact there is no card to show."""
        super().__init__(
            title="segserve",
            version=service.__version__,
            description=DESCRIPTION,
            openapi_url="/openapi.json",
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
            exception_handlers={HTTPException: _refuse, Exception: _fail},
        )
        self._settings = settings
        self._add_docs()
        self._add_model_card(artifact)
        add_console(self, artifact=artifact, settings=settings)

    def openapi(self) -> dict[str, Any]:
        """Describe the API, the fast lane's routes included."""
        if not self.openapi_schema:
            schema = super().openapi()
            more = {
                **(RUNTIME_PATHS if self._settings.runtime_api is Switch.ON else {}),
                **(MODELS_PATHS if self._settings.multi_model else {}),
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

    def _add_model_card(self, artifact: Artifact | None) -> None:
        card = model_card(artifact) if artifact else None

        @self.get("/model", summary="Describe the model that is served", responses=GUARDED)
        async def model() -> Response:
            if card is None:
                raise HTTPException(503, why_no_model(self._settings))
            return Response(orjson.dumps(card, option=orjson.OPT_INDENT_2), media_type="application/json")


async def _refuse(request: Request, exc: Exception) -> Response:
    """Answer in the one form that every error has."""
    status = exc.status_code if isinstance(exc, HTTPException) else 500
    message = str(exc.detail) if isinstance(exc, HTTPException) and status not in _CODES else ""
    if status == 404:
        message = NO_ROUTE
    elif status == 405:
        message = f"this route does not take {request.method[:20]}"
    headers = exc.headers if isinstance(exc, HTTPException) else None
    body = error_body(_CODES.get(status, "Error"), message)
    return Response(body, status_code=status, media_type="application/json", headers=headers)


async def _fail(_request: Request, _exc: Exception) -> Response:
    """Answer without the trace, which the server logs."""
    body = error_body("InternalError", "the request failed; the server's log says why")
    return Response(body, status_code=500, media_type="application/json")
