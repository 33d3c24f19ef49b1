"""Stand between a client and an S3, and spoil what passes: errors, resets, cuts, changed bytes, slowness."""

import base64
import hashlib
import http.client
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


class Fault(StrEnum):
    NONE = "none"
    ERROR_500 = "500"
    SLOW_DOWN = "503"
    RESET = "reset"
    """Before any answer."""
    LOST_ANSWER = "lost answer"
    """S3 has done it, and the client never hears of it."""
    CUT = "cut"
    """Half of the body comes, then the connection ends."""
    RESET_IN_BODY = "reset in body"
    CHANGED = "changed"
    """One byte of the body is another."""
    SLOW = "slow"
    REPLACED = "replaced"
    """Somebody has just written another object under the same key."""


@dataclass
class FaultyS3:
    """Hold what becomes of the next requests for an archive, one after the other; then all goes well."""

    url: str = ""
    faults: deque[Fault] = field(default_factory=deque)
    seen: list[tuple[str, str]] = field(default_factory=list)
    """Method and Range of each request for an archive."""
    replace: Callable[[], object] = field(default=lambda: None)
    """Writes another object where the archive was."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, upstream: str, proxy: FaultyS3) -> None:
        self.upstream = urlsplit(upstream).netloc
        self.proxy = proxy
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: Any) -> None: ...

    def handle_any(self) -> None:
        fault = self.next_fault()
        if self.headers.get("Expect"):
            self.send_response_only(100)
            self.end_headers()
        assert "chunked" not in self.headers.get("Transfer-Encoding", "")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if fault is Fault.RESET:
            self.reset()
        elif fault in {Fault.ERROR_500, Fault.SLOW_DOWN}:
            self.answer(int(fault), [], b"", fault)
        else:
            if fault is Fault.REPLACED:
                self.server.proxy.replace()
            status, headers, content = self.ask(body)
            if fault is Fault.LOST_ANSWER:
                self.reset()
            else:
                self.answer(status, headers, content, fault)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = handle_any  # noqa: N815  # http.server's names

    def next_fault(self) -> Fault:
        proxy = self.server.proxy
        if not urlsplit(self.path).path.endswith(".tar.gz"):
            return Fault.NONE
        proxy.seen.append((self.command, self.headers.get("Range", "")))
        return proxy.faults.popleft() if proxy.faults else Fault.NONE

    def ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        upstream = http.client.HTTPConnection(self.server.upstream, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
        upstream.request(self.command, self.path, body, headers)
        response = upstream.getresponse()
        content = response.read()
        upstream.close()
        found = response.getheaders()
        if response.status == 200 and self.command == "GET" and self.headers.get("x-amz-checksum-mode"):
            # As S3 does, and moto does not, where the object was written with one.
            digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
            found.append(("x-amz-checksum-sha256", digest))
        return response.status, found, content

    def answer(self, status: int, headers: list[tuple[str, str]], content: bytes, fault: Fault) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in {"content-length", "connection", "transfer-encoding"}:
                self.send_header(name, value)
        length = len(content) if self.command != "HEAD" else dict(headers).get("Content-Length", "0")
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command != "HEAD":
            self.send_body(content, fault)

    def send_body(self, content: bytes, fault: Fault) -> None:
        middle = len(content) // 2
        match fault:
            case Fault.CUT:
                self.wfile.write(content[:middle])
                self.close_connection = True
            case Fault.RESET_IN_BODY:
                self.wfile.write(content[:middle])
                self.wfile.flush()
                self.reset()
            case Fault.CHANGED:
                self.wfile.write(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
            case Fault.SLOW:
                for start in range(0, len(content), 1000):
                    self.wfile.write(content[start : start + 1000])
                    time.sleep(0.01)
            case _:
                self.wfile.write(content)

    def reset(self) -> None:
        """End the connection with a reset, as a crash or a middlebox does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def finish(self) -> None:
        try:
            super().finish()
        except OSError:
            self.close_connection = True


@contextmanager
def faulty_s3(upstream: str) -> Iterator[FaultyS3]:
    """Run the proxy while the block runs."""
    proxy = FaultyS3()
    with _Server(upstream, proxy) as server:
        proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield proxy
        server.shutdown()
        thread.join()
