"""Measure a multi-model server: loads, memory, and invocations of one model among thousands.

`python -m bench.models ARTIFACT FOLDER N` makes the models, in a process that the measured ones do not share
pages with.
"""

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Final

from bench.servers import HOST, ROOT, Server, ServerName, environment, running, running_many
from bench.serving import ONE
from service.load.payload import make_payload
from service.load.result import Load
from service.load.tools import Tool, put_load

_UNLOADED: Final = 1000
"""How many of the models are unloaded again, to time it."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Hold one round: the same load on a server of one model and on one model among many."""

    round: int
    alone: Load
    among: Load
    alone_cpu_s: float
    among_cpu_s: float
    """Of each server during its load."""


@dataclass(frozen=True, slots=True)
class ManyResults:
    """Hold everything that was measured with many models in one process."""

    models: int
    load_s: float
    """For all of them, one after the other, each from a file of its own."""
    load_cpu_s: float
    unload_s: float
    """For a thousand of them, or for all where there are fewer."""
    empty_mb: float
    full_mb: float
    """PSS before the first load and after the last."""
    pairs: list[Pair]

    @property
    def model_kb(self) -> float:
        """Return the memory that one more model takes."""
        return (self.full_mb - self.empty_mb) * 1024 / self.models

    @property
    def loads_per_s(self) -> float:
        """Return how many models were loaded in a second."""
        return self.models / self.load_s

    @property
    def unloads_per_s(self) -> float:
        """Return how many models were unloaded in a second."""
        return min(self.models, _UNLOADED) / self.unload_s

    @property
    def rate_ratio(self) -> float:
        """Return the median over rounds of invocations of one among many, as a share of one alone."""
        return median(_rate(pair.among) / _rate(pair.alone) for pair in self.pairs)

    @property
    def cpu_ratio(self) -> float:
        """Return the same of the CPU time of a request: what to trust on a noisy machine."""
        return median(
            (pair.among_cpu_s / pair.among.requests) / (pair.alone_cpu_s / pair.alone.requests)
            for pair in self.pairs
        )

    def rate(self, *, among: bool) -> float:
        """Return the median requests per second of either server."""
        return median(_rate(pair.among if among else pair.alone) for pair in self.pairs)


def run_many(
    folder: Path,
    *,
    store: Path,
    client: Tool,
    models: int,
    rounds: int,
    seconds: int,
    log: Callable[[str], None],
) -> ManyResults:
    """Measure a server with so many models beside a server with one.

    Raises:
        RuntimeError: A request failed.
    """
    log(f"making {models:,} models")
    artifact = max(store.glob("*/model.tar.gz"))
    subprocess.run(
        [sys.executable, "-m", "bench.models", str(artifact), str(folder), str(models)],
        cwd=ROOT,
        env=environment(),
        check=True,
    )
    body_path = folder / "one.json"
    body_path.write_bytes(make_payload(1))

    def load_on(server: Server, path: str) -> tuple[Load, float]:
        before = server.cpu_s()
        load = put_load(
            server.url(path),
            tool=client,
            body_path=body_path,
            content_type="application/json",
            connections=ONE.connections,
            seconds=seconds,
        )
        if load.failed:
            raise RuntimeError(f"{load.failed} of {load.requests} requests failed")
        return load, server.cpu_s() - before

    with running_many() as many, running(ServerName.SEGSERVE, store=store) as one:
        empty_mb = many.pss_mb()
        log(f"loading {models:,} models")
        cpu_s = many.cpu_s()
        load_s = _time(many, _loads(folder, models))
        load_cpu_s = many.cpu_s() - cpu_s
        full_mb = many.pss_mb()
        pairs = []
        for number in range(1, rounds + 1):
            log(f"many models, round {number} of {rounds}")
            sides = {"among": (many, f"/models/{models // 2}/invoke"), "alone": (one, "/invocations")}
            # Each goes first in turn: what else the machine does changes within a round, too.
            order = sorted(sides, reverse=number % 2 == 0)
            found = {side: load_on(*sides[side]) for side in order}
            (among, among_cpu_s), (alone, alone_cpu_s) = found["among"], found["alone"]
            pairs.append(Pair(number, alone, among, alone_cpu_s, among_cpu_s))
        unload_s = _time(many, (("DELETE", f"/models/{n}", b"") for n in range(min(models, _UNLOADED))))
    return ManyResults(models, load_s, load_cpu_s, unload_s, empty_mb, full_mb, pairs)


def make_models(artifact_path: Path, folder: Path, models: int) -> None:
    """Write artifacts that differ, as those of a thousand tenants do."""
    from service.artifact import MODEL, pack, read_artifact  # noqa: PLC0415  # see the module's docstring

    artifact = read_artifact(artifact_path)
    document = json.loads(artifact.files[MODEL])
    for number in range(models):
        document["income_median"] = number
        _, content = pack(
            {MODEL: json.dumps(document).encode()},
            provenance=artifact.manifest.provenance,
            created=datetime.fromisoformat(artifact.manifest.created),
        )
        (folder / f"{number}.tar.gz").write_bytes(content)


def _loads(folder: Path, models: int) -> Iterator[tuple[str, str, bytes]]:
    for number in range(models):
        document = {"model_name": str(number), "url": str(folder / f"{number}.tar.gz")}
        yield "POST", "/models", json.dumps(document).encode()


def _time(server: Server, requests: Iterator[tuple[str, str, bytes]]) -> float:
    """Return how long requests take, one after the other."""
    with closing(http.client.HTTPConnection(HOST, server.port, timeout=60)) as connection:
        started = time.perf_counter()
        for method, path, body in requests:
            connection.request(method, path, body)
            response = connection.getresponse()
            answer = response.read()
            if response.status != http.HTTPStatus.OK:
                raise RuntimeError(f"{method} {path} answered {response.status}: {answer[:200]!r}")
        return time.perf_counter() - started


def _rate(load: Load) -> float:
    return load.requests / load.seconds


if __name__ == "__main__":
    make_models(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
