"""Ask for health while a server reads bodies of 25 MB without a pause."""

import http.client
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from bench.peers.contenders import Media
from bench.peers.results import Pings
from bench.servers import HOST, Server
from service.contract import MAX_PAYLOAD_MB
from service.errors import LoadError
from service.load.payload import make_payload
from service.load.result import Load
from service.load.tools import Tool, put_load

_CONNECTIONS: Final = 2
"""So one body waits while another is scored."""

_PAUSE_S: Final = 0.002
_PATIENCE_S: Final = 60


def ping_under_load(server: Server, folder: Path, *, seconds: int) -> Pings:
    """Return how fast pings were answered meanwhile.

    Raises:
        RuntimeError: A ping or a body was refused, or no body was answered.
    """
    body_path = folder / "largest.json"
    body_path.write_bytes(make_largest())
    loads: list[Load] = []

    def put() -> None:
        with suppress(LoadError):  # told below, where there is no result
            loads.append(
                put_load(
                    server.url("/invocations"),
                    tool=Tool.WRK,
                    body_path=body_path,
                    content_type=Media.JSON,
                    connections=_CONNECTIONS,
                    seconds=seconds,
                )
            )

    thread = threading.Thread(target=put)
    thread.start()
    took_ms = []
    connection = http.client.HTTPConnection(HOST, server.port, timeout=_PATIENCE_S)
    while thread.is_alive():
        sent_s = time.perf_counter()
        connection.request("GET", "/ping")
        response = connection.getresponse()
        response.read()
        took_ms.append((time.perf_counter() - sent_s) * 1e3)
        if response.status != http.HTTPStatus.OK:
            raise RuntimeError(f"a ping was answered with {response.status}")
        time.sleep(_PAUSE_S)
    connection.close()
    thread.join()
    if not loads or loads[0].failed:
        raise RuntimeError("no body of 25 MB was answered, or one was refused")
    ordered = sorted(took_ms)

    def within(share: float) -> float:
        return round(ordered[min(int(len(ordered) * share), len(ordered) - 1)], 3)

    return Pings(len(ordered), within(0.5), within(0.999), round(ordered[-1], 3), loads[0].requests)


def make_largest() -> bytes:
    """Return the most records that a payload may hold, as JSON."""
    inner = make_payload(10_000).strip()[1:-1]
    times = (MAX_PAYLOAD_MB * 2**20 - 2) // (len(inner) + 2)
    return b"[" + b", ".join([inner] * times) + b"]"
