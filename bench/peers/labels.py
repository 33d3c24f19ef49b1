"""Ask a server for labels, and say how they differ from those that are right."""

import http.client
from collections.abc import Sequence
from typing import Final

from bench.servers import HOST, Server

_PATIENCE_S: Final = 120


def difference(labels: Sequence[int], expected: Sequence[int]) -> str | None:
    """Say how labels differ from those that are right."""
    if len(labels) != len(expected):
        return f"{len(labels):,} labels for {len(expected):,} records"
    differing = sum(one != other for one, other in zip(labels, expected, strict=True))
    return f"{differing:,} of {len(labels):,} labels differ" if differing else None


def post(server: Server, path: str, body: bytes, content_type: str) -> bytes:
    """Return the answer to one request."""
    connection = http.client.HTTPConnection(HOST, server.port, timeout=_PATIENCE_S)
    try:
        connection.request("POST", path, body, {"Content-Type": content_type})
        response = connection.getresponse()
        answer = response.read()
    finally:
        connection.close()
    if response.status != http.HTTPStatus.OK:
        raise RuntimeError(f"answered {response.status}: {answer[:200]!r}")
    return answer
