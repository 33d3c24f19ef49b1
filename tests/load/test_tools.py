"""Load generators see what a server does: every tool that is installed, on a server that counts."""

import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from service.errors import LoadError
from service.load.result import PERCENTILES, Load, percentiles, summarize
from service.load.tools import Tool, find_tool, put_load

INSTALLED = [tool for tool in Tool if tool is Tool.PYTHON or shutil.which(tool)]


@dataclass
class Seen:
    """Count what a server was asked."""

    bodies: dict[bytes, int] = field(default_factory=dict)
    content_types: set[str | None] = field(default_factory=set)
    failing: int = 0
    """Answer every so many requests with 503; 0 for none."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def requests(self) -> int:
        return sum(self.bodies.values())


class Handler(http.server.BaseHTTPRequestHandler):
    """Answer and count."""

    protocol_version = "HTTP/1.1"
    seen: Seen

    def do_POST(self) -> None:  # http.server's name
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.seen.lock:
            self.seen.bodies[body] = self.seen.bodies.get(body, 0) + 1
            self.seen.content_types.add(self.headers["Content-Type"])
            fails = self.seen.failing and self.seen.requests % self.seen.failing == 0
        self.send_response(503 if fails else 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"[]")

    def log_message(self, *_: Any) -> None:
        """Stay quiet."""


class Server(http.server.ThreadingHTTPServer):
    """End with its clients."""

    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Clients may leave in the middle of an answer."""


@pytest.fixture(name="counting")
def _counting() -> Iterator[tuple[str, Seen]]:
    seen = Seen()
    with Server(("127.0.0.1", 0), type("Counting", (Handler,), {"seen": seen})) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/invocations?a=1", seen
        server.shutdown()
        thread.join()


@pytest.fixture(name="body_path")
def _body_path(tmp_path: Path) -> Path:
    path = tmp_path / "body"
    path.write_bytes(b"[[25, 1250.0]]")
    return path


@pytest.mark.parametrize("tool", INSTALLED)
def test_a_tool_posts_the_body_and_counts_the_answers(
    counting: tuple[str, Seen], body_path: Path, tool: Tool
) -> None:
    url, seen = counting
    load = put_load(url, tool=tool, body_path=body_path, content_type="text/csv", connections=2, seconds=1)

    assert set(seen.bodies) == {body_path.read_bytes()}
    assert seen.content_types == {"text/csv"}
    assert load.failed == 0
    # A tool may leave while each connection has a request on its way.
    assert 0 <= seen.requests - load.requests <= 2
    assert load.requests > 20
    assert 0.9 < load.seconds < 10
    assert list(load.latencies_ms) == list(PERCENTILES)
    values = list(load.latencies_ms.values())
    assert values == sorted(values)
    assert 0 < load.p50_ms < 1000


@pytest.mark.parametrize("tool", INSTALLED)
def test_other_statuses_count_as_failures(counting: tuple[str, Seen], body_path: Path, tool: Tool) -> None:
    url, seen = counting
    seen.failing = 10
    load = put_load(
        url, tool=tool, body_path=body_path, content_type="application/json", connections=2, seconds=1
    )

    assert abs(load.failed - load.requests / 10) <= 2


@pytest.mark.parametrize("tool", INSTALLED)
def test_a_server_that_is_not_there_is_an_error(body_path: Path, tool: Tool) -> None:
    with pytest.raises((LoadError, OSError)):
        put_load(
            "http://127.0.0.1:9/",
            tool=tool,
            body_path=body_path,
            content_type="application/json",
            connections=1,
            seconds=1,
        )


def test_the_best_tool_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_tool() is Tool.PYTHON
    for name in ("hey", "wrk"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)

        assert find_tool() == name


def test_percentiles_are_nearest_ranks() -> None:
    found = percentiles([float(n) for n in range(1000, 0, -1)])

    assert found == {50: 500, 75: 750, 90: 900, 95: 950, 99: 990, 99.9: 999, 100: 1000}
    assert set(percentiles([3.0]).values()) == {3.0}


def test_the_median_round_is_shown_and_every_failure() -> None:
    def load(requests: int, failed: int, latency_ms: float) -> Load:
        return Load(requests, 2.0, failed, dict.fromkeys(PERCENTILES, latency_ms))

    found = summarize([load(100, 1, 9.0), load(300, 0, 1.0), load(200, 2, 5.0)])

    assert found.requests_per_s == 100
    assert found.failed == 3
    assert set(found.latencies_ms.values()) == {5.0}


def test_payloads_are_the_same_every_time() -> None:
    from service.load.payload import make_payload

    assert make_payload(100) == make_payload(100)
    assert len(json.loads(make_payload(100))) == 100
    assert json.loads(make_payload(3))[:2] == json.loads(make_payload(2))
