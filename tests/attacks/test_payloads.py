"""Payloads made to cost: depth, digits, exponents, bytes that are no text. Each gets a short 400, soon."""

import gzip
import json
import time

import pytest

from tests.attacks.conftest import MIB, SMALL, Victim, post, read_all, statuses

pytestmark = pytest.mark.timing

DEPTH = 200_000
LONG = 1_000_000
SOON_S = 5.0

PAYLOADS = {
    "deep lists": b"[" * DEPTH + b"]" * DEPTH,
    "deep lists, open": b"[" * DEPTH,
    "deep objects": b'{"Age":' * DEPTH + b"1" + b"}" * DEPTH,
    "deep in a record": b"[[1, " + b"[" * DEPTH + b"]" * DEPTH + b"]]",
    "deep in an ignored key": b'[{"Age": 1, "Spending_Power": 2, "x": ' + b"[" * DEPTH + b"]" * DEPTH + b"}]",
    "digits": b"[[" + b"9" * LONG + b", 1]]",
    "digits behind the point": b"[[1." + b"9" * LONG + b"x, 1]]",
    "exponent": b"[[1e999999999999, 1]]",
    "exponent of many digits": b"[[1e" + b"9" * LONG + b", 1]]",
    "negative exponent": b"[[-1e-999999999999, -1]]",
    "not a number": b"[[NaN, Infinity]]",
    "long text": b'[["' + b"x" * LONG + b'", 1]]',
    "escapes": b'["' + b"\\u0000" * (LONG // 6) + b'"]',
    "lone surrogates": b'[["\\ud800", "\\udfff"]]',
    "null bytes": b"\0" * LONG,
    "null bytes in a number": b"[[2\x005, 1250]]",
    "invalid UTF-8": b"\xff\xfe\xfd" * (LONG // 3),
    "overlong UTF-8": b'[["\xc0\xaf", 1]]',
    "quotes": b'"' * LONG,
    "commas": b"," * LONG,
    "many keys": json.dumps([{f"k{n}": n for n in range(50_000)}]).encode(),
    "one key again and again": b'[{"Age": 1' + b', "Age": 1' * 50_000 + b"}]",
    "gzip": gzip.compress(SMALL * 1000),
    "gzip bomb": gzip.compress(bytes(256 * MIB), 1)[: 3 * MIB],
    "npy of terabytes": b"\x93NUMPY\x01\x00\x46\x00"
    + b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999, 2)}".ljust(70),
    "npy of deep header": b"\x93NUMPY\x01\x00\x10\x27" + b"(" * 10_000,
}
TYPES = ("application/json", "application/jsonlines", "text/csv", "application/x-npy", "*/*")


@pytest.mark.parametrize("what", PAYLOADS)
def test_a_payload_made_to_cost_is_refused_soon_and_shortly(victim: Victim, what: str) -> None:
    before = victim.pss_bytes()
    started_s = time.monotonic()
    requests = [
        post(PAYLOADS[what], b"Content-Type: " + content_type.encode(), b"Connection: close")
        for content_type in TYPES
    ]
    answers = [read_all(victim.send(request)) for request in requests]

    assert [statuses(answer) for answer in answers] == [[400]] * len(TYPES)
    assert max(len(answer.partition(b"\r\n\r\n")[2]) for answer in answers) < 2048
    assert time.monotonic() - started_s < SOON_S * len(TYPES)
    assert victim.pss_bytes() < before + 64 * MIB


def test_what_is_compressed_without_saying_so_is_not_undone(victim: Victim) -> None:
    """It could be any size; one that says so is refused by its head (test_heads.py)."""
    answer = read_all(victim.send(post(gzip.compress(SMALL), b"Connection: close")))

    assert statuses(answer) == [400]
    assert b"the payload is compressed; send it as it is" in answer
