"""Serve the console: one page at /, its files, and what it asks of the server."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.types import Scope

from service.artifact import Artifact
from service.errors import ArtifactError, ModelNotFoundError, StoreError
from service.serving.card import full_card, server_facts
from service.serving.contract_check import ContractCheck
from service.serving.versions import find_store, list_versions, version_card
from service.settings import Settings
from service.store import Store

FILES: Final = Path(__file__).parent / "static"

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-cache",  # a newer server may have newer files; ETags make asking cheap
}

_MANY_MODELS: Final = (
    "this server holds many models, and none of them alone is shown here: GET /models lists them, "
    "and POST /models/NAME/invoke asks one"
)
_NO_STORE: Final = "the model was given as a file or folder; only a model store has versions"


class ConsoleFiles(StaticFiles):
    """Serve the page's files with its policy, which a worker takes from its own file's headers."""

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """Add the headers; also to a 304."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers.update(HEADERS)
        return response


def add_console(
    app: FastAPI, *, artifact: Artifact | None, settings: Settings, check: ContractCheck | None = None
) -> None:
    """Add the page and its routes to an application.

    Args:
        app: Gets the routes.
        artifact: What is served, None where nothing is.
        settings: Say which store the model came from, and the limits.
        check: Runs the contract checks.
    """
    files = ConsoleFiles(directory=FILES)
    app.mount("/console/static", files, name="console-static")

    async def page(request: Request) -> Response:
        return await files.get_response("index.html", request.scope)

    # Plain routes: FastAPI's own cost a millisecond each at start, for validation that nothing here needs.
    app.add_route("/", page, include_in_schema=False)
    _add_model(app, artifact=artifact, settings=settings)
    _add_versions(app, store=find_store(settings), served=artifact.manifest.model_version if artifact else "")
    _add_conformance(app, check=check or ContractCheck())


def why_no_model(settings: Settings) -> str:
    """Return a sentence for those who ask for the model of a server that has not one."""
    return _MANY_MODELS if settings.multi_model else "no model is loaded"


def _add_model(app: FastAPI, *, artifact: Artifact | None, settings: Settings) -> None:
    def model(_request: Request) -> Response:
        if artifact is None:
            raise HTTPException(503, why_no_model(settings))
        return _json({**full_card(artifact), "server": server_facts(settings)})

    app.add_route("/console/model", model, include_in_schema=False)


def _add_versions(app: FastAPI, *, store: Store | None, served: str) -> None:
    """Add routes that read files, and so run in a thread."""

    def versions(_request: Request) -> Response:
        if store is None:
            return _json({"total": 0, "versions": [], "sentence": _NO_STORE})
        try:
            return _json(list_versions(store, served=served))
        except (StoreError, OSError) as exc:
            raise HTTPException(503, _explain(exc)) from exc

    def version(request: Request) -> Response:
        if store is None:
            raise HTTPException(410, _NO_STORE)
        try:
            return _json(version_card(store, request.path_params["version"]))
        except ModelNotFoundError as exc:
            raise HTTPException(410, str(exc)) from exc
        except (StoreError, ArtifactError, OSError) as exc:
            raise HTTPException(503, _explain(exc)) from exc

    app.add_route("/console/versions", versions, include_in_schema=False)
    app.add_route("/console/versions/{version}", version, include_in_schema=False)


def _add_conformance(app: FastAPI, *, check: ContractCheck) -> None:
    async def conformance(request: Request) -> Response:
        if not _is_from_the_page(request):
            raise HTTPException(403, "the checks can be started from this server's own page only")
        if check.is_running:
            raise HTTPException(409, "the checks are running already; wait until they are done")
        return StreamingResponse(_own_verdicts(check, request), media_type="application/jsonlines")

    app.add_route("/console/conformance", conformance, methods=["POST"], include_in_schema=False)


async def _own_verdicts(check: ContractCheck, request: Request) -> AsyncIterator[bytes]:
    # The address that this very connection came in on: whatever Host says, no other server is asked.
    host, port = request.scope["server"]
    async for line in check.run(f"http://{f'[{host}]' if ':' in host else host}:{port}"):
        yield line


def _is_from_the_page(request: Request) -> bool:
    """Tell whether no other site made the browser ask: these requests start a process."""
    origin = request.headers.get("origin")
    is_own = origin is None or urlsplit(origin).netloc == request.headers.get("host")
    return is_own and request.headers.get("sec-fetch-site", "same-origin") in {"same-origin", "none"}


def _explain(error: Exception) -> str:
    """Return a sentence without the paths of this machine that an OSError has."""
    return f"the model store cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)


def _json(document: Any) -> Response:
    headers = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
    return Response(orjson.dumps(document), media_type="application/json", headers=headers)
