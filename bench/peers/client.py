"""Put load on a server; where it answers slowly whole requests only, so that their CPU time can be told."""

import http.client
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.servers import HOST
from service.load.result import Load, percentiles
from service.load.tools import Tool, put_load

LARGE: Final = 10_000
"""From so many records on requests may be few: those that wrk cuts off at its end would tell."""

_MANY: Final = 1000
"""Of these, one after the other in the time that is measured, none tells."""
_TRIES: Final = 3
_LEAST_S: Final = 1
"""For which wrk puts load on a server."""
_PATIENCE_S: Final = 120
_BUFFER_BYTES: Final = 2**20
_LENGTH: Final = b"\r\ncontent-length:"


@dataclass(slots=True)
class Tally:
    """Count what all connections see."""

    latencies_ms: list[float] = field(default_factory=list)
    failed: int = 0


def suits_wrk(port: int, path: str, *, body_path: Path, content_type: str, seconds: float) -> bool:
    """Ask a few times at most, and tell whether so many requests can be answered that wrk may cut some off.

    It takes three quarters of the CPU time of our client, on a core that a second worker would have use for.
    """
    if seconds < _LEAST_S:
        return False
    tally = Tally()
    for _ in range(_TRIES):
        _post(port, path, body_path.read_bytes(), content_type, time.perf_counter(), tally)
        if tally.failed:
            return False
        if seconds * 1e3 / tally.latencies_ms[-1] >= _MANY:
            return True
    return False


def load_server(
    port: int,
    path: str,
    *,
    body_path: Path,
    content_type: str,
    connections: int,
    seconds: float,
    by_wrk: bool,
) -> Load:
    """Post a body over and over, with wrk or with our client."""
    if by_wrk:
        return put_load(
            f"http://{HOST}:{port}{path}",
            tool=Tool.WRK,
            body_path=body_path,
            content_type=content_type,
            connections=connections,
            seconds=max(_LEAST_S, round(seconds)),
        )
    body = body_path.read_bytes()
    tally = Tally()
    started_s = time.perf_counter()
    threads = [
        threading.Thread(
            target=_post, args=(port, path, body, content_type, started_s + seconds, tally), daemon=True
        )
        for _ in range(connections)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took_s = time.perf_counter() - started_s
    return Load(len(tally.latencies_ms), took_s, tally.failed, percentiles(tally.latencies_ms or [0.0]))


def _post(port: int, path: str, body: bytes, content_type: str, end_s: float, tally: Tally) -> None:
    """Ask until the time is over, at least once; connect again where a server hangs up."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nContent-Type: {content_type}\r\nAccept: */*\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    request = head.encode() + body
    buffer = bytearray(_BUFFER_BYTES)
    line: socket.socket | None = None
    is_simple = False
    try:
        while True:
            sent_s = time.perf_counter()
            if line is None:
                line = _connect(port)
            line.sendall(request)
            if is_simple:
                status, hangs_up = _read_simply(line, buffer)
            else:
                with http.client.HTTPResponse(line) as response:
                    response.begin()
                    is_simple = response.length is not None and not response.will_close
                    response.read()
                    status, hangs_up = response.status, response.will_close
            if hangs_up:
                line.close()
                line = None
            now_s = time.perf_counter()
            tally.latencies_ms.append((now_s - sent_s) * 1e3)
            tally.failed += status != http.HTTPStatus.OK
            if now_s >= end_s:
                return
    except (OSError, ValueError, http.client.HTTPException):
        tally.failed += 1
    finally:
        if line is not None:
            line.close()


def _connect(port: int) -> socket.socket:
    """Connect, with the system's own timeouts: with Python's, each call would be two."""
    line = socket.create_connection((HOST, port))
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        line.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", _PATIENCE_S, 0))
    return line


def _read_simply(line: socket.socket, buffer: bytearray) -> tuple[int, bool]:
    """Read an answer that has a length; return its status, and whether the server hangs up after it.

    http.client takes three times as long, on a core that a second worker would have use for.

    Raises:
        ValueError: It has no length, or another one.
    """
    view = memoryview(buffer)
    n = _receive(line, view)
    while (end := buffer.find(b"\r\n\r\n", 0, n)) < 0:
        n += _receive(line, view[n:])
    head = bytes(view[: end + 2]).lower()
    found = head.find(_LENGTH) + len(_LENGTH)
    if found < len(_LENGTH):
        raise ValueError("an answer without a length")
    left = end + 4 + int(head[found : head.find(b"\r", found)]) - n
    while left > 0:
        left -= _receive(line, view[:left])
    if left:
        raise ValueError("an answer with more behind it")
    return int(head[9:12]), b"\r\nconnection: close\r\n" in head


def _receive(line: socket.socket, into: memoryview) -> int:
    n = line.recv_into(into)
    if not n:
        raise ConnectionError("the server hung up")
    return n
