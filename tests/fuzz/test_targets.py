"""What the fuzz takes for the same answers, and what not."""

import struct

import pytest

from fuzz.targets import TARGETS, agree
from fuzz.wire import server

CLOSED_EARLY = (
    b"POST /nowhere HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\ne;x\r\n"
    b"[[25, 1250.]]0\r\n0\x0b\nX: y\r\n\r\n"
)

BEHIND_ANOTHER = (
    b"POST /invocations HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[[x\r\n0\r\n\r\n"
    b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n[[25"
)


ODD_HEADERS = {
    "written by Python 2": b"{'descr': '<f8', 'fortran_order': False, 'shape': (1L, 2L), }\n",
    "a type with a shape": b"{'descr': '1f8', 'fortran_order': False, 'shape': (1, 2), }\n",
}
"""Numpy takes them, and ours refuses them. Found with seed 3, and by the long run of 28 November 2026."""


def answers(*statuses: int, is_closed: bool = False) -> bytes:
    last = b"Connection: Close\r\n" if is_closed else b""
    parts = [b"HTTP/1.1 %d x\r\n" % status for status in statuses]
    return b"".join(
        part + (last if place == len(parts) - 1 else b"") + b"\r\n" for place, part in enumerate(parts)
    )


def test_a_route_may_answer_before_a_payload_turns_out_malformed_and_close() -> None:
    """HTTP/1.0: no 400 can follow. Found by the long run of 23 November 2026."""
    assert TARGETS["http"].run(CLOSED_EARLY) is False


def test_a_route_may_answer_early_behind_another_request_in_the_same_packet() -> None:
    """It begins when the one before is done, and must not be cut off then. Found on 28 November 2026."""
    assert TARGETS["http"].run(BEHIND_ANOTHER) is False
    assert server().answers(BEHIND_ANOTHER).count(b"HTTP/1.1 ") == 2


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (answers(200, 400), answers(200, 400)),
        (answers(404, 400), answers(400)),
        (answers(200, 404, 400), answers(200, 400)),
        (answers(404, is_closed=True), answers(400)),
        (answers(200, 404, is_closed=True), answers(200, 400)),
    ],
)
def test_early_answers_are_the_same(first: bytes, second: bytes) -> None:
    assert agree(first, second)
    assert agree(second, first)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (answers(200), answers(400)),
        (answers(200, is_closed=True), answers(404)),
        (answers(404, 400), answers(404)),
        (answers(200, 200), answers(200)),
        (answers(200, 404, is_closed=True), answers(400)),
        (answers(404, 404, 400), answers(400)),
        (answers(), answers(400)),
    ],
)
def test_other_answers_are_not(first: bytes, second: bytes) -> None:
    assert not agree(first, second)
    assert not agree(second, first)


@pytest.mark.filterwarnings("ignore:Reading")
@pytest.mark.parametrize("header", ODD_HEADERS.values(), ids=ODD_HEADERS)
def test_an_npy_header_that_no_array_of_today_has_is_not_compared(header: bytes) -> None:
    payload = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(16)

    assert TARGETS["npy"].run(payload) is False
