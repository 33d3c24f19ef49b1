"""Measure a multi-model server with thousands of tenants: `python -m bench.tenants`.

Loads models until all are there or the server says that there is no room, and tells what each takes; then
has more tenants than fit ask for their models, as SageMaker has it: the least recently used one goes.
"""

import http.client
import json
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Final

import numpy as np
import typer

from bench.servers import HOST, ROOT, Server, environment, running_many
from bench.training import train_sample
from service.load.payload import make_payload
from service.simulation.tenants import LruCache, draw_tenants, hit_rate, zipf_shares

PUBLISHED: Final = ROOT / "docs" / "capacity.json"
_STEPS: Final = 5
_EXPONENT: Final = 1.0
_OK: Final = http.HTTPStatus.OK


@dataclass(frozen=True, slots=True)
class Step:
    """Hold the server with so many models."""

    models: int
    pss_mb: float
    cpu_s: float
    wall_s: float
    """For the loads since the step before."""


@dataclass(frozen=True, slots=True)
class Turnover:
    """Hold what it was like with more tenants than fit."""

    tenants: int
    cached: int
    exponent: float
    requests: int
    hit_rate: float
    """Measured."""
    expected_hit_rate: float
    """By the approximation."""
    hit_ms: float
    miss_ms: float
    """Median times of a request whose model is loaded, and of unload, load and request."""


@dataclass(frozen=True, slots=True)
class Tenants:
    """Hold everything that was measured."""

    date: str
    command: str
    machine: str
    archive_bytes: int
    steps: list[Step]
    turnover: Turnover
    stopped: str
    """Why no more were loaded."""


def main(
    *,
    models: Annotated[int, typer.Option(min=100, max=1_000_000, help="To load.")] = 20_000,
    requests: Annotated[int, typer.Option(min=100, help="With more tenants than fit.")] = 4_000,
    publish: Annotated[
        bool, typer.Option("--publish", help="Write the figures that docs/capacity.md has.")
    ] = False,
) -> None:
    """Measure, and print the result as JSON."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # or a server would be left behind
    found = measure(models=models, requests=requests)
    document = asdict(found)
    print(json.dumps(document, indent=2))
    if publish:
        update_published("tenants", document)


def update_published(part: str, document: dict[str, Any]) -> None:
    """Replace one part of the figures that the documents have."""
    old = json.loads(PUBLISHED.read_text()) if PUBLISHED.exists() else {}
    PUBLISHED.write_text(json.dumps({**old, part: document}, indent=1, sort_keys=True) + "\n")


def machine() -> str:
    """Return where this was measured, and how busy it was."""
    load = float(Path("/proc/loadavg").read_text().split()[0])
    cores = len(list(Path("/sys/devices/system/cpu").glob("cpu[0-9]*")))
    return f"{cores} shared cores with a load of {load:.0f}"


def measure(*, models: int, requests: int) -> Tenants:
    """Run a server and load models into it."""
    where = machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "store").mkdir()
        train_sample(folder / "store", folder=folder)
        artifact = max((folder / "store").glob("*/model.tar.gz"))
        command = [sys.executable, "-m", "bench.models", str(artifact), name, str(models)]
        subprocess.run(command, cwd=ROOT, env=environment(), check=True)
        with running_many() as server, closing(_connect(server)) as connection:
            steps, stopped = _load_all(server, connection, folder, models=models)
            loaded = steps[-1].models
            turnover = _turn_over(connection, folder, loaded=loaded, requests=requests)
        size = (folder / "0.tar.gz").stat().st_size
    return Tenants(
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        command=f"python -m bench.tenants --models {models}",
        machine=where,
        archive_bytes=size,
        steps=steps,
        turnover=turnover,
        stopped=stopped,
    )


def _connect(server: Server) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(HOST, server.port, timeout=120)


def _load_all(
    server: Server, connection: http.client.HTTPConnection, folder: Path, *, models: int
) -> tuple[list[Step], str]:
    """Load models one after the other; return the server at each fifth of the way, and why it ended."""
    steps = [Step(0, server.pss_mb(), server.cpu_s(), 0.0)]
    started_s = time.perf_counter()
    for number in range(models):
        status, answer = _load(connection, folder, number)
        if status == http.HTTPStatus.INSUFFICIENT_STORAGE:
            return [*steps, _step(server, number, started_s)], json.loads(answer)["error"]["message"]
        if status != _OK:
            raise RuntimeError(f"load {number} answered {status}: {answer[:200]!r}")
        if (number + 1) % max(models // _STEPS, 1) == 0:
            steps.append(_step(server, number + 1, started_s))
            started_s = time.perf_counter()
            print(f"{number + 1:,} models, {steps[-1].pss_mb:.0f} MB", file=sys.stderr)
    return steps, "all were loaded"


def _step(server: Server, models: int, started_s: float) -> Step:
    return Step(models, server.pss_mb(), server.cpu_s(), time.perf_counter() - started_s)


def _load(connection: http.client.HTTPConnection, folder: Path, number: int) -> tuple[int, bytes]:
    document = {"model_name": str(number), "url": str(folder / f"{number}.tar.gz")}
    return _ask(connection, "POST", "/models", json.dumps(document).encode())


def _ask(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes = b""
) -> tuple[int, bytes]:
    connection.request(method, path, body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    return response.status, response.read()


def _turn_over(
    connection: http.client.HTTPConnection, folder: Path, *, loaded: int, requests: int
) -> Turnover:
    """Keep a tenth of the models, those of a cache that has settled, and let all tenants ask."""
    cached = max(loaded // 10, 1)
    cache, shares, random = LruCache(cached), zipf_shares(loaded, _EXPONENT), np.random.default_rng(20261123)
    for tenant in draw_tenants(shares, 50 * cached, random).tolist():
        cache.ask(tenant)
    for number in set(range(loaded)) - cache.kept:
        status, answer = _ask(connection, "DELETE", f"/models/{number}")
        if status != _OK:
            raise RuntimeError(f"unload {number} answered {status}: {answer[:200]!r}")
    tenants = draw_tenants(shares, requests, random)
    times: dict[bool, list[float]] = {True: [], False: []}
    body = make_payload(1)
    for tenant in tenants.tolist():
        is_hit, gone = cache.ask(tenant)
        started_s = time.perf_counter()
        if gone is not None:
            _ask(connection, "DELETE", f"/models/{gone}")
        if not is_hit:
            _load(connection, folder, tenant)
        status, answer = _ask(connection, "POST", f"/models/{tenant}/invoke", body)
        if status != _OK:
            raise RuntimeError(f"tenant {tenant} was answered {status}: {answer[:200]!r}")
        times[is_hit].append((time.perf_counter() - started_s) * 1e3)
    return Turnover(
        tenants=loaded,
        cached=cached,
        exponent=_EXPONENT,
        requests=requests,
        hit_rate=len(times[True]) / requests,
        expected_hit_rate=hit_rate(shares, cached),
        hit_ms=median(times[True]),
        miss_ms=median(times[False]),
    )


if __name__ == "__main__":
    typer.run(main)
