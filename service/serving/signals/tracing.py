"""Send a trace of each request, where OpenTelemetry's own variables ask for it (extra `otel`).

Nothing of OpenTelemetry is loaded otherwise. With it, invocations take the framework's long way.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Mapping
from typing import Any, Final, Self

import service
from service.contract import EXECUTION_PARAMETERS_PATH, PING_PATH
from service.errors import ConfigurationError
from service.serving.asgi import Endpoint, Receive, Scope, Send
from service.serving.invocation import VERSION_HEADER
from service.serving.signals.layout import OTHER, route_of
from service.serving.signals.routes import LIVE_PATH, METRICS_PATH

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_EXPORTER: Final = "OTEL_TRACES_EXPORTER"
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_GROUP: Final = "opentelemetry_traces_exporter"
_QUIET: Final = frozenset({PING_PATH, METRICS_PATH, LIVE_PATH, EXECUTION_PARAMETERS_PATH})
_FLUSH_S: Final = 5
"""What is left to send gets this long at the end, for SIGKILL comes 30 s after SIGTERM (C4)."""

_logger = logging.getLogger(__name__)


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Tell whether the environment names somewhere to send traces to.

    Source: OpenTelemetry, "Environment Variable Specification".
    """
    exporter = environment.get(_EXPORTER, "").strip().lower()
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or exporter == "none":
        return False
    return bool(exporter) or any(environment.get(name) for name in _ENDPOINTS)


class Tracing:
    """Make spans of requests and send them."""

    def __init__(self, provider: Any) -> None:
        """Take OpenTelemetry's tracer provider."""
        self._provider = provider
        self._tracer = provider.get_tracer("segserve", service.__version__)

    @classmethod
    def from_environment(cls) -> Self | None:
        """Return what the environment asks for; None, with a warning, where the extra is not installed.

        Raises:
            ConfigurationError: There is no exporter of that name.
        """
        if not is_wanted(os.environ):
            return None
        try:
            from opentelemetry.sdk.resources import Resource  # noqa: PLC0415  # only where it is wanted
            from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
            from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        except ImportError:
            _logger.warning(
                "No traces are sent, for the extra 'otel' is not installed: pip install 'segserve[otel]'"
            )
            return None
        name = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": "segserve"}
        resource = Resource.create({**name, "service.version": service.__version__})
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        for exporter in _exporters():
            provider.add_span_processor(BatchSpanProcessor(exporter))
        return cls(provider)

    def trace(self, endpoint: Endpoint) -> Endpoint:
        """Return an endpoint whose requests are spans, below the caller's where it sends `traceparent`."""
        from opentelemetry.propagate import extract  # noqa: PLC0415  # only where it is wanted
        from opentelemetry.trace import SpanKind, StatusCode  # noqa: PLC0415

        async def traced(scope: Scope, receive: Receive, send: Send) -> None:
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            route = route_of(scope["path"])
            attributes = {
                "http.request.method": scope["method"],
                "url.scheme": scope["scheme"],
                "url.path": scope["path"],
                **({"http.route": route} if route != OTHER else {}),
            }
            with self._tracer.start_as_current_span(
                f"{scope['method']} {route}" if route != OTHER else scope["method"],
                context=extract(headers),
                kind=SpanKind.SERVER,
                attributes=attributes,
            ) as span:

                async def note(message: Any) -> None:
                    if message["type"] == "http.response.start":
                        span.set_attribute("http.response.status_code", message["status"])
                        if message["status"] >= 500:
                            span.set_status(StatusCode.ERROR)
                    await send(message)

                scope["segserve.reply"] = None  # an invocation puts its own here
                try:
                    await endpoint(scope, receive, note)
                finally:  # a scope may live as long as its connection
                    reply = scope.pop("segserve.reply")
                span.set_attributes(_described(reply))

        async def chosen(scope: Scope, receive: Receive, send: Send) -> None:
            await (endpoint if scope["path"] in _QUIET else traced)(scope, receive, send)

        return chosen

    def trace_id(self) -> str:
        """Return the id of the trace that the running request belongs to, in hex."""
        from opentelemetry.trace import get_current_span  # noqa: PLC0415  # only where it is wanted

        return f"{get_current_span().get_span_context().trace_id:032x}"

    async def shut_down(self) -> None:
        """Send what has not been sent yet, but do not wait long for a collector that is away."""
        thread = threading.Thread(target=self._provider.shutdown, daemon=True)
        thread.start()
        await asyncio.to_thread(thread.join, _FLUSH_S)


def _described(reply: Any) -> dict[str, Any]:
    """Return what is known of an invocation after it was answered: counts and names, never a record."""
    if reply is None:
        return {}
    version = dict(reply.headers).get(VERSION_HEADER, b"").decode()
    return {
        "segserve.records": len(reply.places),
        "segserve.model_version": version,
        "segserve.request_id": reply.request_id.decode(),
        **({"error.type": reply.error_code} if reply.error_code else {}),
    }


def _exporters() -> list[Any]:
    """Make the exporters that the environment names; each reads its own variables."""
    from importlib.metadata import entry_points  # noqa: PLC0415  # it costs a start more than the settings do

    protocol = next((os.environ[name] for name in _PROTOCOLS if os.environ.get(name)), "http/protobuf")
    otlp = "otlp_proto_grpc" if protocol == "grpc" else "otlp_proto_http"
    names = [name.strip() for name in (os.environ.get(_EXPORTER) or "otlp").split(",")]
    made = []
    for name in names:
        found = next(iter(entry_points(group=_GROUP, name=otlp if name == "otlp" else name)), None)
        if found is None:
            installed = sorted(entry_points(group=_GROUP).names)
            raise ConfigurationError(
                f"{_EXPORTER}={name!r} (protocol {protocol}) is not accepted: it should be none or one of "
                f"{', '.join(installed)}, the exporters that are installed"
            )
        made.append(found.load()())
    return made
