"""Speak HTTP as SageMaker does: nothing is added to what a test asks for, not even a content type."""

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

DEADLINE_S: Final = 60
JSON: Final = "application/json"
JSON_LINES: Final = "application/jsonlines"
CSV: Final = "text/csv"
NPY: Final = "application/x-npy"
OCTETS: Final = "application/octet-stream"
ATTRIBUTES: Final = "X-Amzn-SageMaker-Custom-Attributes"

Address = tuple[str, int]
Body = bytes | Iterable[bytes] | None


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold what came back, header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "")

    @property
    def lines(self) -> list[bytes]:
        return self.body.splitlines()


@contextlib.contextmanager
def connect(address: Address, *, timeout_s: float = DEADLINE_S) -> Iterator[http.client.HTTPConnection]:
    """Open a connection that `ask_on` can use many times."""
    connection = http.client.HTTPConnection(*address, timeout=timeout_s)
    try:
        yield connection
    finally:
        connection.close()


def ask_on(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: Body = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Send a request and return the answer, also where it comes before the body was sent."""
    if connection.sock is None:
        connection.connect()
    connection.putrequest(method, path, skip_host="Host" in (headers or {}), skip_accept_encoding=True)
    for name, value in (headers or {}).items():
        connection.putheader(name, value)
    is_chunked = body is not None and not isinstance(body, bytes)
    if is_chunked:
        connection.putheader("Transfer-Encoding", "chunked")
    elif isinstance(body, bytes):
        connection.putheader("Content-Length", str(len(body)))
    with contextlib.suppress(ConnectionError):  # a refusal may come early
        connection.endheaders(body, encode_chunked=is_chunked)
    response = connection.getresponse()
    fields = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, fields, response.read())


def ask(
    address: Address,
    method: str,
    path: str,
    body: Body = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Send one request on a connection of its own."""
    with connect(address) as connection:
        return ask_on(connection, method, path, body, headers)


def invoke(
    address: Address,
    body: Body,
    content_type: str | None = JSON,
    accept: str | None = None,
    **headers: str,
) -> Answer:
    """POST to /invocations; keywords are further headers, with _ for -."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if content_type is not None:
        given["Content-Type"] = content_type
    if accept is not None:
        given["Accept"] = accept
    return ask(address, "POST", "/invocations", body, given)


def status_of(address: Address, path: str = "/ping") -> int | None:
    """Return the status of a GET, None where nobody answers."""
    try:
        with connect(address, timeout_s=5) as connection:
            return ask_on(connection, "GET", path).status
    except (OSError, http.client.HTTPException):
        return None


def is_refused(address: Address) -> bool:
    """Tell whether a new connection is not taken, or is closed unanswered."""
    try:
        with socket.create_connection(address, timeout=5) as connection:
            connection.sendall(b"GET /ping HTTP/1.1\r\nHost: a\r\n\r\n")
            return connection.recv(1) == b""
    except ConnectionError:
        return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(condition: Callable[[], bool], *, what: str, deadline_s: float = DEADLINE_S) -> None:
    """Poll until a condition holds; fail when it does not in time."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline_s} s in vain for {what}")
        time.sleep(0.02)  # between two looks, never instead of one
