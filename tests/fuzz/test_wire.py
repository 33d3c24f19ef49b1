"""What fuzzes the server waits for its answers, and not for ever."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
from starlette.types import Receive, Scope, Send

from fuzz.wire import Server

GET = b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(name="server")
def _server() -> Iterator[Server]:
    server = Server()
    yield server
    server.loop.run_until_complete(server.loop.shutdown_default_executor())
    server.loop.close()


def serve(server: Server, is_read: threading.Event, *, wait_s: float) -> None:
    """Let the server answer from a thread, as it does with files, after that was let go or has waited."""

    async def answer(_scope: Scope, _receive: Receive, send: Send) -> None:
        await asyncio.to_thread(is_read.wait, wait_s)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    server.app._fast_routes["/slow"] = answer


def test_an_answer_from_a_slow_thread_is_waited_for(server: Server) -> None:
    serve(server, threading.Event(), wait_s=0.5)

    assert server.answers(GET).startswith(b"HTTP/1.1 200")


def test_an_answer_that_never_comes_is_a_failure(server: Server) -> None:
    is_read = threading.Event()
    serve(server, is_read, wait_s=60)

    with pytest.raises(TimeoutError, match="no answer"):
        server.answers(GET)
    is_read.set()


def test_an_answer_does_not_depend_on_how_often_it_was_asked_for(server: Server) -> None:
    """The limit to how fast one client may ask, by the clock, once looked like another answer (429)."""
    assert server.app._access._limit is None
