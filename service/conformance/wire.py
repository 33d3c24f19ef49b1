"""Speak HTTP as SageMaker does: no header is added to what is asked for, not even a content type.

Clients for people (httpx, requests) send Accept, Accept-Encoding and User-Agent of their own, and some
clauses are about a request without them; so this is http.client, which leaves out what it is told to.
"""

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from service.errors import ConfigurationError

_SHOWN_BYTES: Final = 300
"""Of a body in a report."""

Body = bytes | Iterable[bytes] | None


class NoAnswerError(Exception):
    """Raised where a request gets no HTTP answer."""


class TimedOutError(NoAnswerError):
    """Raised where an answer does not come in time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold what came back, header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    took_s: float

    @property
    def content_type(self) -> str:
        """Return the header as it came, empty where there is none."""
        return self.headers.get("content-type", "")

    @property
    def media_type(self) -> str:
        """Return the content type without parameters, in lower case."""
        return self.content_type.partition(";")[0].strip().lower()

    def json(self) -> Any:
        """Return the body's document, None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def __str__(self) -> str:
        """Show the answer in a report."""
        kind = f" {self.content_type}" if self.content_type else ""
        return f"{self.status}{kind}, {len(self.body):,} bytes in {self.took_s:.2f} s: {shorten(self.body)}"


@dataclass(frozen=True, slots=True)
class Address:
    """Hold where a server is."""

    host: str
    port: int
    is_tls: bool = False
    base_path: str = ""

    @classmethod
    def parse(cls, url: str) -> "Address":
        """Read `http://host[:port][/path]`, also without `http://`.

        Raises:
            ConfigurationError: It is no such URL.
        """
        try:
            parts = urlsplit(url if "//" in url else f"http://{url}")
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigurationError(f"{url!r} is no URL of a server; accepted: http://host:port")
        is_tls = parts.scheme == "https"
        return cls(parts.hostname, port or (443 if is_tls else 80), is_tls, parts.path.rstrip("/"))

    def __str__(self) -> str:
        """Return the URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' if self.is_tls else ''}://{host}:{self.port}{self.base_path}"


@contextlib.contextmanager
def connect(address: Address, *, timeout_s: float) -> Iterator[http.client.HTTPConnection]:
    """Open a connection that `ask_on` can use many times."""
    kind = http.client.HTTPSConnection if address.is_tls else http.client.HTTPConnection
    connection = kind(address.host, address.port, timeout=timeout_s)
    connection.auto_open = 0  # a connection that was closed must show
    try:
        with _no_answers():
            connection.connect()
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
    """Send a request and return the answer, also where that comes before the whole body was sent.

    Raises:
        NoAnswerError: The connection ended, or time ran out, before there was an answer.
    """
    since = time.monotonic()
    given = headers or {}
    with _no_answers():
        connection.putrequest(method, path, skip_host="Host" in given, skip_accept_encoding=True)
        for name, value in given.items():
            connection.putheader(name, value.encode("latin-1"))
        is_chunked = body is not None and not isinstance(body, bytes)
        if is_chunked:
            connection.putheader("Transfer-Encoding", "chunked")
        elif isinstance(body, bytes):
            connection.putheader("Content-Length", str(len(body)))
        with contextlib.suppress(ConnectionError):  # a refusal may come early
            connection.endheaders(body, encode_chunked=is_chunked)
        response = connection.getresponse()
        fields = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, fields, response.read(), time.monotonic() - since)


def ask(
    address: Address,
    method: str,
    path: str,
    body: Body = None,
    headers: Mapping[str, str] | None = None,
    *,
    timeout_s: float,
) -> Answer:
    """Send one request on a connection of its own; raises NoAnswerError."""
    with connect(address, timeout_s=timeout_s) as connection:
        return ask_on(connection, method, address.base_path + path, body, headers)


def time_connect(address: Address, *, timeout_s: float) -> float:
    """Return how many seconds it takes until a connection is accepted; raises NoAnswerError."""
    since = time.monotonic()
    with _no_answers():
        socket.create_connection((address.host, address.port), timeout=timeout_s).close()
    return time.monotonic() - since


def shorten(body: bytes) -> str:
    """Return the beginning of a body as text."""
    text = body[:_SHOWN_BYTES].decode("utf-8", "backslashreplace")
    shown = "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
    return shown + ("..." if len(body) > _SHOWN_BYTES else "")


def describe(method: str, path: str, body: Body, headers: Mapping[str, str] | None) -> str:
    """Show a request in a report."""
    fields = "".join(f", {name}: {value[:80]}" for name, value in (headers or {}).items())
    match body:
        case None:
            payload = ""
        case bytes():
            payload = f", {len(body):,} bytes: {shorten(body[:120])}"
        case _:
            payload = ", body in chunks without Content-Length"
    return f"{method} {path}{fields}{payload}"


@contextlib.contextmanager
def _no_answers() -> Iterator[None]:
    try:
        yield
    except TimeoutError as exc:
        raise TimedOutError("no answer in time") from exc
    except (OSError, http.client.HTTPException) as exc:
        raise NoAnswerError(f"no answer: {str(exc) or type(exc).__name__}") from exc
