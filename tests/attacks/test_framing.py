"""Requests that two readers could divide differently are refused, never guessed; and odd paths, versions."""

import socket

import pytest

from tests.attacks.conftest import HOST, PING, SMALL, Victim, post, read_all, statuses

LAST = b"GET /ping HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
SMUGGLED = b"GET /execution-parameters HTTP/1.1\r\nHost: a\r\n\r\n"


def head(*lines: bytes) -> bytes:
    return b"POST /invocations HTTP/1.1\r\n%b%b\r\n\r\n" % (HOST, b"\r\n".join(lines))


@pytest.mark.parametrize(
    "request_bytes",
    [
        head(b"Content-Length: 6", b"Transfer-Encoding: chunked") + b"0\r\n\r\n" + SMUGGLED,
        head(b"Transfer-Encoding: chunked", b"Content-Length: 6") + b"0\r\n\r\n" + SMUGGLED,
        head(b"Content-Length: 2", b"Content-Length: 14") + SMALL,
        head(b"Content-Length: 14", b"Content-Length: 14") + SMALL,
        head(b"Content-Length: 14, 14") + SMALL,
        head(b"Content-Length: +14") + SMALL,
        head(b"Content-Length: -14") + SMALL,
        head(b"Content-Length: 0x0e") + SMALL,
        head(b"Content-Length: 1 4") + SMALL,
        head(b"Content-Length: 1_4") + SMALL,
        head(b"Content-Length: 14.0") + SMALL,
        head(b"Content-Length:") + SMALL,
        head(b"Content-Length: \xd9\xa1\xd9\xa4") + SMALL,
        head(b"Content-Length: 18446744073709551630") + SMALL,
        head(b"Content-Length : 14") + SMALL,
        head(b"Content-Length: 1\r\n 4") + SMALL,
        head(b"Content-Length\x00: 14") + SMALL,
        head(b" Content-Length: 14") + SMALL,
        head(b"Transfer-Encoding : chunked") + b"0\r\n\r\n" + SMUGGLED,
        head(b"Transfer-Encoding:\r\n chunked") + b"0\r\n\r\n" + SMUGGLED,
        head(b"Transfer-Encoding: xchunked") + b"0\r\n\r\n" + SMUGGLED,
        head(b"Transfer-Encoding: chunked, identity") + b"0\r\n\r\n" + SMUGGLED,
        head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity") + b"0\r\n\r\n" + SMUGGLED,
        head(b"Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n" + SMUGGLED,
        head(b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked") + b"0\r\n\r\n" + SMUGGLED,
        head(b"Connection: keep-alive", b"Transfer-Encoding: chunked").replace(b"1.1", b"1.0", 1)
        + b"0\r\n\r\n"
        + SMUGGLED,
        head(b"Upgrade: h2c", b"Connection: upgrade", b"Transfer-Encoding: gzip, chunked")
        + b"0\r\n\r\n"
        + SMUGGLED,
        head(b"X: a\r\n b") + SMUGGLED,
        head(b"Transfer-Encoding: chunked") + b"e;x\n" + SMALL + b"\r\n0\r\n\r\n",
        head(b"Transfer-Encoding: chunked") + b"e;x=\r\n" + SMALL + b"\n0\r\n\r\n",
        head(b"Transfer-Encoding: chunked") + b"e;x=\x00\r\n" + SMALL + b"\r\n0\r\n\r\n",
        head(b"Transfer-Encoding: \x0bchunked") + b"0\r\n\r\n" + SMUGGLED,
        head(b"Transfer-Encoding: chunked") + b"0\r\nContent-Length: 9\r\n\r\n",
        head(b"Transfer-Encoding: chunked") + b"-1\r\n\r\n",
        head(b"Transfer-Encoding: chunked") + b"0x1\r\n1\r\n0\r\n\r\n",
        head(b"Transfer-Encoding: chunked") + b" e\r\n" + SMALL + b"\r\n0\r\n\r\n",
        head(b"Transfer-Encoding: chunked") + b"e\n" + SMALL + b"\n0\n\n",
        head(b"Transfer-Encoding: chunked") + b"e\r\n" + SMALL + b"XX0\r\n\r\n",
        head(b"Transfer-Encoding: chunked") + b"fffffffffffffffff\r\n" + SMALL,
        head(b"Transfer-Encoding: chunked") + b"\r\n\r\n" + SMUGGLED,
        b"POST /invocations HTTP/1.1\nHost: a\nContent-Length: 14\n\n" + SMALL,
        b"POST /invocations HTTP/1.1\rHost: a\rContent-Length: 14\r\r" + SMALL,
        b"POST /invocations HTTP/1.1\r\nHost: a\r\nX: a\rContent-Length: 14\r\n\r\n" + SMALL,
        b"POST /invocations HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n",
        b"POST /invocations HTTP/1.1\r\n: a\r\n\r\n",
        b"POST /invocations HTTP/1.1\r\nNo colon\r\n\r\n",
        b"POST /invocations HTTP/1.2\r\nHost: a\r\n\r\n",
        b"POST /invocations HTTP/2.0\r\nHost: a\r\n\r\n",
        b"POST /invocations HTTP/0.9\r\n\r\n",
        b"POST /invocations HTTP/1.10\r\nHost: a\r\n\r\n",
        b"POST /in vocations HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST invocations HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n",
        b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_a_malformed_request_is_refused_and_nothing_behind_it_is_answered(
    victim: Victim, request_bytes: bytes
) -> None:
    received = read_all(victim.send(request_bytes))

    assert statuses(received) == [400]
    assert b"MaxPayloadInMB" not in received
    assert len(received) < 2048


@pytest.mark.parametrize(
    ("request_bytes", "expected"),
    [
        (head(b"Transfer-Encoding: chunked") + b"e;x=y;z\r\n" + SMALL + b"\r\n0\r\n\r\n", [200]),
        (head(b"Transfer-Encoding: chunked") + b"E\r\n" + SMALL + b"\r\n00\r\nX: y\r\n\r\n", [200]),
        (head(b"Transfer-Encoding: CHUNKED") + b"e\r\n" + SMALL + b"\r\n0\r\n\r\n", [200]),
        (b"\r\n\r\n" + post(SMALL), [200]),
        (post(SMALL, target=b"http://other.example/invocations"), [200]),
        (post(SMALL, target=b"/invocations?a=b#c"), [200]),
        (post(SMALL, b"Expect: 100-continue"), [100, 200]),
        (post(SMALL, b"Content-Length-Of-Sorts: 3"), [200]),
        (b"POST  /invocations HTTP/1.1\r\nHost: a\r\n\r\n", [400]),
        (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", [404]),
    ],
)
def test_an_unusual_request_that_has_one_meaning_is_answered(
    victim: Victim, request_bytes: bytes, expected: list[int]
) -> None:
    """What comes after it shows that its end was found."""
    assert statuses(read_all(victim.send(request_bytes + LAST))) == [*expected, 200]


@pytest.mark.parametrize("first", [PING, post(SMALL), post(b"x" * 5000), post(SMALL) * 20 + PING * 20])
def test_the_refusal_comes_after_the_answers_to_what_was_asked_before(victim: Victim, first: bytes) -> None:
    """It once came first, where a client took it for the answer to another request."""
    received = statuses(read_all(victim.send(first + b"GET / NONSENSE\r\n\r\n" + PING)))

    assert received[-1] == 400
    assert len(received) == first.count(b"HTTP/1.1") + 1


@pytest.mark.parametrize("wish", [b"h2c", b"websocket", b"TLS/1.3"])
@pytest.mark.parametrize("is_split", [False, True])
def test_a_wish_for_another_protocol_is_ignored_and_the_payload_is_none_of_it(
    victim: Victim, wish: bytes, *, is_split: bool
) -> None:
    """Java's client wishes for h2c. In a packet of its own the payload was once taken for a request."""
    wishes = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: " + wish, b"HTTP2-Settings: AAMAAABk")
    payload = b"[" + b" " * (len(SMUGGLED) - 2) + b"]" if not is_split else SMUGGLED
    request = post(payload, *wishes)
    connection = victim.send(request[: -len(payload)])
    connection.sendall(payload)
    connection.sendall(post(SMALL, *wishes) + PING + LAST)
    received = read_all(connection)

    assert statuses(received) == [400 if is_split else 200, 200, 200, 200]
    assert b"MaxPayloadInMB" not in received


def test_a_wish_for_another_protocol_may_come_with_one_to_close(victim: Victim) -> None:
    received = read_all(victim.send(post(SMALL, b"Connection: upgrade, close", b"Upgrade: h2c")))

    assert statuses(received) == [200]
    assert received.endswith(b"[2]")


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_a_half_closed_connection_gets_its_answer(victim: Victim, version: bytes) -> None:
    connection = victim.send(post(SMALL, b"Connection: close").replace(b"HTTP/1.1", b"HTTP/" + version))
    connection.shutdown(socket.SHUT_WR)

    assert statuses(read_all(connection)) in ([200], [])  # asyncio may close at once, as it is allowed to


@pytest.mark.parametrize(
    "path",
    [
        b"/docs/static/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        b"/docs/static/..%2f..%2f..%2fetc/passwd",
        b"/docs/static/../../../../etc/passwd",
        b"/docs/static//etc/passwd",
        b"/docs/static/%00",
        b"/docs/static/" + b"a/" * 4000,
        b"/docs/static/" + b"a" * 5000,
        b"/console/static/%2e%2e/console.py",
        b"/console/static/..%5c..%5cconsole.py",
        b"/console/static/\\..\\..",
        b"/console/static/%ff%fe",
        b"/console/versions/%2e%2e",
        b"/console/versions/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        b"/console/versions/%00",
        b"/console/versions/" + b"1" * 9000,
        b"//ping",
        b"/ping/",
        b"/ping%00",
        b"/%70ing%2f",
        b"/./ping/../invocations",
        b"/endpoints/%2e%2e/invocations",
        b"/endpoints/" + b"a" * 9000 + b"/invocations",
        b"/endpoints//invocations",
        b"/endpoints/%00/invocations",
        b"/" + b"%25" * 5000,
        b"/?" + b"a=b&" * 3000,
    ],
)
@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_a_path_leads_nowhere_else(victim: Victim, method: bytes, path: bytes) -> None:
    received = read_all(
        victim.send(method + b" " + path + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    )
    body = received.partition(b"\r\n\r\n")[2]

    assert len(statuses(received)) == 1
    assert statuses(received)[0] < 500
    assert b"root:" not in body
    assert b"def " not in body
    if statuses(received)[0] >= 400:
        assert len(body) < 2048
