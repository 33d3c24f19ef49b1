"""Answer the control plane's and the runtime's requests over HTTP."""

import json
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.local.caller import Caller, read_caller
from service.local.faults import ApiError
from service.local.runtime_api import RuntimeApi
from service.local.shapes import check_request, find_operation, shape_answer

Handler = Callable[[Caller, dict[str, Any]], Awaitable[dict[str, Any]]]

_TARGET_PREFIX: Final = "SageMaker."
_JSON: Final = "application/x-amz-json-1.1"
_HOSTS: Final = ["127.0.0.1", "localhost", "[::1]"]
"""Any other Host comes from a page whose name has been bent to this machine."""

_logger = logging.getLogger(__name__)


def create_app(
    handlers: Mapping[str, Handler],
    runtime_api: RuntimeApi,
    *,
    default_region: str,
    status: Callable[[], dict[str, Any]],
) -> Starlette:
    """Return the application.

    Args:
        handlers: Answer the control plane's operations, by name.
        runtime_api: Answers the runtime's.
        default_region: Of requests that are not signed.
        status: Returns what `segserve local status` shows.
    """

    async def control(request: Request) -> Response:
        return await _answer(request, handlers, default_region=default_region)

    async def show_status(_request: Request) -> Response:
        return JSONResponse(status())

    routes = [
        Route("/", control, methods=["POST"]),
        Route("/status", show_status, methods=["GET"]),
        Route("/endpoints/{name}/invocations", runtime_api.invoke, methods=["POST"]),
        Route("/endpoints/{name}/invocations-response-stream", runtime_api.invoke_streamed, methods=["POST"]),
        Route("/endpoints/{name}/async-invocations", runtime_api.invoke_async, methods=["POST"]),
    ]
    app = Starlette(routes=routes, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=_HOSTS)])
    app.router.redirect_slashes = False
    app.add_exception_handler(ApiError, _refuse)
    app.add_exception_handler(404, _refuse_path)
    app.add_exception_handler(405, _refuse_path)
    app.add_exception_handler(Exception, _fail)
    return app


async def _answer(request: Request, handlers: Mapping[str, Handler], *, default_region: str) -> Response:
    target = request.headers.get("x-amz-target", "")
    if not target.startswith(_TARGET_PREFIX):
        raise ApiError(
            f"the header X-Amz-Target must be like {_TARGET_PREFIX}ListModels (got {target[:80]!r})",
            code="UnknownOperationException",
        )
    operation = find_operation(target.removeprefix(_TARGET_PREFIX))
    try:
        document = json.loads(await request.body() or b"{}")
    except ValueError:
        raise ApiError("the request is not JSON", code="SerializationException") from None
    check_request(operation, document)
    caller = read_caller(request.headers, default_region=default_region)
    answer = await handlers[operation.name](caller, document)
    _logger.info("Answered operation=%s region=%s", operation.name, caller.region)
    # An operation without an output has an empty body, which no client tries to read.
    content = json.dumps(shape_answer(operation, answer)).encode()
    return Response(content, media_type=_JSON, headers={"x-amzn-RequestId": str(uuid.uuid4())})


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101  # narrows what it is registered for
    _logger.info("Refused path=%s code=%s", request.url.path, error.code)
    return _error(str(error), code=error.code, status=error.status, members=error.members)


async def _refuse_path(request: Request, _: Exception) -> Response:
    message = f"segserve local has no route {request.method} {request.url.path[:120]}"
    return _error(message, code="UnknownOperationException", status=404)


async def _fail(request: Request, error: Exception) -> Response:
    _logger.error("Failed path=%s", request.url.path, exc_info=error)
    message = f"segserve local failed ({type(error).__name__}); its log has the trace"
    return _error(message, code="InternalFailure", status=500)


def _error(message: str, *, code: str, status: int, members: Mapping[str, Any] | None = None) -> Response:
    """Return an error as both protocols understand it: the name in a header and in the body."""
    body = {"__type": code, "message": message, "Message": message, **(members or {})}
    headers = {"x-amzn-ErrorType": code, "x-amzn-RequestId": str(uuid.uuid4())}
    return Response(json.dumps(body).encode(), status_code=status, media_type=_JSON, headers=headers)
