"""Put load on a server; of large bodies whole requests only, so that their CPU time can be told."""

import http.client
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.servers import HOST
from service.load.result import Load, percentiles
from service.load.tools import Tool, put_load

LARGE: Final = 10_000
"""From so many records on requests are few: those that wrk cuts off at its end would tell in the CPU time."""

_PATIENCE_S: Final = 120


@dataclass(slots=True)
class Tally:
    """Count what all connections see."""

    latencies_ms: list[float] = field(default_factory=list)
    failed: int = 0


def load_server(
    port: int,
    path: str,
    *,
    body_path: Path,
    records: int,
    content_type: str,
    connections: int,
    seconds: float,
) -> Load:
    """Post a body over and over: with wrk, or with our client where bodies are large."""
    if records < LARGE:
        return put_load(
            f"http://{HOST}:{port}{path}",
            tool=Tool.WRK,
            body_path=body_path,
            content_type=content_type,
            connections=connections,
            seconds=max(1, round(seconds)),
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
    connection = http.client.HTTPConnection(HOST, port, timeout=_PATIENCE_S)
    try:
        while True:
            sent_s = time.perf_counter()
            connection.request("POST", path, body, {"Content-Type": content_type, "Accept": "*/*"})
            response = connection.getresponse()
            response.read()
            now_s = time.perf_counter()
            tally.latencies_ms.append((now_s - sent_s) * 1e3)
            tally.failed += response.status != http.HTTPStatus.OK
            if now_s >= end_s:
                return
    except (OSError, http.client.HTTPException):
        tally.failed += 1
    finally:
        connection.close()
