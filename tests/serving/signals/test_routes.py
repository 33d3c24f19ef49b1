"""When other routes are counted."""

import asyncio
from typing import Any

import pytest

from service.serving.asgi import Endpoint
from service.serving.signals.board import Board
from service.serving.signals.layout import OTHER, REQUESTS, request_cell
from service.serving.signals.meter import Meter
from service.serving.signals.routes import count_requests

START = {"type": "http.response.start", "status": 200, "headers": []}
PART = {"type": "http.response.body", "body": b"a", "more_body": True}
END = {"type": "http.response.body", "body": b"b"}


def count_before_each(messages: list[Any], *, fails: bool = False) -> tuple[list[int], int]:
    """Return how many requests were counted when each message was sent, and at the end."""
    board = Board()
    counts = []

    async def endpoint(_scope: Any, _receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)
        if fails:
            raise OSError("the client has gone")

    async def send(_message: Any) -> None:
        counts.append(int(board.totals()[request_cell(OTHER, 200)]))

    counted: Endpoint = count_requests(endpoint, Meter(board))
    if fails:
        with pytest.raises(OSError, match="gone"):
            asyncio.run(counted({"path": "/nowhere"}, None, send))  # type: ignore[arg-type]
    else:
        asyncio.run(counted({"path": "/nowhere"}, None, send))  # type: ignore[arg-type]
    return counts, int(board.totals()[REQUESTS].sum())


def test_a_request_is_counted_before_its_last_byte_is_sent() -> None:
    """Else a scrape that follows on the same connection may miss it."""
    assert count_before_each([START, PART, END]) == ([0, 0, 1], 1)


def test_an_answer_that_breaks_off_is_counted() -> None:
    assert count_before_each([START, PART], fails=True) == ([0, 0], 1)


def test_no_answer_is_not_counted() -> None:
    assert count_before_each([], fails=True) == ([], 0)
