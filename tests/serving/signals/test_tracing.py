"""Traces reach a collector, as OpenTelemetry's own variables say."""

import gzip
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from service.errors import ConfigurationError
from service.serving.signals.tracing import Tracing, is_wanted
from tests.conftest import RunningServer, Starter

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector(http.server.BaseHTTPRequestHandler):
    """Keep what is exported."""

    received: list[tuple[str, ExportTraceServiceRequest]]

    def do_POST(self) -> None:  # http.server's name
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.received.append((self.path, ExportTraceServiceRequest.FromString(body)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Stay quiet."""


@pytest.fixture(name="collector")
def _collector() -> Iterator[tuple[str, list[tuple[str, ExportTraceServiceRequest]]]]:
    received: list[tuple[str, ExportTraceServiceRequest]] = []
    handler = type("Handler", (Collector,), {"received": received})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", received
        server.shutdown()
        thread.join()


def ask_and_stop(server: RunningServer) -> str:
    """Return the log of a server that has answered a few requests and ended."""
    with httpx.Client(base_url=server.url) as client:
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-Id": "mine"}
        traced = client.post("/invocations", content=b"[[77, 4321098765.5]]", headers=headers)
        assert traced.status_code == 200
        assert client.post("/invocations", content=b"x").status_code == 400
        assert client.get("/ping").status_code == 200
        assert client.get("/metrics").status_code == 200
        assert client.get("/secret/path").status_code == 404
    assert server.stop() == 0
    return server.log.read_text()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_each_request_is_a_span_of_the_callers_trace(
    start: Starter,
    store_path: Path,
    workers: str,
    collector: tuple[str, list[tuple[str, ExportTraceServiceRequest]]],
) -> None:
    url, received = collector
    server = start(
        "--store", str(store_path), "--workers", workers,
        OTEL_EXPORTER_OTLP_ENDPOINT=url, OTEL_SERVICE_NAME="customers", OTEL_BSP_SCHEDULE_DELAY="60000",
    )  # fmt: skip
    log = ask_and_stop(server)
    resources = [spans for _, request in received for spans in request.resource_spans]
    spans = {
        (span.name, number): span
        for number, span in enumerate(
            span for resource in resources for scope in resource.scope_spans for span in scope.spans
        )
    }
    by_status = {}
    for span in spans.values():
        found = {item.key: item.value for item in span.attributes}
        by_status[found["http.response.status_code"].int_value] = (span, found)

    assert {path for path, _ in received} == {"/v1/traces"}
    assert sorted(name for name, _ in spans) == ["GET", "POST /invocations", "POST /invocations"]
    span, attributes = by_status[200]
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert attributes["segserve.records"].int_value == 1
    assert attributes["segserve.request_id"].string_value == "mine"
    assert attributes["http.route"].string_value == "/invocations"
    assert by_status[400][1]["error.type"].string_value == "InvalidRecord"
    names = {item.key: item.value.string_value for item in resources[0].resource.attributes}
    assert names["service.name"] == "customers"
    assert f"trace_id={TRACE}" in log
    assert "4321098765.5" not in str(received)


def test_a_collector_that_is_away_does_no_harm(start: Starter, store_path: Path) -> None:
    server = start("--store", str(store_path), OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")

    assert "Traceback" not in ask_and_stop(server)


def test_the_sampler_is_heeded(
    start: Starter, store_path: Path, collector: tuple[str, list[tuple[str, ExportTraceServiceRequest]]]
) -> None:
    url, received = collector
    server = start(
        "--store", str(store_path), OTEL_EXPORTER_OTLP_ENDPOINT=url, OTEL_TRACES_SAMPLER="always_off"
    )
    ask_and_stop(server)

    assert received == []


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "a"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://a"}, True),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://a"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_SDK_DISABLED": "True"}, False),
    ],
)
def test_traces_are_sent_where_they_are_asked_for(environment: dict[str, str], *, expected: bool) -> None:
    assert is_wanted(environment) is expected


def test_an_exporter_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "zipkin")

    with pytest.raises(ConfigurationError, match=r"OTEL_TRACES_EXPORTER='zipkin'.*otlp_proto_http"):
        Tracing.from_environment()
